//! One file of record batches and its sparse index.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::{self, Flaw, HEADER_BYTES, Header};
use super::checkpoint::Listed;
use super::index::Index;
use super::{Error, now_ms};

/// One file of record batches. Its index is in memory, 24 bytes per 4 KiB of log.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base_offset: i64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    /// Length of the file; everything in it is whole batches.
    pub(super) bytes: u64,
    pub(super) max_timestamp: i64,
    /// When its first batch was written.
    pub(super) began_ms: i64,
    /// When its tombstones and markers first came through a compaction; `None` if it has none that did.
    pub(super) horizon_ms: Option<i64>,
    /// Length of the file as the last checkpoint knows it.
    pub(super) checkpointed_bytes: u64,
    pub(super) index: Index,
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
        Segment {
            base_offset,
            path,
            file,
            bytes: 0,
            max_timestamp: -1,
            began_ms: now_ms(),
            horizon_ms: None,
            checkpointed_bytes: 0,
            index: Index::default(),
        }
    }

    /// A segment as a checkpoint lists it; what follows in its file is still to be noted.
    pub(super) fn listed(path: PathBuf, file: Arc<File>, listed: &Listed, index: Index) -> Segment {
        Segment {
            bytes: listed.bytes,
            max_timestamp: listed.max_timestamp,
            began_ms: listed.began_ms,
            horizon_ms: listed.horizon_ms,
            checkpointed_bytes: listed.bytes,
            index,
            ..Segment::of(path, file, listed.base_offset)
        }
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.path.with_extension("index")
    }

    /// Removes the files of the segment. Who reads it still does so from the open file.
    pub(super) fn remove(&self) -> Result<(), Error> {
        for path in [&self.path, &self.index_path()] {
            remove_if_there(path)?;
        }
        Ok(())
    }

    /// Notes a batch that lies at the end of what was noted so far.
    pub(super) fn extend(&mut self, header: &Header) {
        if self.bytes == 0 {
            self.began_ms = now_ms();
        }
        self.index.note(header.base_offset, self.bytes, self.max_timestamp);
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
    pub(super) fn find_offset(&self, offset: i64) -> Result<Option<Found>, Error> {
        self.find_from(self.index.before_offset(offset), |header| header.last_offset() >= offset)
    }

    /// The first batch that holds a record of `timestamp` or later, at `offset` or later.
    pub(super) fn find_time(&self, timestamp: i64, offset: i64) -> Result<Option<Found>, Error> {
        if self.max_timestamp < timestamp {
            return Ok(None);
        }
        let from = match (self.index.before_time(timestamp), self.index.before_offset(offset)) {
            (Some(time), Some(offset)) if time.position > offset.position => Some(time),
            (time, offset) => offset.or(time),
        };
        self.find_from(from, |header| header.max_timestamp >= timestamp && header.last_offset() >= offset)
    }

    /// The first batch at the index entry or later that `wanted` accepts. Offsets that do not follow
    /// each other are damage: the checksum does not cover them.
    fn find_from(
        &self,
        from: Option<super::index::Entry>,
        wanted: impl Fn(&Header) -> bool,
    ) -> Result<Option<Found>, Error> {
        let (mut position, mut offset) = from.map_or((0, self.base_offset), |at| (at.position, at.offset));
        let mut bytes = [0; HEADER_BYTES];
        while position < self.bytes {
            self.file.read_exact_at(&mut bytes, position).map_err(Error::io("cannot read", &self.path))?;
            let header = Header::parse(&bytes).map_err(|flaw| self.damaged(position, offset, flaw))?;
            let is_first = from.is_some_and(|from| from.position == position);
            let follows = header.base_offset == offset || (header.base_offset > offset && !is_first);
            if !follows || position + header.total_bytes as u64 > self.bytes {
                return Err(self.damaged(position, offset, Flaw::Count));
            }
            if wanted(&header) {
                return Ok(Some(Found { position, header }));
            }
            position += header.total_bytes as u64;
            offset = header.last_offset() + 1;
        }
        Ok(None)
    }

    pub(super) fn damaged(&self, position: u64, offset: i64, flaw: Flaw) -> Error {
        Error::Damaged { path: self.path.clone(), position, offset, reason: flaw.reason() }
    }
}

pub(super) fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes the creation, renaming and removal of files in `dir` durable.
pub(crate) fn sync_folder(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(Error::io("cannot sync", dir))
}
