//! Swaps while events come, and kills in the middle of them.

use std::env;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lantern_tests::client;
use lantern_tests::fold::{check_ledger, check_tally};
use lantern_tests::generations::Files;
use lantern_tests::guest::{Plugin, plugin, unique_topic};
use lantern_tests::kafka::Kafka;
use lantern_tests::log::{Log, on};
use lantern_tests::report::say;
use lantern_tests::seed::seeded;
use lantern_tests::site::{Host, Site, transcript};
use lantern_tests::stream::Stream;
use lantern_tests::whole::ends;
use lantern_tests::writes::Watch;
use rand::RngExt;
use rand::rngs::StdRng;

const PARTITIONS: i32 = 3;
/// How often a plugin is replaced on each broker, unless `LANTERN_TESTS_SWAPS` says otherwise.
const SWAPS: u32 = 200;
/// One swap of so many is killed, so that most find a projection in full flight.
const SWAPS_PER_KILL: u32 = 7;
/// Versions of each plugin, in turn. Each is compiled when it is first met, and cached from then on.
const VERSIONS: u32 = 12;
/// One plugin that reads its tables and one whose batches overlap: they come to rest differently.
const NAMES: [&str; 2] = ["ledger", "tally"];
/// A table of each.
const TABLES: [&str; 2] = ["entries", "partitions"];

// People save a plugin again and again while events come; whatever moment that meets, and whatever
// moment the process is killed at, no event may be lost, applied twice or out of order.
#[test]
fn no_event_is_lost_doubled_or_reordered_on_the_embedded_broker_however_often_a_plugin_is_swapped()
-> Result<()> {
    on(&Log::Embedded, swapped_and_killed)
}

// The same with a log that outlives the kills. The Kafka is this test's own: the load is not for others.
#[test]
fn no_event_is_lost_doubled_or_reordered_on_apache_kafka_however_often_a_plugin_is_swapped() -> Result<()> {
    match Kafka::start()? {
        Some(kafka) => on(&Log::Kafka(&kafka), swapped_and_killed),
        None => Ok(()),
    }
}

fn swapped_and_killed(log: &Log<'_>) -> Result<()> {
    let swaps = env::var("LANTERN_TESTS_SWAPS").ok().and_then(|swaps| swaps.parse().ok()).unwrap_or(SWAPS);
    let (seed, mut random) = seeded();
    let topic = unique_topic("hot-swap");
    let mut site = Site::new(log)?;
    for name in NAMES {
        site.deploy(&version(name, &topic, 0)?)?;
    }
    let mut host = site.start()?;
    host.await_broker()?;
    client::create_topic(site.address(), &topic, PARTITIONS)?;
    let stream = Stream::start(site.address(), &topic, PARTITIONS, seed);
    host.await_http()?;

    let mut kills = 0;
    let mut pauses_us = Vec::new();
    for swap in 1..=swaps {
        // Each version is another than the last of its plugin, also when nobody knows whether that was taken.
        let name = NAMES[usize::try_from(swap / VERSIONS)? % NAMES.len()];
        let next = version(name, &topic, swap % VERSIONS + 1)?;
        if swap % SWAPS_PER_KILL == 0 {
            killed_in_a_swap(&site, host, &next, &mut random)?;
            kills += 1;
            host = site.start()?;
            check_started(&site, &mut host)?;
            continue;
        }
        if random.random_bool(0.5) {
            host.await_progress(name, &topic)?;
        }
        let body = site.api().deploy(&next)?.done("swapped").with_context(|| format!("swap {swap}"))?;
        ensure!(body["digest"] == next.digest(), "it was another plugin: {body}");
        pauses_us.push(body["pause_us"].as_u64().with_context(|| format!("no pause: {body}"))?);
    }

    host.await_broker()?;
    let told = stream.stop()?;
    let records = client::read_committed(site.address(), &topic)?;
    told.check(&records)?;
    for name in NAMES {
        host.await_checkpoint(name, &topic, &ends(&records))?;
    }
    let status = host.terminate()?;
    ensure!(status.success(), "SIGTERM ended it with {status}");

    let applied = check_ledger(&site.read_model("ledger")?, &topic, &records)?;
    check_tally(&site.read_model("tally")?, &topic, &records)?;
    for name in NAMES {
        let digests = site.read_model(name)?.number("SELECT count(*) FROM _lantern_plugins")?;
        ensure!(digests > i64::from(VERSIONS / 2), "only {digests} versions of {name} have applied events");
        // The record of who applied what has held too.
        let output = site.lantern(["verify", name])?.output()?;
        ensure!(output.status.success(), "{name} is not its replay: {}", transcript(&output));
    }
    pauses_us.sort_unstable();
    let at = |share: usize| pauses_us[(pauses_us.len() - 1) * share / 100];
    say(&format!(
        "{}: {swaps} swaps, {kills} kills, {applied} events applied; pauses: half below {} us, 99 % below {} us; {}",
        log.name(),
        at(50),
        at(99),
        told.summary()
    ));
    Ok(())
}

/// Another file of the same plugin.
fn version(name: &str, topic: &str, version: u32) -> Result<Plugin> {
    plugin(name, name, &[topic, &format!("version:{version}")])
}

/// Kills the process at some moment after a swap was asked for: in the middle of a write of a read model or of the
/// catalog, or at any time from the compiler's work to the first events of the new version.
fn killed_in_a_swap(site: &Site, host: Host<'_>, next: &Plugin, random: &mut StdRng) -> Result<()> {
    let folder = match random.random_range(0..3) {
        0 => Some(site.data().join("read-models")),
        1 => Some(site.data().to_owned()),
        _ => None,
    };
    let watch = folder.as_deref().map(Watch::writes).transpose()?;
    let api = site.api();
    thread::scope(|scope| {
        // Whether it is answered depends on the moment.
        scope.spawn(move || drop(api.deploy(next)));
        match watch {
            Some(watch) => drop(watch.next(random.random_range(0..60), 5_000)?),
            None => thread::sleep(Duration::from_millis(random.random_range(0..250))),
        }
        host.kill()
    })
}

/// After a start there is one generation, which answers queries, and a swap has made no other.
fn check_started(site: &Site, host: &mut Host<'_>) -> Result<()> {
    host.await_broker()?;
    let api = host.await_http()?;
    for (name, table) in NAMES.into_iter().zip(TABLES) {
        let plugin = host.await_plugin(name, "is taken up", |plugin| plugin["generation"] == 1)?;
        let files = Files::of(site, name)?;
        files.check(&plugin)?;
        ensure!(files.all.len() == 1, "{name} has {files:?}");
        api.query(name, &format!("SELECT count(*) FROM {table}"))
            .with_context(|| format!("asking {name}"))?;
    }
    Ok(())
}
