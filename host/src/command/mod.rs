//! The write side: commands become events.
//!
//! # Layout
//!
//! * [`dispatch`]: sends what process managers want sent.

pub mod dispatch;
