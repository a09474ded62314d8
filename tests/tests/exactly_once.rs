//! Promise 1: a read model equals the fold of every partition's events up to its checkpoint, each
//! applied once and in order, whatever was killed and when.

use std::env;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use lantern_tests::client;
use lantern_tests::fold::{check_ledger, check_tally};
use lantern_tests::guest::{plugin, unique_topic};
use lantern_tests::kafka::Kafka;
use lantern_tests::log::{Log, on};
use lantern_tests::report::say;
use lantern_tests::seed::seeded;
use lantern_tests::site::{Host, Site, transcript};
use lantern_tests::stream::Stream;
use lantern_tests::whole::ends;
use lantern_tests::writes::await_write;
use rand::RngExt;
use rand::rngs::StdRng;

const PARTITIONS: i32 = 3;
/// How often the process is killed on each broker, unless `LANTERN_TESTS_KILLS` says otherwise.
const KILLS: u32 = 50;
/// Apache Kafka is killed after so many kills of Lantern, or after the last of fewer; it takes seconds to come back.
const KILLS_PER_KAFKA_KILL: u32 = 16;

// The broker is in the process: each kill takes it away under its producers, in the middle of
// whatever it was writing. What it had acknowledged must be there when it is back.
#[test]
fn exactly_once_on_the_embedded_broker_whatever_is_killed_and_when() -> Result<()> {
    on(&Log::Embedded, killed_at_random)
}

// Here Lantern and the log die apart from each other: the log may be away while a projection
// starts, and come back while it waits. The Kafka is this test's own.
#[test]
fn exactly_once_on_apache_kafka_whatever_is_killed_and_when() -> Result<()> {
    match Kafka::start()? {
        Some(kafka) => on(&Log::Kafka(&kafka), killed_at_random),
        None => Ok(()),
    }
}

/// One plugin that reads its tables and one whose batches overlap, on a stream that goes on.
fn killed_at_random(log: &Log<'_>) -> Result<()> {
    let kills = env::var("LANTERN_TESTS_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills: u32 = kills.unwrap_or(KILLS);
    let (seed, mut random) = seeded();
    let topic = unique_topic("exactly-once");
    let mut site = Site::new(log)?;
    site.deploy(&plugin("ledger", "ledger", &[&topic])?)?;
    site.deploy(&plugin("tally", "tally", &[&topic])?)?;

    let mut host = site.start()?;
    host.await_broker()?;
    client::create_topic(site.address(), &topic, PARTITIONS)?;
    let stream = Stream::start(site.address(), &topic, PARTITIONS, seed);

    let mut kafka_kills = 0;
    for kill in 1..=kills {
        await_a_random_moment(&site, &mut host, &topic, &mut random)?;
        if let Log::Kafka(kafka) = log
            && kill % KILLS_PER_KAFKA_KILL.min(kills) == 0
        {
            kafka.kill();
            kafka_kills += 1;
            thread::sleep(Duration::from_millis(random.random_range(0..500)));
            // Lantern starts while the log is away: the first time for certain, and so long that it has seen that.
            if kafka_kills == 1 || random.random_bool(0.5) {
                host.kill()?;
                host = site.start()?;
            }
            if kafka_kills == 1 {
                host.await_error("ledger", &["no broker answers"])?;
            }
            kafka.restart()?;
            await_progress(&mut host, &topic)?;
        }
        host.kill()?;
        host = site.start()?;
    }

    host.await_broker()?;
    let told = stream.stop()?;
    let records = client::read_committed(site.address(), &topic)?;
    told.check(&records)?;
    let ends = ends(&records);
    host.await_checkpoint("ledger", &topic, &ends)?;
    host.await_checkpoint("tally", &topic, &ends)?;
    let status = host.terminate()?;
    ensure!(status.success(), "SIGTERM ended it with {status}");

    let applied = check_ledger(&site.read_model("ledger")?, &topic, &records)?;
    check_tally(&site.read_model("tally")?, &topic, &records)?;
    // Kills have not torn the record of the order either.
    for name in ["ledger", "tally"] {
        let output = site.lantern(["verify", name])?.output()?;
        ensure!(output.status.success(), "{name} is not its replay: {}", transcript(&output));
    }
    ensure!(applied > kills as usize, "{applied} events are too few for {kills} kills");
    let is_apart = matches!(log, Log::Kafka(_)) && kills > 0;
    ensure!(!is_apart || kafka_kills > 0, "the log was never away by itself");
    let name = log.name();
    let of_kafka = if is_apart { format!(", {kafka_kills} of the log alone") } else { String::new() };
    say(&format!("{name}: {kills} kills{of_kafka}, {applied} events applied; {}", told.summary()));
    Ok(())
}

/// Half of the time in the middle of a write, of a read model or of the embedded broker; else some
/// time after it has applied something, or while it is still starting.
fn await_a_random_moment(site: &Site, host: &mut Host<'_>, topic: &str, random: &mut StdRng) -> Result<()> {
    match random.random_range(0..6) {
        0 => thread::sleep(Duration::from_millis(random.random_range(0..400))),
        1 | 2 => {
            await_progress(host, topic)?;
            thread::sleep(Duration::from_millis(random.random_range(0..30)));
        }
        _ => {
            await_progress(host, topic)?;
            // The embedded broker writes more often: alone, a read model would rarely be met.
            let read_models = site.data().join("read-models");
            let folder = if random.random_bool(0.5) { &read_models } else { site.data() };
            await_write(folder, random.random_range(0..20))?;
        }
    }
    Ok(())
}

/// Waits until both projections have moved on from where they are.
fn await_progress(host: &mut Host<'_>, topic: &str) -> Result<()> {
    for name in ["ledger", "tally"] {
        host.await_progress(name, topic)?;
    }
    Ok(())
}
