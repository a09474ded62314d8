//! Bad input: plugins, events, logs and disks that are not as they should be. Each gives an error
//! that says where and what, harms nothing beside it, and loses nothing: when it is mended, the
//! projection goes on and its read model is the fold of the log.

mod disk;
mod log;
mod plugins;

use std::collections::BTreeSet;

use anyhow::Result;
use lantern_tests::client::{self, NewRecord};
use lantern_tests::fold::{Records, check_ledger};
use lantern_tests::guest;
use lantern_tests::site::{Host, Site};

/// Events by number, of three keys in turn.
fn entries(partition: i32, numbers: std::ops::Range<u32>) -> impl Iterator<Item = NewRecord> {
    numbers.map(move |number| NewRecord {
        partition,
        key: Some(format!("{partition}-{}", number % 3).into_bytes()),
        value: Some(format!(r#"{{"type":"entry","number":{number}}}"#).into_bytes()),
        headers: Vec::new(),
    })
}

/// Waits until a ledger has applied the whole topic, and checks it.
fn await_whole(host: &mut Host<'_>, site: &Site, name: &str, topic: &str) -> Result<Records> {
    let records = client::read_committed(site.address(), topic)?;
    let ends: Vec<(i32, i64)> = records
        .iter()
        .filter_map(|(partition, records)| Some((*partition, records.last()?.offset + 1)))
        .collect();
    host.await_checkpoint(name, topic, &ends)?;
    check_ledger(&site.read_model(name)?, topic, &records)?;
    Ok(records)
}

// A guest that no test uses shows nothing, and nobody would notice.
#[test]
fn every_guest_is_tested() -> Result<()> {
    let good = ["ledger", "tally"];
    let bad = plugins::REFUSED.iter().map(|case| case.guest).filter(|guest| *guest != "not-wasm");
    let tested: BTreeSet<String> =
        good.into_iter().chain(bad).chain([plugins::MANGLED]).map(str::to_owned).collect();
    assert_eq!(tested, guest::all()?);
    Ok(())
}
