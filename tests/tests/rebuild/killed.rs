//! Kills in the middle of rebuilds, promotions and rollbacks.

use std::collections::BTreeMap;
use std::env;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lantern_tests::client;
use lantern_tests::fold::check_ledger;
use lantern_tests::generations::{self, Files};
use lantern_tests::guest::unique_topic;
use lantern_tests::log::each_log;
use lantern_tests::report::say;
use lantern_tests::seed::seeded;
use lantern_tests::site::{Host, Site, transcript};
use lantern_tests::whole::{await_whole, entries};
use lantern_tests::writes::Watch;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::ledger;

const PARTITIONS: i32 = 2;
/// How often the process is killed on each broker, unless `LANTERN_TESTS_KILLS` says otherwise.
const KILLS: u32 = 24;
/// How many times as often at most, until kills have met a rebuild and a promotion.
const OVER_MAX: u32 = 4;
/// Events of each partition before the first rebuild, and those that come in every round.
const EVENTS_FIRST: u32 = 1_500;
const EVENTS_MORE: u32 = 30;
/// How long a moment is waited for; a rebuild of so few events is over before.
const MOMENT_MS_MAX: u64 = 3_000;

/// What the process is asked for before it is killed.
#[derive(Debug, Clone, Copy)]
enum Asked {
    /// A plugin of the next state version.
    Deploy,
    Rebuild,
    Rollback,
    Reset,
}

// A promotion touches a link, a catalog and a projection that runs: they cannot change in one step,
// and there must be no moment between them from which a start does not find its way.
#[test]
fn one_generation_is_live_whenever_a_rebuild_promotion_or_rollback_is_killed() -> Result<()> {
    each_log(|log| {
        let kills =
            env::var("LANTERN_TESTS_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
        let (seed, mut random) = seeded();
        let topic = unique_topic("killed");
        // Many small transactions, so that a rebuild is long enough to be killed in its middle.
        let site = Site::new(log)?.with_settings("[rebuild]\nevents_max = 20\n")?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, PARTITIONS)?;
        produce(&site, &topic, 0..EVENTS_FIRST)?;
        let first = ledger(&topic, 1)?;
        host.await_http()?.deploy(&first)?.done("started")?;
        await_whole(&mut host, &site, "ledger", &topic)?;

        let mut seen = Seen { states: BTreeMap::from([(first.digest(), 1)]), live: 1, ..Seen::default() };
        let mut events = EVENTS_FIRST;
        let mut made = 0;
        for kill in 1..=kills * OVER_MAX {
            // Those that were wanted may all have met nothing.
            if kill > kills && (seen.has_met() || kills < KILLS) {
                break;
            }
            made = kill;
            produce(&site, &topic, events..events + EVENTS_MORE)?;
            events += EVENTS_MORE;
            let asked = match random.random_range(0..8) {
                0..4 => Asked::Deploy,
                4 => Asked::Rebuild,
                5 | 6 => Asked::Rollback,
                _ => Asked::Reset,
            };
            let state = kill + 1;
            seen.states.insert(ledger(&topic, state)?.digest(), state);
            let is_taken = asked_and_killed(&site, host, asked, &topic, state, &mut random)?;
            let left = Files::of(&site, "ledger")?;
            host = site.start()?;
            seen.check_started(&site, &mut host, &topic, &left)
                .with_context(|| format!("{kill}: {asked:?}"))?;
            // Else the next request meets the rebuild that was resumed.
            if random.random_bool(0.6) {
                let now = await_settled(&mut host)?;
                let digest = ledger(&topic, state)?.digest();
                let is_kept = !matches!(asked, Asked::Deploy) || !is_taken || now["digest"] == digest;
                ensure!(is_kept, "{kill}: a deployment was answered and is lost: {now:#}");
                await_whole(&mut host, &site, "ledger", &topic)
                    .with_context(|| format!("{kill}: {asked:?}"))?;
            }
        }

        let now = await_settled(&mut host)?;
        await_whole(&mut host, &site, "ledger", &topic)?;
        Files::of(&site, "ledger")?.check(&now)?;
        let status = host.terminate()?;
        ensure!(status.success(), "SIGTERM ended it with {status}");
        let output = site.lantern(["verify", "ledger"])?.output()?;
        ensure!(output.status.success(), "it is not its replay: {}", transcript(&output));
        say(&format!(
            "{}: {made} kills; {} rebuilds were resumed, {} promotions found done, generation {} at the end",
            log.name(),
            seen.resumed,
            seen.moved,
            now["generation"]
        ));
        // A few kills may all have met nothing.
        ensure!(
            seen.has_met() || kills < KILLS,
            "no kill met a rebuild, or none a promotion: LANTERN_TESTS_SEED={seed}"
        );
        Ok(())
    })
}

fn produce(site: &Site, topic: &str, numbers: std::ops::Range<u32>) -> Result<()> {
    client::produce(site.address(), topic, entries(0, numbers.clone()).chain(entries(1, numbers)))
}

/// Asks, and kills at some moment after that. Answers whether the host had said yes before.
fn asked_and_killed(
    site: &Site,
    host: Host<'_>,
    asked: Asked,
    topic: &str,
    state: u32,
    random: &mut StdRng,
) -> Result<bool> {
    let api = site.api();
    let next = ledger(topic, state)?;
    let read_models = site.data().join("read-models");
    let moment = random.random_range(0..4);
    let watch = match moment {
        0 => None,
        1 => Some((Watch::writes(&generations::folder(site, "ledger"))?, random.random_range(0..60))),
        // The link that will be renamed, or the renamed one.
        _ => Some((Watch::names(&read_models)?, random.random_range(0..2))),
    };
    thread::scope(|scope| {
        let answer = scope.spawn(move || match asked {
            Asked::Deploy => api.deploy(&next),
            Asked::Rebuild => api.act("ledger", "rebuild"),
            Asked::Rollback => api.act("ledger", "rollback"),
            Asked::Reset => api.act("ledger", "reset"),
        });
        match watch {
            None => thread::sleep(Duration::from_millis(random.random_range(0..600))),
            Some((watch, skip)) => {
                watch.next(skip, MOMENT_MS_MAX)?;
                thread::sleep(Duration::from_micros(random.random_range(0..3_000)));
            }
        }
        host.kill()?;
        let answer = answer.join().map_err(|_| anyhow::anyhow!("the client panicked"))?;
        Ok(answer.is_ok_and(|answer| answer.status < 300))
    })
}

/// What the kills have met.
#[derive(Default)]
struct Seen {
    /// The state version of each plugin, by its digest.
    states: BTreeMap<String, u32>,
    resumed: u32,
    moved: u32,
    live: i64,
}

impl Seen {
    /// Whether a kill has met a rebuild, and one a promotion.
    fn has_met(&self) -> bool {
        self.resumed > 0 && self.moved > 0
    }

    /// After a start one generation is live: its link leads to a whole read model, whose rows are of the plugin that
    /// the host runs, and queries are answered from it. `left` are the files that the kill has left.
    fn check_started(&mut self, site: &Site, host: &mut Host<'_>, topic: &str, left: &Files) -> Result<()> {
        // At once, before anything of the start can have mended it: what is seen is as of the first read.
        let model = site.read_model("ledger")?;
        let transaction = model.connection.unchecked_transaction()?;
        model.checkpoints(topic)?;
        host.await_broker()?;
        check_ledger(&model, topic, &client::read_committed(site.address(), topic)?)?;
        transaction.finish()?;

        let api = host.await_http()?;
        let now = host.await_plugin("ledger", "is taken up", |now| now["generation"].is_i64())?;
        // It goes on in the file that was begun, and may be promoted by now.
        let begun = left.all.last().filter(|last| **last > left.live);
        let goes_on = |begun: i64| {
            let is_it = now["rebuild"]["generation"] == begun || now["generation"] == begun;
            // One that was rolled back is not begun.
            is_it && now["previous"]["generation"] != begun
        };
        self.resumed += u32::from(begun.is_some_and(|begun| goes_on(*begun)));
        self.moved += u32::from(left.live != self.live);
        self.live = now["generation"].as_i64().unwrap_or_default();
        api.query("ledger", "SELECT count(*) FROM entries")?;
        // A rebuild that was resumed may be promoted between two looks.
        host.until("files and host say the same", || {
            let now = api.plugin("ledger")?.ok()?;
            Ok(Files::of(site, "ledger")?.check(&now).is_ok().then_some(()))
        })?;
        host.until("the rows are of the plugin that is live", || {
            let now = api.plugin("ledger")?.ok()?;
            let rows = api.query("ledger", "SELECT state FROM total")?;
            let digest = now["digest"].as_str().unwrap_or_default();
            let state = self.states.get(digest).with_context(|| format!("an unknown plugin: {now:#}"))?;
            let is_it = rows.generation == now["generation"].as_i64().unwrap_or_default()
                && rows.rows.iter().flatten().all(|found| *found == *state);
            ensure!(now["state"] != "halted", "it has halted: {now:#}");
            Ok(is_it.then_some(()))
        })
    }
}

/// Waits until nothing is built any more.
fn await_settled(host: &mut Host<'_>) -> Result<Value> {
    host.await_plugin("ledger", "has promoted what was built", |now| {
        now["rebuild"].is_null() && now["generation"].is_i64()
    })
}
