//! Appending records.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::context::Context;
use super::delivery::{self, Deliveries, Producing};
use super::error::reason;
use super::{Error, Options};

/// How long to serve librdkafka at a time while its queue is full.
const POLL: Duration = Duration::from_millis(50);

/// Appends records, each once, in the order they are sent: librdkafka's idempotent producer.
pub struct Producer {
    producer: BaseProducer<Producing<Mutex<Progress>>>,
}

/// What was appended since the producer was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records that the broker acknowledged.
    pub delivered: u64,
    /// For every topic and partition, from the first record appended to behind the last. Others may have
    /// appended in between.
    pub ranges: BTreeMap<String, BTreeMap<i32, Range<i64>>>,
}

impl Producer {
    /// Makes a producer. It connects when something is sent.
    ///
    /// # Errors
    /// When a setting is wrong, or there are no `bootstrap.servers`.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let context = Producing::new(options.servers(), Mutex::new(Progress::default()));
        let producer = BaseProducer::from_config_and_context(&options.producer()?, context);
        Ok(Producer { producer: producer.map_err(|error| Error::creation(&error))? })
    }

    /// Hands a record over to be appended; without a partition, its key decides, or chance if it has none.
    /// Blocks while librdkafka's queue is full, at most as long as a record may take to be delivered.
    ///
    /// # Errors
    /// When the record is refused, or one that was sent before could not be delivered.
    pub fn send(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: &[(&str, &[u8])],
        partition: Option<i32>,
        timestamp_ms: Option<i64>,
    ) -> Result<(), Error> {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic);
        record.key = key;
        record.payload = payload;
        record.partition = partition;
        record.timestamp = timestamp_ms;
        record.headers = delivery::headers(headers.iter().copied());
        loop {
            self.check()?;
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(Code::QueueFull), refused)) => {
                    record = refused;
                    self.producer.poll(POLL);
                }
                Err((error, _)) => {
                    return Err(Error::Delivery {
                        topic: topic.to_owned(),
                        partition,
                        reason: reason(&error),
                    });
                }
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Waits until everything that was sent is acknowledged, and reports what was appended so far.
    ///
    /// # Errors
    /// The first record that could not be delivered since the producer was made, or that the time was not
    /// enough. [`Self::report`] tells what was delivered all the same.
    pub fn flush(&self, timeout: Duration) -> Result<Report, Error> {
        let deadline = Instant::now() + timeout;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            // Waits for one answer at a time, so that a failure is told without waiting for the others.
            let flushed = self.producer.flush(POLL.min(timeout));
            self.check()?;
            match flushed {
                Ok(()) => break,
                Err(error) if error.rdkafka_error_code() == Some(Code::OperationTimedOut) => {}
                Err(error) => {
                    let context = &self.producer.client().context().context;
                    return Err(context.explain_error(&error, "appending to the log", None));
                }
            }
        }
        self.check()?;
        match usize::try_from(self.producer.in_flight_count()) {
            Ok(pending @ 1..) => Err(Error::Unacknowledged { pending, timeout_ms: timeout.as_millis() }),
            _ => Ok(self.report()),
        }
    }

    /// What was appended so far, as far as it is known.
    pub fn report(&self) -> Report {
        self.progress().report.clone()
    }

    fn check(&self) -> Result<(), Error> {
        match &self.progress().failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.producer.client().context().deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("report", &self.report()).finish_non_exhaustive()
    }
}

/// What is known of the records so far.
#[derive(Default)]
struct Progress {
    report: Report,
    failure: Option<Error>,
}

impl Deliveries for Mutex<Progress> {
    type Mark = ();

    fn settle(&self, result: &DeliveryResult<'_>, (): (), context: &Context) {
        let mut progress = self.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => {
                let (partition, offset) = (message.partition(), message.offset());
                let report = &mut progress.report;
                report.delivered += 1;
                if !report.ranges.contains_key(message.topic()) {
                    report.ranges.insert(message.topic().to_owned(), BTreeMap::new());
                }
                if let Some(ranges) = report.ranges.get_mut(message.topic()) {
                    let range = ranges.entry(partition).or_insert(offset..offset);
                    *range = range.start.min(offset)..range.end.max(offset + 1);
                }
            }
            Err((error, message)) if progress.failure.is_none() => {
                progress.failure = Some(delivery::undelivered(error, message, context));
            }
            Err(_) => {}
        }
    }
}
