//! What is kept of the aggregates of one type: states, the index of their events, idempotency keys, how far the log was
//! read. All of it is derived from the log: a file that is gone is filled again.
//!
//! # Layout
//!
//! * `schema`: the tables, and whether a file is what it should be.
//! * [`Store`]: the one connection that writes, and its transactions.
//! * [`relocate`]: a store whose log was moved.
//! * [`Reader`]: connections that read: an aggregate, its events, the list.
//! * [`Piece`]: events as they are folded.

mod pieces;
mod reader;
mod relocate;
mod schema;
mod store;
#[cfg(test)]
mod tests;

pub use pieces::Piece;
pub use reader::{Filter, Reader};
pub use relocate::relocate;
pub use store::{Store, Transaction};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The next offset to read, by topic and partition.
pub type Position = BTreeMap<(String, i32), i64>;

/// An aggregate as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Which one.
    pub id: String,
    /// The partition that its events are in.
    pub partition: i32,
    /// How many events it has had.
    pub version: u64,
    /// Its state as JSON, if one was kept.
    pub state: Option<Vec<u8>>,
    /// The version that the state is of: it may be behind.
    pub state_at: u64,
    /// The state version of the plugin that made the state.
    pub state_version: u32,
}

impl Aggregate {
    /// Whether the state is of the newest event, and of this state version.
    pub fn is_current(&self, state_version: u32) -> bool {
        self.state.is_some() && self.state_at == self.version && self.state_version == state_version
    }
}

/// An event of an aggregate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The aggregate's version after it, counted from 1.
    pub version: u64,
    /// Its type.
    pub kind: String,
    /// When it was decided, in milliseconds since 1970.
    pub time_ms: i64,
    /// Its partition in the log.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its data.
    pub payload: Vec<u8>,
    /// The id of its CloudEvent.
    pub event_id: String,
    /// What belongs together carries the same.
    pub correlation: Option<String>,
    /// What caused it.
    pub causation: Option<String>,
}

/// What a command with an idempotency key came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Of the command: its name and its data.
    pub digest: String,
    /// What was decided.
    pub outcome: Outcome,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// These versions were appended, the first and the last.
    Appended {
        /// The version after its first event.
        first: u64,
        /// The version after its last event.
        last: u64,
    },
    /// Nothing had to be appended.
    Unchanged {
        /// The version that it was decided on.
        version: u64,
    },
    /// The domain refused.
    Rejected {
        /// The version that it was decided on.
        version: u64,
        /// The domain's code.
        code: String,
        /// Its sentence.
        message: String,
        /// JSON.
        detail: Option<String>,
    },
}

/// Why a store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened or created.
    #[error("cannot open {}: {source}. {}", path.display(), advice(.source, "the folder exists, is writable and has space"))]
    Open {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The file is something else.
    #[error("{} does not keep the aggregates of `{name}`: {reason}. Move it away, and it is filled again from the log", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
        /// The aggregate type.
        name: String,
        /// What is odd.
        reason: String,
    },
    /// Reading or writing failed: disk or lock; or damage, see [`Error::is_transient`].
    #[error("{}: {source}. {}", path.display(), advice(.source, "the disk has space and the file can be written"))]
    Storage {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

impl Error {
    /// Whether the same may succeed later without anybody changing the file.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Foreign { .. } => false,
            Error::Open { source, .. } | Error::Storage { source, .. } => !is_damage(source),
        }
    }
}

/// Whether the file is not what was written: what SQLite finds wrong with it, and values that were never stored.
fn is_damage(source: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(source.sqlite_error_code(), None | Some(DatabaseCorrupt | NotADatabase))
}

fn advice(source: &rusqlite::Error, check: &str) -> String {
    if is_damage(source) {
        "The file is damaged: move it away, with its `-wal` and `-shm`, and `lantern resume` its handler, which fills it \
         again from the log"
            .to_owned()
    } else {
        format!("Check that {check}")
    }
}
