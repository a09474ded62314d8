//! Commands that come by the log: read, decided, and marked as read in one transaction with what they append.
//!
//! A command is a CloudEvent in binary mode in the topic `<topic>.commands`: its type is the command's name, its subject (else
//! the record's key) the aggregate's id, its data the command's. `ce_commandkey` is its idempotency key, without which it is
//! its place in this log; `ce_expectedversion`, `ce_correlationid` are as by HTTP; its id becomes the causation of its events.
//! `ce_replytopic` names the topic that its answer is appended to.

use super::domain::Domain;
use super::handler::{Queued, check};
use super::writer::Left;
use super::{Command, Error, record};
use crate::event::Record;
use crate::log::{self, Assignment, Client, Consumer, TransactionError, TransactionalProducer};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Bytes of commands that are read at once.
const BYTES_MAX: usize = 4 << 20;
/// How often new partitions are looked for, as projections do.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Reply topics that are remembered: a few megabytes of names.
const KNOWN_MAX: usize = 10_000;
/// The longest name of a topic.
const TOPIC_BYTES_MAX: usize = 249;

/// Where a command was read.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub partition: i32,
    pub offset: i64,
    /// As people write it.
    pub place: String,
    /// The topic and the partition that its answer goes to.
    pub reply: Option<(String, i32)>,
    /// Why it is not decided.
    pub refused: Option<Error>,
}

/// The commands' topic of an aggregate type.
pub(super) struct Inlet {
    client: Client,
    consumer: Consumer,
    topic: String,
    /// The topic's partitions, as far as they are read.
    found: Vec<i32>,
    /// When they were looked for last.
    looked: Instant,
    /// Which cluster the log is: another may have other commands at the same places.
    cluster: String,
    /// How many partitions reply topics have; `None` where there is none, or none that may be written to.
    replies: HashMap<String, Option<i32>>,
}

impl Inlet {
    /// Begins where the last transaction left it.
    pub fn open(client: Client, domain: &Domain, partitions: i32) -> Result<Self, Left> {
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
        for &partition in &found {
            let next_offset = match known.iter().find(|known| known.partition == partition) {
                Some(known) => known.next_offset,
                None => client.watermarks(&topic, partition)?.start,
            };
            start.push(Assignment { topic: topic.clone(), partition, next_offset });
        }
        let consumer = client.consumer(&group, &start)?;
        let cluster = client.cluster_id()?.unwrap_or_default();
        let (looked, replies) = (Instant::now(), HashMap::new());
        Ok(Inlet { client, consumer, topic, found, looked, cluster, replies })
    }

    /// Whether the topic has other partitions than are read. It is asked for them now and then only.
    ///
    /// # Errors
    /// When the topic is gone: to librdkafka it may come back, and until then it is quiet.
    pub fn has_changed(&mut self) -> Result<bool, log::Error> {
        if self.looked.elapsed() < LOOK_EVERY {
            return Ok(false);
        }
        self.looked = Instant::now();
        match self.client.partitions(&self.topic) {
            Ok(found) => Ok(found != self.found),
            Err(error @ log::Error::TopicMissing { .. }) => Err(error),
            // Who reads it tells what is wrong.
            Err(_) => Ok(false),
        }
    }

    /// What has come, at most so many; does not wait, but for the broker where an answer shall go to a topic that was not
    /// heard of.
    pub fn take(&mut self, max: usize) -> Result<VecDeque<Queued>, log::Error> {
        let mut read = VecDeque::new();
        let mut failed = Ok(());
        let Inlet { client, consumer, replies, cluster, .. } = self;
        consumer.fetch(max, BYTES_MAX, Duration::ZERO, |record| {
            match command(&record, cluster, |topic| partitions(client, replies, topic)) {
                Ok(command) => {
                    read.push_back(command);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failed = Err(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map(|()| read)
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
///
/// # Errors
/// When no broker says so now; it is asked again then.
fn partitions(
    client: &Client,
    replies: &mut HashMap<String, Option<i32>>,
    topic: &str,
) -> Result<Option<i32>, log::Error> {
    if let Some(known) = replies.get(topic) {
        return Ok(*known);
    }
    let found = match for_answers(client, topic)? {
        Ok(partitions) => Some(partitions),
        Err(reason) => {
            let shown: String = topic.chars().take(TOPIC_BYTES_MAX).collect();
            tracing::warn!("answers for topic `{shown}` are not sent: {reason}");
            None
        }
    };
    if topic.len() <= TOPIC_BYTES_MAX {
        if replies.len() >= KNOWN_MAX {
            replies.clear();
        }
        replies.insert(topic.to_owned(), found);
    }
    Ok(found)
}

/// How many partitions a topic for answers has, or why it is none. An answer among the events, decisions or commands of any
/// type of aggregate would be taken for one.
fn for_answers(client: &Client, topic: &str) -> Result<Result<i32, String>, log::Error> {
    let is_named = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX || !topic.bytes().all(is_named) {
        return Ok(Err("it is no name of a topic".to_owned()));
    }
    if topic.starts_with("__") {
        return Ok(Err("it is one of Kafka's own".to_owned()));
    }
    if topic.ends_with(record::DECISIONS) || topic.ends_with(record::COMMANDS) {
        return Ok(Err("it is of a type of aggregate".to_owned()));
    }
    // That there is none is an answer; what else may be over by itself is not.
    let look = |topic: &str| match client.partitions(topic) {
        found @ (Ok(_) | Err(log::Error::TopicMissing { .. })) => Ok(found),
        Err(error) if error.may_pass(true) => Err(error),
        refused => Ok(refused),
    };
    let decisions = record::decisions_topic(topic);
    if decisions.len() <= TOPIC_BYTES_MAX {
        match look(&decisions)? {
            Err(log::Error::TopicMissing { .. }) => {}
            Ok(_) => return Ok(Err("it has the events of a type of aggregate".to_owned())),
            // There may be one.
            Err(error) => return Ok(Err(error.to_string())),
        }
    }
    let found = look(topic)?.map_err(|error| error.to_string());
    Ok(found.and_then(|partitions| i32::try_from(partitions.len()).map_err(|error| error.to_string())))
}

/// The command that a record is, or why it is none.
fn command(
    record: &Record<'_>,
    cluster: &str,
    mut partitions: impl FnMut(&str) -> Result<Option<i32>, log::Error>,
) -> Result<Queued, log::Error> {
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
        Some(Err(_)) => {
            Some(Error::BadCommand { reason: "its `ce_expectedversion` is no number".to_owned() })
        }
        _ => check(&command).err(),
    };
    let reply = match header("ce_replytopic") {
        Some(topic) => partitions(&topic)?
            .map(|partitions| (topic, log::partition_of(command.id.as_bytes(), partitions))),
        None => None,
    };
    let (partition, offset) = (record.partition, record.offset);
    Ok(Queued::read(command, Origin { partition, offset, place, reply, refused }))
}
