//! Appending in transactions: all records of one, or none of them.

use std::fmt;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::context::Context;
use super::delivery::{self, Producing};
use super::error::reason;
use super::link::offsets;
use super::round::{Round, Rounds, is_refusal};
use super::{Assignment, Consumer, Error, Options};
use crate::event::Record;

/// How long librdkafka may take to let go of a record that it has told the fate of, before it is asked less often.
const LETTING_GO: Duration = Duration::from_millis(1);
/// How long an abort waits for librdkafka's queue to be empty before it has it emptied again. A batch that the broker answers
/// to be out of order after the queue was emptied goes back into it, and nothing sends it from there.
const EMPTYING: Duration = Duration::from_millis(200);
/// How long a transaction that has failed waits to learn by which of its records: those that are taken out of the queue because of it may be
/// told before it.
const SETTLING: Duration = Duration::from_secs(1);

/// Why a transaction did not end well, by what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Another process appends under the same name; this one never will again.
    #[error(
        "another process has taken over as `{id}`, or this one stood still for longer than a transaction may be open: it appends nothing more. \
         Use the other one, or stop that and start this one again"
    )]
    Fenced {
        /// The transactional id.
        id: String,
    },
    /// Nothing of it is or will be in the log.
    #[error("nothing was appended: {reason}")]
    NotAppended {
        /// What the client said.
        reason: String,
    },
    /// A record is refused, and would be again: nothing of the transaction is or will be in the log.
    #[error("nothing was appended: a record for topic `{topic}` is refused: {reason}")]
    Refused {
        /// The record's topic.
        topic: String,
        /// What the client or the broker said.
        reason: String,
    },
    /// It may be in the log, whole, or not at all. [`TransactionalProducer::commit`] may be asked again.
    #[error("it is not known whether it was appended: {reason}")]
    Uncertain {
        /// What the client said.
        reason: String,
    },
    /// The producer is spent: make another. What the last transaction came to stands in the log.
    #[error("the producer cannot go on: {reason}")]
    Spent {
        /// What the client said.
        reason: String,
    },
}

/// A record to append.
#[derive(Clone, Copy, Debug)]
pub struct TransactionRecord<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition's number.
    pub partition: i32,
    /// The key.
    pub key: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// The headers in order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// Appends in transactions, under a name that only one process has: who takes it over fences the one before.
///
/// Everything blocks, with a bound.
pub struct TransactionalProducer {
    // Its thread tells of deliveries as they come: a call of `poll` returns only when its time is over.
    producer: ThreadedProducer<Producing<Rounds>>,
    id: String,
    /// Whether a transaction was begun that has not ended.
    is_open: AtomicBool,
}

impl TransactionalProducer {
    /// Makes a producer of this name; [`Self::init`] must follow.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn new(options: &Options, id: &str) -> Result<Self, Error> {
        let context = Producing::new(options.servers(), Rounds::default());
        let producer = ThreadedProducer::from_config_and_context(&options.transactional(id)?, context);
        let producer = producer.map_err(|error| Error::creation(&error))?;
        Ok(TransactionalProducer { producer, id: id.to_owned(), is_open: AtomicBool::new(false) })
    }

    /// Takes the name over: who had it before appends nothing more, and what it left open is aborted, what it had
    /// decided to commit is committed. When this returns, both can be read. May be called again when no broker answered.
    ///
    /// # Errors
    /// When no broker answers within `timeout`, or it refuses.
    pub fn init(&self, timeout: Duration) -> Result<(), Error> {
        self.context().forget();
        self.producer.init_transactions(timeout).map_err(|error| {
            self.context().explain_error(&error, &format!("taking over as `{}`", self.id), None)
        })
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`TransactionError::Fenced`], or that the producer is spent.
    pub fn begin(&self) -> Result<(), TransactionError> {
        *self.round() = Round::default();
        self.is_open.store(true, Ordering::Relaxed);
        self.producer.begin_transaction().map_err(|error| self.explain(&error))
    }

    /// Hands a record of the transaction over. Its offset will be in what [`Self::commit`] answers, at the place that is
    /// returned here, counted from 0.
    ///
    /// # Errors
    /// When librdkafka does not take it: abort then.
    pub fn send(&self, new: TransactionRecord<'_>) -> Result<usize, TransactionError> {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(new.topic, self.place())
            .key(new.key)
            .payload(new.payload)
            .partition(new.partition)
            .timestamp(new.timestamp_ms);
        record.headers = delivery::headers(new.headers.iter().copied());
        self.hand_over(record)
    }

    /// As [`Self::send`], with a record of another log, which goes to the same topic and partition as it is.
    ///
    /// # Errors
    /// When librdkafka does not take it: abort then.
    pub fn copy(&self, of: &Record<'_>) -> Result<usize, TransactionError> {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(of.topic, self.place())
            .partition(of.partition)
            .timestamp(of.timestamp_ms);
        record.key = of.key;
        record.payload = of.payload;
        record.headers = delivery::copied(of.headers.iter());
        self.hand_over(record)
    }

    /// The place of a record that is about to be handed over.
    fn place(&self) -> usize {
        let mut round = self.round();
        round.offsets.push(-1);
        round.missing += 1;
        round.offsets.len() - 1
    }

    fn hand_over(&self, record: BaseRecord<'_, [u8], [u8], usize>) -> Result<usize, TransactionError> {
        let index = record.delivery_opaque;
        match self.producer.send(record) {
            Ok(()) => Ok(index),
            Err((error, record)) => {
                self.round().missing -= 1;
                let (topic, reason) = (record.topic.to_owned(), reason(&error));
                let code = error.rdkafka_error_code();
                if code.is_some_and(is_refusal) {
                    return Err(TransactionError::Refused { topic, reason });
                }
                if code == Some(Code::State) {
                    // A record before this one has failed, while others were still handed over.
                    self.delivered(Instant::now() + SETTLING)?;
                }
                let reason = format!("a record for topic `{topic}` is not taken: {reason}");
                Err(TransactionError::NotAppended { reason })
            }
        }
    }

    /// Waits at most `timeout` until everything that was handed over is on the broker's disk, not yet committed. Answers the
    /// offsets, as [`Self::commit`] will.
    ///
    /// # Errors
    /// See [`TransactionError`]; never that it is not known.
    pub fn offsets(&self, timeout: Duration) -> Result<Vec<i64>, TransactionError> {
        self.delivered(Instant::now() + timeout)?;
        Ok(self.round().offsets.clone())
    }

    /// Has the offsets that a consumer goes on from committed with the transaction, if that is.
    ///
    /// # Errors
    /// See [`TransactionError`]; never that it is not known.
    pub fn send_offsets(
        &self,
        consumer: &Consumer,
        next: &[Assignment],
        timeout: Duration,
    ) -> Result<(), TransactionError> {
        let not_appended = |reason| TransactionError::NotAppended { reason };
        let group = consumer.group().ok_or_else(|| not_appended("the consumer is of no group".to_owned()))?;
        let list = offsets(next).map_err(|error| not_appended(reason(&error)))?;
        self.producer.send_offsets_to_transaction(&list, &group, timeout).map_err(|error| {
            match self.explain(&error) {
                // Nothing is committed before the commit.
                TransactionError::Uncertain { reason } => not_appended(reason),
                told => told,
            }
        })
    }

    /// Commits within `timeout`, and answers the offsets of the records in the order in which they were sent. After
    /// [`TransactionError::Uncertain`] it can be asked again, any number of times.
    ///
    /// # Errors
    /// See [`TransactionError`].
    pub fn commit(&self, timeout: Duration) -> Result<Vec<i64>, TransactionError> {
        let deadline = Instant::now() + timeout;
        self.context().forget();
        self.delivered(deadline)?;
        self.end(deadline, |left| self.producer.commit_transaction(left))?;
        Ok(std::mem::take(&mut self.round().offsets))
    }

    /// Takes the transaction back within `timeout`, if one was begun; another may begin then.
    ///
    /// # Errors
    /// See [`TransactionError`].
    pub fn abort(&self, timeout: Duration) -> Result<(), TransactionError> {
        // librdkafka takes it for a mistake where there is none.
        if !self.is_open.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.end(Instant::now() + timeout, |left| self.producer.abort_transaction(left.min(EMPTYING)))
    }

    /// Ends the transaction in a way that may be asked for again, until it has or the time is over.
    fn end(
        &self,
        deadline: Instant,
        ask: impl Fn(Duration) -> Result<(), KafkaError>,
    ) -> Result<(), TransactionError> {
        loop {
            match ask(deadline.saturating_duration_since(Instant::now())) {
                Ok(()) => {
                    self.is_open.store(false, Ordering::Relaxed);
                    return Ok(());
                }
                Err(error) => match self.explain(&error) {
                    TransactionError::Uncertain { .. } if Instant::now() < deadline => {}
                    told => return Err(told),
                },
            }
        }
    }

    /// Waits until every record is on the disk of the broker.
    fn delivered(&self, deadline: Instant) -> Result<(), TransactionError> {
        let rounds = &self.producer.client().context().deliveries;
        let round = rounds.wait(self.round(), deadline, |round| round.failure.is_none());
        if round.missing > 0 && round.failure.is_none() {
            let reason = self.context().explain(Code::OperationTimedOut, "appending", None).to_string();
            return Err(TransactionError::NotAppended { reason });
        }
        let settled = deadline.min(Instant::now() + SETTLING);
        let round = rounds.wait(round, settled, |round| round.failure.is_some() && !round.is_refused());
        if let Some((code, topic)) = round.failure.clone() {
            drop(round);
            return Err(match self.producer.client().fatal_error() {
                Some((Code::Fenced, _)) => TransactionError::Fenced { id: self.id.clone() },
                Some((_, reason)) => TransactionError::Spent { reason },
                None if is_refusal(code) => TransactionError::Refused { topic, reason: code.to_string() },
                None => TransactionError::NotAppended {
                    reason: self.context().explain(code, "appending", None).to_string(),
                },
            });
        }
        drop(round);
        // The commit begins with a flush, which sleeps when it finds the last record still counted.
        let since = Instant::now();
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            match since.elapsed() < LETTING_GO {
                true => thread::yield_now(),
                false => thread::sleep(LETTING_GO / 10),
            }
        }
        Ok(())
    }

    fn explain(&self, error: &KafkaError) -> TransactionError {
        let KafkaError::Transaction(told) = error else {
            // Only the flush before a commit: nothing has been decided then.
            return TransactionError::NotAppended { reason: reason(error) };
        };
        let reason = told.string();
        match told.code() {
            Code::Fenced => TransactionError::Fenced { id: self.id.clone() },
            _ if told.is_fatal() => TransactionError::Spent { reason },
            _ if told.txn_requires_abort() => TransactionError::NotAppended { reason },
            _ if told.is_retriable() => TransactionError::Uncertain { reason },
            _ => TransactionError::Spent { reason },
        }
    }

    fn round(&self) -> MutexGuard<'_, Round> {
        self.producer.client().context().deliveries.round()
    }

    fn context(&self) -> &Context {
        &self.producer.client().context().context
    }
}

impl fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalProducer").field("id", &self.id).finish_non_exhaustive()
    }
}
