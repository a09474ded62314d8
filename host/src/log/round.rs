//! What is known of the records of a transaction: where they are, and what the first of them failed for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rdkafka::Message as _;
use rdkafka::producer::DeliveryResult;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::context::Context;
use super::delivery::Deliveries;

/// Takes note of every acknowledgement of the transaction.
#[derive(Default)]
pub(super) struct Rounds {
    round: Mutex<Round>,
    /// Told when something is known.
    settled: Condvar,
}

/// What is known of them.
#[derive(Default)]
pub(super) struct Round {
    /// By the order in which the records were sent; -1 until it is known.
    pub(super) offsets: Vec<i64>,
    /// Records whose fate is not known.
    pub(super) missing: usize,
    /// What the first record that failed did so for, and its topic.
    pub(super) failure: Option<(Code, String)>,
}

impl Round {
    /// Whether it is known that a record is refused. Nothing says more.
    pub(super) fn is_refused(&self) -> bool {
        self.failure.as_ref().is_some_and(|(code, _)| is_refusal(*code))
    }
}

/// Whether a record that is refused for this is refused whenever it is sent.
pub(super) fn is_refusal(code: Code) -> bool {
    use Code::{InvalidMessageSize, InvalidRecord, MessageSizeTooLarge};
    matches!(code, MessageSizeTooLarge | InvalidMessageSize | InvalidRecord)
}

impl Rounds {
    pub(super) fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as records are missing and `goes_on`, but not beyond `until`.
    pub(super) fn wait<'r>(
        &self,
        round: MutexGuard<'r, Round>,
        until: Instant,
        goes_on: impl Fn(&Round) -> bool,
    ) -> MutexGuard<'r, Round> {
        let left = until.saturating_duration_since(Instant::now());
        let waited =
            self.settled.wait_timeout_while(round, left, |round| round.missing > 0 && goes_on(round));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Deliveries for Rounds {
    type Mark = usize;

    fn settle(&self, result: &DeliveryResult<'_>, index: usize, _: &Context) {
        let mut round = self.round();
        // What an aborted transaction left belongs to no round.
        let Some(missing) = round.missing.checked_sub(1) else { return };
        round.missing = missing;
        match result {
            Ok(message) => {
                if let Some(offset) = round.offsets.get_mut(index) {
                    *offset = message.offset();
                }
            }
            Err((error, record)) => {
                let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                // The others of the transaction are only taken back with the one that is refused.
                if round.failure.as_ref().is_none_or(|(first, _)| is_refusal(code) && !is_refusal(*first)) {
                    round.failure = Some((code, record.topic().to_owned()));
                }
            }
        }
        if round.missing == 0 || round.failure.is_some() {
            self.settled.notify_one();
        }
    }
}
