//! Small logs, and ledgers that have applied all of one.

use std::ops::Range;

use anyhow::Result;

use crate::client::{self, NewRecord};
use crate::fold::{Records, check_ledger};
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
