//! What deployments cost: the pause of a swap while events come, and how fast a read model is rebuilt and verified
//! beside how fast it was written.
//!
//! All in one process and run, so that the ratios mean something; the broker is in a process of its own.

use crate::child::Site;
use crate::contender::Contender;
use crate::live::append::Appender;
use crate::log::Log;
use crate::report;
use crate::workload::Keys;
use anyhow::{Context as _, Result, bail, ensure};
use comfy_table::{Table, presets};
use lantern::config::Config;
use lantern::data_dir::DataDir;
use lantern::deployment::report::{Done, Plugin};
use lantern::deployment::{Action, Artifact, Deployments};
use lantern::host::Host;
use lantern::projection::replay::Setup;
use lantern::projection::{Options, State, verify};
use lantern::read_model::Snapshot;
use lantern::wasm::Engine;
use serde::Serialize;
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const NAME: &str = "orders";
/// How often the status is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long one part may take.
const PART_MAX: Duration = Duration::from_secs(600);

/// What is measured, and how often.
#[derive(Debug, clap::Args)]
// Another part's flags have a group of the struct's name.
#[group(skip)]
pub struct Parameters {
    /// How often the plugin is swapped.
    #[arg(long, default_value_t = 200)]
    swaps: usize,
    /// Events per second while it is swapped.
    #[arg(long, default_value_t = 20_000)]
    swap_rate: u64,
}

/// Events per second of one run.
#[derive(Clone, Copy, Debug, Serialize)]
struct Rates {
    /// The first time, by the live projection that catches up.
    live: f64,
    /// The same events, into a new generation, until that is live.
    rebuild: f64,
    /// The same events, by `lantern verify`, until both are compared.
    verify: f64,
}

/// Pauses in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Pauses {
    swaps: usize,
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
}

/// Measures and prints.
///
/// # Errors
/// When a deployment fails, or a read model is not its replay.
pub fn run(
    site: &Site,
    log: &Log,
    keys: Keys,
    events: u64,
    runs: usize,
    parameters: &Parameters,
    json: bool,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let topic = log.fill(keys, events)?;
    let mut rates = Vec::new();
    for run in 1..=runs {
        let now = runtime.block_on(measure_rates(site, log, &topic, events))?;
        report::progress(&format!(
            "{run}/{runs}: live {:.0}, rebuild {:.0}, verify {:.0} events/s",
            now.live, now.rebuild, now.verify
        ));
        rates.push(now);
    }
    let pauses = runtime.block_on(measure_pauses(site, log, parameters))?;
    show(&rates, pauses, parameters, json)
}

fn show(rates: &[Rates], pauses: Pauses, parameters: &Parameters, is_json: bool) -> Result<()> {
    let of = |value: fn(&Rates) -> f64| report::median(rates.iter().map(value));
    let rebuild_to_live = of(|rates| rates.rebuild / rates.live);
    let verify_to_rebuild = of(|rates| rates.verify / rates.rebuild);
    if is_json {
        let ratios = json!({ "rebuild_to_live": rebuild_to_live, "verify_to_rebuild": verify_to_rebuild });
        return report::line(&serde_json::to_string_pretty(
            &json!({ "rates": rates, "ratios": ratios, "pauses": pauses }),
        )?);
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["", "median"]);
    for (name, value) in [
        ("live, events/s", format!("{:.0}", of(|rates| rates.live))),
        ("rebuild, events/s", format!("{:.0}", of(|rates| rates.rebuild))),
        ("verify, events/s", format!("{:.0}", of(|rates| rates.verify))),
        ("rebuild/live", format!("{rebuild_to_live:.2}")),
        ("verify/rebuild", format!("{verify_to_rebuild:.2}")),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    report::line(&table.to_string())?;
    report::line(&format!(
        "{} swaps at {} events a second: pause p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
        pauses.swaps,
        parameters.swap_rate,
        pauses.p50_us as f64 / 1e3,
        pauses.p99_us as f64 / 1e3,
        pauses.max_us as f64 / 1e3
    ))
}

/// A host on an empty data folder, whose compiled code stays.
///
/// # Errors
/// When it does not start.
pub async fn start(site: &Site, log: &Log, topic: &str) -> Result<(Host, Config)> {
    let job = site.job(Contender::Lantern, log.servers(), topic, None)?;
    let catalog = DataDir::new(&job.folder).catalog();
    for companion in ["", "-wal", "-shm"] {
        let mut file = catalog.clone().into_os_string();
        file.push(companion);
        // It may not be there.
        let _ = std::fs::remove_file(file);
    }
    let mut config = Config { data_dir: job.folder, ..Config::default() };
    config.kafka.set("bootstrap.servers", log.servers());
    let options = Options { topics: Some(vec![topic.to_owned()]), ..Options::default() };
    config.projections.insert(NAME.to_owned(), options);
    Ok((Host::start(&config, "lantern-bench", false).await?, config))
}

async fn measure_rates(site: &Site, log: &Log, topic: &str, events: u64) -> Result<Rates> {
    let (host, config) = start(site, log, topic).await?;
    let deployments = host.deployments();
    deployments.file(&site.plugin).await?;
    let live =
        rate(deployments, events, |plugin| (plugin.status.events, plugin.status.events >= events)).await?;
    deployments.act(NAME, Action::Rebuild, "lantern-bench").await?;
    let rebuild = rate(deployments, events, |plugin| {
        let done = plugin.rebuild.as_ref().map_or(0, |rebuild| rebuild.done);
        (done, plugin.generation == 2)
    })
    .await?;
    let (log, file) = (host.log().options().clone(), host.data().read_model(NAME));
    let verify = tokio::task::spawn_blocking(move || measure_verify(&config, log, &file, events)).await??;
    host.shutdown().await?;
    Ok(Rates { live, rebuild, verify })
}

/// Events per second from the first look at which some were done to the one at which all were.
async fn rate(deployments: &Deployments, events: u64, done: impl Fn(&Plugin) -> (u64, bool)) -> Result<f64> {
    let deadline = Instant::now() + PART_MAX;
    let mut first = None;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        look.tick().await;
        let plugin = deployments.plugins().pop().context("the plugin is gone")?;
        if plugin.status.state == State::Halted {
            bail!("halted: {}", plugin.status.error.unwrap_or_default());
        }
        if let Some(error) = plugin.rebuild.as_ref().and_then(|rebuild| rebuild.error.as_ref()) {
            bail!("the rebuild fails: {error}");
        }
        let now = Instant::now();
        let (so_far, is_done) = done(&plugin);
        match first {
            Some((since, before)) if is_done => {
                return Ok((events - before) as f64 / now.duration_since(since).as_secs_f64());
            }
            None if is_done => bail!("{events} events are too few to measure"),
            None if so_far > 0 => first = Some((now, so_far)),
            _ => {}
        }
        ensure!(now < deadline, "{so_far} of {events} after {PART_MAX:?}");
    }
}

fn measure_verify(
    config: &Config,
    log: lantern::log::Options,
    file: &std::path::Path,
    events: u64,
) -> Result<f64> {
    let data = DataDir::new(&config.data_dir);
    let setup = Setup {
        plugins: verify::recorded(&Snapshot::of(file)?, &data.artifacts())?,
        options: config.projections.get(NAME).cloned().unwrap_or_default(),
        batch: config.batch.for_rebuild(&config.rebuild),
        limits: config.limits.clone(),
        log,
        engine: Engine::with_limits(Some(data.cache()), &config.limits)?,
    };
    let scratch = tempfile::tempdir_in(&config.data_dir)?;
    let mut first = None;
    let verified = verify::verify(&setup, file, scratch.path(), 0, &mut |progress| {
        if progress.done > 0 && first.is_none() {
            first = Some((Instant::now(), progress.done));
        }
        ControlFlow::Continue(())
    })?;
    let verified = verified.context("the replay was stopped")?;
    ensure!(verified.difference.is_none(), "the read model is not its replay");
    let (since, before) = first.context("nothing was replayed")?;
    Ok((events - before) as f64 / since.elapsed().as_secs_f64())
}

async fn measure_pauses(site: &Site, log: &Log, parameters: &Parameters) -> Result<Pauses> {
    let topic = log.fresh("swaps")?;
    let (host, _) = start(site, log, &topic).await?;
    let deployments = host.deployments();
    let wasm = std::fs::read(&site.plugin)?;
    deployments.file(&site.plugin).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (stop, rate) = (Arc::clone(&stop), parameters.swap_rate);
        // An hour of events: the workload ends with the swaps.
        let appender = Appender::new(log, &topic, rate * 3_600)?;
        tokio::task::spawn_blocking(move || append(appender, rate, &stop))
    };
    let mut pauses_us = Vec::new();
    for swap in 0..parameters.swaps {
        let artifact = Artifact { bytes: version(&wasm, swap)?, origin: format!("swap {swap}") };
        let outcome = deployments.deploy(artifact, None, false).await?;
        ensure!(outcome.result == Done::Swapped, "swap {swap} was {:?}", outcome.result);
        pauses_us.push(outcome.pause_us.context("a swap without its pause")?);
    }
    stop.store(true, Ordering::Relaxed);
    let appended = load.await??;
    let deadline = Instant::now() + PART_MAX;
    while deployments.statuses().first().is_none_or(|status| status.events < appended) {
        ensure!(Instant::now() < deadline, "not all of {appended} events were applied");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    host.shutdown().await?;
    pauses_us.sort_unstable();
    let at = |share: usize| pauses_us.get((pauses_us.len() - 1) * share / 100).copied().unwrap_or_default();
    Ok(Pauses { swaps: pauses_us.len(), p50_us: at(50), p99_us: at(99), max_us: at(100) })
}

/// Appends at a rate until it is told to stop; answers how many events.
fn append(mut appender: Appender, per_second: u64, stop: &AtomicBool) -> Result<u64> {
    let (started, mut appended) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        let due = (started.elapsed().as_secs_f64() * per_second as f64) as u64;
        while appended < due {
            appender.append()?;
            appended += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(appender.finish()?.len() as u64)
}

/// The same plugin as another file: a custom section at its end, as
/// <https://webassembly.github.io/spec/core/binary/modules.html#custom-section> has it.
fn version(wasm: &[u8], number: usize) -> Result<Vec<u8>> {
    let text = format!("version{number}");
    let name_bytes = u8::try_from(text.len())?;
    // Both lengths are below 128, and so one byte of LEB128.
    let mut bytes = wasm.to_vec();
    bytes.extend([0, name_bytes + 1, name_bytes]);
    bytes.extend(text.as_bytes());
    Ok(bytes)
}
