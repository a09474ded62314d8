//! Appending for many callers at once, who each wait for their own records.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DeliveryResult, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::context::Context;
use super::delivery::{self, Deliveries, Producing};
use super::error::reason;
use super::{Error, Options};

/// How long to wait for room when librdkafka's queue is full, and how often.
const ROOM_EVERY: Duration = Duration::from_millis(5);
const ROOM_MAX: Duration = Duration::from_secs(10);

/// A record to append. Its key decides the partition, or chance where it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// Records of one key are in one partition, in order.
    pub key: Option<Vec<u8>>,
    /// What it holds.
    pub payload: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its time in milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// Where a record was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// Not all of some records were appended.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct NotAppended {
    /// How many are known to be in the log.
    pub appended: usize,
    /// Why the first of the others is not, as far as is known.
    pub source: Error,
}

/// Appends records, each once, in the order of each caller: an idempotent producer that stays open.
pub struct Appender {
    options: Options,
    producer: Mutex<Option<Arc<ThreadedProducer<Producing<Waiters>>>>>,
}

impl Appender {
    /// Connects when something is appended. Nobody's records wait for those of others, unless the user's `linger.ms` says so.
    pub fn new(options: &Options) -> Self {
        let mut options = options.clone();
        if options.get("linger.ms").is_none() && options.get("queue.buffering.max.ms").is_none() {
            options.set("linger.ms", "0");
        }
        Appender { options, producer: Mutex::new(None) }
    }

    /// Appends records in this order; answers where each is, once the broker has acknowledged all.
    ///
    /// # Errors
    /// When one is refused, or is not acknowledged within the client's `message.timeout.ms`.
    pub async fn append(&self, topic: &str, records: &[NewRecord]) -> Result<Vec<Place>, NotAppended> {
        let nothing = |source| NotAppended { appended: 0, source };
        let producer = self.producer().map_err(nothing)?;
        let (told, mut outcomes) = unbounded_channel();
        let mut failed = None;
        let mut sent = 0;
        for (index, record) in records.iter().enumerate() {
            match send(&producer, topic, record, Waiter { index, told: told.clone() }).await {
                Ok(()) => sent += 1,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        drop(told);
        let mut places = vec![None; records.len()];
        for _ in 0..sent {
            match outcomes.recv().await {
                Some((index, Ok(place))) => places[index] = Some(place),
                Some((_, Err(error))) => drop(failed.get_or_insert(error)),
                // The producer was given up.
                None => break,
            }
        }
        if self.is_broken(&producer) {
            self.give_up(&producer);
        }
        let appended: Vec<Place> = places.iter().flatten().copied().collect();
        match failed {
            None if appended.len() == records.len() => Ok(appended),
            failed => Err(NotAppended {
                appended: appended.len(),
                source: failed.unwrap_or_else(|| Error::Other {
                    what: format!("appending to topic `{topic}`"),
                    reason: "the producer ended".into(),
                }),
            }),
        }
    }

    fn producer(&self) -> Result<Arc<ThreadedProducer<Producing<Waiters>>>, Error> {
        let mut there = self.lock();
        if let Some(producer) = &*there {
            return Ok(Arc::clone(producer));
        }
        let context = Producing::new(self.options.servers(), Waiters);
        let made = ThreadedProducer::from_config_and_context(&self.options.producer()?, context);
        let made = Arc::new(made.map_err(|error| Error::creation(&error))?);
        *there = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Whether it takes nothing any more: an idempotent producer that lost count.
    fn is_broken(&self, producer: &ThreadedProducer<Producing<Waiters>>) -> bool {
        use rdkafka::producer::Producer as _;
        producer.client().fatal_error().is_some()
    }

    fn give_up(&self, producer: &Arc<ThreadedProducer<Producing<Waiters>>>) {
        let mut there = self.lock();
        if there.as_ref().is_some_and(|it| Arc::ptr_eq(it, producer)) {
            *there = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<ThreadedProducer<Producing<Waiters>>>>> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Appender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appender").field("options", &self.options).finish_non_exhaustive()
    }
}

async fn send(
    producer: &ThreadedProducer<Producing<Waiters>>,
    topic: &str,
    new: &NewRecord,
    waiter: Waiter,
) -> Result<(), Error> {
    let mut record = BaseRecord::<[u8], [u8], Box<Waiter>>::with_opaque_to(topic, Box::new(waiter));
    record.key = new.key.as_deref();
    record.payload = new.payload.as_deref();
    record.timestamp = Some(new.timestamp_ms);
    record.headers =
        delivery::headers(new.headers.iter().map(|(key, value)| (key.as_str(), value.as_slice())));
    let since = Instant::now();
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(Code::QueueFull), refused)) if since.elapsed() < ROOM_MAX => {
                record = refused;
                tokio::time::sleep(ROOM_EVERY).await;
            }
            Err((error, _)) => {
                return Err(Error::Delivery {
                    topic: topic.to_owned(),
                    partition: None,
                    reason: reason(&error),
                });
            }
        }
    }
}

/// Who waits for a record.
struct Waiter {
    index: usize,
    told: UnboundedSender<(usize, Result<Place, Error>)>,
}

/// Tells each of its record.
struct Waiters;

impl Deliveries for Waiters {
    type Mark = Box<Waiter>;

    fn settle(&self, result: &DeliveryResult<'_>, waiter: Box<Waiter>, context: &Context) {
        let outcome = match result {
            Ok(message) => Ok(Place { partition: message.partition(), offset: message.offset() }),
            Err((error, message)) => Err(delivery::undelivered(error, message, context)),
        };
        // Who waited may have gone.
        let _ = waiter.told.send((waiter.index, outcome));
    }
}
