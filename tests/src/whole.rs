//! Small logs, and ledgers that have applied all of one.

use std::ops::Range;

use anyhow::Result;

use crate::client::{self, NewRecord};
use crate::fold::{Records, check_ledger};
use crate::guest::{plugin, unique_topic};
use crate::log::Log;
use crate::site::{Host, Site};

/// Events by number, of three keys in turn.
pub fn entries(partition: i32, numbers: Range<u32>) -> impl Iterator<Item = NewRecord> {
    numbers.map(move |number| NewRecord {
        partition,
        key: Some(format!("{partition}-{}", number % 3).into_bytes()),
        value: Some(format!(r#"{{"type":"entry","number":{number}}}"#).into_bytes()),
        ..NewRecord::default()
    })
}

/// An installation with a ledger of a topic of its own; answers the topic.
///
/// # Errors
///
/// Where the plugin cannot be built, or the file system refuses.
pub fn ledger_site(log: &Log<'_>, label: &str) -> Result<(Site, String)> {
    let topic = unique_topic(label);
    let mut site = Site::new(log)?;
    site.deploy(&plugin("ledger", "ledger", &[&topic])?)?;
    Ok((site, topic))
}

/// Starts an installation with a ledger, makes its topic with these records, and waits until they are applied.
///
/// # Errors
///
/// Where they are not.
pub fn start_filled<'s>(
    site: &'s Site,
    topic: &str,
    partitions: i32,
    records: impl IntoIterator<Item = NewRecord>,
) -> Result<Host<'s>> {
    let mut host = site.start()?;
    host.await_broker()?;
    client::create_topic(site.address(), topic, partitions)?;
    client::produce(site.address(), topic, records)?;
    await_whole(&mut host, site, "ledger", topic)?;
    Ok(host)
}

/// Waits until a ledger has applied the whole topic, and checks it.
///
/// # Errors
///
/// Where it does not get there, or is not the fold of what it applied.
pub fn await_whole(host: &mut Host<'_>, site: &Site, name: &str, topic: &str) -> Result<Records> {
    let records = client::read_committed(site.address(), topic)?;
    host.await_checkpoint(name, topic, &ends(&records))?;
    check_ledger(&site.read_model(name)?, topic, &records)?;
    Ok(records)
}

/// The offsets behind the last records.
#[must_use]
pub fn ends(records: &Records) -> Vec<(i32, i64)> {
    let end = |records: &[client::Record]| Some(records.last()?.offset + 1);
    records.iter().filter_map(|(partition, records)| Some((*partition, end(records)?))).collect()
}
