//! Lantern beside native loops that do the same work, printed as ratios. See docs/performance.md.
//!
//! # Layout
//!
//! * [`workload`]: the events.
//! * [`log`]: the broker that holds them, in a process of its own.
//! * [`contender`]: who applies them: two native loops and Lantern, each in a process of its own.
//! * [`replay`]: everything is there before the start: speed, CPU time, memory.
//! * [`live`]: events come at a steady rate: latency.
//! * [`queries`]: queries over HTTP, and events until they are seen in one.
//! * [`deployments`]: swaps under load, rebuilds and checks.
//! * [`commands`]: commands beside appends of the same bytes.
//! * [`brokers`]: the embedded broker beside Apache Kafka.
//! * [`languages`]: what plugins cost by the language that they are written in.
//! * [`compare`]: all must end with the same tables.
//! * [`report`]: what is printed.

mod brokers;
mod child;
mod commands;
mod compare;
mod contender;
mod deployments;
mod languages;
mod live;
mod log;
mod meter;
mod queries;
mod replay;
mod report;
mod workload;

use anyhow::{Context as _, Result};
use child::Site;
use clap::Parser as _;
use contender::Job;
use log::Log;
use std::path::{Path, PathBuf};
use workload::Keys;

/// Compares Lantern with native loops that do the same with rdkafka, serde_json and rusqlite.
///
/// Prints events per second, CPU time, memory and latency of each, and the ratios. Fails when not all end with the
/// same tables.
#[derive(Debug, clap::Parser)]
#[command(name = "lantern-bench", version)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    bench: Bench,
}

#[derive(Debug, clap::Args)]
struct Bench {
    /// Events of the replay; the first time, so many are appended to the log.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Use this broker instead of an embedded one in a process of its own.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Which orders the events are of; both when it is left out (`--deployments`: a sliding window).
    #[arg(long)]
    keys: Option<Keys>,
    /// Runs of each, taking turns; medians are printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Events per second of the live part; 0 leaves it out.
    #[arg(long, default_value_t = 20_000)]
    live_rate: u64,
    /// How long the live part sends at that rate, in seconds.
    #[arg(long, default_value_t = 5)]
    live_seconds: u64,
    /// A folder to work in that is kept, so that the log is filled only once.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// A built plugin, instead of building examples/orders.
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// Measure swaps, rebuilds and checks instead, without the native loops.
    #[arg(long)]
    deployments: bool,
    #[command(flatten)]
    swaps: deployments::Parameters,
    /// Measure commands instead, beside transactional appends of the same bytes.
    #[arg(long, conflicts_with = "deployments")]
    commands: bool,
    #[command(flatten)]
    of_commands: commands::Parameters,
    /// Measure queries over HTTP instead, beside the same in the process, and events until they are seen in one.
    #[arg(long, conflicts_with_all = ["deployments", "commands"])]
    queries: bool,
    #[command(flatten)]
    of_queries: queries::Parameters,
    /// Measure plugins in every language instead, and write the table of docs/languages.md.
    #[arg(long, conflicts_with_all = ["deployments", "commands", "queries"])]
    languages: bool,
    /// With `--languages`, measure only these beside Rust, and leave the page as it is: `--only go --only python`.
    #[arg(long, value_name = "LANGUAGE", requires = "languages", value_parser = languages::named)]
    only: Vec<&'static str>,
    /// Measure the embedded broker instead, beside Apache Kafka.
    #[arg(long, conflicts_with_all = ["deployments", "commands", "queries", "languages"])]
    broker: bool,
    #[command(flatten)]
    of_brokers: brokers::Parameters,
    /// Print everything that was measured as JSON.
    #[arg(long)]
    json: bool,
}

/// What the benchmark starts itself again for.
#[derive(Debug, clap::Subcommand)]
enum Part {
    /// Serve the embedded broker until the standard input ends.
    #[command(hide = true)]
    Broker {
        /// Where its log is.
        #[arg(long)]
        folder: PathBuf,
        /// When it forces records to the disk: `always`, `never`, or every so many milliseconds.
        #[arg(long, default_value = "always", value_parser = log::fsync)]
        fsync: lantern_broker::Fsync,
    },
    /// Apply a topic, and tell what it took.
    #[command(hide = true)]
    Contend(Job),
}

fn main() -> Result<()> {
    let Cli { part, bench } = Cli::parse();
    match part {
        Some(Part::Broker { folder, fsync }) => log::serve(folder, fsync),
        Some(Part::Contend(job)) => report::line(&serde_json::to_string(&job.run()?)?),
        None => bench.run(),
    }
}

impl Bench {
    fn run(self) -> Result<()> {
        let temporary = tempfile::tempdir()?;
        let folder = self.folder.as_deref().unwrap_or(temporary.path());
        std::fs::create_dir_all(folder)?;
        if self.broker {
            return brokers::run(folder, self.runs, &self.of_brokers, self.json);
        }
        if self.languages {
            return languages::run(folder, self.runs, &self.only, self.json);
        }
        if self.commands {
            let log = Log::open(self.kafka.as_deref(), folder)?;
            return commands::run(&log, folder, self.runs, &self.of_commands, self.json);
        }
        let site = Site { folder: folder.to_owned(), plugin: self.plugin(folder)?, name: "orders".into() };
        contender::warm_up(&site.folder_of(contender::Contender::Lantern), &site.plugin)?;
        let log = Log::open(self.kafka.as_deref(), folder)?;
        if self.deployments {
            let keys = self.keys.unwrap_or(Keys::Window);
            return deployments::run(&site, &log, keys, self.events, self.runs, &self.swaps, self.json);
        }
        if self.queries {
            return queries::run(&site, &log, self.runs, &self.of_queries, self.json);
        }
        let mut replays = Vec::new();
        for keys in self.keys.map_or(vec![Keys::Window, Keys::Uniform], |keys| vec![keys]) {
            let topic = log.fill(keys, self.events)?;
            replays.push(replay::run(&site, &log, keys, &topic, self.events, self.runs)?);
        }
        let live = if self.live_rate == 0 {
            None
        } else {
            let pace = live::Pace { per_second: self.live_rate, seconds: self.live_seconds };
            Some(live::run(&site, &log, pace, self.runs)?)
        };
        report::print(&replays, live.as_ref(), self.json)
    }

    fn plugin(&self, folder: &Path) -> Result<PathBuf> {
        if let Some(path) = &self.plugin {
            return Ok(path.clone());
        }
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no parent")?.join("examples/orders");
        let config = lantern::config::Config::default();
        let built = lantern::cli::build(&source, &folder.join("orders.wasm"), &config)?;
        Ok(built.path)
    }
}
