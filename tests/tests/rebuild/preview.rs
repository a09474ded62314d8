//! What a new version would change is seen before it is live.

use std::fs;

use anyhow::{Result, ensure};
use lantern_tests::client::{self, NewRecord};
use lantern_tests::generations::Files;
use lantern_tests::guest::{Plugin, plugin, unique_topic};
use lantern_tests::log::each_log;
use lantern_tests::site::{Host, Site};
use lantern_tests::whole::ends;
use serde_json::{Value, json};

/// Events of each key.
const EVENTS: u32 = 12;
const KEYS: [&str; 4] = ["same", "added", "removed", "changed"];

// Whoever deploys a change of logic wants to know which rows it is about, and that it is about no others.
#[test]
fn a_preview_tells_rows_added_removed_and_changed_and_changes_nothing_until_it_is_promoted() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("preview");
        let mut site = Site::new(log)?;
        let old = tally(&topic, &["drop:added"])?;
        let new = tally(&topic, &["drop:removed", "double:changed"])?;
        site.deploy(&old)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 2)?;
        produce(&site, &topic)?;
        await_applied(&mut host, &site, &topic)?;

        let api = host.await_http()?;
        api.preview(&new)?.done("previewing")?;
        let is_compared = |now: &Value| now["rebuild"]["changes"].is_object();
        let now = host.await_plugin("tally", "is compared", is_compared)?;
        ensure!(now["digest"] == old.digest() && now["generation"] == 1, "a preview is live: {now:#}");
        check_changes(&now["rebuild"]["changes"])?;

        // It is there after a kill, and is promoted with the events that came since.
        host.kill()?;
        let mut host = site.start()?;
        host.await_broker()?;
        host.await_plugin("tally", "is compared again", is_compared)?;
        produce(&site, &topic)?;
        await_applied(&mut host, &site, &topic)?;
        let body = host.await_http()?.act("tally", "promote")?.done("promoted")?;
        ensure!(body["digest"] == new.digest() && body["generation"] == 2, "{body}");
        let keys = api.query("tally", "SELECT CAST(\"key\" AS TEXT), events FROM latest ORDER BY 1")?;
        let events = 2 * i64::from(EVENTS);
        ensure!(
            keys.rows
                == [
                    vec![json!("added"), json!(events)],
                    vec!["changed".into(), (2 * events).into()],
                    vec!["same".into(), events.into()]
                ],
            "{keys:?}"
        );
        await_applied(&mut host, &site, &topic)?;
        let now = api.plugin("tally")?.ok()?;
        ensure!(now["rebuild"].is_null() && now["previous"]["generation"] == 1, "{now:#}");
        Files::of(&site, "tally")?.check(&now)
    })
}

// Whoever deploys the old version again, while the new one is built, wants the old one.
#[test]
fn deploying_what_is_live_gives_up_what_is_built_beside_it() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("given-up");
        let site = Site::new(log)?;
        let (old, new) = (tally(&topic, &[])?, tally(&topic, &["state:2"])?);
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 2)?;
        produce(&site, &topic)?;
        let api = host.await_http()?;
        api.deploy(&old)?.done("started")?;
        await_applied(&mut host, &site, &topic)?;
        let is_old = |now: &Value| {
            let is_live = now["digest"] == old.digest() && now["generation"] == 1;
            is_live && now["rebuild"].is_null() && now["previous"].is_null()
        };
        for give_up in ["deploy", "discard"] {
            api.preview(&new)?.done("previewing")?;
            let answer = if give_up == "deploy" { api.deploy(&old)? } else { api.act("tally", give_up)? };
            answer.done("discarded")?;
            let now = api.plugin("tally")?.ok()?;
            ensure!(is_old(&now), "after {give_up}: {now:#}");
            let files = Files::of(&site, "tally")?;
            ensure!(files.all == [1].into(), "after {give_up}: {files:?}");
        }
        // Nor does it come back.
        host.kill()?;
        let mut host = site.start()?;
        host.await_plugin("tally", "is the old one", is_old)?;
        produce(&site, &topic)?;
        await_applied(&mut host, &site, &topic)?;
        // Nor does what is live suffer when the plugin of what is built beside it is lost.
        host.await_http()?.preview(&new)?.done("previewing")?;
        host.kill()?;
        fs::remove_file(site.data().join(format!("plugins/{}.wasm", new.digest())))?;
        let mut host = site.start()?;
        host.await_plugin("tally", "is the old one", |now| is_old(now) && now["state"] == "live")?;
        let history = site.api().history("tally")?;
        let last = history.last().cloned().unwrap_or_default();
        let is_named = last["reason"].as_str().is_some_and(|reason| reason.contains(&new.digest()));
        ensure!(last["result"] == "rejected" && is_named, "{last:#}");
        produce(&site, &topic)?;
        await_applied(&mut host, &site, &topic)
    })
}

fn tally(topic: &str, words: &[&str]) -> Result<Plugin> {
    plugin("tally", "tally", &[&[topic], words].concat())
}

fn produce(site: &Site, topic: &str) -> Result<()> {
    let records = (0..EVENTS).flat_map(|number| {
        KEYS.iter().zip([0, 1, 0, 1]).map(move |(key, partition)| NewRecord {
            partition,
            key: Some(key.as_bytes().to_vec()),
            value: Some(format!("{key} {number}").into_bytes()),
            ..NewRecord::default()
        })
    });
    client::produce(site.address(), topic, records)
}

fn await_applied(host: &mut Host<'_>, site: &Site, topic: &str) -> Result<()> {
    let records = client::read_committed(site.address(), topic)?;
    host.await_checkpoint("tally", topic, &ends(&records))
}

fn check_changes(changes: &Value) -> Result<()> {
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let row = |key: &str, events: u32| {
        let value = format!("{key} {}", EVENTS - 1);
        json!([{ "hex": hex(key) }, events, { "hex": hex(&value) }, 1])
    };
    let latest = &changes["tables"]["latest"];
    ensure!(
        changes["tables"].as_object().is_some_and(|tables| tables.len() == 1)
            && changes["tables_added"] == json!([])
            && changes["tables_removed"] == json!([]),
        "another table is said to change: {changes:#}"
    );
    ensure!(
        latest["added"] == 1 && latest["removed"] == 1 && latest["changed"] == 1,
        "other numbers of rows are said to change: {changes:#}"
    );
    let examples = json!([
        { "before": null, "after": row("added", EVENTS) },
        { "before": row("changed", EVENTS), "after": row("changed", 2 * EVENTS) },
        { "before": row("removed", EVENTS), "after": null },
    ]);
    ensure!(latest["examples"] == examples, "the examples should be {examples:#} and are {latest:#}");
    Ok(())
}
