//! Requests as they come off a connection: a length, then that many bytes.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::Error;

/// Memory is taken in steps as bytes arrive, never on the word of a length field alone.
const STEP_BYTES: usize = 1 << 20;
const READ_BYTES: usize = 64 << 10;

/// Takes requests off a connection.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    reader: R,
    buffer: BytesMut,
    bytes_max: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(reader: R, bytes_max: usize) -> Frames<R> {
        Frames { reader, buffer: BytesMut::new(), bytes_max }
    }

    /// From now on requests may have so many bytes.
    pub(crate) fn allow(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// The next request without its length; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while self.buffer.len() < 4 {
            self.buffer.reserve(READ_BYTES);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
        let length = (&self.buffer[..4]).get_i32();
        let bytes = match usize::try_from(length) {
            Ok(bytes) if bytes <= self.bytes_max => bytes,
            _ => {
                return Err(Error::TooLarge { bytes: i64::from(length), bytes_max: self.bytes_max });
            }
        };
        self.buffer.advance(4);
        while self.buffer.len() < bytes {
            let missing = bytes - self.buffer.len();
            let step = STEP_BYTES.max(self.buffer.len());
            self.buffer.reserve(missing.min(step).max(READ_BYTES));
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(self.buffer.split_to(bytes).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The length field is the first thing a stranger controls.
    #[tokio::test]
    async fn a_length_beyond_the_limit_or_below_zero_is_refused() {
        for length in [101, i32::MAX, -1, i32::MIN] {
            let bytes = length.to_be_bytes();
            let outcome = Frames::new(&bytes[..], 100).next().await;
            assert!(matches!(outcome, Err(Error::TooLarge { .. })), "{length}");
        }
    }

    // Requests arrive in arbitrary pieces and several at a time.
    #[tokio::test]
    async fn frames_are_found_in_a_stream() {
        let mut bytes = Vec::new();
        for size in [0_usize, 1, 70_000] {
            bytes.extend_from_slice(&(size as i32).to_be_bytes());
            bytes.resize(bytes.len() + size, size as u8);
        }
        bytes.extend_from_slice(&[0, 0, 0]);
        let mut frames = Frames::new(&bytes[..], 1 << 20);
        for size in [0, 1, 70_000] {
            let frame = frames.next().await.unwrap().unwrap();
            assert_eq!(frame.len(), size);
        }
        assert!(frames.next().await.unwrap().is_none());
    }
}
