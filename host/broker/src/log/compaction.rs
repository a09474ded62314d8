//! Compaction by key: of the records of a key only the newest stays, and every record keeps its
//! offset and its time.
//!
//! - Closed segments before the last stable offset are compacted, so every transaction in them is
//!   decided. Records of aborted ones go.
//! - A tombstone stays for `delete.retention.ms` after it first came through, so that a reader who
//!   is on the way can see it. So does a marker whose transaction has no records left.
//! - Records without a key stay, and so does a batch that does not unpack.
//! - The log's last record stays in any case: readers must be able to reach the end.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Error;
use super::batch::{self, Header};
use super::codec;
use super::producers::Aborted;
use super::records::Unpacked;
use super::scan::Reader;
use super::segment::Segment;
use super::swap;

/// Keys that one pass holds in memory, about 50 bytes each. What it does not get to, the next does.
const KEYS_MAX: usize = 1 << 20;
const WRITE_BUFFER_BYTES: usize = 256 << 10;

/// A segment to compact.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) base_offset: i64,
    /// Where the next segment begins.
    pub(super) next_base: i64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    pub(super) bytes: u64,
    pub(super) horizon_ms: Option<i64>,
}

/// One pass over the closed segments of a partition.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    pub(super) dir: &'a Path,
    pub(super) sources: Vec<Source>,
    /// The first offset that no pass has seen.
    pub(super) dirty_from: i64,
    pub(super) aborted: Vec<Aborted>,
    /// The offset of the last record of the log.
    pub(super) last_offset: i64,
    pub(super) segment_bytes_max: u64,
    pub(super) delete_retention_ms: i64,
    pub(super) now_ms: i64,
    /// Set when the partition is to be left alone.
    pub(super) stop: &'a AtomicBool,
}

/// A segment that stands for all offsets of a range.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) segment: Segment,
    pub(super) to: i64,
}

/// What a pass has built; nothing is in its place yet.
#[derive(Debug)]
pub(super) struct Compacted {
    pub(super) built: Vec<Built>,
    /// The offsets of markers of aborted transactions that are gone.
    pub(super) markers: Vec<i64>,
    /// The first offset that no pass has seen.
    pub(super) to: i64,
}

impl Pass<'_> {
    /// Builds the compacted segments. `None` if it was told to stop.
    pub(super) fn run(&self) -> Result<Option<Compacted>, Error> {
        let aborted = self.aborted_by_producer();
        let Some(keys) = self.newest_by_key(&aborted)? else {
            return Ok(None);
        };
        let mut filter =
            Filter { pass: self, aborted, keys: &keys, with_records: HashSet::new(), markers: Vec::new() };
        let mut done = Vec::new();
        let mut current: Option<Output> = None;
        for source in self.sources.iter().take_while(|source| source.base_offset < keys.to) {
            let mut output = match current.take() {
                Some(output) if output.has_room(source, self.segment_bytes_max) => output,
                full => {
                    done.extend(full.map(|full| full.finish(self.now_ms)).transpose()?);
                    Output::create(self.dir, source)?
                }
            };
            if !self.copy(source, &mut filter, &mut output)? {
                return Ok(None);
            }
            output.to = source.next_base;
            current = Some(output);
        }
        done.extend(current.map(|last| last.finish(self.now_ms)).transpose()?);
        Ok(Some(Compacted { built: done, markers: filter.markers, to: keys.to }))
    }

    fn aborted_by_producer(&self) -> HashMap<i64, Vec<Aborted>> {
        let mut by_producer: HashMap<i64, Vec<Aborted>> = HashMap::new();
        for aborted in &self.aborted {
            by_producer.entry(aborted.producer_id).or_default().push(*aborted);
        }
        by_producer
    }

    /// The newest offset of every key after `dirty_from`, as far as the memory goes.
    fn newest_by_key(&self, aborted: &HashMap<i64, Vec<Aborted>>) -> Result<Option<Keys>, Error> {
        let mut keys = Keys { to: self.dirty_from, ..Keys::default() };
        for source in self.sources.iter().filter(|source| source.next_base > self.dirty_from) {
            let went_on = self.each_batch(source, |header, bytes| {
                if keys.newest.len() >= KEYS_MAX {
                    return Ok(());
                }
                if header.last_offset() >= self.dirty_from
                    && !header.is_control()
                    && !is_aborted(aborted, header)
                {
                    keys.note(header, bytes);
                }
                keys.to = keys.to.max(header.last_offset() + 1);
                Ok(())
            })?;
            if !went_on {
                return Ok(None);
            }
            if keys.newest.len() >= KEYS_MAX {
                return Ok(Some(keys));
            }
            keys.to = source.next_base;
        }
        Ok(Some(keys))
    }

    fn copy(&self, source: &Source, filter: &mut Filter<'_>, output: &mut Output) -> Result<bool, Error> {
        self.each_batch(source, |header, bytes| match filter.keep(source, header, bytes) {
            Kept::Nothing => Ok(()),
            Kept::Whole { tombstones } => output.write(header, bytes, tombstones),
            Kept::Some { batch, tombstones } => {
                let header = Header::check(&batch)
                    .map_err(|flaw| io::Error::new(io::ErrorKind::InvalidData, flaw.reason()))?;
                output.write(&header, &batch, tombstones)
            }
        })
    }

    /// Calls `each` with every batch of a segment; returns `false` if it was told to stop.
    fn each_batch(
        &self,
        source: &Source,
        mut each: impl FnMut(&Header, &[u8]) -> io::Result<()>,
    ) -> Result<bool, Error> {
        let mut reader = Reader::new(&source.file, source.bytes);
        let mut position = 0;
        let mut offset = source.base_offset;
        while position < source.bytes {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let batch = reader.batch_at(position).map_err(Error::io("cannot read", &source.path))?;
            let (header, bytes) = batch.map_err(|flaw| Error::Damaged {
                path: source.path.clone(),
                position,
                offset,
                reason: flaw.reason(),
            })?;
            each(&header, bytes).map_err(Error::io("cannot compact", &source.path))?;
            position += header.total_bytes as u64;
            offset = header.last_offset() + 1;
        }
        Ok(true)
    }
}

fn is_aborted(aborted: &HashMap<i64, Vec<Aborted>>, header: &Header) -> bool {
    header.is_transactional()
        && aborted.get(&header.producer_id).is_some_and(|all| {
            all.iter().any(|one| (one.first_offset..=one.last_offset).contains(&header.base_offset))
        })
}

/// The newest offset of every key, by two independent hashes of it: that two keys of a log share
/// both is less likely than that the disk errs.
#[derive(Debug, Default)]
struct Keys {
    hashers: [RandomState; 2],
    newest: HashMap<(u64, u64), i64>,
    /// Every key before this offset is there.
    to: i64,
}

impl Keys {
    fn hash(&self, key: &[u8]) -> (u64, u64) {
        (self.hashers[0].hash_one(key), self.hashers[1].hash_one(key))
    }

    fn note(&mut self, header: &Header, bytes: &[u8]) {
        let Ok(unpacked) = Unpacked::of(bytes, header) else {
            return;
        };
        for record in unpacked.records().flatten() {
            if let Some(key) = record.key {
                self.newest.insert(self.hash(key), record.offset);
            }
        }
    }

    fn is_superseded(&self, key: &[u8], offset: i64) -> bool {
        self.newest.get(&self.hash(key)).is_some_and(|newest| *newest > offset)
    }
}

/// What stays of a batch, and whether it has tombstones or markers that will go one day.
enum Kept {
    Nothing,
    Whole { tombstones: bool },
    Some { batch: Vec<u8>, tombstones: bool },
}

/// Decides what stays.
struct Filter<'a> {
    pass: &'a Pass<'a>,
    aborted: HashMap<i64, Vec<Aborted>>,
    keys: &'a Keys,
    /// Producers whose transaction, up to here, has records that stay.
    with_records: HashSet<i64>,
    markers: Vec<i64>,
}

impl Filter<'_> {
    fn keep(&mut self, source: &Source, header: &Header, bytes: &[u8]) -> Kept {
        let expired = source
            .horizon_ms
            .is_some_and(|since| since.saturating_add(self.pass.delete_retention_ms) <= self.pass.now_ms);
        if header.is_control() {
            let is_needed = self.with_records.remove(&header.producer_id)
                || header.last_offset() == self.pass.last_offset;
            if is_needed || !expired {
                return Kept::Whole { tombstones: !is_needed };
            }
            self.markers.push(header.base_offset);
            return Kept::Nothing;
        }
        if is_aborted(&self.aborted, header) {
            return Kept::Nothing;
        }
        let kept = self.keep_records(header, bytes, expired).unwrap_or(Kept::Whole { tombstones: false });
        if header.is_transactional() && !matches!(kept, Kept::Nothing) {
            self.with_records.insert(header.producer_id);
        }
        kept
    }

    fn keep_records(&self, header: &Header, bytes: &[u8], expired: bool) -> io::Result<Kept> {
        let unpacked = Unpacked::of(bytes, header)?;
        let (mut plain, mut count, mut max_timestamp, mut tombstones) = (Vec::new(), 0, -1, false);
        for record in unpacked.records() {
            let record = record?;
            let key = record.key.filter(|_| record.offset != self.pass.last_offset);
            let is_tombstone = key.is_some() && record.is_tombstone;
            if (is_tombstone && expired) || key.is_some_and(|key| self.keys.is_superseded(key, record.offset))
            {
                continue;
            }
            count += 1;
            tombstones |= is_tombstone;
            max_timestamp = record.timestamp.max(max_timestamp);
            plain.extend_from_slice(record.bytes);
        }
        if count == 0 {
            return Ok(Kept::Nothing);
        }
        if count == header.record_count {
            return Ok(Kept::Whole { tombstones });
        }
        let body = codec::pack(header.codec(), &plain)?;
        Ok(Kept::Some { batch: batch::with_records(bytes, &body, count, max_timestamp), tombstones })
    }
}

/// A segment under construction.
struct Output {
    segment: Segment,
    writer: BufWriter<Arc<File>>,
    /// That of its sources: segments with different ones are not put together, or tombstones would
    /// grow young again with every pass.
    horizon_ms: Option<i64>,
    tombstones: bool,
    to: i64,
}

impl Output {
    fn create(dir: &Path, source: &Source) -> Result<Output, Error> {
        let path = swap::unfinished_path(dir, source.base_offset);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(Error::io("cannot create", &path))?;
        let file = Arc::new(file);
        let writer = BufWriter::with_capacity(WRITE_BUFFER_BYTES, Arc::clone(&file));
        let segment = Segment::of(source.path.clone(), file, source.base_offset);
        let to = source.next_base;
        Ok(Output { segment, writer, horizon_ms: source.horizon_ms, tombstones: false, to })
    }

    fn has_room(&self, source: &Source, segment_bytes_max: u64) -> bool {
        self.segment.bytes + source.bytes <= segment_bytes_max && self.horizon_ms == source.horizon_ms
    }

    fn write(&mut self, header: &Header, bytes: &[u8], tombstones: bool) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.segment.extend(header);
        self.tombstones |= tombstones;
        Ok(())
    }

    fn finish(mut self, now_ms: i64) -> Result<Built, Error> {
        let path = self.segment.path.clone();
        self.writer
            .flush()
            .and_then(|()| self.segment.file.sync_all())
            .map_err(Error::io("cannot write the compacted form of", &path))?;
        self.segment.horizon_ms = self.tombstones.then(|| self.horizon_ms.unwrap_or(now_ms));
        Ok(Built { segment: self.segment, to: self.to })
    }
}
