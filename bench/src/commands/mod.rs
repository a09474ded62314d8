//! What commands cost: beside transactional appends of the same bytes, in the same run and by the same client of the log.
//!
//! * `raw`: those appends.
//! * `client`: commands over HTTP.

mod client;
mod raw;

use crate::log::{Log, PARTITIONS};
use crate::report;
use anyhow::{Context as _, Result, bail, ensure};
use client::Client;
use comfy_table::{Table, presets};
use lantern::command::{Answer, Command, Handler, State};
use lantern::config::Config;
use lantern::deployment::Artifact;
use lantern::host::Host;
use lantern::log::Producer;
use raw::{Appender, Sample};
use serde::Serialize;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Stands before the words of a guest of the tests: its name and its topic.
const MARKER: &[u8] = b"lantern-tests-guest:";
/// The room for them.
const WORDS_BYTES: usize = 200;
/// Accounts that commands go to, in turns.
const ACCOUNTS: u64 = 1_000;
/// Commands, and then raw appends, in a row: short, so that both meet the same noise.
const BLOCK: usize = 50;
/// How long a handler may take to be live.
const LIVE_MAX: Duration = Duration::from_secs(300);
const FLUSH_MAX: Duration = Duration::from_secs(120);

/// How much is measured.
#[derive(Debug, clap::Args)]
// Another part's flags have a group of the struct's name.
#[group(skip)]
pub struct Parameters {
    /// Commands that are sent one after the other.
    #[arg(long, default_value_t = 2_000)]
    commands_alone: usize,
    /// Clients that send commands at once.
    #[arg(long, default_value_t = 64)]
    command_clients: usize,
    /// For how many seconds.
    #[arg(long, default_value_t = 5)]
    command_seconds: u64,
    /// Events that a handler with nothing stored has to read before it takes commands.
    #[arg(long, default_value_t = 200_000)]
    catch_up_events: u64,
}

/// Times in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Times {
    p50_us: u64,
    p99_us: u64,
}

/// What one run has measured.
#[derive(Clone, Copy, Debug, Serialize)]
struct Run {
    /// What one record takes in the log, without the log's own.
    record_bytes: usize,
    /// A command alone, in the host's process.
    command: Times,
    /// A command alone, over HTTP.
    over_http: Times,
    /// A transaction with one such record.
    raw: Times,
    /// Commands a second of all clients, in the host's process.
    commands_per_s: f64,
    /// Commands a second of all clients, over HTTP.
    over_http_per_s: f64,
    /// Records a second in transactions of as many as there are clients.
    raw_per_s: f64,
    /// Events a second that a handler reads which has nothing stored.
    catch_up_per_s: f64,
    /// How long a start takes where everything is stored.
    restart_ms: f64,
}

/// Measures and prints.
///
/// # Errors
/// When a command is not accepted.
pub fn run(log: &Log, folder: &Path, runs: usize, parameters: &Parameters, is_json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no parent")?.join("tests/guests/account");
    let built = lantern::cli::build(&source, &folder.join("account.wasm"), &Config::default())?;
    let wasm = std::fs::read(&built.path)?;
    let mut measured = Vec::new();
    for run in 1..=runs {
        let now = runtime.block_on(measure(log, folder, &wasm, parameters))?;
        report::progress(&format!(
            "{run}/{runs}: command p50 {} us, raw {} us; {:.0} commands/s, raw {:.0}/s; catch-up {:.0} events/s",
            now.command.p50_us, now.raw.p50_us, now.commands_per_s, now.raw_per_s, now.catch_up_per_s
        ));
        measured.push(now);
    }
    show(&measured, parameters, is_json)
}

fn show(runs: &[Run], parameters: &Parameters, is_json: bool) -> Result<()> {
    let of = |value: fn(&Run) -> f64| report::median(runs.iter().map(value));
    let ratios = [
        ("command/raw p50", of(|run| run.command.p50_us as f64 / run.raw.p50_us as f64)),
        ("command/raw p99", of(|run| run.command.p99_us as f64 / run.raw.p99_us as f64)),
        ("over HTTP/raw p50", of(|run| run.over_http.p50_us as f64 / run.raw.p50_us as f64)),
        ("over HTTP/raw p99", of(|run| run.over_http.p99_us as f64 / run.raw.p99_us as f64)),
        ("commands/raw per s", of(|run| run.commands_per_s / run.raw_per_s)),
        ("over HTTP/raw per s", of(|run| run.over_http_per_s / run.raw_per_s)),
    ];
    if is_json {
        let ratios: serde_json::Map<String, serde_json::Value> =
            ratios.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        return report::line(&serde_json::to_string_pretty(&json!({ "runs": runs, "ratios": ratios }))?);
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["", "median"]);
    let clients = parameters.command_clients;
    for (name, value) in [
        ("command alone, p50 us".to_owned(), of(|run| run.command.p50_us as f64)),
        ("command alone, p99 us".to_owned(), of(|run| run.command.p99_us as f64)),
        ("over HTTP, p50 us".to_owned(), of(|run| run.over_http.p50_us as f64)),
        ("over HTTP, p99 us".to_owned(), of(|run| run.over_http.p99_us as f64)),
        ("raw append, p50 us".to_owned(), of(|run| run.raw.p50_us as f64)),
        ("raw append, p99 us".to_owned(), of(|run| run.raw.p99_us as f64)),
        (format!("commands/s, {clients} clients"), of(|run| run.commands_per_s)),
        (format!("over HTTP/s, {clients} clients"), of(|run| run.over_http_per_s)),
        (format!("raw records/s, {clients} a transaction"), of(|run| run.raw_per_s)),
        ("catch-up, events/s".to_owned(), of(|run| run.catch_up_per_s)),
        ("restart with everything stored, ms".to_owned(), of(|run| run.restart_ms)),
    ] {
        table.add_row([name, format!("{value:.0}")]);
    }
    for (name, value) in ratios {
        table.add_row([name.to_owned(), format!("{value:.2}")]);
    }
    report::line(&table.to_string())?;
    let bytes = runs.first().map_or(0, |run| run.record_bytes);
    report::line(&format!(
        "A command appends a record of {bytes} bytes; a raw append is one record of the same bytes"
    ))
}

async fn measure(log: &Log, folder: &Path, wasm: &[u8], parameters: &Parameters) -> Result<Run> {
    let data = tempfile::tempdir_in(folder)?;
    let topic = log.fresh("commands")?;
    let mut config = Config { data_dir: data.path().into(), ..Config::default() };
    config.kafka.set("bootstrap.servers", log.servers());
    config.http.listen = "127.0.0.1:0".parse().ok();
    let mut host = Host::start(&config, "lantern-bench", false).await?;
    let handler = deploy(&host, wasm, &topic, &topic).await?;
    host.serve_http(&config.http).await?;
    let address = host.data().holder().and_then(|holder| holder.http).context("no address")?;
    submit(&handler, 0).await?;
    let sample = {
        let (servers, topic) = (log.servers().to_owned(), topic.clone());
        tokio::task::spawn_blocking(move || Sample::of(&servers, &topic)).await??
    };
    let mut raw = Appender::new(&log.options(), log.fresh("raw")?, PARTITIONS, &sample)?;
    let (command, over_http, raw_times) =
        alone(&handler, &address, &topic, &mut raw, parameters.commands_alone).await?;
    let seconds = Duration::from_secs(parameters.command_seconds);
    let clients = parameters.command_clients;
    let mut inside = Vec::new();
    let mut outside = Vec::new();
    for _ in 0..clients {
        inside.push(Way::Inside(handler.clone()));
        outside.push(Way::Outside(Client::connect(&address).await?, topic.clone()));
    }
    let commands_per_s = together(inside, seconds).await?;
    let over_http_per_s = together(outside, seconds).await?;
    let raw_per_s = tokio::task::block_in_place(|| raw_together(&mut raw, clients, seconds))?;
    let catch_up_per_s = catch_up(&host, log, wasm, parameters.catch_up_events).await?;
    host.shutdown().await?;

    let since = Instant::now();
    let host = Host::start(&config, "lantern-bench", false).await?;
    host.deployments().resume(&[]).await?;
    live(&host.deployments().handler(&topic)?).await?;
    let restart_ms = since.elapsed().as_secs_f64() * 1e3;
    host.shutdown().await?;
    Ok(Run {
        record_bytes: sample.bytes(),
        command,
        over_http,
        raw: raw_times,
        commands_per_s,
        over_http_per_s,
        raw_per_s,
        catch_up_per_s,
        restart_ms,
    })
}

/// Deploys the guest under a name of its own, and waits until it takes commands.
async fn deploy(host: &Host, wasm: &[u8], name: &str, topic: &str) -> Result<Handler> {
    let artifact = Artifact { bytes: named(wasm, name, topic)?, origin: "lantern-bench".into() };
    host.deployments().deploy(artifact, None, false).await?;
    let handler = host.deployments().handler(name)?;
    live(&handler).await?;
    Ok(handler)
}

/// The guest with this name and topic.
fn named(wasm: &[u8], name: &str, topic: &str) -> Result<Vec<u8>> {
    let mut bytes = wasm.to_vec();
    let at = bytes.windows(MARKER.len()).position(|found| found == MARKER).context("no marker")?;
    let room = bytes.get_mut(at + MARKER.len()..at + MARKER.len() + WORDS_BYTES).context("no room")?;
    let words = format!("{name} {topic}");
    ensure!(words.len() <= room.len(), "{words} is too long");
    room.fill(b' ');
    room[..words.len()].copy_from_slice(words.as_bytes());
    Ok(bytes)
}

async fn live(handler: &Handler) -> Result<()> {
    let mut status = handler.status();
    let ready = status.wait_for(|status| status.state == State::Live || status.is_over());
    let ready = tokio::time::timeout(LIVE_MAX, ready).await.context("not live in time")??.clone();
    ensure!(ready.state == State::Live, "{}: {}", ready.state, ready.error.unwrap_or_default());
    Ok(())
}

async fn submit(handler: &Handler, number: u64) -> Result<()> {
    let command = Command {
        id: format!("a-{}", number % ACCOUNTS),
        name: "Deposit".into(),
        payload: br#"{"cents":1}"#.to_vec(),
        ..Command::default()
    };
    match handler.submit(command).await? {
        Answer::Accepted(_) => Ok(()),
        Answer::Rejected(rejected) => bail!("rejected: {}", rejected.message),
    }
}

/// Commands and raw appends one after the other, in turns.
async fn alone(
    handler: &Handler,
    address: &str,
    aggregate: &str,
    raw: &mut Appender<'_>,
    count: usize,
) -> Result<(Times, Times, Times)> {
    let mut client = Client::connect(address).await?;
    let (mut commands, mut over_http, mut appends) = (Vec::new(), Vec::new(), Vec::new());
    let mut number = 0;
    while commands.len() < count {
        for _ in 0..BLOCK {
            number += 1;
            let since = Instant::now();
            submit(handler, number).await?;
            commands.push(since.elapsed());
        }
        for _ in 0..BLOCK {
            number += 1;
            let id = format!("a-{}", number % ACCOUNTS);
            let since = Instant::now();
            client.command(aggregate, &id, BODY).await?;
            over_http.push(since.elapsed());
        }
        tokio::task::block_in_place(|| {
            for _ in 0..BLOCK {
                appends.push(raw.append(1)?);
            }
            anyhow::Ok(())
        })?;
    }
    Ok((times(commands), times(over_http), times(appends)))
}

const BODY: &str = r#"{"type":"Deposit","data":{"cents":1}}"#;

fn times(mut all: Vec<Duration>) -> Times {
    all.sort_unstable();
    let at = |share: usize| {
        let time = all.get((all.len().max(1) - 1) * share / 100).copied().unwrap_or_default();
        u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
    };
    Times { p50_us: at(50), p99_us: at(99) }
}

/// How a client sends its commands.
enum Way {
    /// In the host's process.
    Inside(Handler),
    /// Over a connection, to this type of aggregate.
    Outside(Client, String),
}

impl Way {
    async fn send(&mut self, number: u64) -> Result<()> {
        match self {
            Way::Inside(handler) => submit(handler, number).await,
            Way::Outside(client, aggregate) => {
                client.command(aggregate, &format!("a-{}", number % ACCOUNTS), BODY).await
            }
        }
    }
}

/// Commands a second of so many clients, each as fast as it is answered.
async fn together(clients: Vec<Way>, time: Duration) -> Result<f64> {
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let count = clients.len() as u64;
    let mut tasks = Vec::new();
    for (mut next, mut client) in (0..).zip(clients) {
        let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
        tasks.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                client.send(next).await?;
                next += count;
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        }));
    }
    let since = Instant::now();
    tokio::time::sleep(time).await;
    let per_second = done.load(Ordering::Relaxed) as f64 / since.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await??;
    }
    Ok(per_second)
}

fn raw_together(raw: &mut Appender<'_>, records: usize, time: Duration) -> Result<f64> {
    let since = Instant::now();
    let mut appended = 0;
    while since.elapsed() < time {
        raw.append(records)?;
        appended += records;
    }
    Ok(appended as f64 / since.elapsed().as_secs_f64())
}

/// Events a second that a handler reads before it takes its first command.
async fn catch_up(host: &Host, log: &Log, wasm: &[u8], events: u64) -> Result<f64> {
    let topic = log.fresh("catch-up")?;
    let (options, filled) = (log.options(), topic.clone());
    tokio::task::spawn_blocking(move || fill(&options, &filled, events)).await??;
    let bytes = named(wasm, &topic, &topic)?;
    let artifact = Artifact { bytes, origin: "lantern-bench".into() };
    host.deployments().deploy(artifact, None, false).await?;
    let handler = host.deployments().handler(&topic)?;
    let since = Instant::now();
    live(&handler).await?;
    let aggregates = handler.status().borrow().aggregates;
    ensure!(aggregates == ACCOUNTS.min(events), "{aggregates} aggregates were found");
    Ok(events as f64 / since.elapsed().as_secs_f64())
}

/// Appends events as a handler would.
fn fill(options: &lantern::log::Options, topic: &str, events: u64) -> Result<()> {
    let producer = Producer::new(options)?;
    let source = format!("lantern/{topic}");
    for number in 0..events {
        let (key, version) = (format!("a-{}", number % ACCOUNTS), (number / ACCOUNTS + 1).to_string());
        let id = format!("{key}/{version}");
        let headers: [(&str, &[u8]); 8] = [
            ("ce_specversion", b"1.0"),
            ("ce_id", id.as_bytes()),
            ("ce_type", b"Deposited"),
            ("ce_source", source.as_bytes()),
            ("ce_subject", key.as_bytes()),
            ("ce_time", b"2026-03-01T12:00:00Z"),
            ("content-type", b"application/json"),
            ("ce_aggregateversion", version.as_bytes()),
        ];
        producer.send(
            topic,
            Some(key.as_bytes()),
            Some(br#"{"cents":1,"by":""}"#),
            &headers,
            Some(lantern::log::partition_of(key.as_bytes(), PARTITIONS)),
            None,
        )?;
    }
    producer.flush(FLUSH_MAX)?;
    Ok(())
}
