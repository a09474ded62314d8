//! The loop of one projection: fetch, batch, apply, commit, until told to stop.

use super::applier::{self, Applier};
use super::options::{BatchOptions, Options};
use super::round::Round;
use super::status::{State, Status};
use crate::log::{self, Assignment, Client};
use crate::plugin::Plugin;
use crate::read_model::{self, Blueprint, Checkpoints, Durability};
use crate::wasm::{Engine, Limits};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a fetch waits for a first event, and so how soon the worker notices that it shall stop.
pub(super) const IDLE_WAIT: Duration = Duration::from_millis(50);
/// The first pause after a sick dependency; it doubles.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// The longest pause.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What a projection needs to run.
#[derive(Clone)]
pub struct Projection {
    /// Its plugin.
    pub plugin: Arc<Plugin>,
    /// Its read model's file.
    pub read_model: PathBuf,
    /// The user's settings of it.
    pub options: Options,
    /// The size of its batches.
    pub batch: BatchOptions,
    /// What its plugin may use.
    pub limits: Limits,
    /// The log.
    pub log: log::Options,
    /// Runs its plugin.
    pub engine: Engine,
    /// Whether it ends when it has applied what the log had at its start.
    pub once: bool,
}

/// A projection that runs.
pub struct Worker {
    /// What it shows of itself.
    pub status: watch::Receiver<Status>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the projection on a thread of its own.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn spawn(projection: Projection) -> std::io::Result<Worker> {
        let name = projection.plugin.manifest.name.clone();
        let digest = projection.plugin.digest.to_string();
        let (sender, status) = watch::channel(Status::starting(&name, &digest));
        let stop = Arc::new(AtomicBool::new(false));
        let stack = projection.limits.thread_stack_bytes();
        let run = Run { projection, status: sender, stop: Arc::clone(&stop), target: None };
        let thread =
            std::thread::Builder::new().name(name).stack_size(stack).spawn(move || run.supervise())?;
        Ok(Worker { status, stop, thread })
    }

    /// Tells it to commit what it has and stop.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until it has stopped; answers its last status.
    pub fn join(self) -> Status {
        let name = self.status.borrow().name.clone();
        if self.thread.join().is_err() {
            tracing::error!(
                projection = name,
                "the projection's thread panicked: this is a fault of Lantern"
            );
        }
        self.status.borrow().clone()
    }
}

/// Why the loop was left.
pub(super) enum Left {
    /// It was told to stop, or is done.
    Stopped,
    /// It has to start again from what is stored, such as with a new partition.
    Again,
    /// A dependency is sick; the same may work later.
    Pause(String),
    /// Somebody has to look at it.
    Halt(String),
}

impl From<log::Error> for Left {
    fn from(error: log::Error) -> Self {
        if error.is_transient() { Left::Pause(error.to_string()) } else { Left::Halt(error.to_string()) }
    }
}

impl From<read_model::Error> for Left {
    fn from(error: read_model::Error) -> Self {
        if error.is_transient() { Left::Pause(error.to_string()) } else { Left::Halt(error.to_string()) }
    }
}

impl From<applier::Error> for Left {
    fn from(error: applier::Error) -> Self {
        match error {
            applier::Error::ReadModel(error) => error.into(),
            applier::Error::Storage(message) => Left::Pause(message),
            applier::Error::Poison(poison) => Left::Halt(format!(
                "{poison}\n  Everything before it is applied and nothing is lost: deploy a plugin that can apply it, \
                 and the projection goes on there"
            )),
            error => Left::Halt(error.to_string()),
        }
    }
}

/// The next offset behind the last record, by topic and partition.
type Ends = BTreeMap<(String, i32), i64>;

/// A projection while it runs: what the rounds of its loop share.
pub(super) struct Run {
    pub projection: Projection,
    pub status: watch::Sender<Status>,
    stop: Arc<AtomicBool>,
    /// With `once`: the log's ends when it was first seen.
    pub target: Option<Ends>,
}

impl Run {
    /// Runs the loop, again after every pause, until it is over. Every round starts at what is stored, so
    /// that nothing in memory can be wrong after a fault.
    fn supervise(mut self) {
        let mut backoff = BACKOFF_FIRST;
        loop {
            let before = self.status.borrow().events;
            match self.round() {
                Left::Stopped => return self.show(State::Stopped, None),
                Left::Again => {}
                Left::Halt(error) => {
                    tracing::error!(projection = self.name(), "halted: {error}");
                    return self.show(State::Halted, Some(error));
                }
                Left::Pause(reason) => {
                    if self.status.borrow().events > before {
                        backoff = BACKOFF_FIRST;
                    }
                    let seen = self.status.borrow().error.as_deref() == Some(&reason);
                    if !seen {
                        tracing::warn!(projection = self.name(), "paused, trying again: {reason}");
                    }
                    self.show(State::Paused, Some(reason));
                    if self.wait(backoff) {
                        return self.show(State::Stopped, None);
                    }
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    pub fn name(&self) -> &str {
        &self.projection.plugin.manifest.name
    }

    pub fn show(&self, state: State, error: Option<String>) {
        self.status.send_modify(|status| {
            status.state = state;
            status.error = error;
        });
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits; answers whether it was told to stop.
    fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !self.is_stopping() && Instant::now() < until {
            std::thread::sleep(IDLE_WAIT.min(until.saturating_duration_since(Instant::now())));
        }
        self.is_stopping()
    }

    fn round(&mut self) -> Left {
        match self.try_round() {
            Ok(()) => Left::Stopped,
            Err(left) => left,
        }
    }

    fn try_round(&mut self) -> Result<(), Left> {
        let plugin = Arc::clone(&self.projection.plugin);
        let writer = read_model::Writer::open(
            &self.projection.read_model,
            &blueprint_of(&plugin),
            Durability::Normal,
        )?;
        let client = Client::new(&self.projection.log)?;
        let start = self.take_up(&client, &writer)?;
        self.show_checkpoint(&start);
        let mut consumer = client.consumer(&plugin.manifest.name, &assignments(&start))?;
        if self.projection.once && self.target.is_none() {
            self.target = Some(self.ends(&client, &start)?);
        }
        let applier = Applier::start(&self.projection.engine, &plugin, &self.projection.limits, writer)?;
        let mut round = Round::new(self, applier, start);
        self.show(State::CatchingUp, None);
        round.run(self, &client, &mut consumer)
    }

    /// The positions to start at: what is stored, and the log's beginning for partitions that are new.
    fn take_up(&self, client: &Client, writer: &read_model::Writer) -> Result<Checkpoints, Left> {
        let Projection { plugin, options, .. } = &self.projection;
        let mut positions = writer.checkpoints()?;
        // A topic that is no longer read keeps its checkpoint, for the day it is read again.
        let topics = options.topics(&plugin.manifest);
        positions.retain(|(topic, _), _| topics.contains(topic));
        for topic in topics {
            for partition in self.partitions(client, topic)? {
                let key = (topic.clone(), partition);
                if let std::collections::btree_map::Entry::Vacant(entry) = positions.entry(key) {
                    let first = client.watermarks(topic, partition)?.start;
                    writer.begin_partition(topic, partition, first)?;
                    entry.insert(first);
                }
            }
        }
        Ok(positions)
    }

    fn partitions(&self, client: &Client, topic: &str) -> Result<Vec<i32>, Left> {
        client.partitions(topic).map_err(|error| match error {
            // It may come later; but who asked for one pass wants to know now.
            log::Error::TopicMissing { .. } if !self.projection.once => Left::Pause(error.to_string()),
            error => error.into(),
        })
    }

    fn ends(&self, client: &Client, positions: &Checkpoints) -> Result<Ends, Left> {
        let mut ends = Ends::new();
        for (topic, partition) in positions.keys() {
            let end = client.watermarks(topic, *partition)?.end;
            ends.insert((topic.clone(), *partition), end);
        }
        Ok(ends)
    }

    fn show_checkpoint(&self, positions: &Checkpoints) {
        self.status.send_modify(|status| {
            status.checkpoint = positions
                .iter()
                .map(|((topic, partition), next)| (format!("{topic}/{partition}"), *next))
                .collect();
        });
    }
}

/// What a plugin's read model has to be.
pub(super) fn blueprint_of(plugin: &Plugin) -> Blueprint {
    Blueprint {
        plugin: plugin.manifest.name.clone(),
        digest: plugin.digest.to_string(),
        schema: plugin.manifest.schema.clone(),
        state_version: plugin.manifest.state_version,
    }
}

pub(super) fn assignments(positions: &Checkpoints) -> Vec<Assignment> {
    positions
        .iter()
        .map(|((topic, partition), next_offset)| Assignment {
            topic: topic.clone(),
            partition: *partition,
            next_offset: *next_offset,
        })
        .collect()
}
