//! What is sent and read: by librdkafka with the same settings for everybody.

use anyhow::{Context as _, Result, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use serde::Serialize;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Partitions of every topic.
const PARTITIONS: i32 = 4;
/// How long a broker may take for anything.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Messages before the steady rate, which are waited for and not counted: connections are opened, and caches filled.
const WARM_UP: u64 = 500;
/// Time between two questions to a broker that has just started.
const ASK_AGAIN: Duration = Duration::from_millis(1);

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Half of the messages were faster.
    pub p50_ms: f64,
    /// 99 of 100 were faster.
    pub p99_ms: f64,
}

/// Produces to a new topic as fast as the broker takes it, and tells how many messages a second that was.
///
/// # Errors
/// When not all of them are acknowledged.
pub fn produce(address: &str, topic: &str, messages: u64, bytes: usize) -> Result<f64> {
    create(address, topic)?;
    let producer = producer(address, 5)?;
    let payload = payload(bytes);
    let started = Instant::now();
    for _ in 0..messages {
        send(&producer, topic, &payload)?;
    }
    producer.flush(WAIT_MAX)?;
    let took = started.elapsed();
    let there = ends(address, topic)?.iter().sum::<i64>();
    ensure!(u64::try_from(there)? == messages, "{there} of {messages} messages are there");
    Ok(messages as f64 / took.as_secs_f64())
}

/// Consumes a topic from its beginning, and tells how many messages a second that was.
///
/// # Errors
/// When they are not there.
pub fn consume(address: &str, topic: &str, messages: u64) -> Result<f64> {
    let consumer = consumer(address)?;
    consumer.assign(&from_the_beginning(topic)?)?;
    let started = Instant::now();
    for _ in 0..messages {
        consumer.poll(WAIT_MAX).context("the messages end too early")??;
    }
    Ok(messages as f64 / started.elapsed().as_secs_f64())
}

/// Sends at a steady rate, and tells how long each message was on its way to a consumer that waits for it.
///
/// # Errors
/// When one does not come.
pub fn latency(address: &str, (per_second, seconds): (u64, u64), bytes: usize) -> Result<Latency> {
    const TOPIC: &str = "steady";
    let messages = WARM_UP + per_second * seconds;
    create(address, TOPIC)?;
    let consumer = consumer(address)?;
    consumer.assign(&from_the_beginning(TOPIC)?)?;
    let base = Instant::now();
    let (warm, is_warm) = channel();
    let consuming = std::thread::spawn(move || -> Result<Vec<f64>> {
        let mut latencies = Vec::new();
        for number in 0..messages {
            let message = consumer.poll(WAIT_MAX).context("a message did not come")??;
            let sent =
                message.payload().and_then(|payload| payload.first_chunk()).context("an empty message")?;
            if number >= WARM_UP {
                let on_its_way = base.elapsed() - Duration::from_nanos(u64::from_le_bytes(*sent));
                latencies.push(on_its_way.as_secs_f64() * 1e3);
            } else if number == WARM_UP - 1 {
                // Who no longer waits has failed already.
                let _ = warm.send(());
            }
        }
        Ok(latencies)
    });
    let producer = producer(address, 0)?;
    let mut payload = payload(bytes.max(8));
    for _ in 0..WARM_UP {
        send(&producer, TOPIC, &payload)?;
    }
    is_warm.recv_timeout(WAIT_MAX).context("the first messages did not come")?;
    let started = Instant::now();
    for number in 0..messages - WARM_UP {
        let due = Duration::from_secs_f64(number as f64 / per_second as f64);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        let now = u64::try_from(base.elapsed().as_nanos())?;
        payload[..8].copy_from_slice(&now.to_le_bytes());
        send(&producer, TOPIC, &payload)?;
    }
    producer.flush(WAIT_MAX)?;
    let mut latencies = consuming.join().map_err(|_| anyhow::anyhow!("the consumer panicked"))??;
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    Ok(Latency { p50_ms: at(0.5), p99_ms: at(0.99) })
}

/// Where each partition ends; a broker that has just started is asked until it tells.
///
/// # Errors
/// When it does not.
pub fn ends(address: &str, topic: &str) -> Result<Vec<i64>> {
    let consumer = consumer(address)?;
    let deadline = Instant::now() + WAIT_MAX;
    let end = |partition| loop {
        match consumer.fetch_watermarks(topic, partition, WAIT_MAX) {
            Ok((_, end)) => return Ok(end),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::sleep(ASK_AGAIN),
        }
    };
    (0..PARTITIONS).map(end).collect()
}

fn send(producer: &ThreadedProducer<DefaultProducerContext>, topic: &str, payload: &[u8]) -> Result<()> {
    let mut record = BaseRecord::<(), [u8]>::to(topic).payload(payload);
    while let Err((error, again)) = producer.send(record) {
        ensure!(error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), "{error}");
        std::thread::sleep(Duration::from_micros(200));
        record = again;
    }
    Ok(())
}

/// Bytes that do not repeat soon.
fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|_| rand::random()).collect()
}

fn producer(address: &str, linger_ms: u32) -> Result<ThreadedProducer<DefaultProducerContext>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", linger_ms.to_string());
    Ok(config.create()?)
}

fn consumer(address: &str) -> Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("group.id", "lantern-bench")
        .set("enable.auto.commit", "false")
        .set("reconnect.backoff.ms", "1")
        .set("reconnect.backoff.max.ms", "10")
        .set("fetch.wait.max.ms", "100");
    Ok(config.create()?)
}

fn create(address: &str, topic: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", address).create()?;
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let options = AdminOptions::new().operation_timeout(Some(WAIT_MAX));
    for created in runtime.block_on(admin.create_topics([&new], &options))? {
        match created {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => anyhow::bail!("{topic}: {code}"),
        }
    }
    Ok(())
}

fn from_the_beginning(topic: &str) -> Result<TopicPartitionList> {
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    Ok(all)
}
