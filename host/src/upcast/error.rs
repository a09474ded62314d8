//! Why an event does not become one of today.

use crate::event;
use std::fmt;

/// An event that an upcaster cannot upcast.
#[derive(Clone, Debug)]
pub struct Error {
    /// The upcaster's name.
    pub upcaster: String,
    /// The event's topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its type, as it came to the upcaster.
    pub kind: String,
    /// What the upcaster says.
    pub message: String,
    /// The upcaster's functions that were running, the innermost first.
    pub backtrace: Vec<String>,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error { upcaster, topic, partition, offset, kind, message, backtrace } = self;
        write!(
            f,
            "the upcaster {upcaster} cannot upcast the event {kind} at {topic}/{partition}@{offset}: {message}"
        )?;
        for function in backtrace {
            write!(f, "\n    at {function}")?;
        }
        write!(
            f,
            "\n  Deploy a version of {upcaster} that can, or `lantern rollback {upcaster}` to the one before"
        )
    }
}

/// Why a record of the log gives no event.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// Its envelope cannot be opened.
    #[error(transparent)]
    Envelope(#[from] event::Error),
    /// It is old, and cannot be upcast.
    #[error(transparent)]
    Upcast(#[from] Box<Error>),
}
