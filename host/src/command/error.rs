//! Why a command has no answer of the domain.

use crate::aggregate_store;
use std::time::Duration;

/// The most bytes of what is said of a plugin's failure.
const REASON_BYTES_MAX: usize = 16 << 10;

/// Why a command has no answer of the domain. Nothing was appended, except where it says that it is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command cannot be understood.
    #[error("the command is not understood: {reason}")]
    BadCommand {
        /// What is wrong with it.
        reason: String,
    },
    /// The aggregate has another version than was expected.
    #[error(
        "version {expected} was expected, and it is {actual}: look at what has changed, and decide again"
    )]
    WrongVersion {
        /// By the command.
        expected: u64,
        /// As it is.
        actual: u64,
    },
    /// The idempotency key was used for another command.
    #[error(
        "the idempotency key was used for another command on the same aggregate: take a new key for a new command"
    )]
    KeyReused,
    /// The handler reads the log before it takes commands.
    #[error(
        "the handler catches up with the log, {behind} records to go: send the command again in a moment"
    )]
    CatchingUp {
        /// Records to go.
        behind: u64,
    },
    /// Something that is needed does not answer; nothing was appended.
    #[error("nothing was appended: {reason}; send the command again")]
    Unavailable {
        /// What, and why.
        reason: String,
    },
    /// The log did not say what became of it.
    #[error(
        "it is not known whether the command was appended: {reason}; send it again with the same Idempotency-Key, and it is decided once"
    )]
    Uncertain {
        /// What the log said.
        reason: String,
    },
    /// Another process has taken over.
    #[error(
        "this process no longer appends: {reason}. A command that was just sent may have been appended: send it again with the same Idempotency-Key, there"
    )]
    Fenced {
        /// How that is known.
        reason: String,
    },
    /// The handler has stopped at something that somebody has to look at.
    #[error("the handler has halted: {reason}")]
    Halted {
        /// At what.
        reason: String,
    },
    /// More commands wait than may.
    #[error("too many commands wait already: send it again in a moment")]
    TooMany,
    /// The plugin did not do its part: it trapped, took too long, or answered what cannot be used.
    #[error("the command handler failed: {reason}; nothing was appended. Correct the plugin and deploy it")]
    Plugin {
        /// How.
        reason: String,
    },
    /// The handler is being stopped.
    #[error("the handler is stopping: send the command again when it is back")]
    Stopping,
}

impl Error {
    /// When it is worth to send the same command again; `None` when nothing would be different.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::TooMany | Error::CatchingUp { .. } => Some(Duration::from_secs(1)),
            Error::Unavailable { .. } | Error::Uncertain { .. } | Error::Stopping => {
                Some(Duration::from_secs(2))
            }
            Error::Fenced { .. } | Error::Halted { .. } => Some(Duration::from_secs(30)),
            Error::BadCommand { .. }
            | Error::WrongVersion { .. }
            | Error::KeyReused
            | Error::Plugin { .. } => None,
        }
    }

    pub(super) fn plugin(reason: impl ToString) -> Self {
        Error::Plugin { reason: cut(reason.to_string()) }
    }

    pub(super) fn bad_command(reason: String) -> Self {
        Error::BadCommand { reason: cut(reason) }
    }
}

/// A sentence of a plugin is as long as it likes, and ends up in logs, answers and records.
fn cut(mut reason: String) -> String {
    if reason.len() > REASON_BYTES_MAX {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        reason.push_str(" …");
    }
    reason
}

impl From<aggregate_store::Error> for Error {
    fn from(error: aggregate_store::Error) -> Self {
        let reason = error.to_string();
        if error.is_transient() { Error::Unavailable { reason } } else { Error::Halted { reason } }
    }
}
