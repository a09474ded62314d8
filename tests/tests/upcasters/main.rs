//! Upcasters: every reader of a topic sees events of today, and whatever changes about that, the rows stay provable.

mod aggregates;
mod changing;
mod failing;
mod killed;

use anyhow::{Context, Result, ensure};
use lantern_tests::api::Api;
use lantern_tests::client::{self, NewRecord};
use lantern_tests::guest::{Plugin, plugin};
use lantern_tests::log::Log;
use lantern_tests::site::{Host, Site, transcript};
use serde_json::Value;

/// An upcaster of a topic's events.
fn modern(topic: &str, words: &[&str]) -> Result<Plugin> {
    plugin("modern", "modern", &[&[topic], words].concat())
}

/// A projection that writes every event down.
fn ledger(name: &str, topic: &str, words: &[&str]) -> Result<Plugin> {
    plugin("ledger", name, &[&[topic], words].concat())
}

fn records(values: &[&str]) -> Vec<NewRecord> {
    let record = |value: &&str| NewRecord { value: Some(value.as_bytes().to_vec()), ..NewRecord::default() };
    values.iter().map(record).collect()
}

/// A host on which nothing is deployed, and a topic of one partition with these events.
struct Shop<'s> {
    site: &'s Site,
    host: Host<'s>,
    api: Api,
    topic: String,
}

impl<'s> Shop<'s> {
    fn open(site: &'s Site, topic: &str, values: &[&str]) -> Result<Self> {
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), topic, 1)?;
        let api = host.await_http()?;
        let shop = Shop { site, host, api, topic: topic.to_owned() };
        shop.produce(values)?;
        Ok(shop)
    }

    fn produce(&self, values: &[&str]) -> Result<()> {
        client::produce(self.site.address(), &self.topic, records(values))
    }

    /// Waits until the rows of a ledger are these, each as `type=value`; answers its generation.
    fn await_rows(&mut self, name: &str, expected: &[&str]) -> Result<i64> {
        let api = &self.api;
        let mut last = Value::Null;
        let sql = "SELECT type || '=' || coalesce(CAST(value AS TEXT), 'none') FROM entries ORDER BY seq";
        let found = self.host.until(&format!("the rows of {name} are {expected:?}"), || {
            let Ok(rows) = api.query(name, sql) else { return Ok(None) };
            let now: Vec<&str> = rows.rows.iter().flatten().filter_map(Value::as_str).collect();
            last = serde_json::json!(now);
            let is_settled = api.plugin(name)?.body["rebuild"].is_null();
            Ok((is_settled && now == expected).then_some(rows.generation))
        });
        found.with_context(|| format!("they were last {last}"))
    }

    /// The read model is what the log and the plugins that its journal names make of it.
    fn check_verified(&self, name: &str) -> Result<()> {
        let output = self.site.lantern(["verify", name])?.output()?;
        ensure!(output.status.success(), "it is not its replay: {}", transcript(&output));
        Ok(())
    }
}

/// An installation on a log, and the name of a topic there that is the type of its events too.
fn site(log: &Log<'_>) -> Result<(Site, String)> {
    Ok((Site::new(log)?, lantern_tests::guest::unique_topic("upcast")))
}
