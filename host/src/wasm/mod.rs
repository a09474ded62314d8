//! The engine that runs plugins. The only module that knows wasmtime.
//!
//! # Layout
//!
//! * [`Engine`]: settings, the clock of deadlines, and `compile`.
//! * `component`: what kind of WebAssembly a file is, how a core module is wrapped, what a plugin must export.
//! * `cache`: compiled code, kept between starts.
//! * [`Instance`]: one plugin's memory and its calls; [`CallError`] says how a call ended.
//! * [`Imports`]: what a plugin may ask of its host.
//! * [`Limits`]: what a plugin may use.
//!
//! A trap poisons the whole instance: it refuses every later call, and its owner makes a new one.

mod cache;
mod component;
mod engine;
mod error;
mod failure;
mod imports;
mod instance;
mod limits;
mod log_budget;
mod trap;

#[cfg(test)]
mod tests;

pub use component::{Component, to_component};
pub use engine::{Engine, TICK};
pub use error::Error;
pub use failure::{Failure, Fault};
pub use imports::{Imports, Level};
pub use instance::{Instance, Interrupt};
pub use limits::Limits;
pub use trap::{CallError, Trap};
