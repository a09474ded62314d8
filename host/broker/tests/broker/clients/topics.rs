//! What tools do to topics.

use rdkafka::admin::{
    AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{
    Host, PATIENCE, block_on, consumer, each_broker, eventually, payloads, read_to_end, send_all,
};

fn partition_count(host: &Host, topic: &str) -> usize {
    let consumer: BaseConsumer = host.client(&[]).create().unwrap();
    let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
    metadata.topics().iter().find(|known| known.name() == topic).map_or(0, |known| known.partitions().len())
}

// A topic made again under an old name must not show the old records.
#[test]
fn a_deleted_topic_is_gone_and_can_be_made_again() {
    each_broker(|host| {
        host.create("again", 2);
        send_all(&host.producer(&[]), "again", ["old"]);
        let admin = host.admin();
        let outcome = block_on(admin.delete_topics(&["again", "absent"], &AdminOptions::new())).unwrap();
        assert!(outcome[0].is_ok());
        assert!(matches!(outcome[1], Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))));
        eventually("the topic goes", || partition_count(host, "again") == 0);
        host.restart();
        assert_eq!(partition_count(host, "again"), 0);
        host.create("again", 1);
        send_all(&host.producer(&[]), "again", ["new"]);
        let seen = read_to_end(&host.consumer("again", Offset::Beginning, &[]), 1);
        assert_eq!(payloads(&seen), ["new"]);
    });
}

// Partitions can be added, never taken away.
#[test]
fn a_topic_grows() {
    each_broker(|host| {
        host.create("growing", 1);
        let admin = host.admin();
        let grow = |count| {
            let partitions = NewPartitions::new("growing", count);
            block_on(admin.create_partitions(&[partitions], &AdminOptions::new())).unwrap().remove(0)
        };
        assert!(grow(5).is_ok());
        assert!(matches!(grow(3), Err((_, RDKafkaErrorCode::InvalidPartitions))));
        eventually("partitions are added", || partition_count(host, "growing") == 5);
        host.restart();
        assert_eq!(partition_count(host, "growing"), 5);
    });
}

// Every partition is a log of its own.
#[test]
fn many_partitions_are_written_and_read_at_once() {
    each_broker(|host| {
        host.create("wide", 100);
        let producer = host.producer(&[]);
        for partition in 0..100 {
            let payload = partition.to_string();
            let record = BaseRecord::<str, str, _>::with_opaque_to("wide", Box::new(0));
            let record = record.partition(partition).payload(&payload);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        let all: Vec<i32> = (0..100).collect();
        let consumer = consumer(host.address(), "wide", &all, Offset::Beginning, &[]);
        let seen = read_to_end(&consumer, 100);
        assert_eq!(seen.len(), 100);
        assert!(seen.iter().all(|record| record.payload.as_deref() == Some(&*record.partition.to_string())));
    });
}

// Deleted records stay deleted, also after a restart.
#[test]
fn records_are_deleted_up_to_an_offset() {
    each_broker(|host| {
        host.create("cut", 1);
        let expected: Vec<String> = (0..100).map(|n| format!("event number {n}")).collect();
        let producer = host.producer(&[("batch.num.messages", "2")]);
        send_all(&producer, "cut", expected.iter().map(String::as_str));
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("cut", 0, Offset::Offset(61)).unwrap();
        block_on(host.admin().delete_records(&list, &AdminOptions::new())).unwrap();
        for _ in 0..2 {
            let consumer = host.consumer("cut", Offset::Beginning, &[]);
            assert_eq!(consumer.fetch_watermarks("cut", 0, PATIENCE).unwrap(), (61, 100));
            assert_eq!(payloads(&read_to_end(&consumer, 1)), expected[61..]);
            host.restart();
        }
    });
}

fn setting(host: &Host, name: &str) -> (Option<String>, ConfigSource) {
    let topic = ResourceSpecifier::Topic("set");
    let described = block_on(host.admin().describe_configs(&[topic], &AdminOptions::new())).unwrap();
    let entries = described.into_iter().next().unwrap().unwrap().entries;
    let found = entries.into_iter().find(|entry| entry.name == name).unwrap();
    (found.value, found.source)
}

// Settings are kept with the topic, and a mistake in one changes nothing.
#[test]
fn settings_of_a_topic_are_changed_and_kept_and_wrong_ones_refused() {
    each_broker(|host| {
        host.create("set", 1);
        let alter = |name, value| {
            let config = AlterConfig::new(ResourceSpecifier::Topic("set")).set(name, value);
            block_on(host.admin().alter_configs(&[config], &AdminOptions::new())).unwrap();
        };
        alter("retention.ms", "1000");
        // This client does not tell of the refusal, but the setting does.
        alter("retention.ms", "soon");
        alter("no.such.setting", "1");
        let changed = (Some("1000".to_owned()), ConfigSource::DynamicTopic);
        eventually("the setting is changed", || setting(host, "retention.ms") == changed);
        host.restart();
        assert_eq!(setting(host, "retention.ms"), changed);
        assert_eq!(setting(host, "cleanup.policy").0.as_deref(), Some("delete"));
    });
}

// Mistakes in a request to create a topic come back as the protocol's errors.
#[test]
fn topics_that_cannot_be_are_refused() {
    each_broker(|host| {
        host.create("there", 1);
        let admin = host.admin();
        let check = |topic: NewTopic<'_>, expected: RDKafkaErrorCode| {
            let outcome = block_on(admin.create_topics(&[topic], &AdminOptions::new())).unwrap();
            match &outcome[0] {
                Err((_, code)) => assert_eq!(*code, expected),
                Ok(name) => panic!("{name} was created"),
            }
        };
        let one = || TopicReplication::Fixed(1);
        check(NewTopic::new("there", 1, one()), RDKafkaErrorCode::TopicAlreadyExists);
        check(NewTopic::new("a/b", 1, one()), RDKafkaErrorCode::InvalidTopic);
        check(NewTopic::new("x", 1, TopicReplication::Fixed(3)), RDKafkaErrorCode::InvalidReplicationFactor);
        check(NewTopic::new("x", 1, one()).set("no.such", "1"), RDKafkaErrorCode::InvalidConfig);
        check(NewTopic::new("x", 1, one()).set("segment.bytes", "-1"), RDKafkaErrorCode::InvalidConfig);
    });
}
