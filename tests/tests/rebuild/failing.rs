//! Rebuilds that fail, and rebuilds that mend what had failed.

use anyhow::{Context, Result, ensure};
use lantern_tests::client::{self, NewRecord};
use lantern_tests::generations::Files;
use lantern_tests::guest::{Plugin, assembled, plugin, unique_topic};
use lantern_tests::log::each_log;
use lantern_tests::site::Site;
use lantern_tests::whole::{await_whole, entries};
use serde_json::{Value, json};

use crate::ledger;

/// The offset of the event that a faulty ledger does not take.
const POISON: u32 = 25;

fn poisoned() -> impl Iterator<Item = NewRecord> {
    let poison = NewRecord {
        key: Some(b"0-0".to_vec()),
        value: Some(b"fault: refuse".to_vec()),
        ..NewRecord::default()
    };
    entries(0, 0..POISON).chain([poison]).chain(entries(0, POISON + 1..50))
}

// A new version that cannot apply what is in the log must not cost anything but its own time.
#[test]
fn a_rebuild_that_fails_leaves_the_live_generation_and_says_why() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("failing");
        let mut site = Site::new(log)?;
        let good = ledger(&topic, 1)?;
        site.deploy(&good)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 2)?;
        client::produce(site.address(), &topic, poisoned().chain(entries(1, 0..50)))?;
        await_whole(&mut host, &site, "ledger", &topic)?;

        let bad_schema = json!({ "name": "ledger", "topics": [topic], "schema": ["CREATE TABEL t (x)"] });
        let cases: [(Plugin, Vec<String>); 2] = [
            (assembled("bad-schema", &bad_schema)?, vec!["CREATE TABEL".into(), "syntax error".into()]),
            (
                plugin("ledger", "ledger", &[&topic, "state:2", "faulty"])?,
                vec![format!("{topic}/0@{POISON}"), "does not take this entry".into()],
            ),
        ];
        for (number, (broken, words)) in (0..).zip(cases) {
            let api = host.await_http()?;
            api.deploy(&broken)?.done("rebuilding")?;
            let has_words = |reason: &Value| {
                let reason = reason.as_str().unwrap_or_default();
                words.iter().all(|word| reason.contains(word))
            };
            let failed = host.await_plugin("ledger", "has a rebuild that failed", |now| {
                now["rebuild"]["state"] == "failed"
            })?;
            ensure!(has_words(&failed["rebuild"]["error"]), "{failed:#}");
            ensure!(failed["digest"] == good.digest() && failed["generation"] == 1, "{failed:#}");
            let history = host.until("the history has the reason", || {
                let history = api.history("ledger")?;
                Ok(history.last().filter(|last| last["result"] == "rejected").cloned())
            })?;
            ensure!(history["digest"] == broken.digest() && has_words(&history["reason"]), "{history:#}");
            let reason = api.act("ledger", "promote")?.refused()?;
            ensure!(has_words(&Value::from(reason.clone())), "promoting says {reason}");

            // It fails again after a kill, and the live one goes on.
            host.kill()?;
            host = site.start()?;
            host.await_broker()?;
            client::produce(site.address(), &topic, entries(1, 50 + number * 10..60 + number * 10))?;
            await_whole(&mut host, &site, "ledger", &topic)?;
            let now = host.await_plugin("ledger", "has a rebuild that failed", |now| {
                now["rebuild"]["state"] == "failed"
            })?;
            ensure!(now["digest"] == good.digest(), "{now:#}");
            Files::of(&site, "ledger")?.check(&now)?;
        }

        // The next deployment takes its place.
        let mended = ledger(&topic, 2)?;
        host.await_http()?.deploy(&mended)?.done("rebuilding")?;
        let now = host.await_plugin("ledger", "is mended", |now| {
            now["digest"] == mended.digest() && now["rebuild"].is_null()
        })?;
        Files::of(&site, "ledger")?.check(&now)?;
        await_whole(&mut host, &site, "ledger", &topic)?;
        Ok(())
    })
}

// A projection that halted has the rows before its poison event, in a shape that the new version does
// not continue: it is rebuilt from the log, through that event.
#[test]
fn a_halted_projection_is_mended_by_a_plugin_of_another_state_version() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("mended");
        let mut site = Site::new(log)?;
        let faulty = plugin("ledger", "ledger", &[&topic, "faulty"])?;
        site.deploy(&faulty)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 2)?;
        client::produce(site.address(), &topic, poisoned().chain(entries(1, 0..50)))?;
        host.await_plugin("ledger", "halts", |now| now["state"] == "halted")?;

        let mended = ledger(&topic, 2)?;
        host.await_http()?.deploy(&mended)?.done("rebuilding")?;
        let now = host.await_plugin("ledger", "is mended", |now| {
            now["digest"] == mended.digest() && now["rebuild"].is_null()
        })?;
        ensure!(now["generation"] == 2, "{now:#}");
        await_whole(&mut host, &site, "ledger", &topic)?;
        client::produce(site.address(), &topic, entries(0, 50..80))?;
        await_whole(&mut host, &site, "ledger", &topic).context("after it was mended")?;
        Files::of(&site, "ledger")?.check(&now)
    })
}
