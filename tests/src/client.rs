//! The tests' own client of a log. It shares no code with the one under test.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::metadata::MetadataPartition;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::wait::{self, WAIT_MS_MAX};

/// A record as a test writes it.
#[derive(Clone, Debug, Default)]
pub struct NewRecord {
    /// Where to.
    pub partition: i32,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The record's headers.
    pub headers: Vec<(String, String)>,
    /// When it was made, in milliseconds since 1970; now, where nothing is said.
    pub timestamp_ms: Option<i64>,
}

/// A record as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The partition of its topic.
    pub partition: i32,
    /// Its offset in that partition.
    pub offset: i64,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The record's headers in order; without those that are not text.
    pub headers: Vec<(String, String)>,
}

impl Record {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }
}

/// A client that looks for a broker that was killed often enough to find it at once.
#[must_use]
pub fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "200")
        .set("retry.backoff.ms", "10")
        .set("log_level", "3");
    config
}

/// Creates a topic, and waits until the broker gives its partitions out. A topic that is there
/// already is left as it is.
///
/// # Errors
///
/// Where the broker refuses, or is not there in time.
pub fn create_topic(address: &str, topic: &str, partitions: i32) -> Result<()> {
    let admin = admin(address)?;
    // Tests write records of long ago, too.
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    let created = block_on(admin.create_topics([&new], &options()))??;
    for result in created {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => bail!("cannot create topic {topic}: {code}"),
        }
    }
    let deadline = Instant::now() + Duration::from_millis(WAIT_MS_MAX);
    let wanted = usize::try_from(partitions)?;
    loop {
        let answer = admin.inner().fetch_metadata(Some(topic), Duration::from_secs(5));
        let ready = answer.as_ref().is_ok_and(|metadata| {
            metadata.topics().iter().any(|found| {
                found.partitions().len() == wanted
                    && found.partitions().iter().all(|partition| partition.error().is_none())
            })
        });
        if ready {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "topic {topic} is not given out: {:?}", answer.err());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Deletes the records of a partition before an offset, as retention would.
///
/// # Errors
///
/// Where the broker refuses.
pub fn delete_records(address: &str, topic: &str, partition: i32, before: i64) -> Result<()> {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, partition, Offset::Offset(before))?;
    let deleted = block_on(admin(address)?.delete_records(&offsets, &options()))??;
    for element in deleted.elements() {
        element.error().with_context(|| format!("{topic}/{partition} before {before}"))?;
    }
    Ok(())
}

/// Appends records in order, and answers when all of them are acknowledged.
///
/// # Errors
///
/// Where one of them is not.
pub fn produce(address: &str, topic: &str, records: impl IntoIterator<Item = NewRecord>) -> Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> =
        config(address).set("enable.idempotence", "true").set("linger.ms", "1").create()?;
    for record in records {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let mut wanted = BaseRecord::<[u8], [u8]>::to(topic).partition(record.partition);
        wanted.key = record.key.as_deref();
        wanted.payload = record.value.as_deref();
        wanted.timestamp = record.timestamp_ms;
        if !record.headers.is_empty() {
            wanted = wanted.headers(headers);
        }
        while let Err((error, again)) = producer.send(wanted) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            std::thread::sleep(Duration::from_millis(1));
            wanted = again;
        }
    }
    producer.flush(Duration::from_millis(WAIT_MS_MAX))?;
    Ok(())
}

/// Writes a record that is taken back: the partition's end goes on, and there is nothing to read.
///
/// # Errors
///
/// Where the broker refuses, or is not there in time.
pub fn produce_aborted(address: &str, topic: &str, partition: i32) -> Result<()> {
    let timeout = Duration::from_millis(WAIT_MS_MAX);
    let producer: ThreadedProducer<DefaultProducerContext> =
        config(address).set("transactional.id", topic).create()?;
    producer.init_transactions(timeout)?;
    producer.begin_transaction()?;
    let record = BaseRecord::<(), str>::to(topic).partition(partition).payload("taken back");
    producer.send(record).map_err(|(error, _)| error)?;
    producer.flush(timeout)?;
    Ok(producer.abort_transaction(timeout)?)
}

/// All records of a topic that a reader of committed records is shown, by partition and in order.
/// No transaction may be open. Kafka answers a commit before it has written its markers, so one that
/// has just ended is waited for.
///
/// # Errors
///
/// Where the log cannot be read to its end in time.
pub fn read_committed(address: &str, topic: &str) -> Result<BTreeMap<i32, Vec<Record>>> {
    let consumer: BaseConsumer = config(address)
        .set("group.id", "lantern-tests")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("fetch.queue.backoff.ms", "5")
        .create()?;
    let timeout = Duration::from_millis(WAIT_MS_MAX);
    let metadata = consumer.fetch_metadata(Some(topic), timeout)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions = found.context("the topic is not in the metadata")?.partitions();
    let uncommitted: BaseConsumer = config(address).set("isolation.level", "read_uncommitted").create()?;
    let mut records = BTreeMap::new();
    let mut assignment = TopicPartitionList::new();
    for partition in partitions.iter().map(MetadataPartition::id) {
        let (_, end) = uncommitted.fetch_watermarks(topic, partition, timeout)?;
        let low = wait::until("the last transaction's marker is written", || {
            let (low, committed_end) = consumer.fetch_watermarks(topic, partition, timeout)?;
            Ok((committed_end >= end).then_some(low))
        })?;
        assignment.add_partition_offset(topic, partition, Offset::Offset(low))?;
        records.insert(partition, Vec::new());
    }
    consumer.assign(&assignment)?;

    let deadline = Instant::now() + timeout;
    let mut unfinished: BTreeSet<i32> = records.keys().copied().collect();
    while !unfinished.is_empty() {
        ensure!(Instant::now() < deadline, "{topic} was not read to its end in {timeout:?}");
        match consumer.poll(Duration::from_millis(200)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                unfinished.remove(&partition);
            }
            // The client goes on by itself when the broker is back.
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown,
            ))) => {}
            Some(Err(error)) => return Err(error).context(topic.to_owned()),
            Some(Ok(message)) => records.entry(message.partition()).or_default().push(Record {
                partition: message.partition(),
                offset: message.offset(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                headers: headers(&message),
            }),
        }
    }
    Ok(records)
}

fn headers(message: &BorrowedMessage<'_>) -> Vec<(String, String)> {
    let headers = message.headers().into_iter().flat_map(BorrowedHeaders::iter);
    let text = |value: Option<&[u8]>| String::from_utf8(value?.to_vec()).ok();
    headers.filter_map(|header| Some((header.key.to_owned(), text(header.value)?))).collect()
}

fn admin(address: &str) -> Result<AdminClient<DefaultClientContext>> {
    Ok(config(address).create()?)
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(Duration::from_millis(WAIT_MS_MAX)))
}

fn block_on<T>(answer: impl Future<Output = KafkaResult<T>>) -> Result<KafkaResult<T>> {
    Ok(tokio::runtime::Builder::new_current_thread().build()?.block_on(answer))
}
