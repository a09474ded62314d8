//! Records go in and come out: the same bytes, in order, by every way of asking for them.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{Host, PATIENCE, Seen, each_broker, next, payloads, read_to_end, send, send_all};

// Batches are stored as they came, so every codec has to survive the way through the log, and a
// restart in between must not change what is read.
#[test]
fn every_codec_is_read_back_as_it_was_written_also_after_a_restart() {
    each_broker(|host| {
        let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
        let expected: Vec<String> = (0..200).map(|n| format!("{{\"event\":{n}}}")).collect();
        for codec in codecs {
            host.create(codec, 1);
            let producer = host.producer(&[("compression.type", codec)]);
            send_all(&producer, codec, expected.iter().map(String::as_str));
        }
        for _ in 0..2 {
            for codec in codecs {
                let consumer = host.consumer(codec, Offset::Beginning, &[]);
                let seen = read_to_end(&consumer, 1);
                assert_eq!(payloads(&seen), expected, "{codec}");
                assert!(seen.iter().zip(0..).all(|(record, offset)| record.offset == offset));
            }
            host.restart();
        }
    });
}

// Absent and empty are different things to Kafka, and compaction lives on the difference.
#[test]
fn headers_tombstones_and_absent_keys_are_kept() {
    each_broker(|host| {
        host.create("odd", 1);
        let producer = host.producer(&[]);
        let headers = || {
            OwnedHeaders::new()
                .insert(Header { key: "ce_type", value: Some("order.placed") })
                .insert(Header { key: "empty", value: Some("") })
                .insert(Header { key: "ce_type", value: None::<&str> })
        };
        producer
            .send(BaseRecord::<str, str, _>::with_opaque_to("odd", Box::new(0)).key("k").headers(headers()))
            .map_err(|(error, _)| error)
            .unwrap();
        producer
            .send(BaseRecord::<str, str, _>::with_opaque_to("odd", Box::new(1)).payload(""))
            .map_err(|(error, _)| error)
            .unwrap();
        producer.flush(PATIENCE).unwrap();
        let seen = read_to_end(&host.consumer("odd", Offset::Beginning, &[]), 1);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            seen,
            [
                Seen {
                    partition: 0,
                    offset: 0,
                    key: text("k"),
                    payload: None,
                    headers: vec![
                        ("ce_type".into(), text("order.placed")),
                        ("empty".into(), text("")),
                        ("ce_type".into(), None),
                    ],
                },
                Seen { partition: 0, offset: 1, key: None, payload: text(""), headers: vec![] },
            ]
        );
    });
}

// A checkpoint rarely falls on the boundary of a batch.
#[test]
fn reading_begins_in_the_middle_of_a_batch() {
    each_broker(|host| {
        host.create("middle", 1);
        let producer = host.producer(&[("linger.ms", "100"), ("compression.type", "zstd")]);
        let expected: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        send_all(&producer, "middle", expected.iter().map(String::as_str));
        for start in [0, 1, 50, 99] {
            let consumer = host.consumer("middle", Offset::Offset(start), &[]);
            let seen = read_to_end(&consumer, 1);
            assert_eq!(payloads(&seen), expected[start as usize..], "from {start}");
        }
    });
}

// A position by time is a record's, not a batch's.
#[test]
fn offsets_are_found_by_time_in_every_codec() {
    each_broker(|host| {
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            host.create(codec, 1);
            let producer = host.producer(&[("linger.ms", "50"), ("compression.type", codec)]);
            for n in 0..100_i64 {
                let payload = format!("a payload that compresses well, well, well {n}");
                producer
                    .send(
                        BaseRecord::<str, str, _>::with_opaque_to(codec, Box::new(0))
                            .payload(&payload)
                            .timestamp(1_000_000 + n * 10),
                    )
                    .map_err(|(error, _)| error)
                    .unwrap();
            }
            producer.flush(PATIENCE).unwrap();
            let consumer = host.consumer(codec, Offset::Beginning, &[]);
            let offset_at = |time| {
                let mut list = TopicPartitionList::new();
                list.add_partition_offset(codec, 0, Offset::Offset(time)).unwrap();
                let found = consumer.offsets_for_times(list, PATIENCE).unwrap();
                found.elements()[0].offset()
            };
            assert_eq!(offset_at(0), Offset::Offset(0), "{codec}");
            assert_eq!(offset_at(1_000_000), Offset::Offset(0), "{codec}");
            assert_eq!(offset_at(1_000_331), Offset::Offset(34), "{codec}");
            assert_eq!(offset_at(1_000_990), Offset::Offset(99), "{codec}");
            assert_eq!(offset_at(1_000_991), Offset::End, "{codec}");
            assert_eq!(consumer.fetch_watermarks(codec, 0, PATIENCE).unwrap(), (0, 100));
        }
    });
}

// What a consumer does about a truncated log is its policy, so it has to be told.
#[test]
fn an_offset_outside_the_log_is_an_error() {
    each_broker(|host| {
        host.create("short", 1);
        send(&host.producer(&[]), "short", "only").unwrap();
        let consumer = host.consumer("short", Offset::Offset(5), &[]);
        match next(&consumer) {
            Err(KafkaError::MessageConsumption(code)) => {
                assert_eq!(code, RDKafkaErrorCode::AutoOffsetReset);
            }
            other => panic!("{other:?}"),
        }
    });
}

// Small segments put every boundary in the way of a reader.
#[test]
fn a_log_of_many_segments_reads_like_one() {
    let mut host = Host::with(|options| options.segment_bytes_max = 2_000);
    host.create("rolled", 1);
    let producer = host.producer(&[("batch.num.messages", "3")]);
    let expected: Vec<String> = (0..500).map(|n| format!("event number {n}")).collect();
    send_all(&producer, "rolled", expected.iter().map(String::as_str));
    let folder = host.dir.path().join("topics/rolled/0");
    let segments = std::fs::read_dir(folder).unwrap().count();
    assert!(segments > 5, "{segments} segments");
    for _ in 0..2 {
        for start in [0, 7, 250, 499] {
            let consumer = host.consumer("rolled", Offset::Offset(start), &[]);
            assert_eq!(payloads(&read_to_end(&consumer, 1)), expected[start as usize..]);
        }
        host.restart();
    }
}

// An idempotent producer gives each batch a number, which the broker checks.
#[test]
fn an_idempotent_producer_writes_each_record_once_and_goes_on_after_a_restart() {
    each_broker(|host| {
        host.create("once", 1);
        let producer = host.producer(&[("enable.idempotence", "true")]);
        let first: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        send_all(&producer, "once", first.iter().map(String::as_str));
        host.restart();
        let second: Vec<String> = (100..200).map(|n| n.to_string()).collect();
        send_all(&producer, "once", second.iter().map(String::as_str));
        let seen = read_to_end(&host.consumer("once", Offset::Beginning, &[]), 1);
        assert_eq!(payloads(&seen), [first, second].concat());
    });
}

// `lantern produce` and every console tool rely on it.
#[test]
fn a_topic_is_made_when_a_producer_wants_it_and_not_when_that_is_off() {
    let host = Host::start();
    send(&host.producer(&[]), "made", "first").unwrap();
    let strict = Host::with(|options| options.auto_create_topics = false);
    let producer = strict.producer(&[("message.timeout.ms", "2000")]);
    assert!(send(&producer, "absent", "first").is_err());
}

// A batch larger than the limit is the producer's fault, and it is told so at once.
#[test]
fn a_message_too_large_is_refused_and_a_large_one_passes() {
    each_broker(|host| {
        host.create("big", 1);
        let producer = host.producer(&[("message.max.bytes", "5000000")]);
        let big = "x".repeat(1_000_000);
        assert_eq!(send(&producer, "big", &big).unwrap(), (0, 0));
        let bigger = "x".repeat(1_100_000);
        match send(&producer, "big", &bigger) {
            Err(KafkaError::MessageProduction(code)) => {
                assert_eq!(code, RDKafkaErrorCode::MessageSizeTooLarge);
            }
            other => panic!("{other:?}"),
        }
        // A fetch gives at least one batch, however small the consumer's appetite.
        let consumer = host.consumer("big", Offset::Beginning, &[("max.partition.fetch.bytes", "1000")]);
        assert_eq!(next(&consumer).unwrap().payload.unwrap().len(), big.len());
    });
}

// A waiting consumer is woken by the append, not by the end of its wait.
#[test]
fn a_lone_record_is_delivered_at_once() {
    each_broker(|host| {
        host.create("live", 1);
        let producer = host.producer(&[("linger.ms", "0")]);
        let consumer = host.consumer("live", Offset::Beginning, &[("fetch.wait.max.ms", "10000")]);
        send(&producer, "live", "first").unwrap();
        next(&consumer).unwrap();
        let mut fastest = Duration::MAX;
        for n in 0..5 {
            let start = std::time::Instant::now();
            send(&producer, "live", &n.to_string()).unwrap();
            next(&consumer).unwrap();
            fastest = fastest.min(start.elapsed());
        }
        // Generous: the wait would be ten seconds.
        assert!(fastest < Duration::from_secs(2), "{fastest:?}");
    });
}
