//! From the embedded broker to Apache Kafka: the log is copied whatever is killed, and everything that reads it goes on there
//! as if it had been there always.

use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lantern_tests::client::{self, NewRecord};
use lantern_tests::fold::{Records, check_tally};
use lantern_tests::guest::{plugin, unique_topic};
use lantern_tests::kafka;
use lantern_tests::log::Log;
use lantern_tests::report::say;
use lantern_tests::seed::seeded;
use lantern_tests::site::{Host, Site, check, transcript};
use lantern_tests::stream::Stream;
use lantern_tests::wait::{self, DEAR_POLL_MS, WAIT_MS_MAX};
use lantern_tests::whole::ends;
use lantern_tests::writes::Watch;
use rand::RngExt;
use serde_json::{Value, json};

const PARTITIONS: i32 = 3;
/// Kills of the export.
const KILLS: u32 = 3;
/// The stream has as many records of each partition, so that several transactions copy them.
const RECORDS_MIN: i64 = 3_000;
/// Compaction is looked for often, and in small segments.
const SETTINGS: &str = "maintain_every_ms = 100\n";

/// What the installation has, by names that no other test has on the Kafka that they share.
struct Names {
    stream: String,
    compacted: String,
    accounts: String,
    tally: String,
}

impl Names {
    fn topics(&self) -> [&str; 3] {
        [&self.stream, &self.compacted, &self.accounts]
    }
}

// A log that has become too large for one machine, with everything that makes offsets differ: transactions, some of them
// aborted, tombstones, records that were compacted away. The copy is made by a process that is killed again and again.
#[test]
fn a_log_is_moved_and_everything_goes_on_where_it_was() -> Result<()> {
    let Some(kafka) = kafka::shared() else { return Ok(()) };
    let (seed, mut random) = seeded();
    let names = Names {
        stream: unique_topic("moved"),
        compacted: unique_topic("compacted"),
        accounts: unique_topic("accounts"),
        tally: unique_topic("tally"),
    };
    let mut site =
        Site::new(&Log::Embedded)?.with_replaced("[broker]\n", &format!("[broker]\n{SETTINGS}"))?;
    site.deploy(&plugin("tally", &names.tally, &[&names.stream])?)?;
    site.deploy(&plugin("account", &names.accounts, &[&names.accounts])?)?;
    fill(&site, &names, seed)?;
    let backup = site.data().join("before.db").to_str().context("a path in UTF-8")?.to_owned();
    check(&site, ["backup", &names.tally, &backup], 0, &[])?;

    let export = ["log", "export", "--to", &kafka.address()].map(str::to_owned);
    let exporting = || -> Result<Command> { site.lantern(export.iter().map(String::as_str)) };
    let folder = site.data().join("export");
    for kill in 1..=KILLS {
        // The map is written when it goes on, which may be at once, and with every transaction.
        let watch = folder.exists().then(|| Watch::writes(&folder)).transpose()?;
        let mut running = exporting()?.spawn()?;
        match watch {
            Some(watch) => {
                ensure!(watch.next(0, WAIT_MS_MAX)?, "nothing is written under {}", folder.display());
                thread::sleep(Duration::from_millis(random.random_range(0..500)));
            }
            None if kill < KILLS => thread::sleep(Duration::from_millis(random.random_range(200..900))),
            None => wait::until("the export has begun", || Ok(folder.exists().then_some(())))?,
        }
        running.kill()?;
        running.wait()?;
    }
    let early = site.lantern(["run"])?.env("LANTERN_KAFKA_BOOTSTRAP_SERVERS", kafka.address()).output()?;
    let said = transcript(&early);
    ensure!(!early.status.success() && said.contains("lantern log switch"), "{said}");

    // One topic after the other is as good as all at once.
    let one = exporting()?.args(["--topic", &names.compacted]).output()?;
    ensure!(one.status.success(), "{}", transcript(&one));
    let output = exporting()?.arg("--json").output()?;
    let report: Value = serde_json::from_slice(&output.stdout).with_context(|| transcript(&output))?;
    for partition in report["partitions"].as_array().context("partitions")? {
        ensure!(partition["source"] == partition["target"], "{partition}");
    }
    let records: i64 = equal(&site, &kafka.address(), &names)?;

    let switched = site
        .lantern(["log", "switch", "--yes", "--json"])?
        .env("LANTERN_KAFKA_BOOTSTRAP_SERVERS", kafka.address())
        .output()?;
    ensure!(switched.status.success(), "{}", transcript(&switched));
    check(&site, ["run"], 1, &["was moved to the cluster", "bootstrap.servers"])?;
    check(&site, ["restore", &backup, "--replace"], 1, &["before", "was moved", "lantern rebuild"])?;
    goes_on(&site, &kafka.address(), &names)?;
    say(&format!("{records} records copied through {KILLS} kills"));
    Ok(())
}

// An export must not mix its copy with what others wrote. But its own first transaction may have been taken back by a kill,
// which leaves a topic that has an end and no records: then the export has to go on.
#[test]
fn a_topic_in_which_others_have_written_is_refused_and_one_without_records_is_not() -> Result<()> {
    let Some(kafka) = kafka::shared() else { return Ok(()) };
    let (taken_back, foreign) = (unique_topic("taken-back"), unique_topic("foreign"));
    let site = Site::new(&Log::Embedded)?;
    let mut broker = site.start_command(site.lantern(["broker"])?)?;
    broker.await_broker()?;
    let record = |value: &str| NewRecord { value: Some(value.into()), ..NewRecord::default() };
    for topic in [&taken_back, &foreign] {
        client::create_topic(site.address(), topic, 1)?;
        client::produce(site.address(), topic, [record("ours")])?;
        client::create_topic(&kafka.address(), topic, 1)?;
        client::produce_aborted(&kafka.address(), topic, 0)?;
    }
    broker.terminate()?;
    client::produce(&kafka.address(), &foreign, [record("theirs")])?;

    let to = kafka.address();
    let export = |topic| ["log", "export", "--to", &to, "--topic", topic];
    check(&site, export(&foreign), 1, &[&foreign, "partition 0", "did not copy", "--topic"])?;
    check(&site, export(&taken_back), 0, &[])?;
    let copied = client::read_committed(&to, &taken_back)?;
    let copied: Vec<_> = copied.into_values().flatten().map(|it| it.value).collect();
    ensure!(copied == [Some(b"ours".to_vec())], "{copied:?}");
    Ok(())
}

/// A log with everything, of which the projection has applied a part.
fn fill(site: &Site, names: &Names, seed: u64) -> Result<()> {
    let mut host = site.start()?;
    host.await_broker()?;
    client::create_topic(site.address(), &names.stream, PARTITIONS)?;
    let settings = ["cleanup.policy=compact", "segment.bytes=20000", "min.cleanable.dirty.ratio=0"];
    let mut create = vec!["topics", "create", &names.compacted, "--partitions", "2"];
    settings.iter().for_each(|setting| create.extend(["--set", setting]));
    check(site, create, 0, &["created"])?;
    let stream = Stream::start(site.address(), &names.stream, PARTITIONS, seed);
    let keyed = |number: i32| NewRecord {
        partition: number % 2,
        key: Some(format!("key-{}", number % 50).into_bytes()),
        value: (number % 7 != 0).then(|| vec![b'x'; 100]),
        headers: vec![("trace".into(), number.to_string())],
        timestamp_ms: Some(1_600_000_000_000 + i64::from(number)),
    };
    // In many batches: the last one is never compacted.
    for first in (0..4_000).step_by(500) {
        client::produce(site.address(), &names.compacted, (first..first + 500).map(keyed))?;
    }
    host.await_plugin(&names.accounts, "takes commands", |it| it["state"] == "live")?;
    for number in 0..20 {
        deposit(site, &mut host, &names.accounts, number % 4)?;
    }
    let end = |host: &mut Host<'_>, wanted: i64| {
        host.until_every(DEAR_POLL_MS, "the stream is long enough", || {
            let shown = site.json(["topics", "describe", &names.stream])?;
            let partitions = shown["partitions"].as_array().cloned().unwrap_or_default();
            Ok(partitions.iter().all(|it| it["high"].as_i64().unwrap_or(0) >= wanted).then_some(()))
        })
    };
    end(&mut host, 500)?;
    // From here on it lags: what is moved is a read model in the middle.
    check(site, ["pause", &names.tally], 0, &["paused"])?;
    end(&mut host, RECORDS_MIN)?;
    stream.stop()?;
    host.until("the log is compacted", || {
        let records = client::read_committed(site.address(), &names.compacted)?;
        let is_compacted = |(_, records): (&i32, &Vec<client::Record>)| records.len() < 1_000;
        Ok(records.iter().all(is_compacted).then_some(()))
    })?;
    ensure!(host.terminate()?.success());
    Ok(())
}

/// Deposits into an account, which must be accepted; answers the account's version.
fn deposit(site: &Site, host: &mut Host<'_>, accounts: &str, number: u32) -> Result<u64> {
    let api = site.api();
    let reply = host.until("a command is decided", || {
        let id = format!("a-{number}");
        let reply = api.command((accounts, &id), ("Deposit", json!({ "cents": 100 })), &[])?;
        Ok((reply.status != 503).then_some(reply))
    })?;
    ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
    reply.body["version"].as_u64().context("a version")
}

/// Checks that an independent reader finds the same records in both logs; answers how many.
fn equal(site: &Site, target: &str, names: &Names) -> Result<i64> {
    let alone = Site::new(&Log::Embedded)?.with_data(site.data());
    let mut broker = alone.start_command(alone.lantern(["broker"])?)?;
    broker.await_broker()?;
    let mut all = 0;
    for topic in names.topics() {
        let of = |records: Records| -> Vec<(i32, Vec<_>)> {
            let plain = |records: Vec<client::Record>| -> Vec<_> {
                records.into_iter().map(|it| (it.key, it.value, it.headers)).collect()
            };
            records.into_iter().map(|(partition, records)| (partition, plain(records))).collect()
        };
        let here = of(client::read_committed(alone.address(), topic)?);
        let there = of(client::read_committed(target, topic)?);
        for ((partition, here), (_, there)) in here.iter().zip(&there) {
            ensure!(here == there, "{topic}/{partition}: {} records here, {} there", here.len(), there.len());
            all += i64::try_from(here.len())?;
        }
        ensure!(here.len() == there.len(), "{topic} has other partitions");
    }
    broker.terminate()?;
    Ok(all)
}

/// Checks that everything goes on on Kafka, and is what an independent fold makes of its log there.
fn goes_on(before: &Site, address: &str, names: &Names) -> Result<()> {
    let mut site = Site::on_kafka(address)?.with_data(before.data());
    site.deploy(&plugin("tally", &names.tally, &[&names.stream])?)?;
    site.deploy(&plugin("account", &names.accounts, &[&names.accounts])?)?;
    let group = format!("lantern-{}", names.tally);
    check(&site, ["groups", "describe", &group], 0, &[&names.stream])?;
    let mut host = site.start()?;
    host.await_plugin(&names.accounts, "takes commands", |it| it["state"] == "live")?;
    let more = (0..30).map(|number| NewRecord {
        partition: number % PARTITIONS,
        key: Some(format!("more-{}", number % PARTITIONS).into_bytes()),
        value: Some(format!("more {number}").into_bytes()),
        ..NewRecord::default()
    });
    client::produce(address, &names.stream, more)?;
    check(&site, ["resume", &names.tally], 0, &[])?;
    let records = client::read_committed(address, &names.stream)?;
    host.await_checkpoint(&names.tally, &names.stream, &ends(&records))?;
    check_tally(&site.read_model(&names.tally)?, &names.stream, &records)?;

    // Twenty deposits into four accounts were before.
    for number in 0..4 {
        let version = deposit(&site, &mut host, &names.accounts, number)?;
        ensure!(version == 6, "the account's version is {version}, and 6 follows");
        let id = format!("a-{number}");
        let events = check(&site, ["aggregate", "events", &names.accounts, &id, "--json"], 0, &[])?;
        let log = client::read_committed(address, &names.accounts)?;
        ensure!(events.lines().count() == 6, "the audit trail of {id} is {events}");
        for event in events.lines() {
            let event: Value = serde_json::from_str(event)?;
            let (partition, offset) = (event["partition"].as_i64(), event["offset"].as_i64());
            let found = log.values().flatten().find(|record| {
                Some(i64::from(record.partition)) == partition && Some(record.offset) == offset
            });
            let version = found.and_then(|record| record.header("ce_aggregateversion"));
            ensure!(
                version == event["version"].as_u64().map(|it| it.to_string()).as_deref(),
                "{event}: {version:?}"
            );
        }
    }
    ensure!(host.terminate()?.success());
    let output = site.lantern(["verify", &names.tally])?.output()?;
    ensure!(output.status.success(), "it is not its replay: {}", transcript(&output));
    Ok(())
}
