//! Produces and consumes small messages through a broker in this process's folder of its own, and
//! prints how fast that was and what the broker's process paid for it.
//!
//! ```text
//! cargo run --release -p lantern-broker --example throughput -- [MESSAGES] [BOOTSTRAP]
//! ```
//!
//! With an address it measures the broker that listens there, Apache Kafka for instance.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people to read")]

use std::time::{Duration, Instant};

use lantern_broker::{Broker, Options};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Offset, TopicPartitionList};

const PAYLOAD: [u8; 200] = [b'x'; 200];
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let messages: usize = args.next().map_or(1_000_000, |count| count.parse().unwrap());
    let bootstrap = args.next();
    let dir = tempfile::tempdir().unwrap();
    let broker = match bootstrap {
        Some(_) => None,
        None => {
            let options = Options { dir: dir.path().to_path_buf(), ..Options::default() };
            Some(Broker::start(options).await.unwrap())
        }
    };
    let address = bootstrap.or(broker.as_ref().map(|broker| broker.address().to_string())).unwrap();
    measure(&address, messages);
    if let Some(broker) = broker {
        broker.shutdown().await.unwrap();
    }
}

fn measure(address: &str, messages: usize) {
    let topic = format!("throughput-{}", std::process::id());
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", address);

    let producer: BaseProducer = client
        .clone()
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .unwrap();
    let start = Instant::now();
    for _ in 0..messages {
        let mut record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0).payload(&PAYLOAD);
        while let Err((error, back)) = producer.send(record) {
            assert!(matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)));
            producer.poll(Duration::from_millis(1));
            record = back;
        }
    }
    producer.flush(PATIENCE).unwrap();
    report("produced", messages, start.elapsed());

    let consumer: BaseConsumer = client
        .clone()
        .set("group.id", "throughput")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "100")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let first = consumer.poll(PATIENCE).unwrap().unwrap();
    assert_eq!(first.offset(), 0);
    let start = Instant::now();
    for _ in 1..messages {
        consumer.poll(PATIENCE).unwrap().unwrap();
    }
    report("consumed", messages, start.elapsed());

    let lone: BaseProducer = client.set("linger.ms", "0").create().unwrap();
    let mut times: Vec<Duration> = (0..300)
        .map(|_| {
            let start = Instant::now();
            lone.send(BaseRecord::<[u8], [u8]>::to(&topic).partition(0).payload(&PAYLOAD))
                .map_err(|(error, _)| error)
                .unwrap();
            lone.poll(Duration::ZERO);
            consumer.poll(PATIENCE).unwrap().unwrap();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("end to end: p50 {:?}, p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
}

fn report(what: &str, messages: usize, elapsed: Duration) {
    let rate = messages as f64 / elapsed.as_secs_f64();
    println!("{what} {messages} messages in {elapsed:.2?}: {rate:.0}/s");
}
