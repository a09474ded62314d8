//! Transactions are whole: committed, aborted, timed out or fenced, seen from both isolation levels.

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{Host, PATIENCE, each_broker, payloads, read_to_end, transactional};

fn put(producer: &BaseProducer, topic: &str, payload: &str) {
    producer
        .send(BaseRecord::<str, str>::to(topic).partition(0).payload(payload))
        .map_err(|(error, _)| error)
        .unwrap();
}

/// What a consumer of this isolation level reads of partition 0.
fn read(host: &Host, topic: &str, isolation: &str) -> Vec<String> {
    let consumer = host.consumer(topic, Offset::Beginning, &[("isolation.level", isolation)]);
    payloads(&read_to_end(&consumer, 1)).into_iter().map(str::to_owned).collect()
}

// The reason to have transactions at all.
#[test]
fn committed_records_are_read_and_aborted_ones_are_not() {
    each_broker(|host| {
        host.create("t", 1);
        let producer = transactional(host.address(), "writer", 10_000);
        producer.init_transactions(PATIENCE).unwrap();
        for n in 0..6 {
            producer.begin_transaction().unwrap();
            put(&producer, "t", &format!("{n}a"));
            put(&producer, "t", &format!("{n}b"));
            producer.flush(PATIENCE).unwrap();
            match n % 2 {
                0 => producer.commit_transaction(PATIENCE).unwrap(),
                _ => producer.abort_transaction(PATIENCE).unwrap(),
            }
        }
        let committed = ["0a", "0b", "2a", "2b", "4a", "4b"];
        for _ in 0..2 {
            assert_eq!(read(host, "t", "read_committed"), committed);
            assert_eq!(read(host, "t", "read_uncommitted").len(), 12);
            // The list of aborted transactions is rebuilt from the markers.
            host.restart();
        }
    });
}

// A consumer of committed records stops before the first open transaction, also for records of
// others behind it.
#[test]
fn an_open_transaction_holds_back_what_follows_it() {
    each_broker(|host| {
        host.create("t", 1);
        let producer = transactional(host.address(), "writer", 30_000);
        producer.init_transactions(PATIENCE).unwrap();
        crate::support::send_all(&host.producer(&[]), "t", ["before"]);
        producer.begin_transaction().unwrap();
        put(&producer, "t", "inside");
        producer.flush(PATIENCE).unwrap();
        crate::support::send_all(&host.producer(&[]), "t", ["after"]);
        assert_eq!(read(host, "t", "read_committed"), ["before"]);
        assert_eq!(read(host, "t", "read_uncommitted"), ["before", "inside", "after"]);
        producer.commit_transaction(PATIENCE).unwrap();
        assert_eq!(read(host, "t", "read_committed"), ["before", "inside", "after"]);
    });
}

// A writer that was cut off, and comes back after another took its place, must not write.
#[test]
fn a_zombie_is_fenced_and_its_open_transaction_aborted() {
    each_broker(|host| {
        host.create("t", 1);
        let zombie = transactional(host.address(), "writer", 30_000);
        zombie.init_transactions(PATIENCE).unwrap();
        zombie.begin_transaction().unwrap();
        put(&zombie, "t", "zombie 1");
        zombie.flush(PATIENCE).unwrap();

        let successor = transactional(host.address(), "writer", 30_000);
        successor.init_transactions(PATIENCE).unwrap();

        put(&zombie, "t", "zombie 2");
        let _fails_to_deliver = zombie.flush(PATIENCE);
        match zombie.commit_transaction(PATIENCE) {
            Err(KafkaError::Transaction(error)) => assert!(error.is_fatal(), "{error}"),
            other => panic!("{other:?}"),
        }
        successor.begin_transaction().unwrap();
        put(&successor, "t", "successor");
        successor.commit_transaction(PATIENCE).unwrap();
        assert_eq!(read(host, "t", "read_committed"), ["successor"]);
        assert_eq!(read(host, "t", "read_uncommitted"), ["zombie 1", "successor"]);
    });
}

// A producer that dies with a transaction open must not hold up its readers for ever.
#[test]
fn a_transaction_that_takes_too_long_is_aborted_by_the_broker() {
    each_broker(|host| {
        host.create("t", 1);
        let slow = transactional(host.address(), "slow", 1_000);
        slow.init_transactions(PATIENCE).unwrap();
        slow.begin_transaction().unwrap();
        put(&slow, "t", "abandoned");
        slow.flush(PATIENCE).unwrap();
        crate::support::send_all(&host.producer(&[]), "t", ["after"]);
        let consumer = host.consumer("t", Offset::Beginning, &[]);
        let seen = crate::support::next(&consumer).unwrap();
        assert_eq!(seen.payload.as_deref(), Some("after"));
        assert!(slow.commit_transaction(PATIENCE).is_err());
    });
}

/// A broker with a topic of two partitions, and a producer whose open transaction has this record.
fn begun(payload: &str) -> (Host, BaseProducer) {
    let host = Host::start();
    host.create("t", 2);
    let producer = transactional(host.address(), "writer", 30_000);
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    put(&producer, "t", payload);
    (host, producer)
}

// Undecided is not aborted: the producer lives on and may decide.
#[test]
fn a_transaction_that_was_open_during_a_restart_can_still_be_committed() {
    let (mut host, producer) = begun("one");
    producer.flush(PATIENCE).unwrap();
    host.restart();
    assert_eq!(read(&host, "t", "read_committed"), [""; 0]);
    put(&producer, "t", "two");
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(read(&host, "t", "read_committed"), ["one", "two"]);
}

/// Cuts a journal after the last entry that contains `text`, as if the machine had lost power before the rest was on
/// the disk.
fn cut_after(journal: &std::path::Path, text: &str) {
    let content = std::fs::read(journal).unwrap();
    let (mut at, mut end) = (8, None);
    while let Some(length) = content.get(at..at + 4) {
        let next = at + 8 + u32::from_le_bytes(length.try_into().unwrap()) as usize;
        if String::from_utf8_lossy(&content[at + 8..next]).contains(text) {
            end = Some(next);
        }
        at = next;
    }
    std::fs::write(journal, &content[..end.unwrap()]).unwrap();
}

// That a commit is complete is noted without waiting for the disk. When the machine loses power before, the commit is
// carried out again, and must not take in what the next transaction has written meanwhile.
#[test]
fn a_commit_that_is_carried_out_again_leaves_the_next_transaction_open() {
    let (mut host, producer) = begun("first");
    producer.commit_transaction(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    put(&producer, "t", "second");
    let elsewhere = BaseRecord::<str, str>::to("t").partition(1).payload("second, elsewhere");
    producer.send(elsewhere).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    host.restart_after(|dir| cut_after(&dir.join("transactions.journal"), "prepare_commit"));
    assert_eq!(read(&host, "t", "read_committed"), ["first"]);
    // It is still the producer's to decide.
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(read(&host, "t", "read_committed"), ["first", "second"]);
    let consumer = crate::support::consumer(host.address(), "t", &[1], Offset::Beginning, &[]);
    assert_eq!(payloads(&read_to_end(&consumer, 1)), ["second, elsewhere"]);
}

// The next producer of the same id ends what the last one left, also across a restart.
#[test]
fn what_a_dead_producer_left_open_is_aborted_by_its_successor() {
    each_broker(|host| {
        host.create("t", 1);
        let dead = transactional(host.address(), "writer", 60_000);
        dead.init_transactions(PATIENCE).unwrap();
        dead.begin_transaction().unwrap();
        put(&dead, "t", "left");
        dead.flush(PATIENCE).unwrap();
        host.restart();
        let successor = transactional(host.address(), "writer", 60_000);
        successor.init_transactions(PATIENCE).unwrap();
        successor.begin_transaction().unwrap();
        put(&successor, "t", "new");
        successor.commit_transaction(PATIENCE).unwrap();
        assert_eq!(read(host, "t", "read_committed"), ["new"]);
    });
}

fn committed(consumer: &BaseConsumer, topic: &str) -> Offset {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    let found = consumer.committed_offsets(list, PATIENCE).unwrap();
    found.elements()[0].offset()
}

fn position(topic: &str, offset: i64) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    list
}

// Consume, transform, produce: the offsets belong to the transaction.
#[test]
fn offsets_are_committed_with_the_transaction_and_only_then() {
    each_broker(|host| {
        host.create("in", 1);
        host.create("out", 1);
        let reader: BaseConsumer =
            host.client(&[("group.id", "app"), ("enable.auto.commit", "false")]).create().unwrap();
        reader.commit(&position("in", 3), CommitMode::Sync).unwrap();
        reader.subscribe(&["in"]).unwrap();
        let deadline = std::time::Instant::now() + PATIENCE;
        while reader.assignment().unwrap().count() == 0 {
            assert!(std::time::Instant::now() < deadline, "no assignment came");
            let _nothing_yet = reader.poll(std::time::Duration::from_millis(50));
        }
        let metadata = || -> ConsumerGroupMetadata { reader.group_metadata().unwrap() };
        let producer = transactional(host.address(), "app", 10_000);
        producer.init_transactions(PATIENCE).unwrap();

        producer.begin_transaction().unwrap();
        put(&producer, "out", "aborted");
        producer.send_offsets_to_transaction(&position("in", 7), &metadata(), PATIENCE).unwrap();
        producer.flush(PATIENCE).unwrap();
        producer.abort_transaction(PATIENCE).unwrap();
        assert_eq!(committed(&reader, "in"), Offset::Offset(3));

        producer.begin_transaction().unwrap();
        put(&producer, "out", "committed");
        producer.send_offsets_to_transaction(&position("in", 9), &metadata(), PATIENCE).unwrap();
        producer.commit_transaction(PATIENCE).unwrap();
        assert_eq!(committed(&reader, "in"), Offset::Offset(9));
        host.restart();
        assert_eq!(committed(&reader, "in"), Offset::Offset(9));
        assert_eq!(read(host, "out", "read_committed"), ["committed"]);
    });
}

// One transaction over many partitions and segments.
#[test]
fn a_transaction_spans_partitions_and_segments() {
    let mut host = Host::with(|options| options.segment_bytes_max = 2_000);
    host.create("wide", 8);
    let producer = transactional(host.address(), "writer", 10_000);
    producer.init_transactions(PATIENCE).unwrap();
    for (round, commit) in [(0, true), (1, false), (2, true)] {
        producer.begin_transaction().unwrap();
        for n in 0..200 {
            let payload = format!("{round}:{n}");
            producer
                .send(BaseRecord::<str, str>::to("wide").partition(n % 8).payload(&payload))
                .map_err(|(error, _)| error)
                .unwrap();
        }
        match commit {
            true => producer.commit_transaction(PATIENCE).unwrap(),
            false => {
                producer.flush(PATIENCE).unwrap();
                producer.abort_transaction(PATIENCE).unwrap();
            }
        }
    }
    for _ in 0..2 {
        let all: Vec<i32> = (0..8).collect();
        let consumer = crate::support::consumer(host.address(), "wide", &all, Offset::Beginning, &[]);
        let mut seen: Vec<String> =
            payloads(&read_to_end(&consumer, 8)).into_iter().map(str::to_owned).collect();
        seen.sort();
        let mut expected: Vec<String> =
            [0, 2].iter().flat_map(|round| (0..200).map(move |n| format!("{round}:{n}"))).collect();
        expected.sort();
        assert_eq!(seen, expected);
        host.restart();
    }
}
