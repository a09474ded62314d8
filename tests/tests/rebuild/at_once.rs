//! Several rebuilds, and live projections that need the machine more.

use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use lantern_tests::client::{self, NewRecord};
use lantern_tests::guest::{plugin, unique_topic};
use lantern_tests::http;
use lantern_tests::log::{Log, on};
use lantern_tests::site::Site;
use lantern_tests::whole::{await_whole, entries};
use serde_json::Value;

/// How many are rebuilt, and how many of them at once.
const PLUGINS: usize = 4;
const AT_ONCE: usize = 2;
/// Events of each of two partitions that are rebuilt.
const EVENTS: u32 = 4_000;
/// Events that a live projection has before it meanwhile.
const BEHIND: u32 = 60_000;

// A change of an upcaster rebuilds everything that reads its topic. The live projections must not feel it, and whoever
// waits wants to know how long.
#[test]
fn rebuilds_are_few_at_once_let_live_projections_go_first_and_say_how_long_they_take() -> Result<()> {
    on(&Log::Embedded, |log| {
        let (topic, other) = (unique_topic("at-once"), unique_topic("behind"));
        // Live projections are slow, so that one is behind for long enough; rebuilds are quicker, and last
        // long enough to be looked at.
        let settings = format!(
            "[batch]\nevents_max = 5\n[rebuild]\nat_once_max = {AT_ONCE}\nlag_max = 10\nevents_max = 20\n"
        );
        let site = Site::new(log)?.with_settings(&settings)?;
        let mut host = site.start()?;
        host.await_broker()?;
        for topic in [&topic, &other] {
            client::create_topic(site.address(), topic, 2)?;
        }
        client::produce(site.address(), &topic, entries(0, 0..EVENTS).chain(entries(1, 0..EVENTS)))?;
        let behind = |number: u32| NewRecord {
            key: Some(vec![0]),
            value: Some(number.to_le_bytes().to_vec()),
            ..NewRecord::default()
        };
        client::produce(site.address(), &other, (0..BEHIND).map(behind))?;
        let api = host.await_http()?;
        let names: Vec<String> = (0..PLUGINS).map(|number| format!("tally-{number}")).collect();
        for name in &names {
            api.deploy(&plugin("tally", name, &[&topic])?)?.done("started")?;
        }
        for name in &names {
            host.await_plugin(name, "is live", |now| now["state"] == "live" && now["lag"] == 0)?;
        }
        api.deploy(&plugin("ledger", "ledger", &[&other])?)?.done("started")?;
        host.await_plugin("ledger", "is behind", |now| now["lag"].as_u64().unwrap_or(0) > 10)?;

        let mut seen = (false, false, false);
        let mut most = 0;
        thread::scope(|scope| {
            // At once, and looked at meanwhile: else some may be over before the last is asked for.
            let ask = |name: &str| api.act(name, "rebuild")?.done("rebuilding");
            let asked: Vec<_> = names.iter().map(|name| scope.spawn(move || ask(name))).collect();
            host.until("all are promoted", || {
                let (_, all) = http::ask(site.http_address(), "GET", "/v1/plugins", &[])?;
                let all = all["plugins"].as_array().context("a list of plugins")?;
                let rebuilds: Vec<&Value> = all.iter().map(|plugin| &plugin["rebuild"]).collect();
                let are = |state: &str| rebuilds.iter().filter(|rebuild| rebuild["state"] == state).count();
                let at_once = are("building") + are("throttled");
                ensure!(at_once <= AT_ONCE, "too many at once: {rebuilds:#?}");
                most = at_once.max(most);
                for rebuild in &rebuilds {
                    ensure!(rebuild["done"].as_u64() <= rebuild["total"].as_u64(), "{rebuild:#}");
                }
                seen.0 |= are("waiting") > 0;
                seen.1 |= are("throttled") > 0;
                seen.2 |= rebuilds.iter().any(|rebuild| rebuild["eta_s"].is_u64());
                let promoted = all.iter().filter(|plugin| plugin["generation"] == 2).count();
                Ok((promoted == PLUGINS && rebuilds.iter().all(|rebuild| rebuild.is_null())).then_some(()))
            })?;
            for asked in asked {
                asked.join().map_err(|_| anyhow!("a request panicked"))??;
            }
            anyhow::Ok(())
        })?;
        ensure!(seen == (true, true, true), "waiting, throttled, and told how long: {seen:?}");
        ensure!(most == AT_ONCE, "{most} at once");
        for name in &names {
            let events = site.read_model(name)?.number("SELECT sum(events) FROM partitions")?;
            ensure!(events == i64::from(2 * EVENTS), "{name} has {events} events");
        }
        await_whole(&mut host, &site, "ledger", &other)?;
        ensure!(host.terminate()?.success());
        Ok(())
    })
}
