//! A whole projection, from the log to the read model's file: what is left of a language's price when reading the log and writing
//! SQLite, which are the same for all, go on beside the plugin.

use super::{ACCOUNTS, KIND};
use crate::child::{Part, Site};
use crate::contender::{Contender, warm_up};
use crate::log::Log;
use crate::report::progress;
use anyhow::{Result, ensure};
use lantern::log::Producer;
use std::path::Path;
use std::time::Duration;

/// Enough for the quickest to be busy for most of a second, beside which its start does not count.
const EVENTS: u64 = 1_000_000;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);

/// A log that is full of events.
pub struct Whole<'a> {
    log: Log,
    topic: String,
    folder: &'a Path,
}

impl<'a> Whole<'a> {
    /// Fills a log in a folder with events of JSON.
    ///
    /// # Errors
    /// When the broker does not start or does not take them.
    pub fn prepare(folder: &'a Path) -> Result<Self> {
        let log = Log::open(None, folder)?;
        let topic = log.fresh("languages")?;
        progress(&format!("appending {EVENTS} events to {topic}"));
        let producer = Producer::new(&log.options())?;
        for at in 0..EVENTS {
            let (key, payload) = (format!("key-{}", at % ACCOUNTS as u64), super::json(at));
            let headers = [("type", KIND.as_bytes())];
            producer.send(&topic, Some(key.as_bytes()), Some(payload.as_bytes()), &headers, None, None)?;
        }
        producer.flush(FLUSH_TIMEOUT)?;
        Ok(Whole { log, topic, folder })
    }

    /// Applies all of it with a plugin, in a process of its own, from an empty read model. Answers how long an event takes.
    ///
    /// # Errors
    /// When the projection halts.
    pub fn run(&self, name: &str, plugin: &Path) -> Result<Duration> {
        let site = Site { folder: self.folder.join(name), plugin: plugin.to_owned(), name: name.to_owned() };
        let job = site.job(Contender::Lantern, self.log.servers(), &self.topic, Some(EVENTS))?;
        warm_up(&job.folder, plugin)?;
        let usage = Part::contend(&job)?.usage()?;
        ensure!(usage.events == EVENTS, "{name} applied {} events of {EVENTS}", usage.events);
        Ok(Duration::from_secs_f64(1.0 / usage.events_per_s))
    }
}
