//! The log by commands: topics, records and groups looked at and changed, events appended, and the whole of it moved to Apache Kafka.

mod demo;
mod moved;
mod produce;
mod tools;

use anyhow::Result;
use lantern_tests::log::Log;
use lantern_tests::site::{Host, Site};

/// `lantern broker` beside what a test asks of it; on Kafka there is nothing to start.
fn broker<'s>(site: &'s Site, log: &Log<'_>) -> Result<Option<Host<'s>>> {
    if matches!(log, Log::Kafka(_)) {
        return Ok(None);
    }
    let mut broker = site.start_command(site.lantern(["broker"])?)?;
    broker.await_broker()?;
    Ok(Some(broker))
}
