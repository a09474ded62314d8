//! Appends events and notes when each was appended and acknowledged, and where.

use crate::log::{self, Log};
use crate::workload::{Keys, Made, Workload};
use anyhow::{Context as _, Result, ensure};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message as _};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// An event in the log.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Its place in the order of appending.
    number: usize,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// When it was given to the producer.
    pub appended: Instant,
    /// When the broker's acknowledgement was heard.
    pub acknowledged: Instant,
}

struct Acknowledgements(Sender<Option<Sent>>);

impl ClientContext for Acknowledgements {}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Box<(usize, Instant)>;

    fn delivery(&self, result: &DeliveryResult<'_>, appended: Self::DeliveryOpaque) {
        let (number, appended) = *appended;
        let sent = result.as_ref().ok().map(|message| Sent {
            number,
            partition: message.partition(),
            offset: message.offset(),
            appended,
            acknowledged: Instant::now(),
        });
        // Who no longer listens has failed already.
        let _ = self.0.send(sent);
    }
}

/// Appends a workload event by event.
pub struct Appender {
    producer: ThreadedProducer<Acknowledgements>,
    acknowledgements: Receiver<Option<Sent>>,
    topic: String,
    workload: Workload,
    made: Made,
    number: usize,
}

impl Appender {
    /// For a workload of so many events.
    ///
    /// # Errors
    /// When there is no producer.
    pub fn new(log: &Log, topic: &str, events: u64) -> Result<Self> {
        let (sender, acknowledgements) = channel();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", log.servers())
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            // An event waits for no other one, but for a moment at a high rate.
            .set("linger.ms", "1")
            .create_with_context(Acknowledgements(sender))?;
        let workload = Workload::new(Keys::Window, events);
        let topic = topic.to_owned();
        Ok(Appender { producer, acknowledgements, topic, workload, made: Made::default(), number: 0 })
    }

    /// Appends the next event.
    ///
    /// # Errors
    /// When the producer's queue is full or the workload is over.
    pub fn append(&mut self) -> Result<()> {
        ensure!(self.workload.next(&mut self.made), "the workload is over");
        let id = self.number.to_string();
        let headers = log::headers(&id, self.made.kind).into_iter();
        let headers = headers.fold(OwnedHeaders::new_with_capacity(5), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new((self.number, Instant::now())))
            .key(self.made.key.as_str())
            .payload(self.made.payload.as_str())
            .headers(headers);
        self.producer.send(record).map_err(|(error, _)| error)?;
        self.number += 1;
        Ok(())
    }

    /// All events in the order in which they were appended, once all are acknowledged.
    ///
    /// # Errors
    /// When one was not taken.
    pub fn finish(self) -> Result<Vec<Sent>> {
        self.producer.flush(Duration::from_secs(60))?;
        let mut sent = Vec::with_capacity(self.number);
        for _ in 0..self.number {
            let event = self.acknowledgements.recv_timeout(Duration::from_secs(60))?;
            sent.push(event.context("the broker did not take an event")?);
        }
        sent.sort_by_key(|event: &Sent| event.number);
        Ok(sent)
    }
}
