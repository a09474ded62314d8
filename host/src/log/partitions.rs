//! Reading partitions one after the other, in an order that the caller chooses.

use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::batch::{CHUNK_MAX, Queue};
use super::link::{Link, attach};
use super::{Assignment, Error, Fetched, Options, Position};
use crate::event::{Headers, Record};

/// What may wait for each partition, at least: less would make many small fetches.
const WAITING_KIB_MIN: u64 = 256;
/// What one response brings of each partition, at most, unless a single record is larger.
const RESPONSE_KIB_MAX: u64 = 1024;
/// Records that are taken out of librdkafka for each of very many partitions.
const CHUNK_MIN: usize = 50;

/// Reads partitions from given offsets, with a queue for each: what waits in one is not in the way of another. All
/// share one client, and the memory for records that one [`super::Consumer`] has.
pub struct Partitions {
    // Dropped in this order: messages and queues before the client.
    sources: Vec<Source>,
    link: Link,
    /// Records that are taken out of librdkafka for each partition.
    chunk: usize,
}

struct Source {
    queue: Queue,
    position: Position,
    /// An error that librdkafka tells once and after which it leaves the partition alone.
    halted: Option<Error>,
}

impl Partitions {
    pub(super) fn new(options: &Options, name: &str, start: &[Assignment]) -> Result<Self, Error> {
        let mut config = options.consumer(Some(name))?;
        share(&mut config, start.len());
        let link = Link::new(options, &config)?;
        let chunk = (4 * CHUNK_MAX / start.len().max(1)).clamp(CHUNK_MIN, CHUNK_MAX);
        let mut partitions = Partitions { sources: Vec::new(), link, chunk };
        partitions.add(start)?;
        Ok(partitions)
    }

    /// Takes up more partitions; they are counted on from those that are there.
    ///
    /// # Errors
    /// When librdkafka refuses: then none of them is taken up.
    pub fn add(&mut self, assignments: &[Assignment]) -> Result<(), Error> {
        if assignments.is_empty() {
            return Ok(());
        }
        let mut new = Vec::new();
        for each in assignments {
            let queue = self.link.queue(self.chunk)?;
            attach(&queue, each)?;
            let position = Position {
                topic: each.topic.clone(),
                partition: each.partition,
                next_offset: each.next_offset,
                end_offset: None,
            };
            new.push(Source { queue, position, halted: None });
        }
        self.link.assign(assignments, self.sources.is_empty())?;
        self.sources.extend(new);
        Ok(())
    }

    /// How far a partition was read, counted as they were added; `None` beyond the last.
    pub fn position(&self, index: usize) -> Option<&Position> {
        self.sources.get(index).map(|source| &source.position)
    }

    /// Takes records of one partition, as [`super::Consumer::fetch`] does of all, and none at or behind the offset
    /// `before`: such a record stays for a later call, and the position moves to it.
    ///
    /// # Errors
    /// As for [`super::Consumer::fetch`].
    pub fn fetch(
        &mut self,
        index: usize,
        before: i64,
        max: usize,
        bytes_max: usize,
        wait: Duration,
        mut each: impl FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<Fetched, Error> {
        let Partitions { sources, link, .. } = self;
        let mut fetched = Fetched::default();
        let Some(Source { queue, position, halted }) = sources.get_mut(index) else { return Ok(fetched) };
        if position.next_offset >= before {
            return Ok(fetched);
        }
        if let Some(error) = halted {
            link.serve();
            return Err(link.tell(error));
        }
        let deadline = Instant::now() + wait;
        if !queue.has_some() {
            link.serve();
        }
        while fetched.records < max && position.next_offset < before {
            let is_first = fetched == Fetched::default();
            let wait = if is_first && !link.is_away() {
                deadline.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            let Some(message) = queue.front(wait) else { break };
            let offset = message.offset();
            match message.error() {
                None if offset >= before => position.next_offset = offset,
                None => {
                    let (key, payload) = (message.key(), message.payload());
                    let bytes = key.map_or(0, <[u8]>::len) + payload.map_or(0, <[u8]>::len);
                    if fetched.records > 0 && fetched.bytes.saturating_add(bytes) > bytes_max {
                        break;
                    }
                    let header = |index| message.header(index);
                    let flow = each(Record {
                        topic: message.topic(),
                        partition: message.partition(),
                        offset,
                        timestamp_ms: message.timestamp_ms(),
                        key,
                        payload,
                        headers: Headers::lazy(&header),
                    });
                    fetched.records += 1;
                    fetched.bytes += bytes;
                    position.next_offset = offset + 1;
                    queue.pop();
                    if flow.is_break() {
                        break;
                    }
                }
                Some(Code::PartitionEOF) => {
                    position.next_offset = position.next_offset.max(offset);
                    position.end_offset = Some(offset);
                    fetched.ends += 1;
                    queue.pop();
                    break;
                }
                // It stays where it is until it can be told alone.
                Some(_) if fetched.records > 0 => break,
                Some(code) => {
                    let mut error = link.trouble(code, &message);
                    queue.pop();
                    if error.is_transient() {
                        return Err(error);
                    }
                    let told = link.tell(&mut error);
                    *halted = Some(error);
                    return Err(told);
                }
            }
        }
        if fetched == Fetched::default() && position.next_offset < before {
            link.probe(Some(&position.topic), wait)?;
        }
        Ok(fetched)
    }
}

/// librdkafka bounds each queue by itself: what one consumer may hold is shared out.
fn share(config: &mut ClientConfig, partitions: usize) {
    let key = "queued.max.messages.kbytes";
    let together = config.get(key).and_then(|kib| kib.parse().ok()).unwrap_or(16 * 1024);
    let each = (together / partitions.max(1) as u64).max(WAITING_KIB_MIN.min(together));
    config.set(key, each.to_string());
    let key = "fetch.message.max.bytes";
    if config.get(key).is_none() && config.get("max.partition.fetch.bytes").is_none() {
        config.set(key, (each.min(RESPONSE_KIB_MAX) * 1024).to_string());
    }
}

impl fmt::Debug for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let positions: Vec<_> = self.sources.iter().map(|source| &source.position).collect();
        f.debug_struct("Partitions").field("positions", &positions).finish_non_exhaustive()
    }
}
