//! Frames: one `list<u8>` that holds a whole batch of events, of writes, or of rows.
//!
//! The layout is specified in `plugin-sdk/wit/frames.md`. A frame from a guest is hostile input:
//! readers check every position, and answer an [`Error`] with where and what, never a panic.
//!
//! # Layout
//!
//! * [`events`]: what `apply` is given.
//! * [`ops`]: the writes that it answers.
//! * [`rows`]: the parameters and the result of a query.
//! * [`commands`]: what `decide` is given, and the events that it answers.
//! * [`upcast`]: the events of today that `upcast` answers.
//! * [`value`]: SQLite's five kinds of value.

mod build;
pub mod commands;
pub mod events;
mod layout;
pub mod ops;
pub mod rows;
pub mod upcast;
pub mod value;

pub use layout::{Error, HEADER_BYTES, Kind, LAYOUT_VERSION, MAGIC, NONE};
