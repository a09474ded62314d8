//! A process that is killed keeps its word: a real broker, SIGKILLed at random moments under load.
//!
//! Segments are tiny and maintenance never rests, so that the moments fall into the roll of segments,
//! into checkpoints, retention and compaction as well, and into the ends of transactions. Where that must not be left
//! to chance, the process ends itself.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{self, Random, read_to_end, transactional};

const PARTITIONS: i32 = 3;
/// Records of one transaction, spread over the partitions of a topic.
const RECORDS_PER_TRANSACTION: i32 = 7;
/// Keys of the topic that is compacted.
const KEYS: usize = 40;
/// Where the process ends itself, between two steps that belong together.
const PLACES: [&str; 11] = [
    "transaction-decided",
    "transaction-marked",
    "transaction-offsets",
    "transaction-completed",
    "segment-begun",
    "log-start-stored",
    "segment-removed",
    "indexes-stored",
    "segment-compacted",
    "swap-declared",
    "swap-emptied",
];
/// How long a client may take to get over the last kill.
const RECOVERY: Duration = Duration::from_secs(60);

/// The broker as a process of its own.
struct Process(Child);

impl Process {
    fn command(dir: &Path, listen: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lantern-broker"));
        command
            .args(["--dir", dir.to_str().unwrap(), "--listen", listen])
            .args(["--segment-bytes", "20000", "--maintain-every-ms", "5"])
            .stdout(Stdio::piped());
        command
    }

    /// Starts it, and waits until it has ended itself at `place`.
    fn ends_at(dir: &Path, listen: &str, place: &str) {
        let child = Process::command(dir, listen).env("LANTERN_CRASH_AT", place).spawn().unwrap();
        let mut process = Process(child);
        let deadline = Instant::now() + RECOVERY;
        let status = loop {
            if let Some(status) = process.0.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "{place} is never reached");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.signal(), Some(9), "{place}: {status}");
    }

    fn start(dir: &Path, listen: &str) -> (Process, String) {
        let mut child = Process::command(dir, listen).spawn().unwrap();
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

/// Which number was acknowledged where.
type Acknowledged = HashMap<usize, (i32, i64)>;

/// Sends numbers with an idempotent producer until told to stop.
fn produce_numbers(address: &str, topic: &str, stop: &AtomicBool) -> Acknowledged {
    let producer = support::producer(
        address,
        &[("enable.idempotence", "true"), ("linger.ms", "1"), ("message.timeout.ms", "60000")],
    );
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let payload = number.to_string();
        let key = (number % KEYS).to_string();
        let record = BaseRecord::with_opaque_to(topic, Box::new(number))
            .partition((number % KEYS) as i32 % PARTITIONS)
            .key(&key)
            .payload(&payload);
        match producer.send(record) {
            Ok(()) => number += 1,
            Err(_queue_full) => std::thread::sleep(Duration::from_millis(5)),
        }
        if number % 20 == 0 {
            std::thread::sleep(Duration::from_millis(3));
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
    let group = group(address, id);
    while !stop.load(Ordering::Relaxed) {
        let number = outcomes.len();
        let commit = random.below(4) > 0;
        let (outcome, healthy) = transaction(&producer, &group, id, number, commit);
        outcomes.push(outcome);
        if !healthy {
            producer = new_transactional(address, id);
        }
    }
    outcomes
}

/// A consumer of the group whose offsets are committed with the transactions of `id`.
fn group(address: &str, id: &str) -> BaseConsumer {
    support::client(address, &[("group.id", id)]).create().unwrap()
}

/// What the group of a transaction has read, of any topic.
fn read_up_to(offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("plain", 0, offset).unwrap();
    list
}

/// Runs one transaction, which commits its number as an offset; returns what is known of it, and whether the producer can go on.
fn transaction(
    producer: &BaseProducer,
    group: &BaseConsumer,
    id: &str,
    number: usize,
    commit: bool,
) -> (Outcome, bool) {
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
    let offset = read_up_to(Offset::Offset(number as i64));
    let metadata = group.group_metadata().unwrap();
    if producer.send_offsets_to_transaction(&offset, &metadata, Duration::from_secs(20)).is_err() {
        return (Outcome::Aborted, false);
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

/// Reads a topic of numbers, none of which may be there twice or out of order.
fn read_numbers(address: &str, topic: &str) -> Acknowledged {
    let all: Vec<i32> = (0..PARTITIONS).collect();
    let consumer = support::consumer(address, topic, &all, Offset::Beginning, &[]);
    let mut found = Acknowledged::new();
    let mut last: HashMap<i32, usize> = HashMap::new();
    for record in read_to_end(&consumer, all.len()) {
        let number: usize = record.payload.unwrap().parse().unwrap();
        let place = (record.partition, record.offset);
        if let Some(other) = found.insert(number, place) {
            panic!("{topic}: record {number} is there twice: at {other:?} and at {place:?}");
        }
        if let Some(before) = last.insert(record.partition, number) {
            assert!(before < number, "{topic}: record {number} comes after {before} in {place:?}");
        }
    }
    found
}

/// Every acknowledged number that `is_kept` accepts must be where it was acknowledged.
fn check_numbers(
    topic: &str,
    found: &Acknowledged,
    acknowledged: &Acknowledged,
    is_kept: impl Fn(usize, (i32, i64)) -> bool,
) {
    for (number, place) in acknowledged {
        match found.get(number) {
            Some(found) => assert_eq!(found, place, "{topic}: record {number} is elsewhere; found: left"),
            None if is_kept(*number, *place) => {
                panic!("{topic}: record {number} was acknowledged at {place:?} and is lost")
            }
            None => {}
        }
    }
}

fn check_everything(address: &str, acknowledged: &Acknowledged) {
    let found = read_numbers(address, "plain");
    check_numbers("plain", &found, acknowledged, |_, _| true);
}

/// Of every key the newest record is there; older ones may have gone.
fn check_compacted(address: &str, acknowledged: &Acknowledged) -> usize {
    let found = read_numbers(address, "newest");
    let mut newest = [None; KEYS];
    for number in found.keys() {
        newest[number % KEYS] = newest[number % KEYS].max(Some(*number));
    }
    check_numbers("newest", &found, acknowledged, |number, _| newest[number % KEYS] <= Some(number));
    found.len()
}

/// What lies behind the start of the log is there without a gap.
fn check_window(address: &str, acknowledged: &Acknowledged) -> usize {
    let found = read_numbers(address, "window");
    let mut starts: HashMap<i32, i64> = HashMap::new();
    for (partition, offset) in found.values() {
        let start = starts.entry(*partition).or_insert(*offset);
        *start = (*start).min(*offset);
    }
    check_numbers("window", &found, acknowledged, |_, (partition, offset)| {
        starts.get(&partition).is_none_or(|start| offset >= *start)
    });
    found.len()
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
        let newest = found.keys().filter(|(of, _)| of == id).map(|(_, number)| *number as i64).max();
        let committed = group(address, id).committed_offsets(read_up_to(Offset::Invalid), RECOVERY).unwrap();
        let expected = newest.map_or(Offset::Invalid, Offset::Offset);
        assert_eq!(
            committed.elements()[0].offset(),
            expected,
            "{id}: the offsets are not of the newest transaction"
        );
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

// The promise of the broker, under the worst that can happen to a process. `LANTERN_TESTS_KILLS` and
// `LANTERN_TESTS_SEED` choose another number of kills and repeat a run.
#[test]
fn nothing_acknowledged_is_lost_nothing_is_half_committed_and_nothing_is_there_twice() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let kills = number("LANTERN_TESTS_KILLS").unwrap_or(100);
    let seed = number("LANTERN_TESTS_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("LANTERN_TESTS_SEED={seed} LANTERN_TESTS_KILLS={kills}");
    let mut random = Random(seed);

    let dir = tempfile::tempdir().unwrap();
    let (mut process, address) = Process::start(dir.path(), "127.0.0.1:0");
    let compacted = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.1"),
        ("delete.retention.ms", "0"),
        ("segment.ms", "50"),
    ];
    support::create(&address, "plain", PARTITIONS);
    support::create(&address, "whole", PARTITIONS);
    support::create_with(&address, "newest", PARTITIONS, &compacted);
    support::create_with(&address, "window", PARTITIONS, &[("retention.bytes", "100000")]);

    let stop = Arc::new(AtomicBool::new(false));
    let numbers = ["plain", "newest", "window"].map(|topic| {
        let (address, stop) = (address.clone(), Arc::clone(&stop));
        std::thread::spawn(move || produce_numbers(&address, topic, &stop))
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
        std::thread::sleep(Duration::from_millis(20 + random.below(500)));
        process.kill();
        process = Process::start(dir.path(), &address).0;
    }
    process.kill();
    for place in PLACES {
        Process::ends_at(dir.path(), &address, place);
        process = Process::start(dir.path(), &address).0;
        std::thread::sleep(Duration::from_millis(100));
        process.kill();
    }
    process = Process::start(dir.path(), &address).0;
    std::thread::sleep(Duration::from_millis(300));
    stop.store(true, Ordering::Relaxed);
    let [plain, newest, window] = numbers.map(|thread| thread.join().unwrap());
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
        "acknowledged: {} plain, {} compacted, {} under retention; transactions: {} committed, {} aborted, {} unknown",
        plain.len(),
        newest.len(),
        window.len(),
        count(Outcome::Committed),
        count(Outcome::Aborted),
        count(Outcome::Unknown)
    );
    assert!(plain.len() > 100 && count(Outcome::Committed) > 0, "the load was no load");
    check_everything(&address, &plain);
    let (left, in_window) = (check_compacted(&address, &newest), check_window(&address, &window));
    println!("left: {left} compacted, {in_window} under retention");
    check_transactions(&address, &producers);
    process.kill();
}
