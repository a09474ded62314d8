//! The engine that runs plugins. The only module that knows wasmtime.
//!
//! # Layout
//!
//! * [`Engine`]: settings, the clock of deadlines, and `compile`.
//! * `wrap`: what kind of WebAssembly a file is, how a core module is wrapped.
//! * `component`, `kind`: what a plugin must export, and what it may import.
//! * [`configured`]: a plugin's file with a configuration in it.
//! * `cache`: compiled code, kept between starts.
//! * `guest`: one plugin's memory, and how its functions are called.
//! * [`Instance`], [`Handler`], [`Upcaster`]: the calls of each kind of plugin; [`CallError`] says how a call ended.
//! * `virtual_wasi`: the empty world of runtimes that need WASI.
//! * [`Imports`]: what a plugin may ask of its host.
//! * [`Limits`]: what a plugin may use.
//!
//! A trap poisons the whole instance: it refuses every later call, and its owner makes a new one.

mod cache;
mod component;
mod configured;
mod decision;
mod engine;
mod error;
mod failure;
mod guest;
mod handler;
mod imports;
mod instance;
mod kind;
mod limits;
mod log_budget;
mod no_database;
mod trap;
mod upcaster;
mod virtual_wasi;
mod wrap;

#[cfg(test)]
mod tests;

pub use component::Component;
pub use configured::configured;
pub use decision::{Decision, Rejection};
pub use engine::{Engine, TICK};
pub use error::Error;
pub use failure::{Failure, Fault};
pub use handler::Handler;
pub use imports::{Imports, Level};
pub use instance::Instance;
pub use kind::Kind;
pub use limits::Limits;
pub use no_database::NoDatabase;
pub use trap::{CallError, Trap};
pub use upcaster::Upcaster;
pub use wrap::to_component;
