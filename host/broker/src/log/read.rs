//! Reading a partition: which bytes of which file answer a fetch, and records by their time.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::Error;
use super::batch::{Flaw, HEADER_BYTES, Header};
use super::partition::{Partition, State};
use super::producers::Aborted;
use super::segment::{Found, Segment};
use crate::poison::lock;

/// Reads from this size on are taken off the threads that serve connections.
const LARGE_READ_BYTES: usize = 256 << 10;

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("offset {offset} lies outside {log_start}..={end}")]
    OutOfRange { offset: i64, log_start: i64, end: i64 },
    #[error(transparent)]
    Storage(#[from] Error),
}

/// Records for a consumer, with the positions that it is told.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) records: Bytes,
    pub(crate) high_watermark: i64,
    pub(crate) stable: i64,
    pub(crate) log_start: i64,
    pub(crate) aborted: Vec<Aborted>,
}

impl Partition {
    /// Reads up to `bytes_max` bytes of batches from the batch that holds `offset`; the first batch
    /// is given whole even if it is larger, if `whole_first` says so.
    pub(crate) fn read(
        &self,
        offset: i64,
        bytes_max: usize,
        whole_first: bool,
        committed: bool,
    ) -> Result<Slice, ReadError> {
        let (mut slice, plan) = {
            let state = lock(&self.state);
            let positions = state.positions();
            if offset < positions.log_start || offset > positions.high_watermark {
                return Err(ReadError::OutOfRange {
                    offset,
                    log_start: positions.log_start,
                    end: positions.high_watermark,
                });
            }
            let limit = if committed { positions.stable } else { positions.high_watermark };
            let plan = state.plan(offset, limit, bytes_max, whole_first)?;
            let aborted = match (&plan, committed) {
                (Some(_), true) => state.producers.aborted(offset, limit),
                _ => Vec::new(),
            };
            let slice = Slice {
                records: Bytes::new(),
                high_watermark: positions.high_watermark,
                stable: positions.stable,
                log_start: positions.log_start,
                aborted,
            };
            (slice, plan)
        };
        // The bytes before the high watermark never change, so they are read without the lock.
        if let Some(Plan { file, path, position, length, ceiling }) = plan {
            let mut records = vec![0; length];
            let mut read = || file.read_exact_at(&mut records, position);
            // A large read may have to wait for the disk, which must not hold up other connections.
            let outcome = match length >= LARGE_READ_BYTES {
                true => aside(&mut read),
                false => read(),
            };
            outcome.map_err(Error::io("cannot read", &path))?;
            let whole = check(&records, ceiling).map_err(|flaw| Error::Damaged {
                path,
                position,
                offset,
                reason: flaw.reason(),
            })?;
            records.truncate(whole);
            slice.records = Bytes::from(records);
        }
        Ok(slice)
    }

    /// The batch that holds the first record of `timestamp` or later, as it lies in the log; `None`
    /// where no record is that late.
    pub(crate) fn find_time(&self, timestamp: i64, committed: bool) -> Result<Option<Bytes>, Error> {
        let state = lock(&self.state);
        let positions = state.positions();
        let limit = positions.limit(committed);
        for segment in &state.segments {
            let found = segment.find_time(timestamp, positions.log_start)?;
            if let Some(found) = found {
                if found.header.base_offset >= limit {
                    return Ok(None);
                }
                return segment.batch(found).map(Some);
            }
        }
        Ok(None)
    }

    /// The batch with the largest timestamp.
    pub(crate) fn find_max_time(&self) -> Result<Option<Bytes>, Error> {
        let state = lock(&self.state);
        let log_start = state.log_start;
        let largest = state
            .segments
            .iter()
            .filter(|segment| segment.bytes > 0)
            .max_by_key(|segment| (segment.max_timestamp, -segment.base_offset));
        let Some(segment) = largest else {
            return Ok(None);
        };
        let found = segment.find_time(segment.max_timestamp, log_start)?;
        found
            .filter(|found| found.header.base_offset < state.durable)
            .map(|found| segment.batch(found))
            .transpose()
    }
}

/// What a read takes from a file.
struct Plan {
    file: Arc<File>,
    path: PathBuf,
    position: u64,
    length: usize,
    /// The batches read end before this offset.
    ceiling: i64,
}

impl State {
    /// The range of a file that holds the batches from `offset` to `limit`.
    fn plan(
        &self,
        offset: i64,
        limit: i64,
        bytes_max: usize,
        whole_first: bool,
    ) -> Result<Option<Plan>, Error> {
        if offset >= limit {
            return Ok(None);
        }
        let at = self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1);
        for (at, segment) in self.segments.iter().enumerate().skip(at) {
            let Some(found) = segment.find_offset(offset)? else {
                continue;
            };
            let end = self.segments.get(at + 1).map_or(self.end, |next| next.base_offset);
            if found.header.last_offset() >= end {
                return Err(segment.damaged(found.position, offset, Flaw::Count));
            }
            if found.header.base_offset >= limit {
                return Ok(None);
            }
            let ceiling = end.min(limit);
            let is_last = segment.bytes == 0 || limit >= self.end;
            let end = if is_last {
                segment.bytes
            } else {
                segment.find_offset(limit)?.map_or(segment.bytes, |end| end.position)
            };
            let available = (end - found.position) as usize;
            let length = match (found.header.total_bytes <= bytes_max, whole_first) {
                // A header more than asked for, to see whether its offset follows.
                (true, _) => (bytes_max + HEADER_BYTES).min(available),
                (false, true) => (found.header.total_bytes + HEADER_BYTES).min(available),
                (false, false) => return Ok(None),
            };
            return Ok(Some(Plan {
                file: Arc::clone(&segment.file),
                path: segment.path.clone(),
                position: found.position,
                length,
                ceiling,
            }));
        }
        // There is a record at the end of every log, so one that is not found is damaged.
        match self.segments.last() {
            Some(last) => Err(last.damaged(last.bytes, offset, Flaw::Count)),
            None => Ok(None),
        }
    }
}

impl Segment {
    fn batch(&self, found: Found) -> Result<Bytes, Error> {
        let mut bytes = vec![0; found.header.total_bytes];
        self.file.read_exact_at(&mut bytes, found.position).map_err(Error::io("cannot read", &self.path))?;
        Header::check(&bytes).map_err(|flaw| self.damaged(found.position, found.header.base_offset, flaw))?;
        Ok(Bytes::from(bytes))
    }
}

/// Checks the batches in `bytes`, the first of which holds `offset`, and returns where the last sound
/// one ends. Fails only if the first is damaged, with its flaw: what lies before a damaged batch is
/// served, so that readers come to it and no further. Offsets have no checksum, so two batches that
/// do not follow each other are damaged both.
fn check(bytes: &[u8], ceiling: i64) -> Result<usize, Flaw> {
    let (mut before, mut at, mut next) = (0, 0, 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= HEADER_BYTES) {
        let outcome = Header::parse(rest).and_then(|header| match rest.get(..header.total_bytes) {
            _ if header.base_offset < next => Err(Flaw::Count),
            // Cut by the size that the client asked for.
            None if at > 0 => Ok(None),
            None => Err(Flaw::Length),
            Some(_) if header.last_offset() >= ceiling => Err(Flaw::Count),
            Some(batch) => Header::check(batch).map(Some),
        });
        match outcome {
            Ok(Some(header)) => {
                before = at;
                at += header.total_bytes;
                next = header.last_offset() + 1;
            }
            Ok(None) => break,
            Err(Flaw::Count) if before == 0 => return Err(Flaw::Count),
            Err(Flaw::Count) => return Ok(before),
            Err(flaw) if at == 0 => return Err(flaw),
            Err(_) => break,
        }
    }
    Ok(at)
}

/// Runs blocking work while other threads take over this one's tasks, where that is possible.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
