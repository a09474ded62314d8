//! What the tests of this crate share: a broker in a folder of its own, and clients for it.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

use std::path::Path;
use std::time::{Duration, Instant};

use lantern_broker::{Broker, Options};
use lantern_tests::log::{Log, on};
use lantern_tests::wait::WAIT_MS_MAX;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;

/// Nothing here takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_millis(WAIT_MS_MAX);

/// Runs a test on the embedded broker, and then on Apache Kafka, if that can run here.
pub fn each_broker(test: impl Fn(&mut Host)) {
    test(&mut Host::start());
    if let Some(kafka) = lantern_tests::kafka::shared() {
        // One after the other, so that the names of topics need not differ.
        static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let run = |_: &Log<'_>| {
            test(&mut Host::of_kafka(kafka.address()));
            Ok(())
        };
        on(&Log::Kafka(kafka), run).unwrap();
    }
}

/// Changes the options of a broker before each start.
type Configure = Box<dyn Fn(&mut Options) + Send + Sync>;

/// A broker in a folder of its own, with a runtime of its own; or a client's view of another one.
pub struct Host {
    pub dir: TempDir,
    pub runtime: tokio::runtime::Runtime,
    broker: Option<Broker>,
    /// `None` for a broker that is not ours to restart.
    configure: Option<Configure>,
    address: String,
}

impl Host {
    pub fn start() -> Host {
        Host::with(|_| {})
    }

    pub fn with(configure: impl Fn(&mut Options) + Send + Sync + 'static) -> Host {
        let mut host = Host {
            dir: tempfile::tempdir().unwrap(),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
            broker: None,
            configure: Some(Box::new(configure)),
            address: String::new(),
        };
        host.open();
        host
    }

    /// An Apache Kafka, without the topics of tests before.
    fn of_kafka(address: String) -> Host {
        let host = Host {
            dir: tempfile::tempdir().unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            broker: None,
            configure: None,
            address,
        };
        let admin = host.admin();
        let topics = || {
            let metadata = admin.inner().fetch_metadata(None, PATIENCE).unwrap();
            let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
            names.filter(|name| !name.starts_with("__")).collect::<Vec<_>>()
        };
        let left = topics();
        let names: Vec<&str> = left.iter().map(String::as_str).collect();
        if !names.is_empty() {
            block_on(admin.delete_topics(&names, &AdminOptions::new())).unwrap();
            eventually("topics go", || topics().is_empty());
        }
        host
    }

    fn open(&mut self) {
        let Some(configure) = &self.configure else {
            return;
        };
        let mut options = options(self.dir.path());
        configure(&mut options);
        // Clients of before a restart find the broker where it was.
        if let Ok(address) = self.address.parse() {
            options.listen = address;
        }
        let broker = self.runtime.block_on(Broker::start(options)).unwrap();
        self.address = broker.address().to_string();
        self.broker = Some(broker);
    }

    /// Stops the broker in order, and starts it again on the same files and the same address; unless
    /// it is not ours.
    pub fn restart(&mut self) {
        self.restart_after(|_| {});
    }

    /// Does something to the folder while the broker is down.
    pub fn restart_after(&mut self, meanwhile: impl FnOnce(&Path)) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.shutdown()).unwrap();
        }
        meanwhile(self.dir.path());
        self.open();
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// How the process that embeds the broker reaches it.
    pub fn inside(&self) -> lantern_broker::Inside {
        self.broker.as_ref().unwrap().inside().clone()
    }

    pub fn create(&self, topic: &str, partitions: i32) {
        create(self.address(), topic, partitions);
    }

    pub fn client(&self, settings: &[(&str, &str)]) -> ClientConfig {
        client(self.address(), settings)
    }

    pub fn producer(&self, settings: &[(&str, &str)]) -> ThreadedProducer<Collector> {
        producer(self.address(), settings)
    }

    /// A consumer that is assigned partition 0 of `topic` from `offset`.
    pub fn consumer(&self, topic: &str, offset: Offset, settings: &[(&str, &str)]) -> BaseConsumer {
        consumer(self.address(), topic, &[0], offset, settings)
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client(&[]).create().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.shutdown()).unwrap();
        }
    }
}

/// Options for a test's broker.
pub fn options(dir: &Path) -> Options {
    Options { dir: dir.to_path_buf(), ..Options::default() }
}

pub fn client(address: &str, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("socket.timeout.ms", "10000")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "100");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

pub fn create(address: &str, topic: &str, partitions: i32) {
    create_with(address, topic, partitions, &[]);
}

pub fn create_with(address: &str, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = client(address, &[]).create().unwrap();
    let mut topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    block_on(admin.create_topics(&[topic], &options)).unwrap()[0].as_ref().unwrap();
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What became of a record: partition and offset, or the error.
pub type Delivery = Result<(i32, i64), rdkafka::error::KafkaError>;

/// Collects deliveries under the number that each record was sent with.
#[derive(Clone, Default)]
pub struct Collector(pub std::sync::Arc<std::sync::Mutex<Vec<(usize, Delivery)>>>);

impl rdkafka::ClientContext for Collector {}

impl rdkafka::producer::ProducerContext for Collector {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &rdkafka::producer::DeliveryResult<'_>, number: Box<usize>) {
        let delivery = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        self.0.lock().unwrap().push((*number, delivery));
    }
}

pub fn producer(address: &str, settings: &[(&str, &str)]) -> ThreadedProducer<Collector> {
    let mut config = client(address, &[("linger.ms", "5")]);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create_with_context(Collector::default()).unwrap()
}

/// Sends one record to partition 0 and waits for its offset.
pub fn send(producer: &ThreadedProducer<Collector>, topic: &str, payload: &str) -> Delivery {
    let record =
        BaseRecord::with_opaque_to(topic, Box::new(usize::MAX)).partition(0).key("key").payload(payload);
    producer.send(record).map_err(|(error, _)| error)?;
    producer.flush(PATIENCE)?;
    let collector = producer.context();
    let mut deliveries = collector.0.lock().unwrap();
    let at = deliveries
        .iter()
        .position(|(number, _)| *number == usize::MAX)
        .expect("a flushed record was delivered");
    deliveries.remove(at).1
}

/// Sends every payload to partition 0 and expects all of them to arrive.
pub fn send_all<'a>(
    producer: &ThreadedProducer<Collector>,
    topic: &str,
    payloads: impl IntoIterator<Item = &'a str>,
) {
    for payload in payloads {
        let record = BaseRecord::with_opaque_to(topic, Box::new(0)).partition(0).key("key").payload(payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let collector = producer.context();
    for (_, delivery) in collector.0.lock().unwrap().drain(..) {
        delivery.unwrap();
    }
}

pub fn consumer(
    address: &str,
    topic: &str,
    partitions: &[i32],
    offset: Offset,
    settings: &[(&str, &str)],
) -> BaseConsumer {
    let mut config = client(
        address,
        &[
            ("group.id", "reader"),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "error"),
            ("fetch.wait.max.ms", "50"),
            ("enable.partition.eof", "true"),
            ("isolation.level", "read_committed"),
        ],
    );
    for (key, value) in settings {
        config.set(*key, *value);
    }
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition_offset(topic, *partition, offset).unwrap();
    }
    consumer.assign(&list).unwrap();
    consumer
}

/// A record as a test compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<String>,
    pub payload: Option<String>,
    pub headers: Vec<(String, Option<String>)>,
}

impl Seen {
    pub fn of(message: &BorrowedMessage<'_>) -> Seen {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Seen {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(text),
            payload: message.payload().map(text),
            headers: message
                .headers()
                .into_iter()
                .flat_map(|headers| headers.iter())
                .map(|header| (header.key.to_owned(), header.value.map(text)))
                .collect(),
        }
    }
}

/// Reads until the ends of `partitions` partitions.
pub fn read_to_end(consumer: &BaseConsumer, partitions: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut ended = std::collections::HashSet::new();
    let deadline = Instant::now() + PATIENCE;
    while ended.len() < partitions {
        assert!(Instant::now() < deadline, "the end was not reached; read so far: {}", seen.len());
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => seen.push(Seen::of(&message)),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                ended.insert(partition);
            }
            Some(Err(error)) => panic!("consumer: {error}"),
            None => {}
        }
    }
    seen
}

/// The payloads of what is read.
pub fn payloads(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|record| record.payload.as_deref().unwrap_or("")).collect()
}

/// The next record, or an error, within the patience.
pub fn next(consumer: &BaseConsumer) -> Result<Seen, rdkafka::error::KafkaError> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) | None => {}
            Some(Ok(message)) => return Ok(Seen::of(&message)),
            Some(Err(error)) => return Err(error),
        }
    }
    panic!("no record came");
}

/// Waits until `holds`.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A producer of transactions.
pub fn transactional(address: &str, id: &str, timeout_ms: u32) -> BaseProducer {
    client(
        address,
        &[
            ("transactional.id", id),
            ("transaction.timeout.ms", &timeout_ms.to_string()),
            ("message.timeout.ms", &timeout_ms.to_string()),
            ("socket.timeout.ms", &timeout_ms.min(10_000).to_string()),
        ],
    )
    .create()
    .unwrap()
}

/// A small generator of repeatable random numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
