//! The ready-made plugins as they are carried in the binary. A build script compiles them, since no built plugin is ever
//! committed.

/// The one file that all of them are: a core module, to be configured.
pub static READY_MADE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ready_made.wasm"));
