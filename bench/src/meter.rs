//! What a contender's process used: CPU time with all its threads, time, memory.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What a contender tells when it is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Usage {
    /// Events that were applied.
    pub events: u64,
    /// From the start to the first commit, in seconds: connecting and the client's first fetch, which are the
    /// same for all, and starting the plugin.
    pub first_commit_s: f64,
    /// Events a second between the first commit and the last.
    pub events_per_s: f64,
    /// User and system time of all threads, from the start on, for a million events, in seconds.
    pub cpu_s_per_million: f64,
    /// The most memory that the process had, in bytes.
    pub rss_peak_bytes: u64,
}

/// Measures the process it runs in.
pub struct Meter {
    start: Instant,
    cpu_s: f64,
    first: Option<(Instant, u64)>,
    last: Instant,
    events: u64,
}

impl Meter {
    /// Starts the clocks.
    ///
    /// # Errors
    /// When the system does not tell the CPU time.
    pub fn start() -> Result<Self> {
        let now = Instant::now();
        Ok(Meter { start: now, cpu_s: cpu_s("self")?, first: None, last: now, events: 0 })
    }

    /// So many events are committed by now.
    pub fn committed(&mut self, events: u64) {
        if events > self.events {
            self.events = events;
            self.last = Instant::now();
            self.first.get_or_insert((self.last, events));
        }
    }

    /// Events that are committed.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Stops the clocks.
    ///
    /// # Errors
    /// When the system does not tell CPU time or memory.
    pub fn finish(self) -> Result<Usage> {
        let cpu_s = cpu_s("self")? - self.cpu_s;
        let (first, counted) = self.first.unwrap_or((self.last, 0));
        // Everything in one commit has no time between commits.
        let (since, events) =
            if counted < self.events { (first, self.events - counted) } else { (self.start, self.events) };
        Ok(Usage {
            events: self.events,
            first_commit_s: (first - self.start).as_secs_f64(),
            events_per_s: events as f64 / (self.last - since).as_secs_f64().max(f64::MIN_POSITIVE),
            cpu_s_per_million: cpu_s * 1e6 / self.events.max(1) as f64,
            rss_peak_bytes: rss_peak_bytes("self")?,
        })
    }
}

/// User and system time of all threads of a process, by its number or `self`, in seconds.
///
/// # Errors
/// When there is no such process.
pub fn cpu_s(process: &str) -> Result<f64> {
    /// Linux tells programs times in this unit, whatever its own clock.
    const TICKS_PER_S: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/<pid>/stat")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64> { Ok(fields.next().context("/proc/<pid>/stat is short")?.parse()?) };
    Ok((ticks()? + ticks()?) / TICKS_PER_S)
}

/// The most memory that a process had, by its number or `self`, in bytes.
///
/// # Errors
/// When there is no such process.
pub fn rss_peak_bytes(process: &str) -> Result<u64> {
    memory_bytes(process, "VmHWM:")
}

/// The memory that a process has.
///
/// # Errors
/// When there is no such process.
pub fn rss_bytes(process: &str) -> Result<u64> {
    memory_bytes(process, "VmRSS:")
}

fn memory_bytes(process: &str, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib: u64 =
        line.with_context(|| format!("no {name}"))?.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}
