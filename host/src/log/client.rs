//! Looking at topics, creating them, and making consumers.

use std::fmt;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{IsError as _, KafkaResult};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::context::Context;
use super::{Admin, Assignment, Consumer, Error, Options, Partitions};

/// How long a question to a broker may take.
pub(super) const METADATA_TIMEOUT: Duration = Duration::from_secs(5);

/// How long brokers may take to find out which of them keeps a group.
const COORDINATOR_MAX: Duration = Duration::from_secs(15);
/// How often they are asked meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The topics of Kafka's own that it does not mark.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// A client that looks at the log. Calls block for at most about five seconds.
pub struct Client {
    client: BaseConsumer<Context>,
    options: Options,
}

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TopicInfo {
    /// The topic's name.
    pub name: String,
    /// Whether it is one of Kafka's own.
    pub internal: bool,
    /// In order of their numbers.
    pub partitions: Vec<PartitionInfo>,
}

/// A partition and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PartitionInfo {
    /// The partition's number.
    pub id: i32,
    /// The offset of its first record.
    pub low: i64,
    /// The offset behind its last committed record.
    pub high: i64,
}

impl Client {
    /// Makes a client. It connects when it is first asked something.
    ///
    /// # Errors
    /// When a setting is wrong, or there are no `bootstrap.servers`.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let client = create(options, &options.consumer(None)?)?;
        Ok(Client { client, options: options.clone() })
    }

    /// The numbers of a topic's partitions, in order.
    ///
    /// # Errors
    /// [`Error::TopicMissing`], or that no broker answers.
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>, Error> {
        let mut found = self.metadata(Some(topic))?;
        match found.pop() {
            Some((_, partitions)) => Ok(partitions),
            None => Err(Error::TopicMissing { topic: topic.to_owned() }),
        }
    }

    /// What a partition holds: from its first record to behind its last committed one.
    ///
    /// # Errors
    /// [`Error::TopicMissing`], [`Error::PartitionMissing`], or that no broker answers.
    pub fn watermarks(&self, topic: &str, partition: i32) -> Result<Range<i64>, Error> {
        self.client.context().forget();
        let answer = self.client.fetch_watermarks(topic, partition, METADATA_TIMEOUT);
        answer.map(|(low, high)| low..high).map_err(|error| match error.rdkafka_error_code() {
            Some(Code::UnknownPartition) => Error::PartitionMissing { topic: topic.to_owned(), partition },
            _ => self.explain(&error, &format!("asking what topic `{topic}` holds"), Some(topic)),
        })
    }

    /// Where every partition of these topics ends now: behind its last committed record.
    ///
    /// # Errors
    /// [`Error::TopicMissing`], or that no broker answers.
    pub fn end_offsets(&self, topics: &[&str]) -> Result<Vec<Assignment>, Error> {
        let mut ends = Vec::new();
        for topic in topics {
            let partitions = self.partitions(topic)?;
            let offsets = self.offsets(topic, &partitions, Offset::End)?;
            ends.extend(offsets.into_iter().map(|(partition, next_offset)| Assignment {
                topic: (*topic).to_owned(),
                partition,
                next_offset,
            }));
        }
        Ok(ends)
    }

    /// All topics, in order of their names, and what they hold.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn topics(&self) -> Result<Vec<TopicInfo>, Error> {
        let mut topics = Vec::new();
        for (name, partitions) in self.metadata(None)? {
            let partitions = self.held(&name, &partitions)?;
            topics.push(TopicInfo { internal: INTERNAL.contains(&name.as_str()), name, partitions });
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// What each partition of a topic holds.
    ///
    /// # Errors
    /// [`Error::TopicMissing`], or that no broker answers.
    pub fn describe(&self, topic: &str) -> Result<Vec<PartitionInfo>, Error> {
        self.held(topic, &self.partitions(topic)?)
    }

    /// Creates a topic with as many partitions, replicated as the broker has it by default. Answers whether
    /// it was missing: a topic that exists stays as it is.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<bool, Error> {
        self.create_topic_with(name, partitions, &[])
    }

    /// As [`Self::create_topic`], with settings of the topic such as `retention.ms`.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub fn create_topic_with(
        &self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Result<bool, Error> {
        Admin::new(&self.options)?.create_topic(name, partitions, settings)
    }

    /// A consumer of these partitions from these offsets. `name` tells it from other consumers in the
    /// broker's view.
    ///
    /// # Errors
    /// When a setting is wrong. A broker that is away is told when it fetches. A topic that is missing is
    /// waited for, because it may be on its way to all brokers: [`Self::partitions`] tells.
    pub fn consumer(&self, name: &str, start: &[Assignment]) -> Result<Consumer, Error> {
        Consumer::new(&self.options, name, start)
    }

    /// A reader of these partitions that takes from them in the order that its caller chooses; more can be added.
    ///
    /// # Errors
    /// As for [`Self::consumer`].
    pub fn partitions_reader(&self, name: &str, start: &[Assignment]) -> Result<Partitions, Error> {
        Partitions::new(&self.options, name, start)
    }

    /// The first offset of each partition whose record is of this time or later, in milliseconds since 1970; where
    /// there is none, the end.
    ///
    /// # Errors
    /// [`Error::TopicMissing`], or that no broker answers.
    pub fn offsets_at(
        &self,
        topic: &str,
        partitions: &[i32],
        timestamp_ms: i64,
    ) -> Result<Vec<(i32, i64)>, Error> {
        let found = self.raw_offsets(topic, partitions, Offset::Offset(timestamp_ms))?;
        let ends = self.offsets(topic, partitions, Offset::End)?;
        let both = found.into_iter().zip(ends);
        Ok(both.map(|((id, at), (_, end))| (id, if at < 0 { end } else { at })).collect())
    }

    /// The offsets that consumers of this name have committed, where they have.
    ///
    /// # Errors
    /// When no broker answers, or a transaction that would move them is open.
    pub fn committed(&self, name: &str, topic: &str, partitions: &[i32]) -> Result<Vec<Assignment>, Error> {
        let what = format!("asking how far topic `{topic}` was read");
        let client = create(&self.options, &self.options.consumer(Some(name))?)?;
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(topic, *partition);
        }
        let answer = patiently(|| client.committed_offsets(list.clone(), METADATA_TIMEOUT));
        let answer = answer.map_err(|error| client.context().explain_error(&error, &what, Some(topic)))?;
        let offset = |offset| if let Offset::Offset(next) = offset { Some(next) } else { None };
        let known = answer.elements().into_iter().filter_map(|element| {
            let next_offset = offset(element.offset())?;
            Some(Assignment { topic: topic.to_owned(), partition: element.partition(), next_offset })
        });
        Ok(known.collect())
    }

    /// What the brokers call the cluster that they are of; `None` where they call it nothing.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn cluster_id(&self) -> Result<Option<String>, Error> {
        // Fetched with the metadata, so that a broker that is away is told as one.
        self.metadata(None)?;
        Ok(self.client.client().fetch_cluster_id(METADATA_TIMEOUT))
    }

    /// The topics and the numbers of their partitions.
    fn metadata(&self, topic: Option<&str>) -> Result<Vec<(String, Vec<i32>)>, Error> {
        let what =
            topic.map_or_else(|| "listing topics".to_owned(), |topic| format!("looking for topic `{topic}`"));
        self.client.context().forget();
        let answer = self.client.fetch_metadata(topic, METADATA_TIMEOUT);
        let answer = answer.map_err(|error| self.explain(&error, &what, topic))?;
        let mut topics = Vec::new();
        for found in answer.topics() {
            if let Some(error) = found.error().filter(|error| error.is_error()) {
                return Err(self.client.context().explain(error.into(), &what, Some(found.name())));
            }
            let mut partitions: Vec<i32> =
                found.partitions().iter().map(|partition| partition.id()).collect();
            partitions.sort_unstable();
            topics.push((found.name().to_owned(), partitions));
        }
        Ok(topics)
    }

    /// As [`Self::describe`], of some partitions, in their order.
    ///
    /// # Errors
    /// [`Error::TopicMissing`], or that no broker answers.
    pub fn held(&self, topic: &str, partitions: &[i32]) -> Result<Vec<PartitionInfo>, Error> {
        let lows = self.offsets(topic, partitions, Offset::Beginning)?;
        let highs = self.offsets(topic, partitions, Offset::End)?;
        let both = lows.into_iter().zip(highs);
        Ok(both.map(|((id, low), (_, high))| PartitionInfo { id, low, high }).collect())
    }

    /// The offsets at one end of each partition, in the order of `partitions`; one round trip to each broker.
    fn offsets(&self, topic: &str, partitions: &[i32], end: Offset) -> Result<Vec<(i32, i64)>, Error> {
        let offsets = self.raw_offsets(topic, partitions, end)?;
        Ok(offsets.into_iter().map(|(id, offset)| (id, offset.max(0))).collect())
    }

    /// As librdkafka answers them; -1 is the end.
    fn raw_offsets(&self, topic: &str, partitions: &[i32], at: Offset) -> Result<Vec<(i32, i64)>, Error> {
        let what = format!("asking what topic `{topic}` holds");
        self.client.context().forget();
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        let mut offsets = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let added = list.add_partition_offset(topic, *partition, at);
            added.map_err(|error| self.explain(&error, &what, Some(topic)))?;
        }
        let answer = self.client.offsets_for_times(list, METADATA_TIMEOUT);
        for element in answer.map_err(|error| self.explain(&error, &what, Some(topic)))?.elements() {
            element.error().map_err(|error| self.explain(&error, &what, Some(topic)))?;
            offsets.push((element.partition(), element.offset().to_raw().unwrap_or(-1)));
        }
        Ok(offsets)
    }

    /// The error for a call that failed, with the reason that librdkafka gave beside it.
    fn explain(&self, error: &rdkafka::error::KafkaError, what: &str, topic: Option<&str>) -> Error {
        while self.client.poll(Duration::ZERO).is_some() {}
        self.client.context().explain_error(error, what, topic)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.options).finish_non_exhaustive()
    }
}

pub(super) fn create(options: &Options, config: &ClientConfig) -> Result<BaseConsumer<Context>, Error> {
    let context = Context::new(options.servers().unwrap_or_default());
    BaseConsumer::from_config_and_context(config, context).map_err(|error| Error::creation(&error))
}

/// Asks again while the brokers are still finding out which of them keeps a group, as they do after their start.
pub(super) fn patiently<T>(mut ask: impl FnMut() -> KafkaResult<T>) -> KafkaResult<T> {
    let since = Instant::now();
    loop {
        match ask() {
            Err(error)
                if since.elapsed() < COORDINATOR_MAX
                    && matches!(
                        error.rdkafka_error_code(),
                        Some(
                            Code::CoordinatorLoadInProgress
                                | Code::CoordinatorNotAvailable
                                | Code::NotCoordinator
                        )
                    ) =>
            {
                thread::sleep(ASK_EVERY);
            }
            answer => return answer,
        }
    }
}
