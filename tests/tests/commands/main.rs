//! Promise 7: commands are decided on the aggregate's latest state, appended whole or not at all, decided once per
//! idempotency key, and never by a writer that was taken over.

mod away;
mod conservation;
mod failing;
mod from_topic;
mod history;
mod keys;
mod linearizable;
mod paused;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lantern_tests::api::Api;
use lantern_tests::client;
use lantern_tests::guest::{Plugin, plugin, unique_topic};
use lantern_tests::http::Reply;
use lantern_tests::site::{Host, Site};
use serde_json::{Value, json};

/// How long a command may be sent again and again.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(20);

/// An aggregate type of a test's own: on a Kafka that tests share, its handler fences others of the same name.
#[derive(Clone)]
struct Accounts {
    name: String,
}

/// An event as the log has it.
struct Appended {
    id: String,
    version: u64,
    kind: String,
    data: Value,
    key: Option<String>,
}

impl Accounts {
    fn new(label: &str) -> Self {
        Accounts { name: unique_topic(label) }
    }

    /// The handler of `tests/guests/account`, with these labels; its topic has its name.
    fn handler(&self, labels: &[&str]) -> Result<Plugin> {
        let words: Vec<&str> = [&[self.name.as_str()], labels].concat();
        plugin("account", &self.name, &words)
    }

    fn await_live(&self, host: &mut Host<'_>) -> Result<Value> {
        host.await_plugin(&self.name, "takes commands", |it| it["state"] == "live")
    }

    fn send(&self, api: &Api, id: &str, name: &str, data: Value, headers: &[(&str, &str)]) -> Result<Reply> {
        api.command((&self.name, id), (name, data), headers)
    }

    /// Sends a command with a key, as a client does: until there is an answer of the domain.
    fn settle(&self, api: &Api, id: &str, name: &str, cents: i64, key: &str) -> Result<Reply> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sent = self.send(api, id, name, json!({ "cents": cents }), &[("Idempotency-Key", key)]);
            match sent {
                Ok(reply) if matches!(reply.status, 200 | 422) => return Ok(reply),
                // The host or its log is away, or on its way back.
                Err(_) => {}
                Ok(reply) if reply.status == 503 => {}
                Ok(reply) => bail!("{key}: {} {}", reply.status, reply.body),
            }
            ensure!(Instant::now() < deadline, "{key} was not decided in {PATIENCE:?}");
            thread::sleep(AGAIN);
        }
    }

    /// The events of every aggregate in the order of the log. Checks that their versions have no gap.
    fn log(&self, site: &Site) -> Result<Vec<Appended>> {
        let mut versions: BTreeMap<String, u64> = BTreeMap::new();
        let mut events = Vec::new();
        for record in client::read_committed(site.address(), &self.name)?.into_values().flatten() {
            let header = |name: &str| record.header(name).map(str::to_owned);
            let id = header("ce_subject").context("an event without its aggregate")?;
            let version = header("ce_aggregateversion").context("an event without its version")?.parse()?;
            let next = versions.entry(id.clone()).or_default();
            *next += 1;
            ensure!(version == *next, "{id}: version {version} where {next} follows");
            let data = serde_json::from_slice(record.value.as_deref().unwrap_or_default())?;
            let kind = header("ce_type").context("an event without a type")?;
            events.push(Appended { id, version, kind, data, key: header("ce_commandkey") });
        }
        Ok(events)
    }
}

impl Appended {
    /// What the event adds to the account.
    fn cents(&self) -> Result<i64> {
        let cents = self.data["cents"].as_i64().with_context(|| format!("{}", self.data))?;
        Ok(if self.kind == "Withdrawn" { -cents } else { cents })
    }
}

/// What the host says that the handler was doing when this was read.
fn handler(reply: &Reply) -> &str {
    reply.headers.get("lantern-handler").map_or("unknown", String::as_str)
}

fn version(reply: &Reply) -> Result<u64> {
    reply.body["version"].as_u64().with_context(|| format!("{} has no version", reply.body))
}
