//! Aggregates: their states are made of events of today too.

use crate::site;
use anyhow::{Result, ensure};
use lantern_tests::api::Api;
use lantern_tests::guest::{Plugin, plugin};
use lantern_tests::log::each_log;
use serde_json::json;

/// An upcaster that multiplies deposits.
fn times(topic: &str, times: u32, words: &[&str]) -> Result<Plugin> {
    plugin("modern", "modern", &[&[topic, "of:Deposited", &format!("times:{times}")], words].concat())
}

fn deposit(api: &Api, account: &str, cents: i64) -> Result<()> {
    let reply = api.command((account, "ada"), ("Deposit", json!({ "cents": cents })), &[])?;
    ensure!(reply.status == 200, "{reply:?}");
    Ok(())
}

/// The account's state has so many cents.
fn check(api: &Api, account: &str, cents: i64) -> Result<()> {
    let reply = api.aggregates(&format!("/{account}/ada"))?;
    ensure!(reply.body["state"]["cents"] == cents, "{reply:?} has not {cents} cents");
    Ok(())
}

// Promise 7 for old events. A command must be decided on the state that today's events lead to, whichever upcaster came
// after the state was kept, and the log stays as it is.
#[test]
fn a_changed_upcaster_has_states_made_anew() -> Result<()> {
    each_log(|log| {
        let (site, topic) = site(log)?;
        let mut host = site.start()?;
        host.await_broker()?;
        let mut api = host.await_http()?;
        api.deploy(&plugin("account", &topic, &[&topic])?)?.done("started")?;
        host.await_plugin(&topic, "is live", |now| now["state"] == "live")?;
        deposit(&api, &topic, 5)?;
        check(&api, &topic, 5)?;
        api.deploy(&times(&topic, 100, &[])?)?.done("started")?;
        check(&api, &topic, 500)?;
        // What is decided from now on is read as if it were old: it has an old type.
        deposit(&api, &topic, 1)?;
        check(&api, &topic, 600)?;
        // The same state version says that the states are the same.
        api.deploy(&times(&topic, 1_000, &[])?)?.done("swapped")?;
        check(&api, &topic, 600)?;
        api.deploy(&times(&topic, 10, &["state:2"])?)?.done("swapped")?;
        check(&api, &topic, 60)?;
        host.kill()?;
        let mut host = site.start()?;
        host.await_broker()?;
        api = host.await_http()?;
        host.await_plugin(&topic, "is live", |now| now["state"] == "live")?;
        check(&api, &topic, 60)?;
        // A handler is tried on its events as they come to it.
        api.deploy(&plugin("account", &topic, &[&topic, "by:new"])?)?.done("swapped")?;
        api.remove("modern", false)?.done("removed")?;
        check(&api, &topic, 6)?;
        let history = api.history(&topic)?;
        ensure!(history.iter().any(|entry| entry["by"] == "the upcaster modern"), "{history:#?}");
        Ok(())
    })
}
