//! Memory for large reads, of files and of connections, used again and again: to take it anew for each costs the system, which clears every page
//! of it, more than the read does.

use std::sync::Mutex;

use bytes::Bytes;

use crate::poison::lock;

/// Smaller reads take memory of their own.
const LARGE_BYTES: usize = 64 << 10;
/// Buffers have multiples of this size, so that one fits many reads.
const STEP_BYTES: usize = 64 << 10;
/// What is kept for later, of all brokers of the process together.
const KEPT_BYTES_MAX: usize = 8 << 20;

static KEPT: Mutex<Kept> = Mutex::new(Kept { buffers: Vec::new(), bytes: 0 });

struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// Memory to read into.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// How much of it is asked for.
    length: usize,
}

impl Buffer {
    pub(crate) fn take(length: usize) -> Buffer {
        let bytes = match length < LARGE_BYTES {
            true => vec![0; length],
            false => lock(&KEPT).take(length).unwrap_or_else(|| vec![0; length.next_multiple_of(STEP_BYTES)]),
        };
        Buffer { bytes, length }
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    /// What was read, up to `length`. The memory is free again when the last part of it is dropped.
    pub(crate) fn freeze(mut self, length: usize) -> Bytes {
        self.length = length.min(self.length);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() >= LARGE_BYTES {
            lock(&KEPT).give_back(std::mem::take(&mut self.bytes));
        }
    }
}

impl Kept {
    /// The smallest buffer that is large enough, and not so large that most of it would lie idle.
    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| (length..=length.saturating_mul(2)).contains(&buffer.len());
        let found = self.buffers.iter().enumerate().filter(|(_, buffer)| fits(buffer));
        let (at, _) = found.min_by_key(|(_, buffer)| buffer.len())?;
        let buffer = self.buffers.swap_remove(at);
        self.bytes -= buffer.len();
        Some(buffer)
    }

    fn give_back(&mut self, buffer: Vec<u8>) {
        if self.bytes + buffer.len() <= KEPT_BYTES_MAX {
            self.bytes += buffer.len();
            self.buffers.push(buffer);
        }
    }
}
