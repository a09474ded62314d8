//! Reading records in batches, borrowed from librdkafka's buffers.
//!
//! The only unsafe code of the log's client beside `settings`. It is here because the safe wrapping takes records one by
//! one, at twice the cost, and because its errors do not tell the topic and the offset they are about.
#![allow(unsafe_code, reason = "the batch functions of librdkafka have no safe wrapping")]

use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};

use super::context::Context;
use crate::event::Header;

/// How many records are taken out of librdkafka's queue in one go, at most.
pub(super) const CHUNK_MAX: usize = 1_000;

/// A queue of its own for the partitions of one consumer, and the records taken out of it.
///
/// Partitions are forwarded to it before they are assigned; a queue that the application has forwarded is
/// not forwarded elsewhere by the assignment. So it holds records, ends of partitions and their errors
/// only; everything else that librdkafka says stays in the consumer's own queue.
pub(super) struct Queue {
    queue: NonNull<native::rd_kafka_queue_t>,
    /// Messages that were taken; those before `next` have been destroyed.
    chunk: Vec<NonNull<native::rd_kafka_message_t>>,
    chunk_max: usize,
    next: usize,
    /// Outlives the queue and its messages, as librdkafka asks.
    client: Arc<BaseConsumer<Context>>,
}

// SAFETY: librdkafka's queues and messages may be used from any thread, by one at a time; `&mut self`
// sees to the latter.
unsafe impl Send for Queue {}

impl Queue {
    /// A queue that is emptied by so many records at a time.
    pub(super) fn new(client: Arc<BaseConsumer<Context>>, chunk: usize) -> Option<Self> {
        // SAFETY: the client is alive, and kept alive by the queue.
        let queue = unsafe { native::rd_kafka_queue_new(client.client().native_ptr()) };
        let queue = NonNull::new(queue)?;
        let chunk_max = chunk.clamp(1, CHUNK_MAX);
        Some(Queue { queue, chunk: Vec::with_capacity(chunk_max), chunk_max, next: 0, client })
    }

    /// Has a partition deliver here, from its assignment on, which must come after this. `None` when
    /// librdkafka does not take the name or the number.
    pub(super) fn attach(&self, topic: &str, partition: i32) -> Option<()> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client and the name are alive during the calls; the reference to the partition's
        // queue is given back, and forwarding holds its own.
        unsafe {
            let client = self.client.client().native_ptr();
            let from = NonNull::new(native::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition))?;
            native::rd_kafka_queue_forward(from.as_ptr(), self.queue.as_ptr());
            native::rd_kafka_queue_destroy(from.as_ptr());
        }
        Some(())
    }

    /// The range that the last fetch of a partition told; -1001 stands for what it has not told yet.
    pub(super) fn cached_watermarks(&self, topic: &str, partition: i32) -> Option<Range<i64>> {
        let topic = CString::new(topic).ok()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client, the name and the two places are alive during the call.
        let code = unsafe {
            let client = self.client.client().native_ptr();
            native::rd_kafka_get_watermark_offsets(client, topic.as_ptr(), partition, &mut low, &mut high)
        };
        (code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(low.max(0)..high)
    }

    /// Whether a message has been taken out of librdkafka's queue and is still here.
    pub(super) fn has_some(&self) -> bool {
        self.next < self.chunk.len()
    }

    /// The next message. When none is left, waits at most `wait` for one and takes all that are there.
    pub(super) fn front(&mut self, wait: Duration) -> Option<Message<'_>> {
        if !self.has_some() {
            self.chunk.clear();
            self.next = 0;
            // librdkafka waits until it has as many as asked for, so the first is asked for alone.
            self.take(1, wait);
            if !self.chunk.is_empty() {
                self.take(self.chunk_max - 1, Duration::ZERO);
            }
        }
        let message = *self.chunk.get(self.next)?;
        Some(Message { message, queue: PhantomData })
    }

    fn take(&mut self, max: usize, wait: Duration) {
        let wait_ms = c_int::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(c_int::MAX);
        let taken = self.chunk.len();
        debug_assert!(taken + max <= self.chunk.capacity());
        // SAFETY: `chunk` has room for `max` more pointers, which librdkafka writes as many of as it
        // returns; `NonNull` has the layout of a pointer, and messages are never null.
        unsafe {
            let room = self.chunk.as_mut_ptr().add(taken).cast::<*mut native::rd_kafka_message_t>();
            let count = native::rd_kafka_consume_batch_queue(self.queue.as_ptr(), wait_ms, room, max);
            self.chunk.set_len(taken + usize::try_from(count).unwrap_or(0));
        }
    }

    /// Gives the next message back to librdkafka.
    pub(super) fn pop(&mut self) {
        if let Some(message) = self.chunk.get(self.next) {
            // SAFETY: the message is ours until here, and `next` moves past it.
            unsafe { native::rd_kafka_message_destroy(message.as_ptr()) };
            self.next += 1;
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        while self.next < self.chunk.len() {
            self.pop();
        }
        // SAFETY: it is ours, and the client is still alive.
        unsafe { native::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// A message of librdkafka: a record, or something about a partition.
pub(super) struct Message<'q> {
    message: NonNull<native::rd_kafka_message_t>,
    queue: PhantomData<&'q Queue>,
}

impl<'q> Message<'q> {
    fn get(&self) -> &'q native::rd_kafka_message_t {
        // SAFETY: the queue holds it, and is borrowed for as long.
        unsafe { self.message.as_ref() }
    }

    /// What it says instead of being a record.
    pub(super) fn error(&self) -> Option<Code> {
        let code = self.get().err;
        (code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into())
    }

    /// The error in librdkafka's words.
    pub(super) fn error_text(&self) -> String {
        // SAFETY: the text belongs to the message.
        let text = unsafe { native::rd_kafka_message_errstr(self.message.as_ptr()) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: it is a C string.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }

    pub(super) fn topic(&self) -> &'q str {
        let topic = self.get().rkt;
        if topic.is_null() {
            return "";
        }
        // SAFETY: the topic object and its name live as long as the message.
        let name = unsafe { CStr::from_ptr(native::rd_kafka_topic_name(topic)) };
        // Names of topics are ASCII, and this one went in as `&str`.
        name.to_str().unwrap_or_default()
    }

    pub(super) fn partition(&self) -> i32 {
        self.get().partition
    }

    pub(super) fn offset(&self) -> i64 {
        self.get().offset
    }

    /// Milliseconds since 1970; -1 for none.
    pub(super) fn timestamp_ms(&self) -> i64 {
        // SAFETY: the message is alive; the kind of the time may be left out.
        unsafe { native::rd_kafka_message_timestamp(self.message.as_ptr(), ptr::null_mut()) }
    }

    pub(super) fn key(&self) -> Option<&'q [u8]> {
        let message = self.get();
        // SAFETY: the key belongs to the message.
        unsafe { bytes(message.key.cast(), message.key_len) }
    }

    pub(super) fn payload(&self) -> Option<&'q [u8]> {
        let message = self.get();
        // SAFETY: the payload belongs to the message.
        unsafe { bytes(message.payload.cast(), message.len) }
    }

    /// The header at an index. librdkafka takes the headers apart when the first is asked for, and keeps
    /// them with the message. A name that is not UTF-8 is U+FFFD.
    pub(super) fn header(&self, index: usize) -> Option<Header<'q>> {
        let (mut headers, mut name, mut value, mut size) = (ptr::null_mut(), ptr::null(), ptr::null(), 0);
        // SAFETY: the places are alive during the calls, and what they are set to belongs to the message.
        unsafe {
            let code = native::rd_kafka_message_headers(self.message.as_ptr(), &mut headers);
            if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            let code = native::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size);
            if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            Some((CStr::from_ptr(name).to_str().unwrap_or("\u{fffd}"), bytes(value.cast(), size)))
        }
    }
}

/// # Safety
/// The pointer is null or leads to as many bytes, which live for `'a` and do not change.
unsafe fn bytes<'a>(pointer: *const u8, size: usize) -> Option<&'a [u8]> {
    // SAFETY: see above.
    (!pointer.is_null()).then(|| unsafe { std::slice::from_raw_parts(pointer, size) })
}
