//! Opening a partition: the checkpoint is read, every batch after it is read and checked, and what
//! follows from them is rebuilt.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::batch::{self, Flaw, Header};
use super::checkpoint::{self, Checkpoint, Listed};
use super::index::Index;
use super::producers::{Marker, Producers};
use super::scan::{Reader, follows};
use super::segment::{Segment, sync_folder};
use super::swap;

const LOG_START: &str = "log-start";

/// What a partition's files hold.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) segments: Vec<Segment>,
    pub(super) log_start: i64,
    pub(super) end: i64,
    pub(super) compacted_to: i64,
    pub(super) producers: Producers,
}

/// Reads the files in `dir`, finishes what a compaction had begun, cuts off the torn end of an
/// interrupted write, and makes the first segment if there is none.
pub(super) fn recover(dir: &Path, now_ms: i64) -> Result<Recovered, Error> {
    swap::finish(dir)?;
    let Checkpoint { end: known_end, compacted_to, segments: listed, producers } =
        Checkpoint::read(dir)?.unwrap_or_default();
    let paths = segment_paths(dir)?;
    let stored_start = read_log_start(dir)?;
    check_listed(dir, &listed, &paths, stored_start.unwrap_or(0), known_end)?;
    let mut scan = Scan { known_end, producers, now_ms };
    let mut segments: Vec<Segment> = Vec::with_capacity(paths.len());
    let mut end = paths.first().map_or(0, |(base, _)| *base);
    let last = paths.len().saturating_sub(1);
    for (at, (base_offset, path)) in paths.into_iter().enumerate() {
        if base_offset < end {
            return Err(Error::Unexpected {
                path,
                reason: "it begins before the end of the segment in front of it",
            });
        }
        let file =
            OpenOptions::new().read(true).write(true).open(&path).map_err(Error::io("cannot open", &path))?;
        let known = listed.iter().find(|listed| listed.base_offset == base_offset);
        let indexed =
            known.and_then(|known| Some((known, Index::read(&path.with_extension("index"), known.index())?)));
        let mut segment = match indexed {
            Some((known, index)) => Segment::listed(path, Arc::new(file), known, index),
            None => Segment::of(path, Arc::new(file), base_offset),
        };
        // Up to here the checkpoint answers for the offsets.
        let from = match indexed_to(&segment, listed.last(), known_end) {
            Some(end) => end,
            None => base_offset,
        };
        end = scan.run(&mut segment, from, at == last)?;
        if let Some(known) = known {
            segment.horizon_ms = known.horizon_ms;
            check_length(&segment, known)?;
        }
        segments.push(segment);
    }
    if segments.is_empty() {
        segments.push(Segment::create(dir, known_end)?);
        end = known_end;
    }
    let first = segments[0].base_offset;
    let log_start = stored_start.unwrap_or(first).max(first).min(end);
    let mut producers = scan.producers;
    producers.truncate_before(log_start);
    Ok(Recovered { segments, log_start, end, compacted_to, producers })
}

/// The end of what a checkpoint knows of its last segment, once the segment was taken from it.
fn indexed_to(segment: &Segment, last: Option<&Listed>, known_end: i64) -> Option<i64> {
    let last = last.filter(|last| last.base_offset == segment.base_offset)?;
    (segment.bytes > 0 && segment.bytes == last.bytes).then_some(known_end)
}

/// Checks that no segment is missing that the checkpoint lists, except for those that were deleted
/// since.
fn check_listed(
    dir: &Path,
    listed: &[Listed],
    paths: &[(i64, PathBuf)],
    log_start: i64,
    known_end: i64,
) -> Result<(), Error> {
    for (at, segment) in listed.iter().enumerate() {
        let end = listed.get(at + 1).map_or(known_end, |next| next.base_offset);
        let is_there = paths.iter().any(|(base, _)| *base == segment.base_offset);
        if !is_there && end > log_start && segment.bytes > 0 {
            return Err(Error::Lost {
                path: dir.join(Segment::file_name(segment.base_offset)),
                found: 0,
                expected: segment.bytes,
                checkpoint: dir.join(checkpoint::FILE),
            });
        }
    }
    Ok(())
}

/// Checks that a segment holds at least what the checkpoint says.
fn check_length(segment: &Segment, known: &Listed) -> Result<(), Error> {
    let found = segment.file.metadata().map_err(Error::io("cannot examine", &segment.path))?.len();
    if segment.bytes >= known.bytes && found >= known.bytes {
        return Ok(());
    }
    Err(Error::Lost {
        path: segment.path.clone(),
        found: found.min(segment.bytes),
        expected: known.bytes,
        checkpoint: segment.path.with_file_name(checkpoint::FILE),
    })
}

fn segment_paths(dir: &Path) -> Result<Vec<(i64, PathBuf)>, Error> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io("cannot read", dir))? {
        let path = entry.map_err(Error::io("cannot read", dir))?.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let base_offset = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok())
            .filter(|base: &i64| *base >= 0)
            .ok_or_else(|| Error::Unexpected {
                path: path.clone(),
                reason: "a segment is named after its first offset",
            })?;
        paths.push((base_offset, path));
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Reads batches and rebuilds what follows from those that the checkpoint does not know.
struct Scan {
    known_end: i64,
    producers: Producers,
    now_ms: i64,
}

impl Scan {
    /// Notes every batch of `segment` that it does not know yet, and returns the offset after its
    /// last record.
    fn run(&mut self, segment: &mut Segment, mut next_offset: i64, is_last: bool) -> Result<i64, Error> {
        let file = Arc::clone(&segment.file);
        let path = segment.path.clone();
        let length = file.metadata().map_err(Error::io("cannot examine", &path))?.len();
        let mut reader = Reader::new(&file, length);
        while segment.bytes < length {
            let flaw = match reader.batch_at(segment.bytes).map_err(Error::io("cannot read", &path))? {
                // Compaction leaves gaps, but not in the segment that is written to; and offsets never
                // go back.
                Ok((header, _)) if header.base_offset < next_offset => Flaw::Count,
                Ok((header, _)) if is_last && header.base_offset != next_offset => Flaw::Count,
                Ok((header, bytes)) => {
                    self.note(&header, bytes);
                    segment.extend(&header);
                    next_offset = header.last_offset() + 1;
                    continue;
                }
                Err(flaw) => flaw,
            };
            let position = segment.bytes;
            let is_torn = is_last
                && next_offset >= self.known_end
                && !follows(&file, position + 1, length, next_offset)
                    .map_err(Error::io("cannot read", &path))?;
            if !is_torn {
                return Err(segment.damaged(position, next_offset, flaw));
            }
            tracing::warn!(
                segment = %path.display(),
                position,
                cut_bytes = length - position,
                "the last write was interrupted before it was acknowledged; its remainder is cut off"
            );
            file.set_len(position)
                .and_then(|()| file.sync_all())
                .map_err(Error::io("cannot truncate", &path))?;
            break;
        }
        Ok(next_offset)
    }

    fn note(&mut self, header: &Header, bytes: &[u8]) {
        if header.base_offset < self.known_end {
            return;
        }
        if !header.is_control() {
            self.producers.appended(header, self.now_ms);
        } else if let Some(commit) = batch::commits(bytes) {
            let marker =
                Marker { producer_id: header.producer_id, producer_epoch: header.producer_epoch, commit };
            self.producers.ended(marker, header.base_offset, self.now_ms);
        }
    }
}

fn read_log_start(dir: &Path) -> Result<Option<i64>, Error> {
    let path = dir.join(LOG_START);
    match fs::read_to_string(&path) {
        Ok(text) => match parse_log_start(text.trim()) {
            Some(log_start) => Ok(Some(log_start)),
            None => Err(Error::Unexpected {
                path,
                reason: "it should hold one offset and its checksum; restore the file from a backup, or remove it and \
                         have deleted records again that are still in the first segment",
            }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::io("cannot read", &path)(source)),
    }
}

/// Up to format 2 there was no checksum.
fn parse_log_start(text: &str) -> Option<i64> {
    let Some((offset, sum)) = text.split_once(' ') else {
        return text.parse().ok();
    };
    (sum == log_start_sum(offset)).then(|| offset.parse().ok())?
}

pub(crate) fn log_start_sum(offset: &str) -> String {
    // With letters, so that no damage to the space makes one number of both.
    format!("crc32c={:08x}", crc32c::crc32c(offset.as_bytes()))
}

/// Stores the first readable offset, as a whole file that takes the place of the old one.
pub(super) fn write_log_start(dir: &Path, log_start: i64) -> Result<(), Error> {
    let path = dir.join(LOG_START);
    let offset = log_start.to_string();
    checkpoint::write_whole(&path, format!("{offset} {}\n", log_start_sum(&offset)).as_bytes())
        .map_err(Error::io("cannot write", &path))?;
    sync_folder(dir)
}
