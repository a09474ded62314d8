//! What the producers have in common: a record's headers, and the way in which the fate of a record comes back.

use rdkafka::ClientContext;
use rdkafka::Message as _;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::util::IntoOpaque;

use super::Error;
use super::context::Context;

/// Takes note of what became of the records of one producer.
pub(super) trait Deliveries: Send + Sync {
    /// What a record is known by.
    type Mark: IntoOpaque;

    /// A record is in the log, or will not be.
    fn settle(&self, result: &DeliveryResult<'_>, mark: Self::Mark, context: &Context);
}

/// The context of a producer.
pub(super) struct Producing<D> {
    pub(super) context: Context,
    pub(super) deliveries: D,
}

impl<D> Producing<D> {
    pub(super) fn new(servers: Option<&str>, deliveries: D) -> Self {
        Producing { context: Context::new(servers.unwrap_or_default()), deliveries }
    }
}

impl<D: Deliveries> ClientContext for Producing<D> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl<D: Deliveries> ProducerContext for Producing<D> {
    type DeliveryOpaque = D::Mark;

    fn delivery(&self, result: &DeliveryResult<'_>, mark: D::Mark) {
        self.deliveries.settle(result, mark, &self.context);
    }
}

/// Why a record is not in the log.
pub(super) fn undelivered(error: &KafkaError, record: &BorrowedMessage<'_>, context: &Context) -> Error {
    let topic = record.topic();
    let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
    match context.explain(code, &format!("appending to topic `{topic}`"), Some(topic)) {
        Error::Other { reason, .. } => {
            let partition = Some(record.partition()).filter(|partition| *partition >= 0);
            Error::Delivery { topic: topic.to_owned(), partition, reason }
        }
        told => told,
    }
}

/// Headers as a record carries them; none at all where there are none.
pub(super) fn headers<'a>(
    headers: impl ExactSizeIterator<Item = (&'a str, &'a [u8])>,
) -> Option<OwnedHeaders> {
    if headers.len() == 0 {
        return None;
    }
    let all = OwnedHeaders::new_with_capacity(headers.len());
    Some(headers.fold(all, |all, (key, value)| all.insert(Header { key, value: Some(value) })))
}

/// Headers as another record carries them.
pub(super) fn copied<'a>(headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> Option<OwnedHeaders> {
    headers.fold(None, |all, (key, value)| {
        Some(all.unwrap_or_else(OwnedHeaders::new).insert(Header { key, value }))
    })
}
