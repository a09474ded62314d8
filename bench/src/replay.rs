//! Everything is in the log before the start: how fast, with how much CPU time and memory.

use crate::child::{Part, Site};
use crate::compare::Contents;
use crate::contender::Contender;
use crate::log::Log;
use crate::meter::Usage;
use crate::report;
use crate::workload::Keys;
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use std::collections::BTreeMap;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Replay {
    /// Which orders the events are of.
    pub keys: Keys,
    /// How many events.
    pub events: u64,
    /// Of each run, by contender.
    pub runs: BTreeMap<Contender, Vec<Usage>>,
}

/// Runs all contenders in turn, so that whatever else the machine does meets all of them.
///
/// # Errors
/// When one fails, or not all end with the same tables.
pub fn run(site: &Site, log: &Log, keys: Keys, topic: &str, events: u64, runs: usize) -> Result<Replay> {
    let mut replay = Replay { keys, events, runs: BTreeMap::new() };
    let mut first: Option<Contents> = None;
    for run in 1..=runs {
        for contender in Contender::ALL {
            let job = site.job(contender, log.servers(), topic, Some(events))?;
            let usage = Part::contend(&job)?.usage().context(contender.name())?;
            ensure!(
                usage.events == events,
                "{} applied {} events of {events}",
                contender.name(),
                usage.events
            );
            report::progress(&format!(
                "{} {run}/{runs} {}: {:.0} events/s, {:.2} CPU s per million, {:.0} MB",
                keys.name(),
                contender.name(),
                usage.events_per_s,
                usage.cpu_s_per_million,
                usage.rss_peak_bytes as f64 / 1e6
            ));
            let contents = Contents::of(&job.database())?;
            match &first {
                Some(first) => contents.ensure_same(contender.name(), first, Contender::ALL[0].name())?,
                None => first = Some(contents),
            }
            replay.runs.entry(contender).or_default().push(usage);
        }
    }
    Ok(replay)
}
