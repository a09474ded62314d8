//! Why a replay does not go on.

use crate::projection::applier;
use crate::upcast::Unread;
use crate::{log, plugin, read_model};
use std::path::PathBuf;
use std::time::Duration;

/// How long the log may bring nothing before a replay is given up.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Why a read model cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The read model, or its replay.
    #[error(transparent)]
    ReadModel(#[from] read_model::Error),
    /// A record's envelope, or an upcaster.
    #[error(transparent)]
    Event(#[from] Unread),
    /// A plugin that wrote the read model is not there any more.
    #[error(
        "the plugin {digest} wrote a part of the read model and is not kept: {}: {source}. Put its file there again, \
         or rebuild the read model", path.display()
    )]
    Missing {
        /// Its digest.
        digest: String,
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        source: Box<plugin::Error>,
    },
    /// A plugin that is kept does not load.
    #[error(transparent)]
    Plugin(#[from] plugin::Error),
    /// An event cannot be applied.
    #[error("in the replay: {0}")]
    Apply(#[from] applier::Error),
    /// The log begins after events that were applied.
    #[error(
        "the log was truncated: the replay needs {topic}/{partition}@{needed} next, the log begins at {first}. \
         What was applied before cannot be repeated"
    )]
    Truncated {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The next offset to apply.
        needed: i64,
        /// The first that is there.
        first: i64,
    },
    /// The log has not the events that were applied.
    #[error(
        "the log of {topic}/{partition} has another number of events from {from} to {to}: {found} now, {recorded} when they \
         were applied. It was compacted, records of it were deleted, or it is another log"
    )]
    Compacted {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The first offset of the range.
        from: i64,
        /// The offset behind its last.
        to: i64,
        /// How many there were.
        recorded: u64,
        /// How many there are.
        found: u64,
    },
    /// The log ends before what was applied.
    #[error(
        "the log of {topic}/{partition} ends at {end}, but the read model has applied it up to {applied}: \
         this is another log, or it has lost its end"
    )]
    Short {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where it ends.
        end: i64,
        /// How far the read model is.
        applied: i64,
    },
    /// The log brings nothing.
    #[error("{topic}/{partition}: nothing came for {} s; is the broker well?", SILENCE_MAX.as_secs())]
    Silent {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
}

impl Error {
    /// Whether the same may succeed later beside a live projection, without anybody changing the plugin, the events or the file.
    pub fn is_transient(&self) -> bool {
        match self {
            // A topic that a new version reads and that is not there is said at once.
            Error::Log(log::Error::TopicMissing { .. }) => false,
            // The live one was let in.
            Error::Log(error) => error.may_pass(true),
            Error::ReadModel(error) => error.is_transient(),
            Error::Apply(error) => error.is_transient(),
            Error::Silent { .. } => true,
            _ => false,
        }
    }

    /// Whether the log no longer has what was applied.
    pub fn is_about_the_log(&self) -> bool {
        matches!(self, Error::Truncated { .. } | Error::Compacted { .. } | Error::Short { .. })
    }
}
