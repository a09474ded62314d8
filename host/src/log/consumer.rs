//! Reading assigned partitions.

use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::batch::{CHUNK_MAX, Queue};
use super::link::{Link, attach, offsets};
use super::{Assignment, Error, Options};
use crate::event::{Headers, Record};

/// Reads the partitions it was assigned, from the offsets it was given, in the order of each.
///
/// librdkafka fetches ahead on threads of its own, within bounds. Records of transactions that are open or
/// were aborted are never given out.
pub struct Consumer {
    // Dropped in this order: messages and queue before the client.
    queue: Queue,
    link: Link,
    options: Options,
    name: String,
    positions: Vec<Position>,
    /// The place in `positions` of the partition that the last message came from.
    current: usize,
    /// An error that librdkafka tells once and after which it leaves the partition alone.
    halted: Option<Error>,
}

/// How far a partition was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The next record to be given out. At the end of a partition it is behind the markers of transactions
    /// and behind records that were aborted.
    pub next_offset: i64,
    /// Where the partition ended when its end was last reached: when `next_offset` is the same, everything
    /// in it has been read.
    pub end_offset: Option<i64>,
}

impl Position {
    /// Whether everything that was in the partition has been given out.
    pub fn is_at_end(&self) -> bool {
        self.end_offset == Some(self.next_offset)
    }
}

/// What a fetch brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Records that were given out.
    pub records: usize,
    /// Their keys and payloads, in bytes.
    pub bytes: usize,
    /// Partitions whose end was reached meanwhile.
    pub ends: usize,
}

impl Consumer {
    pub(super) fn new(options: &Options, name: &str, start: &[Assignment]) -> Result<Self, Error> {
        let link = Link::new(options, &options.consumer(Some(name))?)?;
        let queue = link.queue(CHUNK_MAX)?;
        let mut consumer = Consumer {
            queue,
            link,
            options: options.clone(),
            name: name.to_owned(),
            positions: Vec::new(),
            current: 0,
            halted: None,
        };
        consumer.add(start)?;
        Ok(consumer)
    }

    /// Waits at most `wait` for the first record, then takes those that are there without waiting: at most
    /// `max` records, and at most `bytes_max` bytes of keys and payloads, but always one. Gives each to
    /// `each`, in the order of its partition, until it breaks; the record it broke at has been given out.
    ///
    /// # Errors
    /// Only before a record was given out; what went wrong behind a record is told by the next call.
    /// A transient error needs no new consumer: call again. While no broker answers, every call says so,
    /// once all that had been fetched is given out.
    pub fn fetch(
        &mut self,
        max: usize,
        bytes_max: usize,
        wait: Duration,
        mut each: impl FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<Fetched, Error> {
        self.link.serve();
        if let Some(error) = &mut self.halted {
            return Err(self.link.tell(error));
        }
        let deadline = Instant::now() + wait;
        let mut fetched = Fetched::default();
        while fetched.records < max {
            // What is there is taken without waiting, and so is what was fetched before a broker went.
            let is_first = fetched == Fetched::default();
            let wait = if is_first && !self.link.is_away() {
                deadline.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            let Some(message) = self.queue.front(wait) else { break };
            let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
            let position = position_of(&mut self.positions, &mut self.current, topic, partition);
            match message.error() {
                None => {
                    let (key, payload) = (message.key(), message.payload());
                    let bytes = key.map_or(0, <[u8]>::len) + payload.map_or(0, <[u8]>::len);
                    if fetched.records > 0 && fetched.bytes.saturating_add(bytes) > bytes_max {
                        break;
                    }
                    let header = |index| message.header(index);
                    let timestamp_ms = message.timestamp_ms();
                    let headers = Headers::lazy(&header);
                    let flow = each(Record { topic, partition, offset, timestamp_ms, key, payload, headers });
                    fetched.records += 1;
                    fetched.bytes += bytes;
                    if let Some(position) = position {
                        position.next_offset = offset + 1;
                    }
                    self.queue.pop();
                    if flow.is_break() {
                        break;
                    }
                }
                Some(Code::PartitionEOF) => {
                    if let Some(position) = position {
                        position.next_offset = position.next_offset.max(offset);
                        position.end_offset = Some(offset);
                    }
                    fetched.ends += 1;
                    self.queue.pop();
                }
                // It stays where it is until it can be told alone.
                Some(_) if fetched.records > 0 => break,
                Some(code) => {
                    let mut error = self.link.trouble(code, &message);
                    self.queue.pop();
                    if error.is_transient() {
                        return Err(error);
                    }
                    let told = self.link.tell(&mut error);
                    self.halted = Some(error);
                    return Err(told);
                }
            }
        }
        if fetched == Fetched::default() {
            let topic = self.positions.first().map(|position| position.topic.as_str());
            self.link.probe(topic, wait)?;
        }
        Ok(fetched)
    }

    /// Assigns more partitions, such as those that were added to a topic.
    ///
    /// # Errors
    /// When librdkafka refuses: then none of them is assigned.
    pub fn add(&mut self, assignments: &[Assignment]) -> Result<(), Error> {
        if assignments.is_empty() {
            return Ok(());
        }
        for each in assignments {
            attach(&self.queue, each)?;
        }
        self.link.assign(assignments, self.positions.is_empty())?;
        self.positions.extend(assignments.iter().map(|each| Position {
            topic: each.topic.clone(),
            partition: each.partition,
            next_offset: each.next_offset,
            end_offset: None,
        }));
        Ok(())
    }

    /// Starts anew at these offsets, with these partitions only: forgets what was fetched ahead, and any
    /// error. For going back to a checkpoint after a failure.
    ///
    /// # Errors
    /// As for a new consumer.
    pub fn reassign(&mut self, assignments: &[Assignment]) -> Result<(), Error> {
        // A partition that is taken away and assigned again loses its way to the queue at some moment on
        // another thread, so that it is simplest and safest to begin with a new client.
        *self = Consumer::new(&self.options, &self.name, assignments)?;
        Ok(())
    }

    /// How far each partition was read, in the order of their assignment.
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// Whether every partition was read to its end.
    pub fn is_at_end(&self) -> bool {
        self.positions.iter().all(Position::is_at_end)
    }

    /// How many offsets are left in a partition, as far as the last fetch told; no round trip. Counts
    /// transaction markers too, but is 0 at the end. `None` before the first fetch.
    pub fn lag(&self, position: &Position) -> Option<u64> {
        if position.is_at_end() {
            return Some(0);
        }
        let known = self.queue.cached_watermarks(&position.topic, position.partition)?;
        u64::try_from(known.end - position.next_offset).ok().or(Some(0))
    }

    /// Tells the log how far this consumer came, for tools that show lag. Nothing depends on it: it does
    /// not wait, and a failure is logged at debug only.
    pub fn commit_advisory(&self, positions: &[Assignment]) {
        let committed = offsets(positions).and_then(|list| match positions {
            [] => Ok(()),
            _ => self.link.client().commit(&list, CommitMode::Async),
        });
        if let Err(error) = committed {
            tracing::debug!(consumer = self.name, %error, "advisory offsets were not committed");
        }
    }

    /// The group in whose name it commits.
    pub(super) fn group(&self) -> Option<ConsumerGroupMetadata> {
        self.link.client().group_metadata()
    }

    /// Stops fetching, for as long as what reads cannot keep up or must not go on.
    ///
    /// # Errors
    /// When librdkafka refuses.
    pub fn pause(&self) -> Result<(), Error> {
        self.all_partitions()
            .and_then(|list| self.link.client().pause(&list))
            .map_err(|error| self.refused("pausing", &error))
    }

    /// Goes on fetching after [`Self::pause`].
    ///
    /// # Errors
    /// When librdkafka refuses.
    pub fn resume(&self) -> Result<(), Error> {
        self.all_partitions()
            .and_then(|list| self.link.client().resume(&list))
            .map_err(|error| self.refused("resuming", &error))
    }

    fn all_partitions(&self) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::with_capacity(self.positions.len());
        for position in &self.positions {
            list.add_partition(&position.topic, position.partition);
        }
        Ok(list)
    }

    fn refused(&self, what: &str, error: &KafkaError) -> Error {
        Error::Other { what: format!("{what} {}", self.name), reason: error.to_string() }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("name", &self.name)
            .field("positions", &self.positions)
            .finish_non_exhaustive()
    }
}

/// The position of a message's partition. Messages of one partition come in runs.
fn position_of<'p>(
    positions: &'p mut [Position],
    current: &mut usize,
    topic: &str,
    partition: i32,
) -> Option<&'p mut Position> {
    let is_it = |position: &Position| position.partition == partition && position.topic == topic;
    if !positions.get(*current).is_some_and(is_it) {
        *current = positions.iter().position(is_it)?;
    }
    positions.get_mut(*current)
}

#[cfg(test)]
mod tests {
    use super::super::Client;
    use super::*;
    use lantern_broker::Broker;

    // Brokers that lost records are often brokers that were just restarted: while none says what is left, the reader waits, and
    // does not take it for the end.
    #[test]
    fn what_a_partition_holds_instead_is_asked_for_until_a_broker_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let start = |listen| {
            let dir = folder.path().to_owned();
            let options = lantern_broker::Options { dir, listen, ..Default::default() };
            runtime.block_on(Broker::start(options)).unwrap()
        };
        let broker = start(lantern_broker::Options::default().listen);
        let address = broker.address();
        let client = Client::new(&Options::new(address.to_string())).unwrap();
        assert!(client.create_topic("t", 1).unwrap());
        let mut consumer = client.consumer("c", &[]).unwrap();
        runtime.block_on(broker.shutdown()).unwrap();

        let told = |range| Error::OffsetOutOfRange { topic: "t".into(), partition: 0, offset: 7, range };
        consumer.halted = Some(told(None));
        let mut fetch = || consumer.fetch(1, 1, Duration::ZERO, |_| ControlFlow::Continue(())).unwrap_err();
        let error = fetch();
        assert!(matches!(error, Error::Unavailable { .. }) && error.is_transient(), "{error}");

        let broker = start(address);
        let deadline = Instant::now() + Duration::from_secs(60);
        let error = loop {
            match fetch() {
                error if error.is_transient() => assert!(Instant::now() < deadline, "{error}"),
                error => break error,
            }
        };
        assert_eq!(error, told(Some(0..0)));
        assert_eq!(fetch(), error, "it is said as often as it is asked for");
        runtime.block_on(broker.shutdown()).unwrap();
    }
}
