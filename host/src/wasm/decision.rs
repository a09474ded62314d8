//! What a command handler decides, as the contract has it.

// The derives write the code that reads these types from a guest's memory, which is unsafe to write by hand;
// nothing else is in this file.
#![allow(unsafe_code, reason = "wasmtime's derives implement its unsafe traits")]

use std::fmt;
use wasmtime::component::{ComponentType, Lift};

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(variant)]
pub enum Decision {
    /// It is accepted: a frame of the events to append, perhaps none. Read it by
    /// [`lantern_contract::frame::commands::Decided`].
    #[component(name = "events")]
    Events(Vec<u8>),
    /// The domain says no.
    #[component(name = "rejected")]
    Rejected(Rejection),
}

/// The domain says no. That is an answer, not a failure.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Rejection {
    /// For programs.
    #[component(name = "code")]
    pub code: String,
    /// For people, in a sentence.
    #[component(name = "message")]
    pub message: String,
    /// More for programs, as JSON.
    #[component(name = "detail")]
    pub detail: Option<String>,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
