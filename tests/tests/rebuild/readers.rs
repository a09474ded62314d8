//! Readers while a generation is built and promoted under them.

use std::collections::BTreeSet;
use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lantern_tests::api::Api;
use lantern_tests::client::{self, NewRecord};
use lantern_tests::fold::check_tally;
use lantern_tests::generations::Files;
use lantern_tests::guest::{Plugin, plugin, unique_topic};
use lantern_tests::log::{Log, each_log};
use lantern_tests::read_model::ReadModel;
use lantern_tests::report::say;
use lantern_tests::site::Site;
use lantern_tests::whole::ends;
use serde_json::Value;

const PARTITIONS: u32 = 3;
/// How many events are applied anew, unless `LANTERN_TESTS_EVENTS` says otherwise.
const EVENTS: u32 = 1_000_000;
/// Keys of all partitions: rows of the table that must never be empty.
const KEYS: u32 = 3_000;
/// Time between two reads of one reader, so that four of them leave a small machine its work.
const PACE_MS: u64 = 4;
/// Events that come at once while the new generation is built.
const EVENTS_MORE: u32 = 60;

/// One statement, and so one transaction of its reader: the rows of one generation, or it shows.
const VIEW: &str = "SELECT (SELECT count(*) FROM latest), (SELECT min(state) FROM latest),
    (SELECT max(state) FROM latest), (SELECT sum(events) FROM partitions),
    (SELECT sum(last_offset + 1) FROM partitions), (SELECT sum(next_offset) FROM _lantern_checkpoints)";

/// What a reader saw at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct View {
    state: i64,
    events: i64,
}

impl View {
    /// Checks that it is whole.
    fn of(cells: [i64; 6]) -> Result<Self> {
        let [keys, state, state_max, events, offsets, checkpoint] = cells;
        ensure!(keys == i64::from(KEYS), "the table has {keys} rows of {KEYS}: {cells:?}");
        ensure!(state == state_max, "rows of two generations at once: {cells:?}");
        ensure!(events == offsets && events == checkpoint, "rows and checkpoint disagree: {cells:?}");
        Ok(View { state, events })
    }

    fn read(model: &ReadModel) -> Result<Self> {
        let mut statement = model.connection.prepare_cached(VIEW)?;
        let cells = statement.query_row([], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?])
        })?;
        Self::of(cells)
    }
}

/// What a reader has seen since it began.
#[derive(Debug, Default)]
struct Seen {
    reads: u64,
    states: BTreeSet<i64>,
    events: i64,
}

impl Seen {
    /// Reads again and again. What it sees never goes back.
    fn collect(stop: &AtomicBool, read: impl Fn() -> Result<View>) -> Result<Self> {
        let mut seen = Seen::default();
        while !stop.load(Ordering::Relaxed) {
            let view = read().with_context(|| format!("after {seen:?}"))?;
            ensure!(view.events >= seen.events, "events went back: {view:?} after {seen:?}");
            ensure!(seen.states.last().is_none_or(|last| *last <= view.state), "{view:?} after {seen:?}");
            seen.states.insert(view.state);
            seen.events = view.events;
            seen.reads += 1;
            thread::sleep(Duration::from_millis(PACE_MS));
        }
        Ok(seen)
    }
}

// A million events take seconds, and in production hours: whoever asks meanwhile must get the rows of
// before or of after, whole, by whichever way, and whoever has the file open must keep what it has.
#[test]
fn readers_see_one_whole_generation_throughout_a_rebuild_and_its_promotion() -> Result<()> {
    each_log(|log| {
        let events =
            env::var("LANTERN_TESTS_EVENTS").ok().and_then(|events| events.parse().ok()).unwrap_or(EVENTS);
        let topic = unique_topic("readers");
        let mut site = Site::new(log)?;
        site.deploy(&tally(&topic, 1)?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, i32::try_from(PARTITIONS)?)?;
        client::produce(site.address(), &topic, records(0..events))?;
        let each = i64::from(events / PARTITIONS);
        host.await_checkpoint("tally", &topic, &[(0, each), (1, each), (2, each)])?;
        host.await_plugin("tally", "is live", |now| now["state"] == "live")?;

        let (stop, promoted) = (AtomicBool::new(false), AtomicBool::new(false));
        let next = tally(&topic, 2)?;
        let api = host.await_http()?;
        thread::scope(|scope| -> Result<()> {
            // Threads are told also when the test fails.
            let _over = [SetOnDrop(&stop), SetOnDrop(&promoted)];
            let stop = &stop;
            let openers = [(); 2].map(|()| scope.spawn(|| Seen::collect(stop, || View::read(&open(&site)?))));
            let askers = [(); 2].map(|()| scope.spawn(|| Seen::collect(stop, || ask(&api))));
            let held = open(&site)?;
            let holder = scope.spawn(move || hold(held, stop));
            let frozen = open(&site)?;
            frozen.connection.execute_batch("BEGIN")?;
            let before = View::read(&frozen)?;
            let producer = scope.spawn(|| produce_until(&site, &topic, events, &promoted));

            api.deploy(&next)?.done("rebuilding")?;
            host.await_plugin("tally", "is promoted", |now| {
                now["digest"] == next.digest() && now["rebuild"].is_null()
            })?;
            promoted.store(true, Ordering::Relaxed);
            join(producer)?;
            let records = client::read_committed(site.address(), &topic)?;
            host.await_checkpoint("tally", &topic, &ends(&records))?;
            stop.store(true, Ordering::Relaxed);

            let mut reads = 0;
            for reader in openers.into_iter().chain(askers) {
                let seen = join(reader)?;
                ensure!(seen.states == [1, 2].into(), "a reader has not seen both: {seen:?}");
                reads += seen.reads;
            }
            let seen = join(holder)?;
            ensure!(seen.states == [1].into(), "an open file has changed under its reader: {seen:?}");
            ensure!(View::read(&frozen)? == before, "a transaction has seen what came after it");
            check_integrity(&frozen)?;

            // The digest is another before the promotion has ended.
            host.until("files and host say the same", || {
                let now = api.plugin("tally")?.ok()?;
                Ok(Files::of(&site, "tally")?.check(&now).is_ok().then_some(()))
            })?;
            let applied = check_tally(&site.read_model("tally")?, &topic, &records)?;
            say(&format!("{}: {applied} events, {reads} reads; the held file {seen:?}", log.name()));
            Ok(())
        })
    })
}

// A generation is deleted when nobody goes back to it; who has it open still reads it.
#[test]
fn a_reader_of_a_generation_that_is_deleted_keeps_a_consistent_database() -> Result<()> {
    each_log(|log: &Log<'_>| {
        let topic = unique_topic("deleted");
        let mut site = Site::new(log)?;
        site.deploy(&tally(&topic, 1)?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, i32::try_from(PARTITIONS)?)?;
        client::produce(site.address(), &topic, records(0..2 * KEYS))?;
        let each = i64::from(2 * KEYS / PARTITIONS);
        host.await_checkpoint("tally", &topic, &[(0, each), (1, each), (2, each)])?;
        let (idle, frozen) = (open(&site)?, open(&site)?);
        frozen.connection.execute_batch("BEGIN")?;
        let before = View::read(&frozen)?;
        for state in 2..=4 {
            let next = tally(&topic, state)?;
            host.await_http()?.deploy(&next)?.done("rebuilding")?;
            host.await_plugin("tally", "is promoted", |now| {
                now["digest"] == next.digest() && now["rebuild"].is_null()
            })?;
            ensure!(View::read(&idle)? == before && View::read(&frozen)? == before);
        }
        let files = Files::of(&site, "tally")?;
        ensure!(files.all == [3, 4].into(), "the first generation should be gone: {files:?}");
        check_integrity(&idle)?;
        check_integrity(&frozen)
    })
}

/// Tells threads that it is over.
struct SetOnDrop<'s>(&'s AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn tally(topic: &str, state: u32) -> Result<Plugin> {
    plugin("tally", "tally", &[topic, &format!("state:{state}")])
}

/// Events by number, of all partitions and keys in turn.
fn records(numbers: std::ops::Range<u32>) -> impl Iterator<Item = NewRecord> {
    numbers.map(|number| NewRecord {
        partition: i32::try_from(number % PARTITIONS).unwrap_or_default(),
        key: Some((number % KEYS).to_be_bytes().to_vec()),
        value: Some(number.to_be_bytes().to_vec()),
        ..NewRecord::default()
    })
}

/// Events go on coming, so that live and new generation both move.
fn produce_until(site: &Site, topic: &str, from: u32, promoted: &AtomicBool) -> Result<()> {
    let mut next = from - from % PARTITIONS;
    while !promoted.load(Ordering::Relaxed) {
        client::produce(site.address(), topic, records(next..next + EVENTS_MORE))?;
        next += EVENTS_MORE;
        thread::sleep(Duration::from_millis(PACE_MS));
    }
    // Some that only the new one applies.
    client::produce(site.address(), topic, records(next..next + EVENTS_MORE))
}

fn open(site: &Site) -> Result<ReadModel> {
    site.read_model("tally")
}

fn ask(api: &Api) -> Result<View> {
    let answer = api.query("tally", VIEW)?;
    let cells: Vec<i64> = answer.rows.iter().flatten().filter_map(Value::as_i64).collect();
    let view = View::of(cells.try_into().map_err(|cells| anyhow::anyhow!("{cells:?} of {answer:?}"))?)?;
    ensure!(view.state == answer.generation, "{view:?} is said to be of generation {}", answer.generation);
    Ok(view)
}

/// Reads by one connection, however often another generation is promoted.
fn hold(model: ReadModel, stop: &AtomicBool) -> Result<Seen> {
    let seen = Seen::collect(stop, || View::read(&model))?;
    check_integrity(&model)?;
    Ok(seen)
}

fn check_integrity(model: &ReadModel) -> Result<()> {
    let found: String = model.connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    ensure!(found == "ok", "the database is damaged: {found}");
    Ok(())
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow::anyhow!("a thread of the test panicked"))?
}
