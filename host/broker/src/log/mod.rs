//! The storage of one partition: an append-only sequence of record batches in segment files.
//!
//! ```text
//! topics/<topic>/<partition>/
//!     00000000000000000000.log    segment: batches back to back, named after its first offset
//!     00000000000000051234.log    the last segment is the one written to
//!     log-start                   the first offset still readable, once records were deleted
//! ```
//!
//! A batch is stored as the producer sent it (record format 2 of Kafka's protocol), except for its
//! base offset and leader epoch, which are the broker's and lie outside its checksum. Nothing else
//! is stored: indexes, the state of idempotent producers and the list of aborted transactions
//! follow from the batches and are rebuilt when the partition is opened.

pub(crate) mod batch;
mod partition;
mod producers;
mod read;
pub(crate) mod records;
mod recovery;
mod segment;
mod syncer;
mod waiters;

pub(crate) use partition::{AppendError, Appended, Partition, now_ms};
pub(crate) use producers::{Marker, Refusal};
pub(crate) use read::{ReadError, Slice};
pub(crate) use syncer::Syncer;
pub(crate) use waiters::Waiter;

use std::path::{Path, PathBuf};

/// Why a partition could not be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused an operation on a file.
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        /// What was attempted, such as "cannot open".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A stored batch is damaged although later ones are whole, so it is not the torn end of an
    /// interrupted write.
    #[error(
        "{path}: the record batch at byte {position} (offset {offset}) is damaged ({reason}), but whole batches \
         follow it; restore the file from a backup, or cut it with `truncate -s {position}` and lose what follows",
        path = path.display()
    )]
    Damaged {
        /// The segment file.
        path: PathBuf,
        /// Where the damaged batch begins.
        position: u64,
        /// The offset that it should hold.
        offset: i64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file in the folder has no place there.
    #[error("{path}: {reason}", path = path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let path = path.to_path_buf();
        move |source| Error::Io { doing, path, source }
    }
}

#[cfg(test)]
mod tests;
