//! What the Lantern host and its plugins agree on.
//!
//! # Layout
//!
//! * [`frame`]: packed events, writes and rows, as they cross between host and guest.
//! * [`manifest`]: what a plugin says of itself.
//! * [`WIT`]: the functions, as the one copy in `plugin-sdk/wit` declares them.

pub mod frame;
pub mod manifest;

/// The contract's only copy, for hosts that wrap core modules as components.
pub const WIT: &str = include_str!("lantern.wit");

/// The package that [`WIT`] declares, with its version.
pub const PACKAGE: &str = "lantern:plugin@0.1.0";
