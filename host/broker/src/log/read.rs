//! Reading a partition: which bytes of which file answer a fetch, and records by their time.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::Error;
use super::batch::{Flaw, HEADER_BYTES, Header};
use super::partition::{Partition, State};
use super::producers::Aborted;
use super::segment::{Found, Segment};
use crate::buffers::Buffer;
use crate::poison::lock;

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

/// What a fetch will be given of a partition, before it is read.
#[derive(Debug)]
pub(crate) struct Planned {
    slice: Slice,
    plan: Option<Plan>,
}

impl Planned {
    /// About how many bytes it will be.
    pub(crate) fn bytes(&self) -> usize {
        self.plan.as_ref().map_or(0, |plan| plan.length)
    }

    /// Reads it. The bytes before the high watermark never change, so no lock is needed.
    pub(crate) fn read(self) -> Result<Slice, Error> {
        let Planned { mut slice, plan } = self;
        let Some(Plan { file, path, position, offset, length, ceiling, .. }) = plan else {
            return Ok(slice);
        };
        let mut buffer = Buffer::take(length);
        file.read_exact_at(buffer.as_mut(), position).map_err(Error::io("cannot read", &path))?;
        let (whole, end) = check(buffer.as_ref(), ceiling).map_err(|flaw| Error::Damaged {
            path,
            position,
            offset,
            reason: flaw.reason(),
        })?;
        slice.records = buffer.freeze(whole);
        slice.aborted.retain(|aborted| aborted.first_offset < end);
        Ok(slice)
    }
}

impl Partition {
    /// Plans to read up to `bytes_max` bytes of batches from the batch that holds `offset`; the first batch
    /// is given whole even if it is larger, if `whole_first` says so.
    pub(crate) fn plan(
        &self,
        offset: i64,
        bytes_max: usize,
        whole_first: bool,
        committed: bool,
    ) -> Result<Planned, ReadError> {
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
            (Some(plan), true) => state.producers.aborted(offset, plan.before),
            _ => Vec::new(),
        };
        let slice = Slice {
            records: Bytes::new(),
            high_watermark: positions.high_watermark,
            stable: positions.stable,
            log_start: positions.log_start,
            aborted,
        };
        Ok(Planned { slice, plan })
    }

    /// As [`Partition::plan`], and reads it at once.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn read(
        &self,
        offset: i64,
        bytes_max: usize,
        whole_first: bool,
        committed: bool,
    ) -> Result<Slice, ReadError> {
        Ok(self.plan(offset, bytes_max, whole_first, committed)?.read()?)
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
#[derive(Debug)]
struct Plan {
    file: Arc<File>,
    path: PathBuf,
    position: u64,
    offset: i64,
    length: usize,
    /// The batches read end before this offset.
    ceiling: i64,
    /// As does what is served, and this one is closer where much more is there than is read.
    before: i64,
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
                (true, _) => segment.whole_within(found.position, bytes_max),
                (false, true) => found.header.total_bytes,
                (false, false) => return Ok(None),
            };
            // A header more, to see whether its offset follows.
            let length = (length + HEADER_BYTES).min(available);
            let after = segment.index.after_position(found.position + length as u64);
            return Ok(Some(Plan {
                file: Arc::clone(&segment.file),
                path: segment.path.clone(),
                position: found.position,
                offset,
                length,
                ceiling,
                before: after.map_or(ceiling, |after| after.offset.min(ceiling)),
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
    /// How many of the `bytes_max` bytes from `position` on are whole batches, as far as the index knows: the part of
    /// a batch is read for nothing.
    fn whole_within(&self, position: u64, bytes_max: usize) -> usize {
        let last = self.index.before_position(position + bytes_max as u64);
        match last.filter(|last| last.position > position) {
            Some(last) if self.bytes - position > bytes_max as u64 => (last.position - position) as usize,
            _ => bytes_max,
        }
    }

    fn batch(&self, found: Found) -> Result<Bytes, Error> {
        let mut bytes = vec![0; found.header.total_bytes];
        self.file.read_exact_at(&mut bytes, found.position).map_err(Error::io("cannot read", &self.path))?;
        Header::check(&bytes).map_err(|flaw| self.damaged(found.position, found.header.base_offset, flaw))?;
        Ok(Bytes::from(bytes))
    }
}

/// Checks the batches in `bytes`, and returns where the last sound one ends and which offset follows. Fails only if the first is damaged, with its flaw: what lies before a damaged batch is
/// served, so that readers come to it and no further. Offsets have no checksum, so two batches that
/// do not follow each other are damaged both.
fn check(bytes: &[u8], ceiling: i64) -> Result<(usize, i64), Flaw> {
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
            Err(Flaw::Count) => return Ok((before, next)),
            Err(flaw) if at == 0 => return Err(flaw),
            Err(_) => break,
        }
    }
    Ok((at, next))
}
