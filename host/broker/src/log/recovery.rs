//! Opening a partition: every batch is read and checked, and what follows from them is rebuilt.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::batch::{self, Flaw, HEADER_BYTES, Header};
use super::producers::{Marker, Producers};
use super::segment::{Segment, sync_folder};

/// Files are read in pieces of this size, or of one batch where that is larger.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes that a batch can be away from where it should be and still be found by the search that
/// tells a torn end from damage in the middle.
const SEARCH_BYTES: u64 = 256 << 20;
const LOG_START: &str = "log-start";

/// What a partition's files hold.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) segments: Vec<Segment>,
    pub(super) log_start: i64,
    pub(super) end: i64,
    pub(super) producers: Producers,
}

/// Reads the files in `dir`, cuts off the torn end of an interrupted write, and makes the first
/// segment if there is none.
pub(super) fn recover(dir: &Path, now_ms: i64) -> Result<Recovered, Error> {
    let paths = segment_paths(dir)?;
    let mut producers = Producers::default();
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
        let mut segment = Segment::of(path, Arc::new(file), base_offset);
        end = scan(&mut segment, base_offset, at == last, &mut producers, now_ms)?;
        segments.push(segment);
    }
    if segments.is_empty() {
        segments.push(Segment::create(dir, 0)?);
    }
    let first = segments[0].base_offset;
    let log_start = read_log_start(dir)?.unwrap_or(first).max(first).min(end);
    producers.truncate_before(log_start);
    Ok(Recovered { segments, log_start, end, producers })
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

/// Notes every batch of `segment` and returns the offset after its last record.
fn scan(
    segment: &mut Segment,
    mut next_offset: i64,
    is_last: bool,
    producers: &mut Producers,
    now_ms: i64,
) -> Result<i64, Error> {
    let file = Arc::clone(&segment.file);
    let path = segment.path.clone();
    let length = file.metadata().map_err(Error::io("cannot examine", &path))?.len();
    let mut reader = Reader::new(&file, length);
    while segment.bytes < length {
        let flaw = match reader.batch_at(segment.bytes).map_err(Error::io("cannot read", &path))? {
            // Offsets may leave gaps (compaction), but never go back.
            Ok((header, _)) if header.base_offset < next_offset => Flaw::Count,
            Ok((header, bytes)) => {
                if header.is_control() {
                    if let Some(commit) = batch::commits(bytes) {
                        let marker = Marker {
                            producer_id: header.producer_id,
                            producer_epoch: header.producer_epoch,
                            commit,
                        };
                        producers.ended(marker, header.base_offset, now_ms);
                    }
                } else {
                    producers.appended(&header, now_ms);
                }
                segment.extend(&header);
                next_offset = header.last_offset() + 1;
                continue;
            }
            Err(flaw) => flaw,
        };
        let position = segment.bytes;
        let damaged =
            Error::Damaged { path: path.clone(), position, offset: next_offset, reason: flaw.reason() };
        if !is_last
            || follows(&file, position + 1, length, next_offset).map_err(Error::io("cannot read", &path))?
        {
            return Err(damaged);
        }
        tracing::warn!(
            segment = %path.display(),
            position,
            cut_bytes = length - position,
            "the last write was interrupted before it was acknowledged; its remainder is cut off"
        );
        file.set_len(position).and_then(|()| file.sync_all()).map_err(Error::io("cannot truncate", &path))?;
        break;
    }
    Ok(next_offset)
}

/// Whether a whole batch of a later offset begins anywhere in `from..length`.
fn follows(file: &File, from: u64, length: u64, next_offset: i64) -> std::io::Result<bool> {
    let length = length.min(from + SEARCH_BYTES);
    let mut reader = Reader::new(file, length);
    let mut window = vec![0; CHUNK_BYTES];
    let mut position = from;
    while position + HEADER_BYTES as u64 <= length {
        let size = window.len().min((length - position) as usize);
        file.read_exact_at(&mut window[..size], position)?;
        let last_start = size - HEADER_BYTES;
        for start in 0..=last_start {
            // The magic byte and a plausible offset rule out nearly every place before the
            // checksum is computed.
            if window[start + 16] != 2 {
                continue;
            }
            let Ok(header) = Header::parse(&window[start..start + HEADER_BYTES]) else {
                continue;
            };
            let distance = header.base_offset - next_offset;
            if (0..=i64::from(u32::MAX)).contains(&distance)
                && reader.batch_at(position + start as u64)?.is_ok()
            {
                return Ok(true);
            }
        }
        position += last_start as u64 + 1;
    }
    Ok(false)
}

/// Reads batches out of a file through a buffer.
struct Reader<'a> {
    file: &'a File,
    length: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    start: u64,
    filled: usize,
}

impl<'a> Reader<'a> {
    fn new(file: &'a File, length: u64) -> Reader<'a> {
        Reader { file, length, buffer: Vec::new(), start: 0, filled: 0 }
    }

    /// The batch at `position`, or why there is none.
    fn batch_at(&mut self, position: u64) -> std::io::Result<Result<(Header, &[u8]), Flaw>> {
        let Some(at) = self.fill(position, HEADER_BYTES)? else {
            return Ok(Err(Flaw::Short));
        };
        let header = match Header::parse(&self.buffer[at..at + HEADER_BYTES]) {
            Ok(header) => header,
            Err(flaw) => return Ok(Err(flaw)),
        };
        let Some(at) = self.fill(position, header.total_bytes)? else {
            return Ok(Err(Flaw::Length));
        };
        let bytes = &self.buffer[at..at + header.total_bytes];
        Ok(Header::check(bytes).map(|header| (header, bytes)))
    }

    /// Makes `wanted` bytes from `position` available; returns where in the buffer they are, or
    /// `None` where the file ends before them.
    fn fill(&mut self, position: u64, wanted: usize) -> std::io::Result<Option<usize>> {
        if self.length.saturating_sub(position) < wanted as u64 {
            return Ok(None);
        }
        let end = self.start + self.filled as u64;
        if position < self.start || position + wanted as u64 > end {
            let size = (CHUNK_BYTES.max(wanted) as u64).min(self.length - position) as usize;
            if self.buffer.len() < size {
                self.buffer.resize(size, 0);
            }
            self.file.read_exact_at(&mut self.buffer[..size], position)?;
            self.start = position;
            self.filled = size;
        }
        Ok(Some((position - self.start) as usize))
    }
}

fn read_log_start(dir: &Path) -> Result<Option<i64>, Error> {
    let path = dir.join(LOG_START);
    match fs::read_to_string(&path) {
        Ok(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| Error::Unexpected { path, reason: "it should hold one offset" }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::io("cannot read", &path)(source)),
    }
}

/// Stores the first readable offset, as a whole file that takes the place of the old one.
pub(super) fn write_log_start(dir: &Path, log_start: i64) -> Result<(), Error> {
    let path = dir.join(LOG_START);
    let new = dir.join("log-start.new");
    let write = || -> std::io::Result<()> {
        let file = File::create(&new)?;
        file.write_all_at(format!("{log_start}\n").as_bytes(), 0)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    write().map_err(Error::io("cannot write", &path))?;
    sync_folder(dir)
}
