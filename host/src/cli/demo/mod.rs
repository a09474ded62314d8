//! `lantern demo`

mod shop;
mod write_side;

use super::build;
use super::signals::Signals;
use super::{Context, output};
use crate::deployment::Deployments;
use crate::host::{Host, Place};
use crate::log::{self, Client, Producer};
use crate::read_model::{Cell, Question, Reader, ReaderLimits};
use anyhow::{Context as _, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use shop::{Expected, Shop, TOPIC};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// The example that the demo runs, from the root of the source tree.
const EXAMPLE: &str = "examples/orders";
/// Partitions of the topic when the demo creates it.
const PARTITIONS: i32 = 4;
/// How long the last events may take to be acknowledged.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);
/// How often progress is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Watch a shop's events become tables.
///
/// Builds the example projection in examples/orders, streams a made-up shop (orders placed, paid, shipped,
/// cancelled) into the log, and shows the tables that come of it. Then it takes commands for the orders, decided by
/// examples/checkout. Needs nothing but Rust: the log is the embedded broker, unless --kafka names another.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  lantern demo --events 1000000\n  lantern demo --once --kafka 127.0.0.1:9092"
)]
pub struct Demo {
    /// How many events to stream.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    events: u64,
    /// The same seed makes the same shop.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave when everything is applied, instead of going on until Ctrl-C or SIGTERM.
    #[arg(long)]
    once: bool,
    /// Use this broker instead of the embedded one.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
}

impl Demo {
    /// Builds, streams, shows, checks.
    pub fn run(self, mut context: Context) -> anyhow::Result<ExitCode> {
        if let Some(servers) = &self.kafka {
            context.config.kafka.set("bootstrap.servers", servers.as_str());
        }
        let plugin = self.build(&context)?;
        context.wait(self.stream(&context, &plugin))
    }

    fn build(&self, context: &Context) -> anyhow::Result<PathBuf> {
        let source = example(EXAMPLE)?;
        if !context.quiet {
            output::remark(&format!("building {EXAMPLE}, a projection written in Rust, to WebAssembly ..."));
        }
        context.data.create(context.data.root())?;
        let out = context.data.root().join("demo-orders.wasm");
        Ok(build::build(&source, &out, &context.config)?.path)
    }

    async fn stream(&self, context: &Context, plugin: &Path) -> anyhow::Result<ExitCode> {
        // Taken before anything starts, so that no signal finds us half-way.
        let mut signals = Signals::watch()?;
        let mut host = Host::start(&context.config, "lantern demo", false).await?;
        let options = host.log().options().clone();
        let before = prepare(&options)?;
        if !context.quiet {
            let place = if *host.log().place() == Place::Here { "the embedded broker" } else { "Kafka" };
            output::remark(&format!(
                "streaming {} events into `{TOPIC}` on {place} at {}",
                self.events,
                host.log().address()
            ));
        }
        let deployments = host.deployments();
        deployments.resume(&[]).await?;
        let name = deployments.file(plugin).await?.name;
        let started = Instant::now();
        let stream = Arc::new(Stream::default());
        let run = if before == 0 { String::new() } else { format!("{before}-") };
        let shop = Shop::new(self.seed, run, self.events);
        let producing = {
            let stream = Arc::clone(&stream);
            tokio::task::spawn_blocking(move || produce(&options, shop, &stream))
        };
        let Some(expected) =
            self.follow(context, deployments, &name, &stream, producing, &mut signals).await?
        else {
            host.shutdown().await?;
            return Ok(ExitCode::SUCCESS);
        };
        let seconds = started.elapsed().as_secs_f64();
        // A log that had events before is not all of this run's making.
        let expected = (before == 0).then_some(&expected);
        show(context, &name, self.events, seconds, expected)?;
        if !self.once {
            write_side::start(context, &mut host, &name).await?;
            output::remark("\nGoing on until Ctrl-C. Try the commands above in another terminal.");
            signals.next().await;
        }
        host.shutdown().await?;
        Ok(ExitCode::SUCCESS)
    }

    /// Draws progress until everything is applied; answers what it adds up to, or nothing when a signal came
    /// first.
    async fn follow(
        &self,
        context: &Context,
        deployments: &Deployments,
        name: &str,
        stream: &Stream,
        mut producing: JoinHandle<anyhow::Result<Sent>>,
        signals: &mut Signals,
    ) -> anyhow::Result<Option<Expected>> {
        let bar = progress(context.quiet, self.events);
        let mut draw = tokio::time::interval(DRAW_EVERY);
        let mut all: Option<Sent> = None;
        loop {
            tokio::select! {
                _ = signals.next() => {
                    stream.is_unwanted.store(true, Ordering::Relaxed);
                    if all.is_none() {
                        // It needs the broker to come to its end.
                        producing.await.context("the producing thread ended early")??;
                    }
                    return Ok(None);
                }
                done = &mut producing, if all.is_none() => {
                    all = Some(done.context("the producing thread ended early")??);
                }
                _ = draw.tick() => {}
            }
            let mut statuses = deployments.statuses().into_iter();
            let status = statuses.find(|status| status.name == name).context("the projection is gone")?;
            if status.is_over() {
                bail!("the projection halted: {}", status.error.unwrap_or_default());
            }
            let sent = stream.sent.load(Ordering::Relaxed);
            bar.set_position(sent.saturating_sub(status.lag).min(status.events));
            bar.set_message(format!("{sent} sent, {} behind", status.lag));
            let is_applied = |sent: &Sent| {
                sent.ends.iter().all(|(partition, end)| {
                    status.checkpoint.get(&format!("{TOPIC}/{partition}")).is_some_and(|next| next >= end)
                })
            };
            if all.as_ref().is_some_and(is_applied) {
                bar.finish_and_clear();
                return Ok(all.map(|sent| sent.expected));
            }
        }
    }
}

/// What the producing thread and its caller tell each other.
#[derive(Default)]
struct Stream {
    /// How many events have been sent.
    sent: AtomicU64,
    /// Whether no more are wanted.
    is_unwanted: AtomicBool,
}

/// What was streamed.
struct Sent {
    expected: Expected,
    /// Where each partition then ends.
    ends: BTreeMap<i32, i64>,
}

/// An example's source: below this folder, or where this program was built.
fn example(example: &str) -> anyhow::Result<PathBuf> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|root| root.join(example));
    let here = Some(PathBuf::from(example));
    match [here, built_from].into_iter().flatten().find(|path| path.join("Cargo.toml").exists()) {
        Some(path) => Ok(path),
        None => bail!("{example} is not here: run the demo from the root of Lantern's source tree"),
    }
}

/// Creates the topic if it is missing; answers how many records it has.
fn prepare(options: &log::Options) -> anyhow::Result<u64> {
    let client = Client::new(options)?;
    client.create_topic(TOPIC, PARTITIONS)?;
    let mut records = 0;
    for partition in client.partitions(TOPIC)? {
        let range = client.watermarks(TOPIC, partition)?;
        records += u64::try_from(range.end - range.start).unwrap_or(0);
    }
    Ok(records)
}

fn produce(options: &log::Options, mut shop: Shop, stream: &Stream) -> anyhow::Result<Sent> {
    let producer = Producer::new(options)?;
    let mut number = 0u64;
    for event in shop.by_ref() {
        let id = format!("{}-{number}", event.key);
        let time = shop::rfc3339(event.time_ms);
        let version = event.version.to_string();
        let headers: [(&str, &[u8]); 7] = [
            ("ce_specversion", b"1.0"),
            ("ce_id", id.as_bytes()),
            ("ce_type", event.kind.as_bytes()),
            ("ce_source", b"lantern/demo"),
            ("ce_time", time.as_bytes()),
            // With it the command handler takes the event for one of the order's own.
            ("ce_aggregateversion", version.as_bytes()),
            ("content-type", b"application/json"),
        ];
        let (key, payload) = (event.key.as_bytes(), event.payload.as_slice());
        producer.send(TOPIC, Some(key), Some(payload), &headers, None, Some(event.time_ms))?;
        number += 1;
        stream.sent.store(number, Ordering::Relaxed);
        if stream.is_unwanted.load(Ordering::Relaxed) {
            break;
        }
    }
    let report = producer.flush(FLUSH_TIMEOUT)?;
    let ranges = report.ranges.get(TOPIC).cloned().unwrap_or_default();
    let ends = ranges.into_iter().map(|(partition, range)| (partition, range.end)).collect();
    Ok(Sent { expected: shop.expected().clone(), ends })
}

fn progress(quiet: bool, events: u64) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    // indicatif draws on a terminal only.
    let style = ProgressStyle::with_template("applied {pos}/{len} {bar:30} {per_sec}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(events).with_style(style)
}

/// The queries that end the demo: what people look at first.
const TABLES: [(&str, &str); 3] = [
    (
        "Orders",
        "SELECT status, count(*) AS orders, printf('%.2f', sum(total_cents) / 100.0) AS total
         FROM orders GROUP BY status ORDER BY orders DESC",
    ),
    (
        "Best customers",
        "SELECT customer_id AS customer, name, orders, printf('%.2f', spent_cents / 100.0) AS spent
         FROM customers ORDER BY spent_cents DESC, customer_id LIMIT 5",
    ),
    (
        "Best products",
        "SELECT sku, sold, printf('%.2f', revenue_cents / 100.0) AS revenue
         FROM products ORDER BY revenue_cents DESC, sku LIMIT 5",
    ),
];

fn show(
    context: &Context,
    name: &str,
    events: u64,
    seconds: f64,
    expected: Option<&Expected>,
) -> anyhow::Result<()> {
    let path = context.data.read_model(name);
    let mut reader = Reader::open(&path)?;
    for (title, sql) in TABLES {
        let (columns, rows) = rows(&mut reader, sql)?;
        output::line(&format!("\n{title}\n{}", output::rows(&columns, &rows)))?;
    }
    if let Some(expected) = expected {
        check(&mut reader, expected)?;
        output::line("\nThe tables agree with totals that were counted without Lantern.")?;
    }
    let data = context.data.root().display();
    output::line(&format!("{events} events from log to read model in {seconds:.1} s.\n"))?;
    output::line(&format!(
        "Try next:\n  lantern --data-dir {data} query {name} \"SELECT * FROM daily_sales\"\n  \
         lantern --data-dir {data} status\n  lantern --data-dir {data} verify {name}\n  sqlite3 {}",
        path.display()
    ))
}

fn rows(reader: &mut Reader, sql: &str) -> anyhow::Result<(Vec<String>, Vec<Vec<Cell>>)> {
    let mut columns = Vec::new();
    let mut rows = Vec::new();
    let limits = ReaderLimits::time(Duration::from_secs(30));
    reader.query(
        Question::new(sql),
        limits,
        |names| columns = names,
        |row| {
            rows.push(row);
            ControlFlow::Continue(())
        },
    )?;
    Ok((columns, rows))
}

/// Compares the read model with what the generator counted.
fn check(reader: &mut Reader, expected: &Expected) -> anyhow::Result<()> {
    let Expected { orders, paid, shipped, cancelled, ordered_cents, spent_cents } = expected;
    let checks = [
        ("orders", "SELECT count(*) FROM orders".to_owned(), i128::from(*orders)),
        ("paid orders", count("paid"), i128::from(*paid)),
        ("shipped orders", count("shipped"), i128::from(*shipped)),
        ("cancelled orders", count("cancelled"), i128::from(*cancelled)),
        ("ordered cents", "SELECT sum(total_cents) FROM orders".to_owned(), i128::from(*ordered_cents)),
        ("spent cents", "SELECT sum(spent_cents) FROM customers".to_owned(), i128::from(*spent_cents)),
    ];
    for (what, sql, expected) in checks {
        let (_, found) = rows(reader, &sql)?;
        let found = match found.first().and_then(|row| row.first()) {
            Some(Cell::Integer(found)) => i128::from(*found),
            _ => 0,
        };
        ensure!(found == expected, "{what}: the read model has {found}, the events add up to {expected}");
    }
    Ok(())
}

fn count(status: &str) -> String {
    format!("SELECT count(*) FROM orders WHERE status = '{status}'")
}
