//! Given-when-then: cases that say what a plugin makes of events and commands, run against the plugin as it is deployed.
//! No log is needed: events and commands go through the same code as in a host, into a read model or a state of their own.
//!
//! # Layout
//!
//! * [`Case`]: a case, as [`read`] finds it in a file; `then`: what it expects. `yaml`, `fields`, `values`: what files are made of;
//!   `lines`: events from a file of JSON lines.
//! * [`Bench`]: a plugin, and [`Bench::run`], which answers what is otherwise than it should be.
//! * `log`: the events of a case as records of a log.
//! * `projection`, `handler`, `upcaster`: how a case is run for each kind of plugin.
//! * `rows`, `messages`, `made`: what came out, compared with what should.

mod case;
mod error;
mod fields;
mod handler;
mod lines;
mod log;
mod made;
mod messages;
mod projection;
mod rows;
mod then;
mod upcaster;
mod values;
mod yaml;

pub use case::{Case, read};
pub use error::Error;

use crate::command;
use crate::plugin::{Kind, Plugin};
use crate::wasm::{Engine, Limits};
use crate::{projection as engine_room, read_model};
use std::sync::Arc;

/// A plugin, and what it is run with.
#[derive(Clone)]
pub struct Bench {
    /// Runs it.
    pub engine: Engine,
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// What it may use.
    pub limits: Limits,
    /// What a command may come to.
    pub commands: command::Options,
}

/// Something that is otherwise than a case says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line that says otherwise.
    pub line: usize,
    /// What is otherwise.
    pub text: String,
    /// Lines that begin with `-` for what was expected and with `+` for what came, or with neither.
    pub details: Vec<String>,
}

impl Problem {
    fn new(line: usize, text: impl Into<String>) -> Self {
        Problem { line, text: text.into(), details: Vec::new() }
    }
}

/// Why a case could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// It does not fit the plugin.
    #[error(transparent)]
    Case(#[from] Error),
    /// There is no place for its read model.
    #[error("no folder for the read model of a case: {0}")]
    Folder(#[from] std::io::Error),
    /// Its read model cannot be read.
    #[error(transparent)]
    ReadModel(#[from] read_model::Error),
    /// Its projection does not start.
    #[error(transparent)]
    Applier(#[from] engine_room::applier::Error),
    /// Its aggregate cannot be asked.
    #[error(transparent)]
    Command(#[from] command::Error),
}

impl Bench {
    /// Runs a case; answers what is otherwise than it says. It is run twice, in instances of their own. The calling thread's
    /// stack has [`Limits::thread_stack_bytes`].
    ///
    /// # Errors
    /// When it cannot be run, such as when it expects rows of a command handler.
    pub fn run(&self, case: &Case) -> Result<Vec<Problem>, Stopped> {
        match self.plugin.kind {
            Kind::Projection => projection::run(self, case),
            Kind::Commands => handler::run(self, case),
            Kind::Upcaster => upcaster::run(self, case),
        }
    }
}

/// That a plugin of this kind is not asked for that.
fn misplaced(line: usize, key: &str, plugin: &Plugin) -> Error {
    Error::new(line, format!("`{key}` is not for {}, which is a {}", plugin.name, plugin.kind))
}

/// The problem of a message that was expected to have these words, or of one that was not expected at all.
fn failure(expected: Option<&(usize, String)>, found: Option<(usize, String)>) -> Option<Problem> {
    match (expected, found) {
        (None, None) => None,
        (Some((_, words)), Some((_, message))) if message.contains(words) => None,
        (Some((line, words)), Some((_, message))) => {
            let mut problem = Problem::new(*line, "it fails with another message");
            problem.details = vec![format!("- {words}"), format!("+ {message}")];
            Some(problem)
        }
        (Some((line, words)), None) => {
            let mut problem = Problem::new(*line, "it does not fail");
            problem.details = vec![format!("- {words}")];
            Some(problem)
        }
        (None, Some((line, message))) => Some(Problem::new(line, message)),
    }
}
