//! What the client of the log guarantees, on whatever broker.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use lantern::log::{Assignment, Client, Consumer, Error, Options, Partitions, Producer};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

/// Nothing here takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);
const WAIT: Duration = Duration::from_millis(100);

/// A record as the tests compare it: partition, offset, payload.
type Seen = (i32, i64, Option<String>);

pub fn options(servers: &str) -> Options {
    let mut options = Options::new(servers);
    // How long a topic may seem missing that was just created.
    options.set("topic.metadata.propagation.max.ms", "200");
    options
}

fn at(topic: &str, partition: i32, next_offset: i64) -> Assignment {
    Assignment { topic: topic.to_owned(), partition, next_offset }
}

pub fn create(servers: &str, topic: &str, partitions: i32, settings: &[(&str, &str)]) -> Client {
    let client = Client::new(&options(servers)).expect("the options are right");
    let created = client.create_topic_with(topic, partitions, settings).expect("the broker creates it");
    assert!(created, "{topic} was there already");
    let deadline = Instant::now() + PATIENCE;
    while client.partitions(topic).is_err() {
        // Each question goes to the broker, which has the topic in a moment.
        assert!(Instant::now() < deadline, "{topic} was not created");
    }
    client
}

/// Appends payloads to one partition, in one batch unless they are large.
fn append(servers: &str, topic: &str, partition: i32, payloads: impl IntoIterator<Item = String>) {
    let mut options = options(servers);
    options.set("linger.ms", "100");
    let producer = Producer::new(&options).expect("the options are right");
    for payload in payloads {
        let sent = producer.send(topic, None, Some(payload.as_bytes()), &[], Some(partition), None);
        sent.expect("it is taken");
    }
    producer.flush(PATIENCE).expect("it is delivered");
}

fn numbers(range: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    range.map(|number| number.to_string())
}

/// Fetches until every partition was read to its end.
fn read_to_end(consumer: &mut Consumer, max: usize, bytes_max: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = seen.len();
        let fetched = consumer.fetch(max, bytes_max, WAIT, |record| {
            let payload = record.payload.map(|payload| String::from_utf8_lossy(payload).into_owned());
            seen.push((record.partition, record.offset, payload));
            ControlFlow::Continue(())
        });
        let fetched = fetched.expect("there is nothing wrong with the log");
        assert_eq!(fetched.records, seen.len() - before);
        assert!(fetched.records <= max);
        if consumer.is_at_end() {
            return seen;
        }
        assert!(Instant::now() < deadline, "not at the end: {consumer:?}");
    }
}

fn error_of(consumer: &mut Consumer) -> Error {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match consumer.fetch(10, usize::MAX, WAIT, |_| ControlFlow::Continue(())) {
            Err(error) => return error,
            Ok(fetched) => assert_eq!(fetched.records, 0),
        }
        assert!(Instant::now() < deadline, "no error came");
    }
}

// A checkpoint is anywhere, and batches in the log are of any size: the first record must be the one
// at the checkpoint, not the first of its batch.
pub fn reading_starts_exactly_where_it_should(servers: &str) {
    let topic = "start";
    let client = create(servers, topic, 1, &[]);
    append(servers, topic, 0, numbers(0..100));
    for start in [0, 1, 37, 99, 100] {
        let mut consumer = client.consumer("start", &[at(topic, 0, start)]).expect("the options are right");
        let expected: Vec<Seen> = (start..100).map(|n| (0, n, Some(n.to_string()))).collect();
        assert_eq!(read_to_end(&mut consumer, 1_000, usize::MAX), expected, "from {start}");
        assert_eq!(consumer.positions()[0].next_offset, 100);
        assert_eq!(consumer.lag(&consumer.positions()[0]), Some(0));
    }
}

// What a batch may hold is bounded; what does not fit is given out by the next fetch, nothing twice.
pub fn bounds_of_a_fetch_lose_and_repeat_nothing(servers: &str) {
    let topic = "bounds";
    let client = create(servers, topic, 2, &[]);
    append(servers, topic, 0, numbers(0..50));
    append(servers, topic, 1, numbers(0..70));
    let expect =
        |partition, range: std::ops::Range<i64>| range.map(move |n| (partition, n, Some(n.to_string())));
    let start = [at(topic, 0, 0), at(topic, 1, 5)];
    for (max, bytes_max) in [(1, usize::MAX), (7, usize::MAX), (1_000, 1), (1_000, 9), (1_000, usize::MAX)] {
        let mut consumer = client.consumer("bounds", &start).expect("the options are right");
        let mut seen = read_to_end(&mut consumer, max, bytes_max);
        seen.sort_by_key(|(partition, _, _)| *partition);
        let expected: Vec<Seen> = expect(0, 0..50).chain(expect(1, 5..70)).collect();
        assert_eq!(seen, expected, "at most {max} records, {bytes_max} bytes");
    }

    // Whoever breaks has had the record that it broke at.
    let mut consumer = client.consumer("bounds", &start[..1]).expect("the options are right");
    let mut offsets = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while offsets.len() < 50 && Instant::now() < deadline {
        let fetched = consumer.fetch(1_000, usize::MAX, WAIT, |record| {
            offsets.push(record.offset);
            ControlFlow::Break(())
        });
        assert!(fetched.expect("there is nothing wrong with the log").records <= 1);
    }
    assert_eq!(offsets, (0..50).collect::<Vec<_>>());

    // Back to a checkpoint, with one of the partitions only.
    consumer.reassign(&[at(topic, 1, 68)]).expect("the options are right");
    assert_eq!(read_to_end(&mut consumer, 1_000, usize::MAX), expect(1, 68..70).collect::<Vec<_>>());
}

// Absent and empty are different things, and headers may repeat: all of it is seen as it was sent.
pub fn a_record_is_read_as_it_was_sent(servers: &str) {
    let topic = "whole";
    let client = create(servers, topic, 1, &[]);
    let producer = Producer::new(&options(servers)).expect("the options are right");
    let headers: [(&str, &[u8]); 3] = [("ce_type", b"paid"), ("empty", b""), ("ce_type", b"\xff")];
    producer
        .send(topic, Some(b"k"), Some(b"v"), &headers, None, Some(1_700_000_000_123))
        .expect("it is taken");
    producer.send(topic, Some(b""), None, &[], None, None).expect("it is taken");
    producer.send(topic, None, Some(b""), &[], None, None).expect("it is taken");
    let report = producer.flush(PATIENCE).expect("it is delivered");
    assert_eq!(report.delivered, 3);
    assert_eq!(report.ranges, BTreeMap::from([(topic.to_owned(), BTreeMap::from([(0, 0..3)]))]));

    let mut consumer = client.consumer("whole", &[at(topic, 0, 0)]).expect("the options are right");
    let mut seen = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while !consumer.is_at_end() && Instant::now() < deadline {
        let fetched = consumer.fetch(10, usize::MAX, WAIT, |record| {
            let headers: Vec<String> = record.headers.iter().map(|header| format!("{header:?}")).collect();
            seen.push(format!("{:?} {:?} {}", record.key, record.payload, headers.join(" ")));
            if record.offset == 0 {
                assert_eq!(record.timestamp_ms, 1_700_000_000_123);
                assert_eq!(record.headers.get("empty"), Some(Some(&b""[..])));
                assert_eq!(record.headers.get("ce_type"), Some(Some(&b"paid"[..])));
            }
            ControlFlow::Continue(())
        });
        fetched.expect("there is nothing wrong with the log");
    }
    let bytes = |bytes: &[u8]| format!("{:?}", Some(bytes));
    let header = |name: &str, value: &[u8]| format!("{:?}", (name, Some(value)));
    assert_eq!(
        seen,
        [
            format!(
                "{} {} {} {} {}",
                bytes(b"k"),
                bytes(b"v"),
                header("ce_type", b"paid"),
                header("empty", b""),
                header("ce_type", b"\xff")
            ),
            format!("{} None ", bytes(b"")),
            format!("None {} ", bytes(b"")),
        ]
    );
}

// A topic that grows partitions must not have part of its events ignored.
pub fn a_partition_that_is_added_is_read(servers: &str) {
    let topic = "grows";
    let client = create(servers, topic, 1, &[]);
    append(servers, topic, 0, numbers(0..3));
    let mut consumer = client.consumer("grows", &[at(topic, 0, 0)]).expect("the options are right");
    assert_eq!(read_to_end(&mut consumer, 10, usize::MAX).len(), 3);

    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", servers).create().expect("an admin client");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let grown =
        runtime.block_on(admin.create_partitions([&NewPartitions::new(topic, 3)], &AdminOptions::new()));
    grown.expect("the broker answers")[0].as_ref().expect("the broker adds partitions");
    let deadline = Instant::now() + PATIENCE;
    while client.partitions(topic).expect("the topic is there") != [0, 1, 2] {
        assert!(Instant::now() < deadline, "no new partitions");
    }
    consumer.add(&[at(topic, 1, 0), at(topic, 2, 0)]).expect("it is assigned");
    append(servers, topic, 2, numbers(0..2));
    append(servers, topic, 0, numbers(3..4));
    let mut seen = read_to_end(&mut consumer, 10, usize::MAX);
    let deadline = Instant::now() + PATIENCE;
    while seen.len() < 3 && Instant::now() < deadline {
        seen.extend(read_to_end(&mut consumer, 10, usize::MAX));
    }
    seen.sort();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(seen, [(0, 3, text("3")), (2, 0, text("0")), (2, 1, text("1"))]);
}

/// Takes what one partition holds before an offset.
fn take(partitions: &mut Partitions, index: usize, before: i64, max: usize) -> Vec<i64> {
    let mut offsets = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    let is_short =
        |partitions: &Partitions| partitions.position(index).expect("it is there").next_offset < before;
    while is_short(partitions) {
        let seen = offsets.len();
        let fetched = partitions.fetch(index, before, max, usize::MAX, WAIT, |record| {
            assert_eq!(record.payload, Some(record.offset.to_string().as_bytes()));
            offsets.push(record.offset);
            ControlFlow::Continue(())
        });
        let fetched = fetched.expect("there is nothing wrong with the log");
        assert_eq!(fetched.records, offsets.len() - seen);
        assert!(fetched.records <= max);
        assert!(Instant::now() < deadline, "not at {before}: {partitions:?}");
    }
    offsets
}

// A replay repeats the order in which partitions were applied, which is any, and in which a long run of one follows a
// short one of another: each must come as it is asked for, and nothing behind it.
pub fn partitions_are_taken_in_the_order_that_is_asked_for(servers: &str) {
    let topic = "chosen";
    let client = create(servers, topic, 3, &[]);
    append(servers, topic, 0, numbers(0..3_000));
    append(servers, topic, 2, numbers(0..50));
    let name = "chosen";
    let mut partitions =
        client.partitions_reader(name, &[at(topic, 0, 5), at(topic, 2, 0)]).expect("the options are right");
    let all = |range: std::ops::Range<i64>| range.collect::<Vec<_>>();
    assert_eq!(take(&mut partitions, 1, 1, 10), [0]);
    assert_eq!(take(&mut partitions, 0, 7, 10), [5, 6]);
    assert!(take(&mut partitions, 0, 7, 10).is_empty(), "it is there already");
    assert_eq!(take(&mut partitions, 1, 3, 1), [1, 2]);
    assert_eq!(take(&mut partitions, 0, 2_500, 700), all(7..2_500));
    assert_eq!(take(&mut partitions, 1, 50, 10), all(3..50));
    assert_eq!(take(&mut partitions, 0, 3_000, 10_000), all(2_500..3_000));
    // At the end: what comes later is taken later, also of a partition that was added.
    append(servers, topic, 1, numbers(0..4));
    append(servers, topic, 2, numbers(50..60));
    partitions.add(&[at(topic, 1, 2)]).expect("the options are right");
    assert_eq!(take(&mut partitions, 2, 4, 10), [2, 3]);
    assert_eq!(take(&mut partitions, 1, 60, 10), all(50..60));

    let mut beyond = client.partitions_reader(name, &[at(topic, 0, 9_000)]).expect("the options are right");
    let deadline = Instant::now() + PATIENCE;
    let told = loop {
        match beyond.fetch(0, 9_001, 10, usize::MAX, WAIT, |_| ControlFlow::Continue(())) {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < deadline, "no error came"),
        }
    };
    let (topic, partition, offset) = (topic.to_owned(), 0, 9_000);
    assert_eq!(told, Error::OffsetOutOfRange { topic, partition, offset, range: Some(0..3_000) });
}

// A log that lost what was not read yet, or that is another log, must not be taken for a quiet one.
pub fn a_gap_in_the_log_is_told_with_its_place(servers: &str) {
    let topic = "gap";
    let client = create(servers, topic, 1, &[]);
    append(servers, topic, 0, numbers(0..3));
    let mut consumer = client.consumer("gap", &[at(topic, 0, 10)]).expect("the options are right");
    let expected =
        Error::OffsetOutOfRange { topic: topic.to_owned(), partition: 0, offset: 10, range: Some(0..3) };
    // librdkafka says it once and then keeps quiet; every fetch has to say it.
    for _ in 0..2 {
        let error = error_of(&mut consumer);
        assert_eq!(error, expected);
        assert!(!error.is_transient());
    }
    consumer.reassign(&[at(topic, 0, 2)]).expect("the options are right");
    assert_eq!(read_to_end(&mut consumer, 10, usize::MAX), [(0, 2, Some("2".to_owned()))]);
}

// What is not there is told by its name, also to who only wants to append.
pub fn a_topic_that_is_missing_is_told_by_its_name(servers: &str) {
    let client = Client::new(&options(servers)).expect("the options are right");
    let missing = Error::TopicMissing { topic: "nowhere".to_owned() };
    assert_eq!(client.partitions("nowhere"), Err(missing.clone()));
    assert_eq!(client.end_offsets(&["nowhere"]), Err(missing.clone()));
    let producer = Producer::new(&options(servers)).expect("the options are right");
    let sent = producer.send("nowhere", None, Some(b"x"), &[], None, None);
    assert_eq!(sent.and_then(|()| producer.flush(PATIENCE)).expect_err("there is no topic"), missing);
}

// `lantern topics` and lag stand on these.
pub fn topics_and_what_they_hold_are_listed(servers: &str) {
    let client = create(servers, "listed", 2, &[]);
    append(servers, "listed", 1, numbers(0..5));
    assert_eq!(client.create_topic("listed", 7), Ok(false), "what exists stays as it is");
    let topics = client.topics().expect("the broker answers");
    let listed = topics.iter().find(|topic| topic.name == "listed").expect("it was created");
    let held: Vec<_> = listed.partitions.iter().map(|each| (each.id, each.low, each.high)).collect();
    assert_eq!((listed.internal, held), (false, vec![(0, 0, 0), (1, 0, 5)]));
    assert_eq!(client.watermarks("listed", 1), Ok(0..5));
    assert_eq!(client.end_offsets(&["listed"]), Ok(vec![at("listed", 0, 0), at("listed", 1, 5)]));
}

// A read model never sees what a transaction took back, and is caught up when only markers are left.
pub fn the_end_is_behind_aborted_records_and_markers(servers: &str) {
    let topic = "transactions";
    let client = create(servers, topic, 1, &[]);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("transactional.id", "writer")
        .create()
        .expect("a producer");
    producer.init_transactions(PATIENCE).expect("the broker has transactions");
    for (text, is_committed) in [("a", true), ("b", false), ("c", true), ("d", false)] {
        producer.begin_transaction().expect("a transaction");
        for _ in 0..2 {
            let record = BaseRecord::<(), str>::to(topic).payload(text).partition(0);
            producer.send(record).map_err(|(error, _)| error).expect("it is taken");
        }
        producer.flush(PATIENCE).expect("it is delivered");
        if is_committed {
            producer.commit_transaction(PATIENCE).expect("it is committed");
        } else {
            producer.abort_transaction(PATIENCE).expect("it is aborted");
        }
    }
    // Two records and a marker each. Kafka writes markers after it has answered.
    let deadline = Instant::now() + PATIENCE;
    while client.watermarks(topic, 0) != Ok(0..12) {
        assert!(Instant::now() < deadline, "{:?}", client.watermarks(topic, 0));
    }
    let text = |text: &str| Some(text.to_owned());
    for start in [0, 8] {
        let mut consumer =
            client.consumer("transactions", &[at(topic, 0, start)]).expect("the options are right");
        let seen = read_to_end(&mut consumer, 10, usize::MAX);
        let all = [(0, 0, text("a")), (0, 1, text("a")), (0, 6, text("c")), (0, 7, text("c"))];
        assert_eq!(seen, all.iter().filter(|(_, offset, _)| *offset >= start).cloned().collect::<Vec<_>>());
        assert_eq!(consumer.positions()[0].next_offset, 12);
        assert_eq!(consumer.positions()[0].end_offset, Some(12));
    }
}

// A broker may come later than Lantern, and go at any time: then it is told, and reading goes on with the
// same consumer when it is back. `start` and `stop` act on one broker at these servers, which does not
// run yet and has no topics.
pub fn a_broker_may_come_later_and_go(servers: &str, start: &mut dyn FnMut(), stop: &mut dyn FnMut()) {
    let topic = "later";
    let client = Client::new(&options(servers)).expect("the options are right");
    let told = client.partitions(topic).expect_err("no broker runs");
    assert!(told.is_transient() && told.to_string().contains(servers), "{told:?}");

    let mut consumer = client.consumer("later", &[at(topic, 0, 0)]).expect("the options are right");
    for _ in 0..2 {
        let told = error_of(&mut consumer);
        assert!(matches!(told, Error::Unavailable { .. }), "{told:?}");
    }
    start();
    create(servers, topic, 1, &[]);
    append(servers, topic, 0, numbers(0..2));
    consumer.reassign(&[at(topic, 0, 0)]).expect("the options are right");
    assert_eq!(read_to_end(&mut consumer, 10, usize::MAX).len(), 2);

    stop();
    let told = error_of(&mut consumer);
    assert!(matches!(told, Error::Unavailable { .. }) && told.is_transient(), "{told:?}");
    start();
    append(servers, topic, 0, numbers(2..4));
    let mut seen = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while seen.len() < 2 && Instant::now() < deadline {
        let fetched = consumer.fetch(10, usize::MAX, WAIT, |record| {
            seen.push(record.offset);
            ControlFlow::Continue(())
        });
        assert!(fetched.as_ref().is_ok() || fetched.as_ref().is_err_and(Error::is_transient), "{fetched:?}");
    }
    assert_eq!(seen, [2, 3]);
}
