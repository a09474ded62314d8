//! What commands are measured against: appends in transactions, of records with the same bytes.

use crate::log::PARTITIONS;
use anyhow::{Result, bail};
use lantern::log::{Options, TransactionRecord, TransactionalProducer};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// How long a broker may take for anything.
const WAIT_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// A record as a command has appended it.
pub struct Sample {
    key: Vec<u8>,
    payload: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Sample {
    /// Reads a topic's first record.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(servers: &str, topic: &str) -> Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("group.id", "lantern-bench")
            .set("enable.auto.commit", "false")
            .create()?;
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&all)?;
        let deadline = Instant::now() + WAIT_MAX;
        let record = loop {
            // It answers nothing also where it had something else to do.
            match consumer.poll(POLL) {
                Some(record) => break record?,
                None if Instant::now() > deadline => bail!("the command has appended nothing to {topic}"),
                None => {}
            }
        };
        let headers = record.headers().into_iter().flat_map(|headers| headers.iter());
        Ok(Sample {
            key: record.key().unwrap_or_default().to_vec(),
            payload: record.payload().unwrap_or_default().to_vec(),
            headers: headers
                .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
                .collect(),
        })
    }

    /// What the key, the payload and the headers take.
    pub fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + self.payload.len() + headers
    }
}

/// Appends samples in transactions.
pub struct Appender<'a> {
    producer: TransactionalProducer,
    topic: String,
    partitions: i32,
    sample: &'a Sample,
    sent: i32,
}

impl<'a> Appender<'a> {
    /// Takes the topic over.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn new(options: &Options, topic: String, partitions: i32, sample: &'a Sample) -> Result<Self> {
        let producer = TransactionalProducer::new(options, &format!("{topic}-raw"))?;
        producer.init(WAIT_MAX)?;
        Ok(Appender { producer, topic, partitions, sample, sent: 0 })
    }

    /// Appends so many records in one transaction; answers how long that took.
    ///
    /// # Errors
    /// When it is not committed.
    pub fn append(&mut self, records: usize) -> Result<Duration> {
        let Sample { key, payload, headers } = self.sample;
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let since = Instant::now();
        self.producer.begin()?;
        for _ in 0..records {
            self.sent = self.sent.wrapping_add(1) & i32::MAX;
            self.producer.send(TransactionRecord {
                topic: &self.topic,
                partition: self.sent % self.partitions,
                key,
                payload,
                headers: &headers,
                timestamp_ms: 1_767_225_600_000,
            })?;
        }
        self.producer.commit(WAIT_MAX)?;
        Ok(since.elapsed())
    }
}
