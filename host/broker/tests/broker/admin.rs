//! What tools do: topics, partitions, settings, deleted records, a folder in use.

use std::collections::HashMap;

use rdkafka::admin::{AdminOptions, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{self, Host, PATIENCE, block_on, payloads, read_to_end, send_all};
use lantern_broker::Broker;

fn partition_count(host: &Host, topic: &str) -> usize {
    let consumer: BaseConsumer = host.client(&[]).create().unwrap();
    let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
    metadata.topics().iter().find(|known| known.name() == topic).map_or(0, |known| known.partitions().len())
}

// Deleted records stay deleted, also after a restart, and their space is given back.
#[test]
fn records_are_deleted_up_to_an_offset() {
    let mut host = Host::with(|options| options.segment_bytes_max = 1_000);
    host.create("cut", 1);
    let expected: Vec<String> = (0..100).map(|n| format!("event number {n}")).collect();
    let producer = host.producer(&[("batch.num.messages", "2")]);
    send_all(&producer, "cut", expected.iter().map(String::as_str));
    let folder = host.dir.path().join("topics/cut/0");
    let files = || std::fs::read_dir(&folder).unwrap().count();
    let before = files();
    let admin = host.admin();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("cut", 0, Offset::Offset(61)).unwrap();
    block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
    assert!(files() < before);
    for _ in 0..2 {
        let consumer = host.consumer("cut", Offset::Beginning, &[]);
        assert_eq!(consumer.fetch_watermarks("cut", 0, PATIENCE).unwrap(), (61, 100));
        assert_eq!(payloads(&read_to_end(&consumer, 1)), expected[61..]);
        host.restart();
    }
}

fn settings(host: &Host, resource: ResourceSpecifier<'_>) -> HashMap<String, (Option<String>, ConfigSource)> {
    let described = block_on(host.admin().describe_configs(&[resource], &AdminOptions::new()));
    described
        .unwrap()
        .remove(0)
        .unwrap()
        .entries
        .into_iter()
        .map(|entry| (entry.name, (entry.value, entry.source)))
        .collect()
}

// Tools look at the broker's own settings before they do anything.
#[test]
fn the_brokers_settings_are_told() {
    let host = Host::start();
    let broker = settings(&host, ResourceSpecifier::Broker(1));
    assert_eq!(broker["node.id"].0.as_deref(), Some("1"));
}

// Every partition is an open file, so their number has a limit.
#[test]
fn a_topic_with_too_many_partitions_is_refused() {
    let host = Host::start();
    let topic = NewTopic::new("x", 10_001, TopicReplication::Fixed(1));
    let outcome = block_on(host.admin().create_topics(&[topic], &AdminOptions::new())).unwrap();
    assert!(matches!(outcome[0], Err((_, RDKafkaErrorCode::InvalidPartitions))));
}

// Two processes on the same files would destroy them.
#[test]
fn a_second_broker_on_the_same_folder_is_refused_by_the_name_of_the_first() {
    let host = Host::start();
    let refused = host.runtime.block_on(Broker::start(support::options(host.dir.path()))).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
}

// A folder of another version is left alone.
#[test]
fn a_folder_of_another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("format"), "lantern-log 99\n").unwrap();
    let refused = block_on(Broker::start(support::options(dir.path()))).unwrap_err();
    assert!(refused.to_string().contains("lantern-log 99"), "{refused}");
}

/// A folder of a broker that held three records, each in a batch of its own, and the segment.
fn three_records() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let broker = block_on(Broker::start(support::options(dir.path()))).unwrap();
    let address = broker.address().to_string();
    support::create(&address, "hurt", 1);
    let producer = support::producer(&address, &[("batch.num.messages", "1")]);
    send_all(&producer, "hurt", ["one", "two", "three"]);
    block_on(broker.shutdown()).unwrap();
    let segment = dir.path().join("topics/hurt/0/00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&segment, bytes).unwrap();
    (dir, segment)
}

// What is read when the folder is opened is checked then: damage is not cut away like a torn end.
#[test]
fn damage_in_what_no_checkpoint_covers_is_named_at_the_start() {
    let (dir, segment) = three_records();
    std::fs::remove_file(segment.with_file_name("checkpoint")).unwrap();
    let refused = block_on(Broker::start(support::options(dir.path()))).unwrap_err().to_string();
    for part in ["topic hurt, partition 0", "00000000000000000000.log", "offset 1"] {
        assert!(refused.contains(part), "{refused}");
    }
}

// What is not read then is checked when it is served: a reader gets what lies before, and an error.
#[test]
fn damaged_records_are_not_served() {
    let (dir, _) = three_records();
    let broker = block_on(Broker::start(support::options(dir.path()))).unwrap();
    let address = broker.address().to_string();
    let consumer = support::consumer(&address, "hurt", &[0], Offset::Beginning, &[("check.crcs", "true")]);
    assert_eq!(support::next(&consumer).unwrap().payload.as_deref(), Some("one"));
    let error = support::next(&consumer).unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::InvalidMessage), "{error}");
    drop(consumer);
    block_on(broker.shutdown()).unwrap();
}

// A folder of the first format has neither checkpoints nor indexes; it is read as it is.
#[test]
fn a_folder_of_the_format_before_is_taken_over() {
    let mut host = Host::start();
    host.create("old", 1);
    send_all(&host.producer(&[]), "old", ["kept"]);
    let folder = host.dir.path().join("topics/old/0");
    host.restart_after(|dir| {
        std::fs::write(dir.join("format"), "lantern-log 1\n").unwrap();
        std::fs::remove_file(folder.join("checkpoint")).unwrap();
        std::fs::remove_file(folder.join("00000000000000000000.index")).unwrap();
    });
    let seen = read_to_end(&host.consumer("old", Offset::Beginning, &[]), 1);
    assert_eq!(payloads(&seen), ["kept"]);
    assert_eq!(std::fs::read_to_string(host.dir.path().join("format")).unwrap(), "lantern-log 3\n");
}

// The settings are not only stored: records go by size, and of a key the newest stays.
#[test]
fn retention_and_compaction_obey_the_settings_of_the_topic() {
    let host = Host::with(|options| {
        options.maintain_every_ms = 10;
        options.segment_bytes_max = 5_000;
    });
    support::create_with(host.address(), "sized", 1, &[("retention.bytes", "10000")]);
    let settings =
        [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01"), ("segment.ms", "50")];
    support::create_with(host.address(), "newest", 1, &settings);
    let producer = host.producer(&[("batch.num.messages", "10")]);
    let payloads_sent: Vec<String> = (0..500).map(|n| format!("{n:0100}")).collect();
    for topic in ["sized", "newest"] {
        send_all(&producer, topic, payloads_sent.iter().map(String::as_str));
    }
    let start = |topic| {
        let consumer = host.consumer(topic, Offset::Beginning, &[]);
        consumer.fetch_watermarks(topic, 0, PATIENCE).unwrap().0
    };
    support::eventually("old records go", || start("sized") > 300);
    assert_eq!(start("newest"), 0);
    // All of them have the same key.
    support::eventually("older values of the key go", || {
        let seen = read_to_end(&host.consumer("newest", Offset::Beginning, &[]), 1);
        assert_eq!(seen.last().unwrap().payload.as_deref(), payloads_sent.last().map(String::as_str));
        seen.len() <= 10
    });
    // A record without a key has no place among those that are told apart by it.
    let without = rdkafka::producer::BaseRecord::<str, str, _>::with_opaque_to("newest", Box::new(0));
    producer.send(without.partition(0).payload("nameless")).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    let outcome = producer.context().0.lock().unwrap().remove(0).1;
    assert_eq!(outcome.unwrap_err().rdkafka_error_code(), Some(RDKafkaErrorCode::InvalidRecord));
}

// Every partition is a folder and an open file: neither the creation nor the limit on open files may
// stand in the way.
#[test]
fn a_topic_has_thousands_of_partitions() {
    let mut host = Host::start();
    host.create("wide", 2_000);
    host.restart();
    assert_eq!(partition_count(&host, "wide"), 2_000);
    let producer = host.producer(&[]);
    for partition in [0, 999, 1_999] {
        let record = rdkafka::producer::BaseRecord::<str, str, _>::with_opaque_to("wide", Box::new(0));
        producer.send(record.partition(partition).payload("there")).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let consumer = support::consumer(host.address(), "wide", &[0, 999, 1_999], Offset::Beginning, &[]);
    assert_eq!(read_to_end(&consumer, 3).len(), 3);
}

// A catalog that was lost or restored from an old backup must not cost the records it does not name.
#[test]
fn records_that_the_catalog_does_not_name_are_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    {
        let broker = block_on(Broker::start(support::options(dir.path()))).unwrap();
        let address = broker.address().to_string();
        support::create(&address, "kept", 1);
        send_all(&support::producer(&address, &[]), "kept", ["record"]);
        block_on(broker.shutdown()).unwrap();
    }
    std::fs::remove_file(dir.path().join("catalog.json")).unwrap();
    let refused = block_on(Broker::start(support::options(dir.path()))).unwrap_err().to_string();
    assert!(refused.contains("topics/kept"), "{refused}");
    assert!(dir.path().join("topics/kept/0/00000000000000000000.log").exists());
}
