//! Ways in: a file saved in the plugins folder, `lantern deploy`, HTTP, `lantern dev`. By each of them the same happens, an
//! event is neither lost nor applied twice, and what is refused is named with its reason.

mod commands;
mod dev;
mod files;

use anyhow::{Context, Result};
use lantern_tests::client::{self, NewRecord};
use lantern_tests::site::{Host, Site, transcript};
use lantern_tests::wait::DEAR_POLL_MS;
use lantern_tests::whole::ends;
use serde_json::Value;

/// Events by number, in two partitions, of three keys in each.
fn entries(numbers: std::ops::Range<u32>) -> impl Iterator<Item = NewRecord> {
    numbers.map(|number| NewRecord {
        partition: i32::try_from(number % 2).unwrap_or(0),
        key: Some(format!("{}-{}", number % 2, number % 3).into_bytes()),
        value: Some(format!(r#"{{"number":{number}}}"#).into_bytes()),
        ..NewRecord::default()
    })
}

/// Waits until a projection that is no ledger has applied a whole topic.
fn await_applied(host: &mut Host<'_>, site: &Site, name: &str, topic: &str) -> Result<()> {
    host.await_checkpoint(name, topic, &ends(&client::read_committed(site.address(), topic)?))
}

/// What was done to a plugin, oldest first; nothing while nobody answers.
fn history(site: &Site, name: &str) -> Result<Vec<String>> {
    let output = site.lantern(["history", name, "--json"])?.output()?;
    if !output.status.success() {
        return Ok(Vec::new());
    }
    let entries: Vec<Value> = serde_json::from_slice(&output.stdout).with_context(|| transcript(&output))?;
    Ok(entries.iter().filter_map(|entry| entry["result"].as_str().map(str::to_owned)).collect())
}

/// Waits until exactly this was done to a plugin.
fn await_history(host: &mut Host<'_>, site: &Site, name: &str, expected: &[&str]) -> Result<()> {
    let mut last = Vec::new();
    host.until_every(DEAR_POLL_MS, &format!("the history of {name} is {expected:?}"), || {
        last = history(site, name)?;
        Ok((last == expected).then_some(()))
    })
    .with_context(|| format!("it was {last:?}"))
}
