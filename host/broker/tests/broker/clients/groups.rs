//! Consumer groups: shared partitions, static members, committed offsets.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::support::{Host, PATIENCE, block_on, each_broker, eventually, next, send_all};

fn member(host: &Host, group: &str, settings: &[(&str, &str)]) -> BaseConsumer {
    let mut config = host.client(&[
        ("group.id", group),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "100"),
        ("fetch.wait.max.ms", "20"),
    ]);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().unwrap()
}

fn partitions(consumer: &BaseConsumer) -> BTreeSet<i32> {
    let list = consumer.assignment().unwrap();
    list.elements().iter().map(|element| element.partition()).collect()
}

/// Polls all members until `done`.
fn poll_until(members: &[&BaseConsumer], mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "the group did not settle");
        for member in members {
            if let Some(Err(error)) = member.poll(Duration::from_millis(20)) {
                panic!("{error}");
            }
        }
    }
}

// Both ways in which clients rebalance, from one member to two and back.
#[test]
fn members_share_the_partitions_and_take_over_from_one_that_leaves() {
    each_broker(|host| {
        host.create("shared", 6);
        for strategy in ["range", "cooperative-sticky"] {
            let settings = [("partition.assignment.strategy", strategy)];
            let first = member(host, strategy, &settings);
            first.subscribe(&["shared"]).unwrap();
            poll_until(&[&first], || partitions(&first).len() == 6);
            let second = member(host, strategy, &settings);
            second.subscribe(&["shared"]).unwrap();
            poll_until(&[&first, &second], || {
                partitions(&first).len() == 3 && partitions(&second).len() == 3
            });
            assert!(partitions(&first).is_disjoint(&partitions(&second)));
            let groups = first.fetch_group_list(Some(strategy), PATIENCE).unwrap();
            let group = &groups.groups()[0];
            assert_eq!((group.state(), group.members().len()), ("Stable", 2));
            drop(second);
            poll_until(&[&first], || partitions(&first).len() == 6);
        }
    });
}

// A member that dies without a word is missed when its session ends.
#[test]
fn a_silent_member_is_removed() {
    each_broker(|host| {
        host.create("shared", 2);
        let settings = [("session.timeout.ms", "1500"), ("max.poll.interval.ms", "1500")];
        let silent = member(host, "silent", &settings);
        silent.subscribe(&["shared"]).unwrap();
        poll_until(&[&silent], || partitions(&silent).len() == 2);
        // It may be slow, as the machine is.
        let patient = [("session.timeout.ms", "6000"), ("max.poll.interval.ms", "6000")];
        let other = member(host, "silent", &patient);
        other.subscribe(&["shared"]).unwrap();
        // Only the other one is polled from here.
        poll_until(&[&other], || partitions(&other).len() == 2);
    });
}

// A static member that restarts within its session gets its partitions back, and a second process
// of the same name is noticed.
#[test]
fn a_static_member_keeps_its_place_and_its_double_is_fenced() {
    each_broker(|host| {
        host.create("shared", 2);
        let settings = [("group.instance.id", "one")];
        let first = member(host, "static", &settings);
        first.subscribe(&["shared"]).unwrap();
        poll_until(&[&first], || partitions(&first).len() == 2);
        let double = member(host, "static", &settings);
        double.subscribe(&["shared"]).unwrap();
        poll_until(&[&double], || partitions(&double).len() == 2);
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "the first was not fenced");
            if let Some(Err(error)) = first.poll(Duration::from_millis(50)) {
                let text = error.to_string();
                assert!(text.contains("Fenced") || text.contains("Fatal"), "{text}");
                break;
            }
        }
    });
}

// What a group has read is not read again, whatever happened in between.
#[test]
fn committed_offsets_are_where_the_group_goes_on_after_a_restart() {
    each_broker(|host| {
        host.create("work", 1);
        let payloads: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        send_all(&host.producer(&[]), "work", payloads.iter().map(String::as_str));
        let first = member(host, "workers", &[]);
        first.subscribe(&["work"]).unwrap();
        for expected in 0..7 {
            assert_eq!(next(&first).unwrap().offset, expected);
            let mut list = TopicPartitionList::new();
            list.add_partition_offset("work", 0, Offset::Offset(expected + 1)).unwrap();
            first.commit(&list, CommitMode::Sync).unwrap();
        }
        drop(first);
        host.restart();
        let second = member(host, "workers", &[]);
        second.subscribe(&["work"]).unwrap();
        assert_eq!(next(&second).unwrap().offset, 7);
    });
}

// A member outlives the broker's restart: it joins again and goes on.
#[test]
fn a_member_goes_on_after_a_restart() {
    let mut host = Host::start();
    host.create("work", 1);
    let consumer = member(&host, "workers", &[]);
    consumer.subscribe(&["work"]).unwrap();
    poll_until(&[&consumer], || partitions(&consumer).len() == 1);
    host.restart();
    send_all(&host.producer(&[]), "work", ["after"]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "nothing came");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            assert_eq!(message.payload(), Some("after".as_bytes()));
            break;
        }
    }
}

// A topic that takes the name of a deleted one is another, and what was read of the old one says nothing about it.
#[test]
fn committed_offsets_go_with_their_topic() {
    each_broker(|host| {
        let admin = host.admin();
        for topic in ["work", "stays"] {
            host.create(topic, 1);
        }
        let consumer = member(host, "lag", &[]);
        let list = |offset| {
            let mut list = TopicPartitionList::new();
            for topic in ["work", "stays"] {
                list.add_partition_offset(topic, 0, offset).unwrap();
            }
            list
        };
        consumer.commit(&list(Offset::Offset(42)), CommitMode::Sync).unwrap();
        let committed = || {
            let found = consumer.committed_offsets(list(Offset::Invalid), PATIENCE).unwrap();
            found.elements().iter().map(|element| element.offset()).collect::<Vec<_>>()
        };
        assert_eq!(committed(), [Offset::Offset(42), Offset::Offset(42)]);
        block_on(admin.delete_topics(&["work"], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
        eventually("the offset goes", || committed() == [Offset::Invalid, Offset::Offset(42)]);
        host.create("work", 1);
        host.restart();
        assert_eq!(committed(), [Offset::Invalid, Offset::Offset(42)]);
    });
}

// A consumer that assigns itself its partitions, as Lantern does, commits without being a member.
#[test]
fn offsets_are_committed_without_membership_and_deleted_with_the_group() {
    each_broker(|host| {
        host.create("work", 1);
        let consumer = member(host, "lag", &[]);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("work", 0, Offset::Offset(42)).unwrap();
        consumer.commit(&list, CommitMode::Sync).unwrap();
        let committed = || {
            let mut list = TopicPartitionList::new();
            list.add_partition("work", 0);
            let found = consumer.committed_offsets(list, PATIENCE).unwrap();
            found.elements()[0].offset()
        };
        assert_eq!(committed(), Offset::Offset(42));
        let admin = host.admin();
        let deleted = block_on(admin.delete_groups(&["lag", "absent"], &AdminOptions::new())).unwrap();
        assert!(deleted[0].is_ok());
        assert!(deleted[1].is_err());
        assert_eq!(committed(), Offset::Invalid);
    });
}
