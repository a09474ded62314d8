//! Promise 4: queries are answered during a whole rebuild; promotion is atomic; the previous
//! generation is kept for rollback.

mod asked;
mod at_once;
mod failing;
mod killed;
mod preview;
mod readers;
mod refused;
mod topics;

use anyhow::Result;
use lantern_tests::guest::{Plugin, plugin};

/// A ledger of another state version: its rows cannot be continued by those of another.
fn ledger(topic: &str, state: u32) -> Result<Plugin> {
    plugin("ledger", "ledger", &[topic, &format!("state:{state}")])
}
