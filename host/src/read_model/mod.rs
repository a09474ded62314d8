//! A projection's read model: one SQLite database.
//!
//! # Layout
//!
//! * [`Writer`]: the one connection that writes, and its transactions.
//! * [`Reader`]: connections that read, for people and programs; [`Question`]: what they are asked.
//! * [`Cell`]: values of a result, and their JSON.
//! * `text`, `functions`, `meter`: what keeps a stranger's query within its bounds.
//! * `blueprint`: what a database is made for, and whether an existing one fits.
//! * `checkpoint`, `journal`: how far it is, and in which order it came there, by which plugins.
//! * [`Durability`]: what a crash of the machine may take.
//! * `authorizer`, `clock`: what a plugin's SQL may not do.
//! * `statements`: a plugin's SQL: prepared, written in bulk, queried.
//! * [`Snapshot`]: everything about a read model at one moment.
//! * [`Fingerprint`]: whether two databases say the same; [`diff`]: what they say differently.
//! * [`outbox`]: what a process manager wants sent.
//! * [`relocate`]: a read model whose log was moved.
//! * [`backup`]: a copy of one that is in use, and the way back.

mod authorizer;
pub mod backup;
mod blueprint;
mod cell;
mod checkpoint;
mod clock;
pub mod diff;
mod durability;
mod functions;
mod hash;
mod journal;
mod meter;
pub mod outbox;
mod question;
mod reader;
mod relocate;
mod snapshot;
mod statements;
#[cfg(test)]
mod tests;
mod text;
mod writer;

pub use blueprint::Blueprint;
pub use cell::{Cell, unhex};
pub use checkpoint::{Advance, Checkpoints};
pub use diff::{Diff, diff};
pub use durability::{Durability, sync_folder};
pub use hash::Fingerprint;
pub use journal::{Cursor, Page, Run, author, digests};
pub use outbox::Outbox;
pub use question::{Answer, Params, Question, ReaderLimits};
pub use reader::Reader;
pub use relocate::{Relocation, relocate};
pub use snapshot::Snapshot;
pub use statements::{Fault, Refusal};
pub use writer::Writer;

use std::path::PathBuf;

/// Names of the tables that are Lantern's own start with this; a plugin cannot see them.
pub const RESERVED_PREFIX: &str = "_lantern_";

/// Why a read model could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened or created.
    #[error("cannot open {}: {source}. Check that the folder exists, is writable and has space", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The file is something else.
    #[error("{} is not a read model of Lantern: {reason}. Move it away, and it is built anew", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
        /// What is odd.
        reason: String,
    },
    /// The plugin's tables or its state version are others than those that the file was built with.
    #[error(
        "{} was built with {stored}, the plugin now has {new}: its rows cannot be continued. \
         Deploy the earlier plugin, or move the file away and it is built anew from the log", path.display()
    )]
    Differs {
        /// The database.
        path: PathBuf,
        /// What it was built with.
        stored: String,
        /// What the plugin has.
        new: String,
    },
    /// The plugin's schema is not valid SQL, or does what a plugin may not.
    #[error("schema statement {number} of the plugin: {reason}\n  {sql}")]
    Schema {
        /// Counted from 1.
        number: usize,
        /// Its beginning.
        sql: String,
        /// What SQLite says.
        reason: String,
    },
    /// Somebody else advanced the checkpoint since this writer read it.
    #[error(
        "the checkpoint of {topic}/{partition} in {} is {found:?}, not {expected}: another process writes this \
         read model. Stop it; nothing was applied twice", path.display()
    )]
    Checkpoint {
        /// The database.
        path: PathBuf,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The next offset that this writer stored last.
        expected: i64,
        /// What is stored.
        found: Option<i64>,
    },
    /// Reading or writing failed: disk, lock, or damage.
    #[error("{}: {source}{}", path.display(), storage_hint(source))]
    Storage {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A statement of the plugin failed by the disk, a lock, or damage, and nothing of its transaction is left.
    #[error("{0}")]
    Statement(Refusal),
    /// The machine was started anew while the read model was built with relaxed durability.
    #[error(
        "{} was being built when the machine went down, and may be damaged: delete it, and it is built anew", path.display()
    )]
    Unsettled {
        /// The database.
        path: PathBuf,
    },
    /// A file beside the database, or the file as a whole, cannot be read or written.
    #[error("{}: {source}. Check that the folder exists, is writable and has space", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The query is refused, wrong, or takes too long.
    #[error("{0}")]
    Query(String),
    /// The query answers or computes with more than it may.
    #[error("{0}")]
    TooMuch(String),
    /// The query needs more than its first try may take: try it with larger limits.
    #[error("the query takes more steps than a first try may")]
    Unfinished,
}

impl Error {
    /// Whether the same may succeed later, without anybody changing the plugin or the events.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Storage { source, .. } | Error::Open { source, .. } => !is_damage(source),
            Error::Statement(refusal) => refusal.fault == Fault::Storage,
            Error::File { .. } => true,
            _ => false,
        }
    }
}

/// Whether the file is not as SQLite has written it, which no waiting mends.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::{ErrorCode, ffi};
    match error.sqlite_error() {
        // The index of a virtual table, such as one for full text, that a plugin may have told what is not so.
        Some(told) if told.extended_code == ffi::SQLITE_CORRUPT_VTAB => false,
        Some(told) => matches!(told.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase),
        None => false,
    }
}

fn storage_hint(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ". The disk is full: free some space, the projection goes on by itself",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ". Another process holds the database's lock: end its transaction"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            ". The file or its folder cannot be written: check its permissions and how it is mounted"
        }
        _ if is_damage(error) => {
            ". The file is damaged: move it away, with the `-wal` and `-shm` beside it, and start again: it is built anew from the log. \
             Where the log has lost its beginning, restore a backup instead: `lantern restore --help`"
        }
        _ => "",
    }
}
