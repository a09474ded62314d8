//! The storage of one partition: an append-only sequence of record batches in segment files.
//!
//! ```text
//! topics/<topic>/<partition>/
//!     00000000000000000000.log    segment: batches back to back, named after its first offset
//!     00000000000000000000.index  where some of its batches begin, and up to which time
//!     00000000000000051234.log    the last segment is the one written to
//!     checkpoint                  what followed from the batches up to an offset
//!     log-start                   the first offset still readable, once records were deleted
//! ```
//!
//! A batch is stored as the producer sent it (record format 2 of Kafka's protocol), except for its
//! base offset and leader epoch, which are the broker's and lie outside its checksum. Everything
//! else follows from the batches: the checkpoint and the indexes spare reading them again. The
//! page docs/embedded-broker-format.md draws all of it.

pub(crate) mod batch;
mod checkpoint;
mod codec;
mod compaction;
mod index;
mod maintenance;
mod partition;
mod producers;
mod read;
pub(crate) mod records;
mod recovery;
mod scan;
mod segment;
mod swap;
mod syncer;
mod waiters;

pub(crate) use checkpoint::write_whole;
pub(crate) use maintenance::{Compaction, Rules};
pub(crate) use partition::{AppendError, Appended, Partition, now_ms};
pub(crate) use producers::{Marker, Refusal};
pub(crate) use read::{Planned, ReadError, Slice};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use recovery::log_start_sum;
pub(crate) use syncer::Syncer;
pub(crate) use waiters::Waiter;

use std::path::{Path, PathBuf};

use crate::reserve::is_full;

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
    /// A stored batch is damaged, and it is not the torn end of an interrupted write.
    #[error(
        "{path}: the record batch at byte {position} (offset {offset}) is damaged ({reason}); it is neither served \
         nor cut off; restore the file from a backup, or stop the broker, remove `checkpoint` beside it, cut it \
         with `truncate -s {position}`, and lose what follows",
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
    /// A segment has lost records that were on the disk.
    #[error(
        "{path} holds {found} whole bytes, and {expected} had been on the disk; restore the file from a backup, or \
         remove {checkpoint} and go on without what is lost",
        path = path.display(),
        checkpoint = checkpoint.display()
    )]
    Lost {
        /// The segment file.
        path: PathBuf,
        /// How much of it there is.
        found: u64,
        /// How much of it there should be.
        expected: u64,
        /// The file that says so.
        checkpoint: PathBuf,
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
    /// Whether the disk is full.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Error::Io { source, .. } if is_full(source))
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let path = path.to_path_buf();
        move |source| Error::Io { doing, path, source }
    }
}

#[cfg(test)]
mod tests;
