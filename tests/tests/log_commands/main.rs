//! The log by commands: topics, records and groups looked at and changed, events appended, and the whole of it moved to Apache Kafka.

mod demo;
mod moved;
mod produce;
mod tools;

use anyhow::{Result, ensure};
use lantern_tests::log::Log;
use lantern_tests::site::{Host, Site, transcript};

/// `lantern broker` beside what a test asks of it; on Kafka there is nothing to start.
fn broker<'s>(site: &'s Site, log: &Log<'_>) -> Result<Option<Host<'s>>> {
    if matches!(log, Log::Kafka(_)) {
        return Ok(None);
    }
    let mut broker = site.start_command(site.lantern(["broker"])?)?;
    broker.await_broker()?;
    Ok(Some(broker))
}

/// Runs a command, which must leave with this code and say these words; answers everything that it printed.
fn check<'a>(
    site: &Site,
    arguments: impl IntoIterator<Item = &'a str>,
    code: i32,
    words: &[&str],
) -> Result<String> {
    let output = site.lantern(arguments)?.output()?;
    let said = transcript(&output);
    ensure!(output.status.code() == Some(code), "it should leave with {code}\n{said}");
    for word in words {
        ensure!(said.contains(word), "it should say {word:?}\n{said}");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
