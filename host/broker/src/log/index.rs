//! The sparse index of a segment, by offset and by time.
//!
//! ```text
//! <base offset>.index = entry*
//! entry               = offset: i64 LE, position: u64 LE, largest timestamp before it: i64 LE
//! ```
//!
//! The file is written by checkpoints, which hold its length and checksum; without one it is built
//! anew from the segment.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// An entry is made when this many bytes have been written since the last one.
const EVERY_BYTES: u64 = 4_096;
const ENTRY_BYTES: usize = 24;

/// Where a batch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) offset: i64,
    pub(super) position: u64,
    /// The largest timestamp of all batches before this position.
    pub(super) max_timestamp_before: i64,
}

/// The entries of one segment, and how many of them its file holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    entries: Vec<Entry>,
    stored: Stored,
}

/// What an index file holds, as the checkpoint beside it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) entries: usize,
    pub(super) crc: u32,
}

/// Entries that are to be added to an index file.
#[derive(Debug)]
pub(super) struct Addition {
    from: usize,
    bytes: Vec<u8>,
    pub(super) stored: Stored,
}

impl Index {
    /// Notes a batch, if the last entry is far enough away.
    pub(super) fn note(&mut self, offset: i64, position: u64, max_timestamp_before: i64) {
        if self.entries.last().is_none_or(|last| position - last.position >= EVERY_BYTES) {
            self.entries.push(Entry { offset, position, max_timestamp_before });
        }
    }

    /// The last entry at `offset` or before it.
    pub(super) fn before_offset(&self, offset: i64) -> Option<Entry> {
        self.last(self.entries.partition_point(|entry| entry.offset <= offset))
    }

    /// The last entry before which every record is older than `timestamp`.
    pub(super) fn before_time(&self, timestamp: i64) -> Option<Entry> {
        self.last(self.entries.partition_point(|entry| entry.max_timestamp_before < timestamp))
    }

    /// The last entry whose batch begins at `position` or before it.
    pub(super) fn before_position(&self, position: u64) -> Option<Entry> {
        self.last(self.entries.partition_point(|entry| entry.position <= position))
    }

    /// The first entry whose batch begins at `position` or after it.
    pub(super) fn after_position(&self, position: u64) -> Option<Entry> {
        self.entries.get(self.entries.partition_point(|entry| entry.position < position)).copied()
    }

    fn last(&self, count: usize) -> Option<Entry> {
        self.entries.get(count.checked_sub(1)?).copied()
    }

    /// What the file lacks.
    pub(super) fn addition(&self) -> Addition {
        let from = self.stored.entries;
        let mut bytes = Vec::with_capacity((self.entries.len() - from) * ENTRY_BYTES);
        for entry in &self.entries[from..] {
            bytes.extend_from_slice(&entry.offset.to_le_bytes());
            bytes.extend_from_slice(&entry.position.to_le_bytes());
            bytes.extend_from_slice(&entry.max_timestamp_before.to_le_bytes());
        }
        let crc = crc32c::crc32c_append(self.stored.crc, &bytes);
        Addition { from, bytes, stored: Stored { entries: self.entries.len(), crc } }
    }

    /// The file holds this much now.
    pub(super) fn stored(&mut self, stored: Stored) {
        self.stored = stored;
    }

    /// Reads the index at `path`; `None` unless it begins with what the checkpoint says.
    pub(super) fn read(path: &Path, stored: Stored) -> Option<Index> {
        let bytes = fs::read(path).ok().filter(|_| stored.entries > 0).unwrap_or_default();
        let bytes = bytes.get(..stored.entries.checked_mul(ENTRY_BYTES)?)?;
        if crc32c::crc32c(bytes) != stored.crc {
            return None;
        }
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).ok();
        let entry = |bytes: &[u8]| {
            Some(Entry {
                offset: number(&bytes[..8])? as i64,
                position: number(&bytes[8..16])?,
                max_timestamp_before: number(&bytes[16..])? as i64,
            })
        };
        let entries = bytes.chunks_exact(ENTRY_BYTES).map(entry).collect::<Option<_>>()?;
        Some(Index { entries, stored })
    }
}

impl Addition {
    /// Adds the entries to the file, on the disk when this returns.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        if self.bytes.is_empty() && self.from > 0 {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        let position = (self.from * ENTRY_BYTES) as u64;
        file.set_len(position)?;
        file.write_all_at(&self.bytes, position)?;
        file.sync_data()
    }
}
