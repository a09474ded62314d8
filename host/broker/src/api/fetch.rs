//! `Fetch`: records as they lie in the log, waiting for new ones if the client wants that.
//!
//! Fetch sessions (KIP-227) are declined by answering with session id 0: they save bytes between
//! machines, and here there is one.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Session, once};
use crate::log::batch::LEADER_EPOCH;
use crate::log::{self, Partition, Planned, ReadError, Slice, Waiter};
use crate::memory::LARGE_BYTES;
use crate::topics::Topic;

/// Topics are named by id from this version.
const IDS_FROM: i16 = 13;
/// Reads from this size on are taken off the threads that serve connections.
const LARGE_READ_BYTES: usize = 256 << 10;
/// What an answer may have while the memory for large ones is used up.
const FRUGAL_BYTES: usize = 64 << 10;
/// No client waits longer than this, whatever it asks for.
const WAIT_MS_MAX: i32 = 300_000;

/// The topics of a request, found once; `None` where there is no such topic.
type Found = Vec<Option<Arc<Topic>>>;

/// The answer, and what it holds of the memory for large ones.
type Answer = (FetchResponse, Option<OwnedSemaphorePermit>);

pub(crate) async fn answer(session: &Session, version: i16, mut request: FetchRequest) -> Answer {
    if request.session_id != 0 {
        // We never gave out a session.
        let error = ResponseError::FetchSessionIdNotFound;
        return (FetchResponse::default().with_error_code(error.code()), None);
    }
    let mut is_first = once(|place: &(TopicName, Uuid, i32)| place.clone());
    for topic in &mut request.topics {
        let (name, id) = (&topic.topic, topic.topic_id);
        topic.partitions.retain(|asked| is_first(&(name.clone(), id, asked.partition)));
    }
    let topics: Found = request
        .topics
        .iter()
        .map(|topic| match version {
            ..IDS_FROM => session.core.topics.get(&topic.topic),
            _ => session.core.topics.get_by_id(topic.topic_id),
        })
        .collect();
    let wait = Duration::from_millis(request.max_wait_ms.clamp(0, WAIT_MS_MAX) as u64);
    let deadline = Instant::now() + wait;
    let registration = Registration::new(&request, &topics);
    let mut closing = session.closing.clone();
    let bytes_max = usize::try_from(request.max_bytes).unwrap_or(0).min(session.core.options.fetch_bytes_max);
    let mut is_late = wait.is_zero();
    loop {
        let mut gathered = gather(&request, &topics, bytes_max);
        let enough = gathered.bytes >= usize::try_from(request.min_bytes).unwrap_or(0);
        if enough || gathered.failed || is_late || *closing.borrow() {
            let mut memory = None;
            if gathered.bytes >= LARGE_BYTES {
                memory = session.core.answers_memory.take(gathered.bytes);
                if memory.is_none() {
                    gathered = gather(&request, &topics, bytes_max.min(FRUGAL_BYTES));
                }
            }
            return (respond(version, request, &topics, gathered), memory);
        }
        // Nothing was read yet.
        tokio::select! {
            () = registration.waiter.woken() => {}
            () = tokio::time::sleep_until(deadline) => is_late = true,
            _ = closing.changed() => {}
        }
    }
}

/// Keeps a fetch registered with its partitions while it waits.
struct Registration {
    waiter: Waiter,
    partitions: Vec<Arc<Partition>>,
}

impl Registration {
    fn new(request: &FetchRequest, topics: &Found) -> Registration {
        let waiter = Waiter::new();
        let partitions: Vec<_> = request
            .topics
            .iter()
            .zip(topics)
            .filter_map(|(asked, topic)| Some((asked, topic.as_ref()?)))
            .flat_map(|(asked, topic)| {
                asked.partitions.iter().filter_map(|partition| topic.partition(partition.partition).cloned())
            })
            .collect();
        if request.max_wait_ms > 0 {
            for partition in &partitions {
                partition.watch(&waiter);
            }
        }
        Registration { waiter, partitions }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        for partition in &self.partitions {
            partition.unwatch(&self.waiter);
        }
    }
}

/// What all partitions of a request have at one moment, to be read.
struct Gathered {
    outcomes: Vec<Vec<Result<Planned, Failure>>>,
    /// About how much it is.
    bytes: usize,
    failed: bool,
}

struct Failure {
    error: ResponseError,
    log_start: i64,
    high_watermark: i64,
}

impl Failure {
    fn new(error: ResponseError) -> Failure {
        Failure { error, log_start: -1, high_watermark: -1 }
    }
}

fn gather(request: &FetchRequest, topics: &Found, bytes_max: usize) -> Gathered {
    let mut gathered =
        Gathered { outcomes: Vec::with_capacity(request.topics.len()), bytes: 0, failed: false };
    for (asked, topic) in request.topics.iter().zip(topics) {
        let mut outcomes = Vec::with_capacity(asked.partitions.len());
        for partition in &asked.partitions {
            let room = bytes_max.saturating_sub(gathered.bytes);
            let first = gathered.bytes == 0;
            let outcome = plan(request, topic.as_deref(), partition, room, first);
            match &outcome {
                Ok(planned) => gathered.bytes += planned.bytes(),
                Err(_) => gathered.failed = true,
            }
            outcomes.push(outcome);
        }
        gathered.outcomes.push(outcomes);
    }
    gathered
}

fn plan(
    request: &FetchRequest,
    topic: Option<&Topic>,
    asked: &FetchPartition,
    room: usize,
    first: bool,
) -> Result<Planned, Failure> {
    let Some(topic) = topic else {
        let error = match request.topics.iter().any(|topic| !topic.topic_id.is_nil()) {
            true => ResponseError::UnknownTopicId,
            false => ResponseError::UnknownTopicOrPartition,
        };
        return Err(Failure::new(error));
    };
    let partition = topic
        .partition(asked.partition)
        .ok_or_else(|| Failure::new(ResponseError::UnknownTopicOrPartition))?;
    check_epoch(asked.current_leader_epoch).map_err(Failure::new)?;
    let bytes_max = room.min(usize::try_from(asked.partition_max_bytes).unwrap_or(0));
    let committed = request.isolation_level == 1;
    partition.plan(asked.fetch_offset, bytes_max, first, committed).map_err(|error| match error {
        ReadError::OutOfRange { log_start, end, .. } => {
            Failure { error: ResponseError::OffsetOutOfRange, log_start, high_watermark: end }
        }
        ReadError::Storage(error) => unreadable(topic, asked, &error),
    })
}

fn unreadable(topic: &Topic, asked: &FetchPartition, error: &log::Error) -> Failure {
    tracing::error!(topic = %topic.name, partition = asked.partition, offset = asked.fetch_offset, %error, "records could not be read");
    Failure::new(match error {
        log::Error::Damaged { .. } => ResponseError::CorruptMessage,
        _ => ResponseError::KafkaStorageError,
    })
}

/// Checks the leader epoch that a client believes in; -1 is none.
pub(crate) fn check_epoch(epoch: i32) -> Result<(), ResponseError> {
    match epoch {
        ..=-1 | LEADER_EPOCH => Ok(()),
        _ => Err(ResponseError::UnknownLeaderEpoch),
    }
}

/// Reads what was gathered.
fn respond(version: i16, request: FetchRequest, topics: &Found, gathered: Gathered) -> FetchResponse {
    // A large read may have to wait for the disk, which must not hold up other connections.
    match gathered.bytes >= LARGE_READ_BYTES {
        true => aside(|| read(version, request, topics, gathered)),
        false => read(version, request, topics, gathered),
    }
}

fn read(version: i16, request: FetchRequest, topics: &Found, gathered: Gathered) -> FetchResponse {
    let committed = request.isolation_level == 1;
    let responses = request
        .topics
        .into_iter()
        .zip(topics)
        .zip(gathered.outcomes)
        .map(|((asked, topic), outcomes)| {
            let partitions = asked.partitions.iter().zip(outcomes).map(|(asked, planned)| {
                let outcome = planned.and_then(|planned| {
                    planned.read().map_err(|error| match topic {
                        Some(topic) => unreadable(topic, asked, &error),
                        None => Failure::new(ResponseError::UnknownTopicOrPartition),
                    })
                });
                partition_data(version, asked.partition, outcome, committed)
            });
            let response = FetchableTopicResponse::default().with_partitions(partitions.collect());
            match version {
                ..IDS_FROM => response.with_topic(asked.topic),
                _ => response.with_topic_id(asked.topic_id),
            }
        })
        .collect();
    FetchResponse::default().with_responses(responses)
}

/// Runs blocking work while other threads take over this one's tasks, where that is possible.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn partition_data(
    version: i16,
    index: i32,
    outcome: Result<Slice, Failure>,
    committed: bool,
) -> PartitionData {
    let data = PartitionData::default().with_partition_index(index);
    let (data, log_start) = match outcome {
        Ok(slice) => {
            let aborted = slice
                .aborted
                .iter()
                .map(|aborted| {
                    AbortedTransaction::default()
                        .with_producer_id(aborted.producer_id.into())
                        .with_first_offset(aborted.first_offset)
                })
                .collect();
            let data = data
                .with_high_watermark(slice.high_watermark)
                .with_last_stable_offset(slice.stable)
                .with_aborted_transactions(committed.then_some(aborted))
                .with_records(Some(slice.records));
            (data, slice.log_start)
        }
        Err(failure) => {
            let data = data
                .with_error_code(failure.error.code())
                .with_high_watermark(failure.high_watermark)
                .with_aborted_transactions(None)
                .with_records(Some(bytes::Bytes::new()));
            (data, failure.log_start)
        }
    };
    match version {
        ..5 => data,
        _ => data.with_log_start_offset(log_start),
    }
}
