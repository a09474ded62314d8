//! Replays the log in the order that a read model recorded, into a scratch database, and compares.

use super::applier::{self, Applier};
use super::batch::Collector;
use super::options::{BatchOptions, Options};
use crate::event::{self, Header, Headers, Record};
use crate::log::{self, Assignment, Client, Consumer};
use crate::plugin::Plugin;
use crate::read_model::{self, Blueprint, Checkpoints, Fingerprint, Run, Writer};
use crate::wasm::{Engine, Limits};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one fetch waits.
const FETCH_WAIT: Duration = Duration::from_millis(200);
/// How long the log may bring nothing before the replay is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What a replay needs.
pub struct Replay<'a> {
    /// The plugin that wrote the read model.
    pub plugin: &'a Arc<Plugin>,
    /// The user's settings of the projection.
    pub options: &'a Options,
    /// The size of its batches.
    pub batch: &'a BatchOptions,
    /// What its plugin may use.
    pub limits: &'a Limits,
    /// The log.
    pub log: &'a log::Options,
    /// Runs its plugin.
    pub engine: &'a Engine,
}

/// Why a read model cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The read model, or its replay.
    #[error(transparent)]
    ReadModel(#[from] read_model::Error),
    /// A record's envelope.
    #[error(transparent)]
    Event(#[from] event::Error),
    /// An event that was applied before cannot be applied now.
    #[error("in the replay: {0}")]
    Apply(#[from] applier::Error),
    /// The log ends before what was applied.
    #[error(
        "the log of {topic}/{partition} ends at {end}, but the read model has applied it up to {applied}: \
         this is another log, or it has lost its end"
    )]
    Short {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where it ends.
        end: i64,
        /// How far the read model is.
        applied: i64,
    },
    /// The log brings nothing.
    #[error("{topic}/{partition}: nothing came for {} s; is the broker well?", SILENCE_MAX.as_secs())]
    Silent {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
}

impl Replay<'_> {
    /// Applies the runs in their order to a new database at `scratch`; answers what it then says. `progress`
    /// is told how many offsets of how many are behind.
    ///
    /// # Errors
    /// When the log no longer has the runs, or the plugin does not apply them.
    pub fn run(
        &self,
        runs: &[Run],
        scratch: &Path,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Fingerprint, Error> {
        let manifest = &self.plugin.manifest;
        let blueprint = Blueprint {
            plugin: manifest.name.clone(),
            digest: self.plugin.digest.to_string(),
            schema: manifest.schema.clone(),
            state_version: manifest.state_version,
        };
        let writer = Writer::open(scratch, &blueprint)?;
        let mut start = Checkpoints::new();
        for run in runs {
            start.entry((run.topic.clone(), run.partition)).or_insert(run.from);
        }
        for ((topic, partition), from) in &start {
            writer.begin_partition(topic, *partition, *from)?;
        }
        let client = Client::new(self.log)?;
        let mut sources = BTreeMap::new();
        for ((topic, partition), from) in &start {
            let source = Source::open(&client, &manifest.name, topic, *partition, *from)?;
            sources.insert((topic.clone(), *partition), source);
        }
        let mut applier = Applier::start(self.engine, self.plugin, self.limits, writer)?;
        let mut collector = Collector::new(manifest, start);
        let total: u64 = runs.iter().map(length).sum();
        let mut done = 0;
        for run in runs {
            let Some(source) = sources.get_mut(&(run.topic.clone(), run.partition)) else { continue };
            while collector.position(&run.topic, run.partition).is_none_or(|at| at < run.to) {
                source.fill(self, run, &mut collector)?;
                if collector.len() >= self.batch.events_max || collector.size_bytes() >= self.batch.bytes_max
                {
                    applier.submit(collector.finish(Vec::new()))?;
                    let at = collector.position(&run.topic, run.partition).unwrap_or(run.from);
                    progress(done + u64::try_from(at - run.from).unwrap_or(0), total);
                }
            }
            done += length(run);
        }
        applier.submit(collector.finish(Vec::new()))?;
        applier.drain()?;
        drop(applier);
        progress(total, total);
        Ok(Fingerprint::of(scratch)?)
    }
}

fn length(run: &Run) -> u64 {
    u64::try_from(run.to - run.from).unwrap_or(0)
}

/// A record that came before its turn.
struct Early {
    offset: i64,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

/// One partition, read as the runs ask for it.
struct Source {
    topic: String,
    partition: i32,
    consumer: Consumer,
    early: Option<Early>,
}

impl Source {
    fn open(client: &Client, name: &str, topic: &str, partition: i32, from: i64) -> Result<Self, log::Error> {
        let start = Assignment { topic: topic.to_owned(), partition, next_offset: from };
        let consumer = client.consumer(&format!("{name}-verify"), &[start])?;
        Ok(Source { topic: topic.to_owned(), partition, consumer, early: None })
    }

    /// Collects what is left of a run, or as much as a batch has room for.
    fn fill(&mut self, replay: &Replay<'_>, run: &Run, collector: &mut Collector) -> Result<(), Error> {
        let envelope = replay.options.envelope(&replay.plugin.manifest);
        if let Some(early) = &self.early {
            if early.offset >= run.to {
                collector.advance(&run.topic, run.partition, run.to);
                return Ok(());
            }
            let headers: Vec<Header<'_>> =
                early.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
            collector.push(&event::open(envelope, &early.record(&self.topic, self.partition, &headers))?);
            self.early = None;
        }
        let mut silent_since = Instant::now();
        loop {
            let room = replay.batch.events_max.saturating_sub(collector.len()).max(1);
            let room_bytes = replay.batch.bytes_max.saturating_sub(collector.size_bytes()).max(1);
            let mut bad = None;
            let mut early = None;
            let fetched = self.consumer.fetch(room, room_bytes, FETCH_WAIT, |record| {
                if record.offset >= run.to {
                    early = Some(Early::of(&record));
                    return ControlFlow::Break(());
                }
                match event::open(envelope, &record) {
                    Ok(event) => {
                        collector.push(&event);
                        ControlFlow::Continue(())
                    }
                    Err(error) => {
                        bad = Some(error);
                        ControlFlow::Break(())
                    }
                }
            });
            let records = match fetched {
                Ok(fetched) => fetched.records,
                Err(error) if error.is_transient() => 0,
                Err(error) => return Err(error.into()),
            };
            if let Some(error) = bad {
                return Err(error.into());
            }
            self.early = early;
            let at = self.consumer.positions().first();
            let next = at.map_or(0, |position| position.next_offset);
            if self.early.is_some() || next >= run.to {
                collector.advance(&run.topic, run.partition, run.to);
                return Ok(());
            }
            if at.is_some_and(log::Position::is_at_end) {
                let (topic, partition) = (self.topic.clone(), self.partition);
                return Err(Error::Short { topic, partition, end: next, applied: run.to });
            }
            if collector.len() >= replay.batch.events_max || collector.size_bytes() >= replay.batch.bytes_max
            {
                return Ok(());
            }
            if records > 0 {
                silent_since = Instant::now();
            } else if silent_since.elapsed() > SILENCE_MAX {
                return Err(Error::Silent { topic: self.topic.clone(), partition: self.partition });
            }
        }
    }
}

impl Early {
    fn of(record: &Record<'_>) -> Self {
        Early {
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            payload: record.payload.map(<[u8]>::to_vec),
            headers: record
                .headers
                .iter()
                .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }

    fn record<'a>(&'a self, topic: &'a str, partition: i32, headers: &'a [Header<'a>]) -> Record<'a> {
        Record {
            topic,
            partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
            headers: Headers::list(headers),
        }
    }
}
