//! A stream of events that goes on while everything is killed, and what its producers were told.
//!
//! One producer is idempotent, one is transactional and aborts some of its transactions. Each
//! value is unique, so that a record which a broker lost, doubled or showed although it was
//! aborted is seen.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ProducerContext, ThreadedProducer};

use crate::client::config;
use crate::fold::Records;
use crate::wait::WAIT_MS_MAX;

/// Keys of each partition: few, so that each has a long history.
const KEYS: u32 = 20;
/// Time between two groups of events: some hundred events a second for as long as the test runs.
const PACE_MS: u64 = 10;
/// The most events of a group that comes at once, so that batches are of all sizes.
const BURST_MAX: u32 = 400;

/// What became of a transaction, as its producer was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Committed,
    Aborted,
    /// The broker was killed while it was asked to commit: either, but whole.
    Undecided,
}

/// A record that a broker has said to hold.
#[derive(Debug)]
struct Acknowledged {
    partition: i32,
    offset: i64,
    value: Vec<u8>,
}

/// Records that belong together.
#[derive(Debug)]
struct Transaction {
    outcome: Outcome,
    values: Vec<Vec<u8>>,
}

/// Running producers.
#[derive(Debug)]
pub struct Stream {
    stop: Arc<AtomicBool>,
    plain: JoinHandle<Result<Vec<Acknowledged>>>,
    transactional: JoinHandle<Result<Vec<Transaction>>>,
}

/// What the producers were told when they ended.
#[derive(Debug)]
pub struct Told {
    acknowledged: Vec<Acknowledged>,
    transactions: Vec<Transaction>,
}

impl Stream {
    /// Starts both producers on a topic that is there.
    #[must_use]
    pub fn start(address: &str, topic: &str, partitions: i32, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let source = |name: &'static str, salt: u64| Source {
            name,
            topic: topic.to_owned(),
            partitions,
            random: StdRng::seed_from_u64(seed ^ salt),
            sent: 0,
        };
        let (plain, transactional) = (source("plain", 1), source("transactional", 2));
        let spawn_plain = {
            let (address, stop) = (address.to_owned(), stop.clone());
            thread::spawn(move || produce_plain(&address, plain, &stop))
        };
        let spawn_transactional = {
            let (address, stop) = (address.to_owned(), stop.clone());
            thread::spawn(move || produce_transactions(&address, transactional, &stop))
        };
        Self { stop, plain: spawn_plain, transactional: spawn_transactional }
    }

    /// Stops both, and waits until everything is acknowledged: the broker must run.
    ///
    /// # Errors
    ///
    /// Where a producer was refused for good.
    pub fn stop(self) -> Result<Told> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = |_| anyhow::anyhow!("a producer panicked");
        let acknowledged = self.plain.join().map_err(ended)??;
        let transactions = self.transactional.join().map_err(ended)??;
        Ok(Told { acknowledged, transactions })
    }
}

impl Told {
    /// Checks the log against it: what was acknowledged is there where it was said to be, and
    /// transactions are there whole or not at all.
    ///
    /// # Errors
    ///
    /// Names the first record or transaction that is not as it was told.
    pub fn check(&self, log: &Records) -> Result<()> {
        let mut seen: HashMap<&[u8], u32> = HashMap::new();
        for record in log.values().flatten() {
            *seen.entry(record.value.as_deref().unwrap_or_default()).or_default() += 1;
        }
        for (value, count) in &seen {
            ensure!(*count == 1, "{} is in the log {count} times", value.escape_ascii());
        }
        let places: BTreeMap<(i32, i64), &[u8]> = log
            .values()
            .flatten()
            .map(|record| ((record.partition, record.offset), record.value.as_deref().unwrap_or_default()))
            .collect();
        for Acknowledged { partition, offset, value } in &self.acknowledged {
            let found = places.get(&(*partition, *offset));
            ensure!(
                found.is_some_and(|found| found == value),
                "partition {partition} offset {offset} was acknowledged as {} and holds {:?}",
                value.escape_ascii(),
                found.map(|found| found.escape_ascii().to_string())
            );
        }
        for Transaction { outcome, values } in &self.transactions {
            let there = values.iter().filter(|value| seen.contains_key(value.as_slice())).count();
            let whole = match outcome {
                Outcome::Committed => there == values.len(),
                Outcome::Aborted => there == 0,
                Outcome::Undecided => there == 0 || there == values.len(),
            };
            ensure!(
                whole,
                "of a transaction of {} records that was {outcome:?}, {there} are shown, such as {}",
                values.len(),
                values[0].escape_ascii()
            );
        }
        Ok(())
    }

    /// How many records were acknowledged, and transactions committed, aborted and undecided.
    #[must_use]
    pub fn summary(&self) -> String {
        let count =
            |wanted| self.transactions.iter().filter(|transaction| transaction.outcome == wanted).count();
        format!(
            "{} records acknowledged; transactions: {} committed, {} aborted, {} undecided",
            self.acknowledged.len(),
            count(Outcome::Committed),
            count(Outcome::Aborted),
            count(Outcome::Undecided)
        )
    }
}

/// Where a producer's events come from.
struct Source {
    name: &'static str,
    topic: String,
    partitions: i32,
    random: StdRng,
    sent: u64,
}

/// An event that is to be sent.
struct Draft {
    partition: i32,
    key: String,
    value: Vec<u8>,
}

impl Source {
    fn draft(&mut self) -> Draft {
        self.sent += 1;
        let partition = self.random.random_range(0..self.partitions);
        let key = format!("{partition}-{}", self.random.random_range(0..KEYS));
        let padding = "x".repeat(self.random.random_range(0..200));
        let value = format!("{}-{}-{padding}", self.name, self.sent).into_bytes();
        Draft { partition, key, value }
    }

    /// Mostly a few events, now and then many.
    fn group(&mut self) -> u32 {
        let most = if self.random.random_ratio(1, 20) { BURST_MAX } else { 6 };
        self.random.random_range(1..=most)
    }
}

impl Draft {
    fn record<'d>(&'d self, topic: &'d str) -> BaseRecord<'d, str, [u8]> {
        BaseRecord::to(topic).partition(self.partition).key(self.key.as_str()).payload(&self.value)
    }
}

/// Keeps what was acknowledged, and the first refusal.
#[derive(Default)]
struct Deliveries {
    acknowledged: Mutex<Vec<Acknowledged>>,
    refused: Mutex<Option<KafkaError>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                let place = Acknowledged {
                    partition: message.partition(),
                    offset: message.offset(),
                    value: message.payload().unwrap_or_default().to_vec(),
                };
                self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(place);
            }
            Err((error, _)) => {
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                refused.get_or_insert_with(|| error.clone());
            }
        }
    }
}

fn produce_plain(address: &str, mut source: Source, stop: &AtomicBool) -> Result<Vec<Acknowledged>> {
    let producer: ThreadedProducer<Deliveries> = config(address)
        .set("enable.idempotence", "true")
        .set("linger.ms", "2")
        .create_with_context(Deliveries::default())?;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..source.group() {
            let draft = source.draft();
            // While the broker is away its events wait in the producer, which has room for them.
            producer.send(draft.record(&source.topic)).map_err(|(error, _)| error)?;
        }
        thread::sleep(Duration::from_millis(PACE_MS));
    }
    producer.flush(Duration::from_millis(WAIT_MS_MAX))?;
    let deliveries = producer.context();
    if let Some(error) = deliveries.refused.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bail!("a record was refused: {error}");
    }
    Ok(std::mem::take(&mut *deliveries.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn produce_transactions(address: &str, mut source: Source, stop: &AtomicBool) -> Result<Vec<Transaction>> {
    let id = format!("{}-transactions", source.topic);
    let mut producer = transactional(address, &id)?;
    let mut transactions = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let drafts: Vec<Draft> = (0..source.group()).map(|_| source.draft()).collect();
        let commit = source.random.random_ratio(3, 4);
        let outcome = match transaction(&producer, &source.topic, &drafts, commit) {
            Ok(()) if commit => Outcome::Committed,
            Ok(()) => Outcome::Aborted,
            Err(Failed { committing, error }) => {
                let abort = matches!(&error, KafkaError::Transaction(e) if e.txn_requires_abort());
                // A new producer of the same name ends what the old one had begun.
                if !abort || patiently(|| producer.abort_transaction(ANSWER)).is_err() {
                    drop(producer);
                    producer = transactional(address, &id)?;
                }
                if committing && !abort { Outcome::Undecided } else { Outcome::Aborted }
            }
        };
        let values = drafts.into_iter().map(|draft| draft.value).collect();
        transactions.push(Transaction { outcome, values });
        thread::sleep(Duration::from_millis(PACE_MS));
    }
    Ok(transactions)
}

/// It serves its acknowledgements on a thread of its own: a commit waits for them.
type Transactional = ThreadedProducer<DefaultProducerContext>;

const ANSWER: Duration = Duration::from_secs(5);

/// Why a transaction is not known to have ended as it was meant to.
struct Failed {
    committing: bool,
    error: KafkaError,
}

fn transaction(producer: &Transactional, topic: &str, drafts: &[Draft], commit: bool) -> Result<(), Failed> {
    let sending = |error| Failed { committing: false, error };
    producer.begin_transaction().map_err(sending)?;
    for draft in drafts {
        producer.send(draft.record(topic)).map_err(|(error, _)| sending(error))?;
    }
    // `flush` and `commit_transaction` look only ten times a second whether all is acknowledged.
    while producer.in_flight_count() > 0 {
        thread::sleep(Duration::from_millis(1));
    }
    if commit {
        patiently(|| producer.commit_transaction(ANSWER)).map_err(|error| Failed { committing: true, error })
    } else {
        patiently(|| producer.abort_transaction(ANSWER)).map_err(sending)
    }
}

fn transactional(address: &str, id: &str) -> Result<Transactional> {
    let producer: Transactional = config(address)
        .set("transactional.id", id)
        .set("transaction.timeout.ms", "30000")
        .set("linger.ms", "2")
        .create()?;
    patiently(|| producer.init_transactions(ANSWER))?;
    Ok(producer)
}

/// Asks again while the answer is that the broker is away.
fn patiently(ask: impl Fn() -> KafkaResult<()>) -> KafkaResult<()> {
    let deadline = Instant::now() + Duration::from_millis(WAIT_MS_MAX);
    loop {
        let answer = ask();
        let away = match &answer {
            Err(KafkaError::Transaction(error)) => error.is_retriable(),
            _ => false,
        };
        if !away || Instant::now() > deadline {
            return answer;
        }
    }
}
