//! Reading batches out of a segment file, whole or damaged.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::batch::{Flaw, HEADER_BYTES, Header};

/// Files are read in pieces of this size, or of one batch where that is larger.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes that a batch can be away from where it should be and still be found by the search that
/// tells a torn end from damage in the middle.
const SEARCH_BYTES: u64 = 256 << 20;

/// Whether a whole batch of a later offset begins anywhere in `from..length`.
pub(super) fn follows(file: &File, from: u64, length: u64, next_offset: i64) -> std::io::Result<bool> {
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
pub(super) struct Reader<'a> {
    file: &'a File,
    length: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    start: u64,
    filled: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a File, length: u64) -> Reader<'a> {
        Reader { file, length, buffer: Vec::new(), start: 0, filled: 0 }
    }

    /// The batch at `position`, or why there is none.
    pub(super) fn batch_at(&mut self, position: u64) -> std::io::Result<Result<(Header, &[u8]), Flaw>> {
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
