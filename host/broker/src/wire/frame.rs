//! Requests as they come off a connection: a length, then that many bytes.

use std::io::ErrorKind;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Duration, Instant, timeout_at};

use super::Error;
use crate::buffers::Buffer;
use crate::memory::{Budget, LARGE_BYTES};

/// Memory is taken in steps as bytes arrive, never on the word of a length field alone.
const STEP_BYTES: usize = 1 << 20;
const READ_BYTES: usize = 64 << 10;
/// Before they are allowed to be large, requests are bounded by the time for saying who one is.
const DAY: Duration = Duration::from_secs(86_400);

/// Takes requests off a connection.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    reader: R,
    buffer: BytesMut,
    bytes_max: usize,
    /// Bounds the large requests of all connections together.
    budget: Option<Budget>,
    /// Within which so much of a large request comes, as others may wait for the memory that it holds.
    step_max: Duration,
    /// What the request that was given out last holds of it.
    held: Option<OwnedSemaphorePermit>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(reader: R, bytes_max: usize) -> Frames<R> {
        Frames { reader, buffer: BytesMut::new(), bytes_max, budget: None, step_max: DAY, held: None }
    }

    /// From now on requests may have so many bytes, the large ones out of `budget`, of which each step comes within `step_max`.
    pub(crate) fn allow(&mut self, bytes_max: usize, budget: &Budget, step_max: Duration) {
        self.bytes_max = bytes_max;
        self.step_max = step_max;
        self.budget = Some(budget.clone());
    }

    /// The next request without its length; `None` at the end of the connection. The one before must be done with.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        self.held = None;
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
        if bytes > READ_BYTES.max(self.buffer.len()) {
            return self.large(bytes).await;
        }
        while self.buffer.len() < bytes {
            self.buffer.reserve(READ_BYTES);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(self.buffer.split_to(bytes).freeze()))
    }

    /// The rest of a request in memory of its own, which is free again when it is done with.
    async fn large(&mut self, bytes: usize) -> Result<Option<Bytes>, Error> {
        let start = self.buffer.split();
        if bytes <= STEP_BYTES {
            let mut frame = Buffer::take(bytes);
            let (front, rest) = frame.as_mut().split_at_mut(start.len());
            front.copy_from_slice(&start);
            return match self.reader.read_exact(rest).await {
                Ok(_) => Ok(Some(frame.freeze(bytes))),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
        let mut frame = start.to_vec();
        let (mut step, mut deadline) = (frame.len(), Instant::now() + self.step_max);
        while frame.len() < bytes {
            // What is announced counts only once there is something of it.
            if self.held.is_none()
                && frame.len() >= LARGE_BYTES
                && let Some(budget) = &self.budget
            {
                self.held = budget.wait(bytes).await;
                deadline = Instant::now() + self.step_max;
            }
            if frame.len() == frame.capacity() {
                frame.reserve_exact((bytes - frame.len()).min(STEP_BYTES.max(frame.len())));
            }
            let room = frame.capacity().min(bytes) - frame.len();
            let mut room = (&mut frame).limit(room);
            let reading = self.reader.read_buf(&mut room);
            if timeout_at(deadline, reading).await.map_err(|_| Error::Halted)?? == 0 {
                return Ok(None);
            }
            if frame.len() >= step + STEP_BYTES {
                (step, deadline) = (frame.len(), Instant::now() + self.step_max);
            }
        }
        Ok(Some(Bytes::from(frame)))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use tokio::io::AsyncWriteExt;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    // The length field is the first thing a stranger controls.
    #[tokio::test]
    async fn a_length_beyond_the_limit_or_below_zero_is_refused() {
        for length in [101, i32::MAX, -1, i32::MIN] {
            let bytes = length.to_be_bytes();
            let outcome = Frames::new(&bytes[..], 100).next().await;
            assert!(matches!(outcome, Err(Error::TooLarge { .. })), "{length}");
        }
    }

    // Every connection may send a hundred megabytes: together they have to wait for each other.
    #[tokio::test]
    async fn large_requests_wait_for_memory_and_small_ones_do_not() {
        let budget = Budget::of_requests(0);
        let used = budget.wait(usize::MAX).await;
        let sent = |size: usize| [&(size as u32).to_be_bytes()[..], &vec![0; size]].concat();
        let (small, large) = (sent(LARGE_BYTES / 2), sent(LARGE_BYTES * 2));
        let mut frames = Frames::new(&small[..], 0);
        frames.allow(4 * LARGE_BYTES, &budget, MINUTE);
        assert!(frames.next().await.unwrap().is_some());
        let twice = [&large[..], &large].concat();
        let mut frames = Frames::new(&twice[..], 0);
        frames.allow(4 * LARGE_BYTES, &budget, MINUTE);
        let mut waiting = Box::pin(frames.next());
        let unanswered =
            std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending()));
        assert!(unanswered.await);
        drop(used);
        assert!(waiting.await.unwrap().is_some());
        // What the first one held is free again for the second.
        assert!(frames.next().await.unwrap().is_some());
    }

    // Whoever announces a hundred megabytes and stops would hold memory that others wait for.
    #[tokio::test]
    async fn a_large_request_that_stands_still_is_given_up() {
        let (mut client, server) = tokio::io::duplex(8 * LARGE_BYTES);
        let mut frames = Frames::new(server, 0);
        frames.allow(4 * LARGE_BYTES, &Budget::of_requests(0), Duration::from_millis(50));
        client.write_u32(4 * LARGE_BYTES as u32).await.unwrap();
        client.write_all(&vec![0; 2 * LARGE_BYTES]).await.unwrap();
        let outcome = frames.next().await;
        assert!(matches!(outcome, Err(Error::Halted)), "{outcome:?}");
    }

    // Requests arrive in arbitrary pieces and several at a time.
    #[tokio::test]
    async fn frames_are_found_in_a_stream() {
        let mut bytes = Vec::new();
        for size in [0_usize, 1, 70_000, 3 << 20, 1 << 20, 5] {
            bytes.extend_from_slice(&(size as i32).to_be_bytes());
            bytes.resize(bytes.len() + size, size as u8);
        }
        bytes.extend_from_slice(&[0, 0, 0]);
        let mut frames = Frames::new(&bytes[..], 3 << 20);
        for size in [0, 1, 70_000, 3 << 20, 1 << 20, 5] {
            let frame = frames.next().await.unwrap().unwrap();
            assert!(frame.len() == size && frame.iter().all(|byte| *byte == size as u8), "{size}");
        }
        assert!(frames.next().await.unwrap().is_none());
    }
}
