//! The contract's `failure`: an error that both sides can answer with.

// The derives write the code that reads these types from a guest's memory and stores them there, which is
// unsafe to write by hand; nothing else is in this file.
#![allow(unsafe_code, reason = "wasmtime's derives implement its unsafe traits")]

use std::fmt;
use wasmtime::component::{ComponentType, Lift, Lower};

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Fault {
    /// The event cannot be understood: it is at fault, not the plugin.
    #[component(name = "bad-input")]
    BadInput,
    /// SQLite refused a statement.
    #[component(name = "sql")]
    Sql,
    /// A write conflicts with what is stored.
    #[component(name = "conflict")]
    Conflict,
    /// What was asked for is not offered here.
    #[component(name = "unsupported")]
    Unsupported,
    /// Anything else.
    #[component(name = "other")]
    Other,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::BadInput => "bad input",
            Fault::Sql => "SQL",
            Fault::Conflict => "conflict",
            Fault::Unsupported => "unsupported",
            Fault::Other => "failure",
        })
    }
}

/// A failure that a plugin answers with, or that the host answers a plugin with.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Failure {
    /// What kind of failure it is.
    #[component(name = "kind")]
    pub fault: Fault,
    /// What is wrong, in a sentence.
    #[component(name = "message")]
    pub message: String,
    /// Which event of the batch is at fault, counted from 0, when the plugin knows.
    #[component(name = "index")]
    pub index: Option<u32>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.fault, self.message)
    }
}

impl std::error::Error for Failure {}
