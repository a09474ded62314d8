//! What runs and what shall run: plugins are deployed, swapped, rebuilt, promoted and rolled back here.
//!
//! # Layout
//!
//! * [`Deployments`]: asks for all of this, from any thread.
//! * `artifacts`: what was deployed, kept by digest.
//! * `deploy`: a new artifact: start, swap or rebuild.
//! * `file`: plugins that come as files.
//! * `beside`: what is built beside a live generation.
//! * `act`: what people ask of a plugin that is there: rollback, reset, pause, remove.
//! * `promote`: makes a generation the live one.
//! * `handlers`: command handlers, which have no generations.
//! * `upcasters`: what old events go through, which is brought to whoever reads their topics.
//! * `resume`: takes up what the catalog and the files say, after a start.
//! * `senders`: process managers and the handlers that their commands are for.
//! * `slot`: one projection's plugin, the projection, and what is built beside it.
//! * `rebuild`: the thread that fills a new generation.
//! * [`generations`]: the files of a read model, and the link to the live one.
//! * [`persisted`]: what is left of a projection's status for other processes to read.
//! * [`restore`]: takes a read model from a backup.
//! * [`report`]: what is told of all this.

mod act;
mod artifacts;
mod beside;
mod deploy;
mod error;
mod file;
pub mod generations;
mod handlers;
pub mod persisted;
mod promote;
mod rebuild;
pub mod report;
pub mod restore;
mod resume;
mod senders;
mod slot;
mod upcasters;

pub use error::Error;

use crate::catalog::{self, Catalog};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::plugin::Kind;
use crate::projection::{self, Applied, State, Status};
use crate::{command, log, wasm};
use generations::Generations;
use report::{Deployed, Done, Entry, Outcome, Plugin};
use slot::Slot;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::{Semaphore, watch};

/// An artifact that somebody wants to run.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where they came from, for messages and the history: a path, or who sent them.
    pub origin: String,
}

/// What is to be done with a plugin that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run what ran before.
    Rollback,
    /// Make the generation live that was previewed.
    Promote,
    /// Give up what is built beside the live generation.
    Discard,
    /// Build its read model anew, beside the live one.
    Rebuild,
    /// Empty its read model and fill it from the log's beginning.
    Reset,
    /// Apply no events until it is resumed, also after a restart.
    Pause,
    /// Apply events again.
    Resume,
    /// Stop it; with `purge` delete its read models too.
    Remove {
        /// Whether its read models are deleted.
        purge: bool,
    },
}

/// Asks the running host for deployments. Cheap to clone.
#[derive(Clone)]
pub struct Deployments {
    inner: Arc<Inner>,
}

/// What deployments are made with.
struct Inner {
    config: Config,
    data: DataDir,
    engine: wasm::Engine,
    log: log::Options,
    /// Whether projections end when they have applied what the log had at their start.
    once: bool,
    catalog: Catalog,
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    handlers: Mutex<BTreeMap<String, Arc<handlers::Slot>>>,
    upcasters: Mutex<BTreeMap<String, upcasters::Slot>>,
    /// Held by whoever changes upcasters, until it is brought to all whom it concerns.
    upcasting: tokio::sync::Mutex<()>,
    /// What each name stands for, from the moment on at which somebody deploys it.
    kinds: Mutex<BTreeMap<String, Kind>>,
    /// Bounds how many rebuilds run at once.
    rebuilds: Arc<Semaphore>,
    /// Whether the host is going down.
    is_stopping: AtomicBool,
}

impl Deployments {
    /// Opens the catalog; nothing runs before [`Deployments::resume`]. With `once` projections end when they have
    /// applied what the log had at their start.
    ///
    /// # Errors
    /// When the catalog cannot be used.
    pub fn open(
        config: &Config,
        data: &DataDir,
        engine: &wasm::Engine,
        log: &log::Options,
        once: bool,
    ) -> Result<Self, Error> {
        let catalog = Catalog::open(&data.catalog())?;
        let kinds = kinds(&catalog)?;
        let inner = Inner {
            config: config.clone(),
            data: data.clone(),
            engine: engine.clone(),
            log: log.clone(),
            once,
            catalog,
            slots: Mutex::new(BTreeMap::new()),
            handlers: Mutex::new(BTreeMap::new()),
            upcasters: Mutex::new(BTreeMap::new()),
            upcasting: tokio::sync::Mutex::new(()),
            kinds: Mutex::new(kinds),
            rebuilds: Arc::new(Semaphore::new(config.rebuild.at_once_max.max(1))),
            is_stopping: AtomicBool::new(false),
        };
        Ok(Deployments { inner: Arc::new(inner) })
    }

    /// A moment of every plugin, in the order of their names.
    pub fn deployed(&self) -> Vec<Deployed> {
        let mut all: Vec<Deployed> = self.plugins().into_iter().map(Deployed::Projection).collect();
        all.extend(self.handlers().into_iter().map(Deployed::Commands));
        all.extend(self.upcasters().into_iter().map(Deployed::Upcaster));
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// A moment of every projection and its plugin, in the order of their names.
    pub fn plugins(&self) -> Vec<Plugin> {
        let slots: Vec<Arc<Slot>> = self.inner.slots().values().cloned().collect();
        // One whose artifact was rejected at once has a place and no read model.
        slots.iter().map(|slot| slot.report()).filter(|plugin| plugin.generation > 0).collect()
    }

    /// A moment of every command handler, in the order of their names.
    pub fn handlers(&self) -> Vec<report::Handler> {
        let slots: Vec<Arc<handlers::Slot>> = self.inner.handlers().values().cloned().collect();
        let all = slots.iter().map(|slot| slot.report());
        all.filter(|handler| self.is_there(&handler.status)).collect()
    }

    /// Whether there is anything of a handler: one that was purged is only remembered, and one that was rejected at once
    /// never was.
    fn is_there(&self, status: &command::Status) -> bool {
        let is_purged =
            || status.state == command::State::Stopped && !self.inner.data.aggregates(&status.name).exists();
        !status.digest.is_empty() && !is_purged()
    }

    /// A moment of every projection.
    pub fn statuses(&self) -> Vec<Status> {
        self.plugins().into_iter().map(|plugin| plugin.status).collect()
    }

    /// How far the projection of this name is, told at each commit; none where there is no such plugin.
    pub fn progress(&self, name: &str) -> Option<watch::Receiver<Applied>> {
        self.inner.slots().get(name).map(|slot| slot.progress.subscribe())
    }

    /// The status of the projection of this name.
    pub fn status(&self, name: &str) -> Option<Status> {
        self.inner.slots().get(name).map(|slot| slot.view().status.borrow().clone())
    }

    /// The catalog, for who may ask.
    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    /// The history of one plugin, or of all, newest last.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn history(&self, name: Option<&str>) -> Result<Vec<Entry>, Error> {
        Ok(self.inner.catalog.history(name)?.into_iter().map(entry).collect())
    }

    /// Waits until nothing happens any more by itself: every projection has stopped or halted, no rebuild is on
    /// its way to be promoted, and command handlers have caught up.
    pub async fn over(&self) {
        let slots: Vec<Arc<Slot>> = self.inner.slots().values().cloned().collect();
        for slot in slots {
            slot.over().await;
        }
        let handlers: Vec<Arc<handlers::Slot>> = self.inner.handlers().values().cloned().collect();
        for handler in handlers {
            handler.settled().await;
        }
    }

    /// Stops everything: handlers answer the commands that they have taken, projections commit what they have, rebuilds
    /// stop between two batches. Answers the last status of each projection.
    pub async fn shutdown(&self) -> Vec<Status> {
        self.inner.is_stopping.store(true, Ordering::Relaxed);
        let slots: Vec<Arc<Slot>> = self.inner.slots().values().cloned().collect();
        for slot in &slots {
            slot.tell_to_stop().await;
        }
        let handlers: Vec<Arc<handlers::Slot>> = self.inner.handlers().values().cloned().collect();
        for handler in handlers {
            handler.stop().await;
        }
        let mut last = Vec::new();
        for slot in slots {
            last.extend(slot.stop().await);
        }
        last
    }
}

impl Inner {
    fn slots(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a name that stands for a plugin of another kind: files, history and status go by it.
    fn claim(&self, plugin: &crate::plugin::Plugin) -> Result<(), Error> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = *kinds.entry(plugin.name.clone()).or_insert(plugin.kind);
        if kind == plugin.kind {
            return Ok(());
        }
        Err(Error::OtherKind { origin: plugin.origin.clone(), name: plugin.name.clone(), kind })
    }

    /// Frees a name whose first deployment failed.
    fn unclaim(&self, name: &str) -> Result<(), Error> {
        let is_known = self.catalog.plugin(name)?.is_some()
            || self.catalog.handler(name)?.is_some()
            || self.catalog.upcaster(name)?.is_some();
        if !is_known {
            self.kinds.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        }
        Ok(())
    }

    /// The place of the projection of this name, which is made if there is none.
    fn slot(&self, name: &str) -> Result<Arc<Slot>, Error> {
        let generations = Generations::of(&self.data, name)?;
        let mut slots = self.slots();
        let slot = slots.entry(name.to_owned()).or_insert_with(|| Arc::new(Slot::new(name, generations)));
        Ok(Arc::clone(slot))
    }

    /// The place of a projection that is there.
    fn known(&self, name: &str) -> Result<Arc<Slot>, Error> {
        let slot = self.slots().get(name).cloned();
        slot.ok_or_else(|| Error::Unknown { name: name.to_owned() })
    }

    /// The live generation of a plugin that is there; 0 of what has none, such as a command handler.
    fn generation(&self, name: &str) -> Option<u32> {
        let has_none = self.handlers().contains_key(name) || self.has_upcaster(name);
        let generation = self.slots().get(name).map(|slot| slot.generation());
        generation.or_else(|| has_none.then_some(0))
    }

    /// A number that no generation of this plugin has or had: the history speaks of those that are gone.
    fn next_generation(&self, name: &str, generations: &Generations) -> Result<u32, Error> {
        let last = self.catalog.last_generation(name)?;
        Ok(generations.next().max(last + 1))
    }

    /// The user's settings of a projection.
    fn options(&self, name: &str) -> projection::Options {
        self.config.projections.get(name).cloned().unwrap_or_default()
    }

    /// Whether live projections are so far behind that rebuilds should leave them the machine.
    fn is_pressed(&self) -> bool {
        // One that has stopped gets no nearer by being left the machine.
        let lag = |slot: &Arc<Slot>| match &*slot.view().status.borrow() {
            Status { state: State::CatchingUp | State::Live, lag, .. } => *lag,
            _ => 0,
        };
        let lag: u64 = self.slots().values().map(lag).sum();
        lag > self.config.rebuild.lag_max
    }

    /// Writes the history, and the log of the process.
    fn record(&self, outcome: &Outcome, by: &str, reason: Option<&str>) -> Result<(), Error> {
        let Outcome { name, digest, result, generation, .. } = outcome;
        let short = digest.get(..12).unwrap_or(digest);
        match reason {
            // It could not say its name; the reason says where it came from.
            Some(reason) if name.is_empty() => tracing::error!("{result}: {reason}"),
            Some(reason) => tracing::error!("{name}: {short} {result}: {reason}"),
            None if *generation == 0 => tracing::info!("{name}: {short} {result}"),
            None => tracing::info!("{name}: {short} {result}, generation {generation}"),
        }
        Ok(self.catalog.record(&catalog::Entry {
            at: now(),
            name: name.clone(),
            digest: digest.clone(),
            result: result.to_string(),
            generation: *generation,
            by: by.to_owned(),
            reason: reason.map(str::to_owned),
        })?)
    }
}

/// What the names in the catalog stand for.
fn kinds(catalog: &Catalog) -> Result<BTreeMap<String, Kind>, catalog::Error> {
    let projections = catalog.plugins()?.into_iter().map(|known| (known.name, Kind::Projection));
    let handlers = catalog.handlers()?.into_iter().map(|known| (known.name, Kind::Commands));
    let upcasters = catalog.upcasters()?.into_iter().map(|known| (known.name, Kind::Upcaster));
    Ok(projections.chain(handlers).chain(upcasters).collect())
}

fn entry(entry: catalog::Entry) -> Entry {
    let catalog::Entry { at, name, digest, result, generation, by, reason } = entry;
    let result = Done::parse(&result);
    Entry { at, name, digest, result, generation, by, reason }
}

/// The time for the history, as RFC 3339.
fn now() -> String {
    jiff::Timestamp::try_from(SystemTime::now())
        .and_then(|now| now.round(jiff::Unit::Millisecond))
        .map_or_else(|_| String::new(), |now| now.to_string())
}
