//! What readers of the log have in common: a client, and whether a broker answers it.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::batch::{Message, Queue};
use super::client::{METADATA_TIMEOUT, create};
use super::context::Context;
use super::error::Trouble;
use super::{Assignment, Error, Options};

/// While no broker answers, the least time to wait for one in a fetch.
const PROBE_TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// A client that reads.
pub(super) struct Link {
    client: Arc<BaseConsumer<Context>>,
    /// Whether no broker answers, told by librdkafka.
    is_away: bool,
}

impl Link {
    pub(super) fn new(options: &Options, config: &ClientConfig) -> Result<Self, Error> {
        Ok(Link { client: Arc::new(create(options, config)?), is_away: false })
    }

    pub(super) fn client(&self) -> &BaseConsumer<Context> {
        &self.client
    }

    pub(super) fn is_away(&self) -> bool {
        self.is_away
    }

    /// A queue for records, to which partitions are attached before they are assigned. `chunk` of them are taken out
    /// of librdkafka at a time, beside what it holds.
    pub(super) fn queue(&self, chunk: usize) -> Result<Queue, Error> {
        Queue::new(Arc::clone(&self.client), chunk).ok_or_else(|| Error::Other {
            what: "creating a queue for records".into(),
            reason: "librdkafka has no memory for it".into(),
        })
    }

    /// Assigns partitions whose queues are attached, beside those that are assigned already.
    pub(super) fn assign(&self, assignments: &[Assignment], is_first: bool) -> Result<(), Error> {
        let refused = |error: KafkaError| Error::Other { what: ASSIGNING.into(), reason: error.to_string() };
        let list = offsets(assignments).map_err(refused)?;
        let assigned =
            if is_first { self.client.assign(&list) } else { self.client.incremental_assign(&list) };
        assigned.map_err(refused)
    }

    /// Takes what librdkafka says beside records: its log, its errors, the fate of commits.
    pub(super) fn serve(&mut self) {
        while let Some(said) = self.client.poll(Duration::ZERO) {
            let code = said.err().and_then(|error| error.rdkafka_error_code());
            // Other errors are about one broker of several, or about to be tried again.
            if let Some(Code::AllBrokersDown | Code::Authentication) = code {
                self.is_away = true;
            }
        }
    }

    /// Where no broker answered: asks whether one does again.
    pub(super) fn probe(&mut self, topic: Option<&str>, wait: Duration) -> Result<(), Error> {
        if !self.is_away {
            return Ok(());
        }
        match self.client.fetch_metadata(topic, wait.max(PROBE_TIMEOUT_MIN)) {
            Ok(_) => {
                self.is_away = false;
                self.client.context().forget();
                Ok(())
            }
            Err(error) => Err(self.client.context().explain_error(&error, "reading the log", topic)),
        }
    }

    /// What a message says that is no record, with the coordinates it carries.
    pub(super) fn trouble(&self, code: Code, message: &Message<'_>) -> Error {
        let (topic, partition, offset) = (message.topic().to_owned(), message.partition(), message.offset());
        match Trouble::of(code) {
            Trouble::OutOfRange => Error::OffsetOutOfRange { topic, partition, offset, range: None },
            Trouble::TopicMissing if !topic.is_empty() => Error::TopicMissing { topic },
            Trouble::PartitionMissing if !topic.is_empty() => Error::PartitionMissing { topic, partition },
            Trouble::Forbidden => {
                Error::Forbidden { what: format!("reading topic `{topic}`"), reason: message.error_text() }
            }
            Trouble::Else if !topic.is_empty() => {
                Error::Read { topic, partition, offset, reason: message.error_text() }
            }
            _ => self.client.context().explain(code, "reading the log", None),
        }
    }

    /// Tells an error after which a partition is left alone. What the partition holds instead of the offset that was asked for is
    /// found out first: as long as no broker says so, that is what is told.
    pub(super) fn tell(&self, halted: &mut Error) -> Error {
        if let Error::OffsetOutOfRange { topic, partition, range: range @ None, .. } = halted {
            self.client.context().forget();
            match self.client.fetch_watermarks(topic, *partition, METADATA_TIMEOUT) {
                Ok((low, high)) => *range = Some(low..high),
                Err(error) => {
                    let what = format!("asking what topic `{topic}` holds");
                    let error = self.client.context().explain_error(&error, &what, Some(topic));
                    if error.may_pass(true) {
                        return error;
                    }
                }
            }
        }
        halted.clone()
    }
}

const ASSIGNING: &str = "assigning partitions";

/// Has a partition deliver to a queue.
pub(super) fn attach(queue: &Queue, to: &Assignment) -> Result<(), Error> {
    queue.attach(&to.topic, to.partition).ok_or_else(|| Error::Other {
        what: ASSIGNING.into(),
        reason: format!("{:?} is no name of a topic", to.topic),
    })
}

pub(super) fn offsets(assignments: &[Assignment]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(assignments.len());
    for each in assignments {
        list.add_partition_offset(&each.topic, each.partition, Offset::Offset(each.next_offset))?;
    }
    Ok(list)
}
