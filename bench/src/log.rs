//! The log: a broker in a process of its own, so that its work is in nobody's figures, and topics full of events.

use crate::child::Part;
use crate::report;
use crate::workload::{Keys, Made, Workload};
use anyhow::{Context as _, Result, ensure};
use lantern::log::{Client, Options, Producer};
use lantern_broker::{Broker, Fsync};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Partitions of every topic.
pub const PARTITIONS: i32 = 4;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);

/// A log.
pub struct Log {
    servers: String,
    /// Ends the embedded broker when it is dropped.
    _broker: Option<Part>,
}

impl Log {
    /// The log behind these servers, else on an embedded broker in a folder.
    ///
    /// # Errors
    /// When it does not start.
    pub fn open(servers: Option<&str>, folder: &Path) -> Result<Self> {
        if let Some(servers) = servers {
            return Ok(Log { servers: servers.to_owned(), _broker: None });
        }
        let folder = folder.join("log");
        let mut broker = Part::start(&["broker", "--folder", &folder.to_string_lossy()])?;
        Ok(Log { servers: broker.first_line()?, _broker: Some(broker) })
    }

    /// `host:port`.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// A client's settings.
    pub fn options(&self) -> Options {
        Options::new(&self.servers)
    }

    /// A topic with a workload, which is appended unless it is there.
    ///
    /// # Errors
    /// When the topic holds something else, or the broker does not take it.
    pub fn fill(&self, keys: Keys, events: u64) -> Result<String> {
        let topic = format!("bench-{}-{events}", keys.name());
        let client = Client::new(&self.options())?;
        client.create_topic(&topic, PARTITIONS)?;
        let there = records(&client, &topic)?;
        if there == events {
            return Ok(topic);
        }
        ensure!(
            there == 0,
            "{topic} holds {there} records of an earlier run that was cut short: delete the topic"
        );
        report::progress(&format!("appending {events} events to {topic}"));
        let producer = Producer::new(&self.options())?;
        let (mut workload, mut made, mut number) = (Workload::new(keys, events), Made::default(), 0u64);
        while workload.next(&mut made) {
            let id = number.to_string();
            let (key, payload) = (made.key.as_bytes(), made.payload.as_bytes());
            let headers = headers(&id, made.kind);
            producer.send(&topic, Some(key), Some(payload), &headers, None, None)?;
            number += 1;
        }
        producer.flush(FLUSH_TIMEOUT)?;
        let there = records(&client, &topic)?;
        ensure!(there == events, "{topic} holds {there} records, not {events}");
        Ok(topic)
    }

    /// A topic that nobody used before.
    ///
    /// # Errors
    /// When the broker does not make it.
    pub fn fresh(&self, label: &str) -> Result<String> {
        let topic = format!("bench-{label}-{:08x}", rand::random::<u32>());
        Client::new(&self.options())?.create_topic(&topic, PARTITIONS)?;
        Ok(topic)
    }
}

/// The attributes of a CloudEvent in binary mode, as events in the wild have them.
pub fn headers<'a>(id: &'a str, kind: &'a str) -> [(&'static str, &'a [u8]); 5] {
    [
        ("ce_specversion", b"1.0"),
        ("ce_id", id.as_bytes()),
        ("ce_source", b"lantern/bench"),
        ("ce_type", kind.as_bytes()),
        ("content-type", b"application/json"),
    ]
}

fn records(client: &Client, topic: &str) -> Result<u64> {
    let mut records = 0;
    for partition in client.partitions(topic)? {
        let range = client.watermarks(topic, partition)?;
        records += u64::try_from(range.end - range.start).context("an end before its start")?;
    }
    Ok(records)
}

/// Serves the embedded broker until the standard input ends.
///
/// # Errors
/// When it does not start.
pub fn serve(folder: PathBuf, fsync: Fsync) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let options = lantern_broker::Options { dir: folder, fsync, ..lantern_broker::Options::default() };
        let broker = Broker::start(options).await?;
        report::line(&broker.address().to_string())?;
        // Whether it ends or cannot be read, nobody is there any more.
        let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
        broker.shutdown().await?;
        Ok(())
    })
}

/// When the embedded broker forces records to the disk, as a flag says it.
///
/// # Errors
/// When it says something else.
pub fn fsync(text: &str) -> Result<Fsync> {
    Ok(match text {
        "always" => Fsync::Always,
        "never" => Fsync::Never,
        _ => Fsync::EveryMs(text.parse().context("always, never, or a number of milliseconds")?),
    })
}
