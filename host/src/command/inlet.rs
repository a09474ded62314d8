//! Commands that come by the log: read, decided, and marked as read in one transaction with what they append.
//!
//! A command is a CloudEvent in binary mode in the topic `<topic>.commands`: its type is the command's name, its subject (else
//! the record's key) the aggregate's id, its data the command's. `ce_commandkey` is its idempotency key, without which it is
//! its place in this log; `ce_expectedversion`, `ce_correlationid` are as by HTTP; its id becomes the causation of its events.
//! `ce_replytopic` names the topic that its answer is appended to.

use super::Command;
use super::domain::Domain;
use super::handler::{Queued, check};
use super::record;
use super::writer::Left;
use crate::event::Record;
use crate::log::{self, Assignment, Client, Consumer, TransactionError, TransactionalProducer};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::ControlFlow;
use std::time::Duration;

/// Bytes of commands that are read at once.
const BYTES_MAX: usize = 4 << 20;
/// Reply topics that are remembered.
const KNOWN_MAX: usize = 1_000;

/// Where a command was read.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub partition: i32,
    pub offset: i64,
    /// As people write it.
    pub place: String,
    /// The topic and the partition that its answer goes to.
    pub reply: Option<(String, i32)>,
    /// Why it is no command.
    pub refused: Option<String>,
}

/// The commands' topic of an aggregate type.
pub(super) struct Inlet {
    client: Client,
    consumer: Consumer,
    topic: String,
    /// Which cluster the log is: another may have other commands at the same places.
    cluster: String,
    /// How many partitions reply topics have; `None` where there is none, or none that may be written to.
    replies: HashMap<String, Option<i32>>,
}

impl Inlet {
    /// Begins where the last transaction left it.
    pub fn open(client: Client, domain: &Domain, decisions: &str, partitions: i32) -> Result<Self, Left> {
        let topic = record::commands_topic(&domain.topic);
        let group = format!("{}-commands-in", domain.name);
        let found = match client.partitions(&topic) {
            Err(log::Error::TopicMissing { .. }) => {
                client.create_topic(&topic, partitions)?;
                (0..partitions).collect()
            }
            found => found?,
        };
        let known = client.committed(&group, &topic, &found)?;
        let mut start = Vec::new();
        for partition in found {
            let next_offset = match known.iter().find(|known| known.partition == partition) {
                Some(known) => known.next_offset,
                None => client.watermarks(&topic, partition)?.start,
            };
            start.push(Assignment { topic: topic.clone(), partition, next_offset });
        }
        let consumer = client.consumer(&group, &start)?;
        // An answer among events would be taken for one.
        let own = [domain.topic.as_str(), decisions, &topic];
        let replies = own.into_iter().map(|topic| (topic.to_owned(), None)).collect();
        let cluster = client.cluster_id()?.unwrap_or_default();
        Ok(Inlet { client, consumer, topic, cluster, replies })
    }

    /// What has come, at most so many; does not wait.
    pub fn take(&mut self, max: usize) -> Result<VecDeque<Queued>, log::Error> {
        let mut read = VecDeque::new();
        let Inlet { client, consumer, replies, cluster, .. } = self;
        consumer.fetch(max, BYTES_MAX, Duration::ZERO, |record| {
            read.push_back(command(&record, cluster, |topic| partitions(client, replies, topic)));
            ControlFlow::Continue(())
        })?;
        Ok(read)
    }

    /// Has it committed with the transaction how far was read.
    pub fn commit(
        &self,
        producer: &TransactionalProducer,
        read: &BTreeMap<i32, i64>,
        time_max: Duration,
    ) -> Result<(), TransactionError> {
        let next = read.iter().map(|(partition, next)| Assignment {
            topic: self.topic.clone(),
            partition: *partition,
            next_offset: *next,
        });
        producer.send_offsets(&self.consumer, &next.collect::<Vec<_>>(), time_max)
    }
}

/// How many partitions a reply topic has, if it may be written to.
fn partitions(client: &Client, replies: &mut HashMap<String, Option<i32>>, topic: &str) -> Option<i32> {
    if let Some(known) = replies.get(topic) {
        return *known;
    }
    let found = client.partitions(topic).inspect_err(|error| {
        tracing::warn!("answers for topic `{topic}` are not sent: {error}");
    });
    let found = found.ok().and_then(|partitions| i32::try_from(partitions.len()).ok());
    if replies.len() < KNOWN_MAX {
        replies.insert(topic.to_owned(), found);
    }
    found
}

/// The command that a record is, or why it is none.
fn command(record: &Record<'_>, cluster: &str, mut partitions: impl FnMut(&str) -> Option<i32>) -> Queued {
    let place = format!("{}/{}@{}", record.topic, record.partition, record.offset);
    let header = |name: &str| {
        let value = record.headers.get(name).flatten()?;
        std::str::from_utf8(value).ok().map(str::to_owned)
    };
    let of_key = || record.key.and_then(|key| std::str::from_utf8(key).ok()).map(str::to_owned);
    let expected = header("ce_expectedversion").map(|version| version.parse());
    let command = Command {
        id: header("ce_subject").or_else(of_key).unwrap_or_default(),
        name: header("ce_type").unwrap_or_default(),
        payload: record.payload.filter(|payload| !payload.is_empty()).unwrap_or(b"{}").to_vec(),
        key: Some(header("ce_commandkey").unwrap_or_else(|| format!("{place} {cluster}"))),
        expected: expected.clone().and_then(Result::ok),
        correlation: header("ce_correlationid"),
        causation: header("ce_id"),
    };
    let refused = match expected {
        Some(Err(_)) => Some("its `ce_expectedversion` is no number".to_owned()),
        _ => check(&command).err().map(|error| error.to_string()),
    };
    let reply = header("ce_replytopic").and_then(|topic| {
        let partition = log::partition_of(command.id.as_bytes(), partitions(&topic)?);
        Some((topic, partition))
    });
    let (partition, offset) = (record.partition, record.offset);
    Queued::read(command, Origin { partition, offset, place, reply, refused })
}
