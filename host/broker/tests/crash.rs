//! A process that is killed keeps its word: a real broker, SIGKILLed at random moments under load.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use support::{Random, read_to_end, transactional};

const PARTITIONS: i32 = 3;
/// Records of one transaction, spread over the partitions of a topic.
const RECORDS_PER_TRANSACTION: i32 = 7;
/// How long a client may take to get over the last kill.
const RECOVERY: Duration = Duration::from_secs(60);

/// The broker as a process of its own.
struct Process(Child);

impl Process {
    fn start(dir: &Path, listen: &str) -> (Process, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lantern-broker"))
            .args(["--dir", dir.to_str().unwrap(), "--listen", listen, "--segment-bytes", "200000"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(!address.is_empty(), "the broker did not start; its reason is on stderr");
        (Process(child), address.trim().to_owned())
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Sends numbers with an idempotent producer until told to stop; returns what was acknowledged and
/// where.
fn produce_plain(address: &str, stop: &AtomicBool) -> HashMap<usize, (i32, i64)> {
    let producer = support::producer(
        address,
        &[("enable.idempotence", "true"), ("linger.ms", "1"), ("message.timeout.ms", "60000")],
    );
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let payload = number.to_string();
        let record = BaseRecord::<str, str, _>::with_opaque_to("plain", Box::new(number))
            .partition(number as i32 % PARTITIONS)
            .payload(&payload);
        match producer.send(record) {
            Ok(()) => number += 1,
            Err(_queue_full) => std::thread::sleep(Duration::from_millis(5)),
        }
        if number % 20 == 0 {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    producer.flush(RECOVERY).unwrap();
    let collector = producer.context();
    let deliveries = std::mem::take(&mut *collector.0.lock().unwrap());
    deliveries.into_iter().filter_map(|(number, delivery)| Some((number, delivery.ok()?))).collect()
}

/// What the producer knows of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Committed,
    Aborted,
    /// The answer was lost.
    Unknown,
}

fn new_transactional(address: &str, id: &str) -> BaseProducer {
    let deadline = Instant::now() + RECOVERY;
    loop {
        let producer = transactional(address, id, 30_000);
        match producer.init_transactions(Duration::from_secs(10)) {
            Ok(()) => return producer,
            Err(error) => assert!(Instant::now() < deadline, "init_transactions: {error}"),
        }
    }
}

/// Runs transactions until told to stop; returns what became of each.
fn produce_transactions(address: &str, id: &str, seed: u64, stop: &AtomicBool) -> Vec<Outcome> {
    let mut random = Random(seed);
    let mut outcomes = Vec::new();
    let mut producer = new_transactional(address, id);
    while !stop.load(Ordering::Relaxed) {
        let number = outcomes.len();
        let commit = random.below(4) > 0;
        let (outcome, healthy) = transaction(&producer, id, number, commit);
        outcomes.push(outcome);
        if !healthy {
            producer = new_transactional(address, id);
        }
    }
    outcomes
}

/// Runs one transaction; returns what is known of it, and whether the producer can go on.
fn transaction(producer: &BaseProducer, id: &str, number: usize, commit: bool) -> (Outcome, bool) {
    if producer.begin_transaction().is_err() {
        return (Outcome::Aborted, false);
    }
    for record in 0..RECORDS_PER_TRANSACTION {
        let payload = format!("{id}:{number}:{record}");
        let record = BaseRecord::<str, str>::to("whole").partition(record % PARTITIONS).payload(&payload);
        if producer.send(record).is_err() {
            return (Outcome::Unknown, false);
        }
    }
    if !commit {
        // Whatever becomes of the abort, nobody decided to commit.
        let _delivered_or_not = producer.flush(Duration::from_secs(10));
        let aborted = producer.abort_transaction(Duration::from_secs(20));
        return (Outcome::Aborted, aborted.is_ok());
    }
    match producer.commit_transaction(Duration::from_secs(20)) {
        Ok(()) => (Outcome::Committed, true),
        Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
            let aborted = producer.abort_transaction(Duration::from_secs(20));
            (Outcome::Aborted, aborted.is_ok())
        }
        Err(_) => (Outcome::Unknown, false),
    }
}

fn check_plain(address: &str, acknowledged: &HashMap<usize, (i32, i64)>) {
    let all: Vec<i32> = (0..PARTITIONS).collect();
    let consumer = support::consumer(address, "plain", &all, Offset::Beginning, &[]);
    let mut found: HashMap<usize, (i32, i64)> = HashMap::new();
    let mut last: HashMap<i32, usize> = HashMap::new();
    for record in read_to_end(&consumer, all.len()) {
        let number: usize = record.payload.unwrap().parse().unwrap();
        let place = (record.partition, record.offset);
        if let Some(other) = found.insert(number, place) {
            panic!("record {number} is there twice: at {other:?} and at {place:?}");
        }
        if let Some(before) = last.insert(record.partition, number) {
            assert!(before < number, "record {number} comes after {before} in {place:?}");
        }
    }
    for (number, place) in acknowledged {
        assert_eq!(
            found.get(number),
            Some(place),
            "record {number} was acknowledged at {place:?}; found: left"
        );
    }
}

fn check_transactions(address: &str, producers: &BTreeMap<String, Vec<Outcome>>) {
    let all: Vec<i32> = (0..PARTITIONS).collect();
    let consumer = support::consumer(address, "whole", &all, Offset::Beginning, &[]);
    let mut found: HashMap<(String, usize), Vec<i32>> = HashMap::new();
    for record in read_to_end(&consumer, all.len()) {
        let payload = record.payload.unwrap();
        let mut parts = payload.split(':');
        let id = parts.next().unwrap().to_owned();
        let number = parts.next().unwrap().parse().unwrap();
        let index = parts.next().unwrap().parse().unwrap();
        found.entry((id, number)).or_default().push(index);
    }
    let whole: Vec<i32> = (0..RECORDS_PER_TRANSACTION).collect();
    for (id, outcomes) in producers {
        for (number, outcome) in outcomes.iter().enumerate() {
            let mut records = found.remove(&(id.clone(), number)).unwrap_or_default();
            records.sort_unstable();
            let allowed = match outcome {
                Outcome::Committed => records == whole,
                Outcome::Aborted => records.is_empty(),
                Outcome::Unknown => records.is_empty() || records == whole,
            };
            assert!(allowed, "transaction {number} of {id} is {outcome:?}, and readers see {records:?}");
        }
    }
    assert!(found.is_empty(), "records of nobody: {found:?}");
}

// The promise of the broker, under the worst that can happen to a process. `LANTERN_KILLS` and
// `LANTERN_SEED` choose another number of kills and repeat a run.
#[test]
fn nothing_acknowledged_is_lost_nothing_is_half_committed_and_nothing_is_there_twice() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let kills = number("LANTERN_KILLS").unwrap_or(10);
    let seed = number("LANTERN_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("LANTERN_SEED={seed} LANTERN_KILLS={kills}");
    let mut random = Random(seed);

    let dir = tempfile::tempdir().unwrap();
    let (mut process, address) = Process::start(dir.path(), "127.0.0.1:0");
    support::create(&address, "plain", PARTITIONS);
    support::create(&address, "whole", PARTITIONS);

    let stop = Arc::new(AtomicBool::new(false));
    let plain = std::thread::spawn({
        let (address, stop) = (address.clone(), Arc::clone(&stop));
        move || produce_plain(&address, &stop)
    });
    let transactional: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|id| {
            let (address, stop) = (address.clone(), Arc::clone(&stop));
            let seed = random.below(u64::MAX);
            let work = move || produce_transactions(&address, id, seed, &stop);
            (id.to_owned(), std::thread::spawn(work))
        })
        .collect();

    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(100 + random.below(600)));
        process.kill();
        process = Process::start(dir.path(), &address).0;
    }
    std::thread::sleep(Duration::from_millis(300));
    stop.store(true, Ordering::Relaxed);
    let acknowledged = plain.join().unwrap();
    let producers: BTreeMap<_, _> =
        transactional.into_iter().map(|(id, thread)| (id, thread.join().unwrap())).collect();
    // Whatever the last producers left open is ended by their successors.
    for id in producers.keys() {
        drop(new_transactional(&address, id));
    }
    process.kill();
    process = Process::start(dir.path(), &address).0;

    let count = |wanted| producers.values().flatten().filter(|outcome| **outcome == wanted).count();
    println!(
        "{} records acknowledged; transactions: {} committed, {} aborted, {} unknown",
        acknowledged.len(),
        count(Outcome::Committed),
        count(Outcome::Aborted),
        count(Outcome::Unknown)
    );
    assert!(acknowledged.len() > 100 && count(Outcome::Committed) > 0, "the load was no load");
    check_plain(&address, &acknowledged);
    check_transactions(&address, &producers);
    process.kill();
}
