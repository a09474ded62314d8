//! One file of record batches and its sparse index.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::batch::{self, HEADER_BYTES, Header};

/// An index entry is made when this many bytes have been written since the last one.
const INDEX_EVERY_BYTES: u64 = 4_096;

/// Where a batch begins.
#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: i64,
    position: u64,
    /// The largest timestamp of all batches before this position.
    max_timestamp_before: i64,
}

/// One file of record batches. The index is in memory, 24 bytes per 4 KiB of log.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base_offset: i64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    /// Length of the file; everything in it is whole batches.
    pub(super) bytes: u64,
    pub(super) max_timestamp: i64,
    index: Vec<Entry>,
}

/// A batch found by its offset or its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) position: u64,
    pub(super) header: Header,
}

impl Segment {
    pub(super) fn file_name(base_offset: i64) -> String {
        format!("{base_offset:020}.log")
    }

    /// Makes the file of a new segment. Its entry in the folder is durable once the folder is synced.
    pub(super) fn create(dir: &Path, base_offset: i64) -> Result<Segment, Error> {
        let path = dir.join(Segment::file_name(base_offset));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(Error::io("cannot create", &path))?;
        Ok(Segment::of(path, Arc::new(file), base_offset))
    }

    /// A segment whose batches are still to be noted with [`Segment::extend`].
    pub(super) fn of(path: PathBuf, file: Arc<File>, base_offset: i64) -> Segment {
        Segment { base_offset, path, file, bytes: 0, max_timestamp: -1, index: Vec::new() }
    }

    /// Notes a batch that lies at the end of what was noted so far.
    pub(super) fn extend(&mut self, header: &Header) {
        let due = self.index.last().is_none_or(|last| self.bytes - last.position >= INDEX_EVERY_BYTES);
        if due {
            self.index.push(Entry {
                offset: header.base_offset,
                position: self.bytes,
                max_timestamp_before: self.max_timestamp,
            });
        }
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        self.bytes += header.total_bytes as u64;
    }

    /// Writes `batch` at the end of the file as the batch of `base_offset`. On failure the file is
    /// as long as it was, as far as the system lets us.
    pub(super) fn write(&self, batch: &[u8], base_offset: i64) -> std::io::Result<()> {
        let start = batch::rewritten(batch, base_offset);
        // The start comes last, so that a batch whose header is there is there as a whole.
        let outcome = self
            .file
            .write_all_at(&batch[start.len()..], self.bytes + start.len() as u64)
            .and_then(|()| self.file.write_all_at(&start, self.bytes));
        if outcome.is_err() {
            // The next write begins at the same place, so a remainder would be overwritten; and
            // recovery would cut it off.
            let _best_effort = self.file.set_len(self.bytes);
        }
        outcome
    }

    /// The first batch whose last offset is `offset` or later.
    pub(super) fn find_offset(&self, offset: i64) -> std::io::Result<Option<Found>> {
        let after = self.index.partition_point(|entry| entry.offset <= offset);
        let position = after.checked_sub(1).map_or(0, |at| self.index[at].position);
        self.find_from(position, |header| header.last_offset() >= offset)
    }

    /// The first batch that holds a record of `timestamp` or later, at `offset` or later.
    pub(super) fn find_time(&self, timestamp: i64, offset: i64) -> std::io::Result<Option<Found>> {
        if self.max_timestamp < timestamp {
            return Ok(None);
        }
        let by_time = self.index.partition_point(|entry| entry.max_timestamp_before < timestamp);
        let by_offset = self.index.partition_point(|entry| entry.offset <= offset);
        let position = by_time.max(by_offset).checked_sub(1).map_or(0, |at| self.index[at].position);
        self.find_from(position, |header| header.max_timestamp >= timestamp && header.last_offset() >= offset)
    }

    /// The first batch at `position` or later that `wanted` accepts.
    pub(super) fn find_from(
        &self,
        mut position: u64,
        wanted: impl Fn(&Header) -> bool,
    ) -> std::io::Result<Option<Found>> {
        let mut bytes = [0; HEADER_BYTES];
        while position < self.bytes {
            self.file.read_exact_at(&mut bytes, position)?;
            let header = Header::parse(&bytes)
                .map_err(|flaw| std::io::Error::new(std::io::ErrorKind::InvalidData, flaw.reason()))?;
            if wanted(&header) {
                return Ok(Some(Found { position, header }));
            }
            position += header.total_bytes as u64;
        }
        Ok(None)
    }
}

/// Makes the creation, renaming and removal of files in `dir` durable.
pub(crate) fn sync_folder(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(Error::io("cannot sync", dir))
}
