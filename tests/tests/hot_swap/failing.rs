//! New plugins that fail: refused before anything changes, or put back when they fail at their first
//! events.

use std::fs;
use std::ops::Range;

use anyhow::{Context, Result, ensure};
use lantern_tests::client::{self, NewRecord};
use lantern_tests::guest::{Plugin, assembled, plugin};
use lantern_tests::log::{Log, each_log};
use lantern_tests::seed::seeded;
use lantern_tests::site::{Host, Site, transcript};
use lantern_tests::whole::{await_whole, entries, ledger_site, start_filled};
use lantern_tests::writes::Watch;
use rand::RngExt;
use serde_json::{Value, json};

/// Events after which a new version is no longer on trial.
const TRIAL_EVENTS: u32 = 1_000;

/// A running ledger that has applied some events.
struct Running<'s> {
    host: Host<'s>,
    topic: String,
    good: Plugin,
}

fn site(log: &Log<'_>, label: &str) -> Result<(Site, String, Plugin)> {
    let (site, topic) = ledger_site(log, label)?;
    let good = plugin("ledger", "ledger", &[&topic])?;
    Ok((site, topic, good))
}

impl<'s> Running<'s> {
    fn start((site, topic, good): &'s (Site, String, Plugin)) -> Result<Self> {
        let records = entries(0, 0..20).chain(entries(1, 0..20));
        let mut host = start_filled(site, topic, 2, records)?;
        host.await_http()?;
        Ok(Running { host, topic: topic.clone(), good: good.clone() })
    }

    /// The good plugin is the live one, applies what comes, and has lost or doubled nothing.
    fn check_runs_on(&mut self, site: &Site, numbers: Range<u32>) -> Result<Value> {
        client::produce(site.address(), &self.topic, entries(0, numbers))?;
        await_whole(&mut self.host, site, "ledger", &self.topic)?;
        let plugin = site.api().plugin("ledger")?.ok()?;
        ensure!(plugin["digest"] == self.good.digest(), "another plugin has taken over: {plugin:#}");
        Ok(plugin)
    }
}

/// A plugin that does not load or does not fit.
struct Refused {
    guest: &'static str,
    /// What the reason must say.
    words: &'static [&'static str],
}

const REFUSED: &[Refused] = &[
    Refused { guest: "not-wasm", words: &["not WebAssembly"] },
    Refused { guest: "cut-short", words: &[] },
    Refused { guest: "other-world", words: &["lantern:plugin/"] },
    Refused { guest: "lacks-an-export", words: &["lantern:plugin/projection"] },
    Refused { guest: "bad-manifest", words: &["manifest"] },
    Refused { guest: "other-name", words: &["other-name", "ledger"] },
];

fn refused(guest: &str, topic: &str, good: &Plugin) -> Result<Plugin> {
    let name = "ledger".to_owned();
    match guest {
        "not-wasm" => Ok(Plugin { name, wasm: b"#!/bin/sh\necho hello\n".to_vec() }),
        "cut-short" => Ok(Plugin { name, wasm: good.wasm[..good.wasm.len() / 2].to_vec() }),
        // Sent to the ledger's address, where it would take the ledger's place.
        "other-name" => Ok(Plugin { name, ..plugin("ledger", guest, &[topic])? }),
        _ => assembled(guest, &json!({ "name": name, "topics": [topic] })),
    }
}

// Whoever deploys a broken build must be told why, by the request itself and in the history, and
// must not have stopped what worked.
#[test]
fn a_plugin_that_does_not_load_or_fit_never_takes_over() -> Result<()> {
    each_log(|log| {
        let parts = site(log, "refused")?;
        let mut running = Running::start(&parts)?;
        let (site, topic, good) = &parts;
        for (number, case) in (0..).zip(REFUSED) {
            let broken = refused(case.guest, topic, good)?;
            let reason = site.api().deploy(&broken)?.refused().context(case.guest)?;
            let has_words = |text: &str| case.words.iter().all(|word| text.contains(word));
            ensure!(has_words(&reason), "{}: the reason is {reason:?}", case.guest);
            let history = site.api().history("ledger")?;
            let last = history.last().context("the history is empty")?;
            ensure!(
                last["result"] == "rejected"
                    && last["digest"] == broken.digest()
                    && last["reason"].as_str().is_some_and(has_words),
                "{}: the history ends with {last:#}",
                case.guest
            );
            let plugin = running.check_runs_on(site, 100 + number * 10..110 + number * 10)?;
            ensure!(plugin["rebuild"].is_null(), "{}: {plugin:#}", case.guest);

            if case.guest != "other-name" {
                let file = site.data().with_file_name("broken.wasm");
                fs::write(&file, &broken.wasm)?;
                let output = site.lantern(["deploy", &file.to_string_lossy()])?.output()?;
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                ensure!(output.status.code() == Some(1), "{}: {}", case.guest, transcript(&output));
                ensure!(has_words(&said), "{}: {}", case.guest, transcript(&output));
            }
        }
        running.check_runs_on(site, 200..210)?;
        Ok(())
    })
}

/// When the process is killed while a plugin is on trial.
#[derive(Debug, Clone, Copy)]
enum Killed {
    Never,
    BeforeItsFirstEvent,
    /// In the middle of a write after the event at fault has come.
    AtItsFirstEvent,
}

// A plugin can load and fit and still fail at the first event. Nobody may be looking then: the one
// that worked must go on by itself, with that event.
#[test]
fn a_plugin_that_fails_at_its_first_events_is_put_back_and_no_event_is_lost_or_doubled() -> Result<()> {
    each_log(|log| {
        for killed in [Killed::Never, Killed::BeforeItsFirstEvent, Killed::AtItsFirstEvent] {
            put_back(log, killed).with_context(|| format!("killed: {killed:?}"))?;
        }
        Ok(())
    })
}

fn put_back(log: &Log<'_>, killed: Killed) -> Result<()> {
    let (_, mut random) = seeded();
    let parts = site(log, "put-back")?;
    let mut running = Running::start(&parts)?;
    let (site, topic, good) = &parts;
    let faulty = plugin("ledger", "ledger", &[topic, "faulty"])?;
    site.api().deploy(&faulty)?.done("swapped")?;
    if let Killed::BeforeItsFirstEvent = killed {
        running.host.kill()?;
        running.host = site.start()?;
        running.host.await_broker()?;
        running.host.await_plugin("ledger", "is on trial still", |plugin| {
            plugin["digest"] == faulty.digest() && plugin["on_trial"] == true
        })?;
    }
    let watch = Watch::writes(&site.data().join("read-models"))?;
    let records = entries(0, 20..25).chain([fault(0, "trap")]).chain(entries(0, 26..40));
    client::produce(site.address(), topic, records)?;
    if let Killed::AtItsFirstEvent = killed {
        // There may be fewer writes than are waited for.
        watch.next(random.random_range(0..12), 300)?;
        running.host.kill()?;
        running.host = site.start()?;
        running.host.await_broker()?;
    }
    running.host.await_plugin("ledger", "goes on with the plugin before", |plugin| {
        plugin["digest"] == good.digest() && plugin["on_trial"] == false
    })?;
    await_whole(&mut running.host, site, "ledger", topic)?;

    let words = [format!("{topic}/0@25"), "unreachable".into()];
    let has_words = |text: &Value| words.iter().all(|word| text.as_str().unwrap_or_default().contains(word));
    running.host.until("the history has the reason", || {
        let history = site.api().history("ledger")?;
        let is_it = |entry: &Value| {
            entry["result"] == "rejected" && entry["digest"] == faulty.digest() && has_words(&entry["reason"])
        };
        Ok(history.iter().any(is_it).then_some(()))
    })?;
    running.host.await_said("is put back")?;
    // A kill after it was put back takes away what only the process knew.
    if !matches!(killed, Killed::AtItsFirstEvent) {
        let plugin = site.api().plugin("ledger")?.ok()?;
        let put_back = &plugin["put_back"];
        ensure!(put_back["digest"] == faulty.digest() && has_words(&put_back["reason"]), "{plugin:#}");
    }

    // It is not tried again.
    running.host.kill()?;
    running.host = site.start()?;
    running.host.await_broker()?;
    let plugin = running.check_runs_on(site, 40..60)?;
    ensure!(plugin["on_trial"] == false, "{plugin:#}");
    Ok(())
}

// One that has worked for long is not taken for a failed deployment: an event is at fault then, and
// going back to an older plugin unasked would change what the rows mean.
#[test]
fn a_plugin_that_has_passed_its_trial_halts_at_a_poison_event_and_is_mended_by_the_next() -> Result<()> {
    each_log(|log| {
        let parts = site(log, "passed")?;
        let mut running = Running::start(&parts)?;
        let (site, topic, _) = &parts;
        let faulty = plugin("ledger", "ledger", &[topic, "faulty"])?;
        site.api().deploy(&faulty)?.done("swapped")?;
        client::produce(site.address(), topic, entries(1, 20..20 + TRIAL_EVENTS))?;
        running.host.await_plugin("ledger", "has passed its trial", |plugin| {
            plugin["digest"] == faulty.digest() && plugin["on_trial"] == false
        })?;
        let records = entries(0, 20..30).chain([fault(0, "refuse")]).chain(entries(0, 31..50));
        client::produce(site.address(), topic, records)?;
        let plugin = running.host.await_plugin("ledger", "halts", |plugin| plugin["state"] == "halted")?;
        ensure!(plugin["digest"] == faulty.digest(), "it was put back: {plugin:#}");
        ensure!(
            plugin["error"].as_str().is_some_and(|error| error.contains(&format!("{topic}/0@30"))),
            "{plugin:#}"
        );
        // Also after a start: it is the same plugin, and the same event.
        running.host.kill()?;
        running.host = site.start()?;
        running.host.await_broker()?;
        running.host.await_plugin("ledger", "halts again", |plugin| plugin["state"] == "halted")?;

        let mended = plugin_of(topic, 2)?;
        site.api().deploy(&mended)?.done("swapped")?;
        running.good = mended;
        running.check_runs_on(site, 50..60)?;
        Ok(())
    })
}

fn plugin_of(topic: &str, version: u32) -> Result<Plugin> {
    plugin("ledger", "ledger", &[topic, &format!("version:{version}")])
}

/// An event that a faulty ledger fails at.
fn fault(partition: i32, order: &str) -> NewRecord {
    let value = Some(format!("fault: {order}").into_bytes());
    NewRecord { partition, key: Some(b"0-0".to_vec()), value, ..NewRecord::default() }
}
