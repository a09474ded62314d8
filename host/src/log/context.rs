//! What librdkafka says beside its answers: its log and its global errors.

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::Error;
use super::error::{Trouble, reason};

/// Keeps the last global error, because a call that times out does not say why.
pub(super) struct Context {
    servers: String,
    last: Mutex<Option<(Code, String)>>,
}

impl Context {
    pub(super) fn new(servers: &str) -> Self {
        Context { servers: servers.to_owned(), last: Mutex::new(None) }
    }

    /// Forgets what was said before a call, so that what is said during it is about it.
    pub(super) fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The error for a call that failed with this code, with the reason that was given beside it.
    /// `what` was asked for; `topic` is the one it was about, if any.
    pub(super) fn explain(&self, code: Code, what: &str, topic: Option<&str>) -> Error {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (code, reason) = match last {
            // A call that merely timed out did so for the reason that came by the other way.
            Some((last, reason)) if matches!(Trouble::of(code), Trouble::Away) => (last, reason),
            _ => (code, code.to_string()),
        };
        match Trouble::of(code) {
            Trouble::Away => Error::Unavailable { servers: self.servers.clone(), reason },
            Trouble::Authentication => Error::Authentication { reason },
            Trouble::Forbidden => Error::Forbidden { what: what.to_owned(), reason },
            Trouble::TopicMissing if topic.is_some() => {
                Error::TopicMissing { topic: topic.unwrap_or_default().to_owned() }
            }
            _ => Error::Other { what: what.to_owned(), reason },
        }
    }

    /// As [`Self::explain`], for errors as the wrapping has them.
    pub(super) fn explain_error(&self, error: &KafkaError, what: &str, topic: Option<&str>) -> Error {
        match error.rdkafka_error_code() {
            Some(code) => self.explain(code, what, topic),
            None => Error::Other { what: what.to_owned(), reason: reason(error) },
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "global error");
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers are down" comes after the error that says why.
        if code != Code::AllBrokersDown || last.is_none() {
            *last = Some((code, reason.to_owned()));
        }
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "advisory offsets were not committed");
        }
    }
}

/// Passes a line of librdkafka's log on. A failed connection is no line of its own: whoever waits for
/// it gets an error that says so. Nor is a producer's setting that a consumer ignores: both are given
/// the same table.
fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    use RDKafkaLogLevel::{Alert, Critical, Emerg, Error, Warning};
    match (level, facility) {
        (_, "FAIL" | "CONFWARN") => tracing::debug!(target: "librdkafka", "{facility}: {message}"),
        (Emerg | Alert | Critical | Error | Warning, _) => {
            tracing::warn!(target: "librdkafka", "{facility}: {message}");
        }
        _ => tracing::debug!(target: "librdkafka", "{facility}: {message}"),
    }
}
