//! The embedded broker beside Apache Kafka on the same machine, taking turns: each in a process of its own, with an
//! empty folder, the same client and the same messages.
//!
//! What an acknowledgement says differs, so the embedded broker runs with each of its three settings: the default has
//! the record on the disk, and the other two have it where Kafka's single node has it, in the system's memory.
//!
//! * [`server`]: the processes.
//! * [`load`]: what is sent and read.
//! * [`open`]: starts with a log that is there.
//! * [`table`]: what is printed.

mod load;
mod open;
mod server;
mod table;

use crate::meter;
use crate::report;
use anyhow::{Context as _, Result};
use load::Latency;
use open::Opening;
use serde::Serialize;
use server::{Jars, Server};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is measured, and how much of it.
#[derive(Debug, clap::Args)]
// Another part's flags have a group of the struct's name.
#[group(skip)]
pub struct Parameters {
    /// Messages that are produced and consumed.
    #[arg(long, default_value_t = 2_000_000)]
    broker_messages: u64,
    /// Bytes of each.
    #[arg(long, default_value_t = 200)]
    broker_message_bytes: usize,
    /// Messages per second of the latency's part.
    #[arg(long, default_value_t = 2_000)]
    broker_rate: u64,
    /// How long it sends at that rate, in seconds.
    #[arg(long, default_value_t = 5)]
    broker_seconds: u64,
    /// Bytes of the log that is opened, in MB; 0 leaves it out.
    #[arg(long, default_value_t = 1_000)]
    broker_open_mb: u64,
    /// Kafka's jars, as the tests fetch them; the folder is `target/lantern-tests/kafka-jars` when it is left out.
    #[arg(long, value_name = "DIR")]
    kafka_jars: Option<PathBuf>,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Contender {
    /// The embedded broker: acknowledged means on the disk.
    Embedded,
    /// It, with a sync every second.
    EmbeddedEverySecond,
    /// It, without.
    EmbeddedUnsynced,
    /// Apache Kafka with its own defaults: it leaves writing to the system.
    Kafka,
}

impl Contender {
    const ALL: [Contender; 4] =
        [Contender::Embedded, Contender::EmbeddedEverySecond, Contender::EmbeddedUnsynced, Contender::Kafka];

    fn name(self) -> &'static str {
        match self {
            Contender::Embedded => "embedded",
            Contender::EmbeddedEverySecond => "fsync every s",
            Contender::EmbeddedUnsynced => "fsync never",
            Contender::Kafka => "Apache Kafka",
        }
    }
}

/// What one run measured.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// From the start of the process on an empty folder until it answers metadata with itself, in milliseconds.
    pub start_ms: f64,
    /// Memory then, in bytes.
    pub rss_start_bytes: u64,
    /// Messages a second, until the last one is acknowledged.
    pub produced_per_s: f64,
    /// CPU time of the broker for a million of them, in seconds.
    pub produce_cpu_s: f64,
    /// Messages a second, from the first fetch on.
    pub consumed_per_s: f64,
    /// CPU time of the broker for a million of them, in seconds.
    pub consume_cpu_s: f64,
    /// From the call that sends to the consumer's poll.
    pub latency: Latency,
    /// The most memory that the process had, in bytes.
    pub rss_peak_bytes: u64,
}

/// Measures and prints.
///
/// # Errors
/// When a broker does not start, or loses a message.
pub fn run(folder: &Path, runs: usize, parameters: &Parameters, json: bool) -> Result<()> {
    let jars = Jars::find(parameters.kafka_jars.as_deref())?;
    let folder = folder.join("brokers");
    let mut all: BTreeMap<Contender, Vec<Run>> = BTreeMap::new();
    for number in 1..=runs {
        for contender in Contender::ALL {
            let run = measure(&folder, contender, &jars, parameters).with_context(|| contender.name())?;
            report::progress(&format!(
                "{number}/{runs} {}: started in {:.0} ms, {:.0} produced/s, {:.0} consumed/s, p50 {:.2} ms, p99 {:.2} ms, {} MB",
                contender.name(),
                run.start_ms,
                run.produced_per_s,
                run.consumed_per_s,
                run.latency.p50_ms,
                run.latency.p99_ms,
                run.rss_peak_bytes / 1_000_000
            ));
            all.entry(contender).or_default().push(run);
        }
    }
    let mut openings: Vec<Opening> = Vec::new();
    if parameters.broker_open_mb > 0 {
        for contender in [Contender::Embedded, Contender::Kafka] {
            empty(&folder)?;
            openings.extend(
                open::measure(&folder, contender, &jars, parameters).with_context(|| contender.name())?,
            );
        }
    }
    empty(&folder)?;
    table::print(&all, &openings, parameters, json)
}

fn measure(folder: &Path, contender: Contender, jars: &Jars, parameters: &Parameters) -> Result<Run> {
    const TOPIC: &str = "messages";
    const WARM_UP: &str = "warm-up";
    empty(folder)?;
    let (server, started) = Server::start(contender, jars, folder)?;
    let process = server.process().to_string();
    let rss_start_bytes = meter::rss_bytes(&process)?;
    let messages = parameters.broker_messages;
    let millions = messages as f64 / 1e6;

    // Java compiles what it has run often; what is measured is a broker that has run for a while.
    let warm_up = messages / 2;
    load::produce(server.address(), WARM_UP, warm_up, parameters.broker_message_bytes)?;
    load::consume(server.address(), WARM_UP, warm_up)?;
    let cpu = meter::cpu_s(&process)?;
    let produced_per_s = load::produce(server.address(), TOPIC, messages, parameters.broker_message_bytes)?;
    let produce_cpu_s = (meter::cpu_s(&process)? - cpu) / millions;
    let cpu = meter::cpu_s(&process)?;
    let consumed_per_s = load::consume(server.address(), TOPIC, messages)?;
    let consume_cpu_s = (meter::cpu_s(&process)? - cpu) / millions;
    let pace = (parameters.broker_rate, parameters.broker_seconds);
    let latency = load::latency(server.address(), pace, parameters.broker_message_bytes)?;
    let rss_peak_bytes = meter::rss_peak_bytes(&process)?;
    server.stop()?;
    Ok(Run {
        start_ms: started.as_secs_f64() * 1e3,
        rss_start_bytes,
        produced_per_s,
        produce_cpu_s,
        consumed_per_s,
        consume_cpu_s,
        latency,
        rss_peak_bytes,
    })
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(std::fs::create_dir_all(folder)?)
}
