//! Bad input: plugins, events, logs and disks that are not as they should be. Each gives an error
//! that says where and what, harms nothing beside it, and loses nothing: when it is mended, the
//! projection goes on and its read model is the fold of the log.

mod disk;
mod log;
mod plugins;

use std::collections::BTreeSet;

use anyhow::Result;
use lantern_tests::guest;

// A guest that no test uses shows nothing, and nobody would notice.
#[test]
fn every_guest_is_tested() -> Result<()> {
    let good = ["account", "ledger", "modern", "tally"];
    let bad = plugins::REFUSED.iter().map(|case| case.guest).filter(|guest| *guest != "not-wasm");
    let tested: BTreeSet<String> =
        good.into_iter().chain(bad).chain([plugins::MANGLED]).map(str::to_owned).collect();
    assert_eq!(tested, guest::all()?);
    Ok(())
}
