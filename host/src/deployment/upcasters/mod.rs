//! Upcasters: deployed, replaced, rolled back, removed, and brought to whoever reads their topics.
//!
//! An upcaster runs nowhere by itself: it is part of every projection and every command handler that reads its topics.
//! One change after the other is made (`Inner::upcasting`): it is stored, then brought to each of those (`bring`). A crash
//! in between is noticed at the next start.
//!
//! * `bring`: to projections and command handlers.
//! * `trial`: tries a new one on events that there are.

mod bring;
mod trial;

use super::report::{self, Done, Outcome, UpcasterState};
use super::resume::Files;
use super::{Action, Deployments, Error, Inner};
use crate::catalog::{self, Wanted};
use crate::plugin::Plugin;
use crate::projection::Author;
use crate::read_model::Reader;
use crate::upcast::Upcasters;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};

/// One upcaster, by its name.
pub(super) struct Slot {
    /// Also of one that was removed, if that is known.
    plugin: Option<Arc<Plugin>>,
    known: catalog::Upcaster,
    /// Why its plugin is not known.
    error: Option<String>,
}

impl Slot {
    fn is_active(&self) -> bool {
        self.known.wanted == Wanted::Running
    }
}

impl Deployments {
    /// A moment of every upcaster, in the order of their names.
    pub fn upcasters(&self) -> Vec<report::Upcaster> {
        let upcasters = self.inner.upcaster_slots();
        let told = |slot: &Slot| {
            let manifest = slot.plugin.as_ref().map(|plugin| &plugin.manifest);
            report::Upcaster {
                name: slot.known.name.clone(),
                state: match (slot.is_active(), &slot.plugin) {
                    (false, _) => UpcasterState::Removed,
                    (true, Some(_)) => UpcasterState::Active,
                    (true, None) => UpcasterState::Halted,
                },
                digest: slot.known.digest.clone(),
                previous: slot.known.previous.clone(),
                topics: manifest.map(|manifest| manifest.topics.clone()).unwrap_or_default(),
                types: manifest.map(|manifest| manifest.types.clone()).unwrap_or_default(),
                state_version: manifest.map_or(0, |manifest| manifest.state_version),
                error: slot.error.clone(),
            }
        };
        upcasters.values().map(told).collect()
    }

    /// A new upcaster, or a new version of one. Whom it concerns is told afterwards.
    pub(super) async fn deploy_upcaster(
        &self,
        plugin: &Arc<Plugin>,
        preview: bool,
    ) -> Result<Outcome, Error> {
        if preview {
            let reason = format!(
                "{0} is an upcaster, and a preview shows rows of one read model: deploy it without --preview. It is tried \
                 on events that there are before it takes over, and `lantern rollback {0}` goes back",
                plugin.name
            );
            return Err(Error::NotNow { reason });
        }
        let known = self.inner.catalog.upcaster(&plugin.name)?;
        let is_active = known.as_ref().is_some_and(|known| known.wanted == Wanted::Running);
        self.refuse_twins(plugin, is_active)?;
        let digest = plugin.digest.to_string();
        let is_same = known.as_ref().is_some_and(|known| known.digest == digest);
        if is_same && is_active {
            return Ok(outcome(plugin, Done::Unchanged));
        }
        let previous = known.and_then(|known| if is_same { known.previous } else { Some(known.digest) });
        self.take_up(plugin, previous).await?;
        Ok(outcome(plugin, if is_active { Done::Swapped } else { Done::Started }))
    }

    /// Stores that events go through this plugin, if it can take them.
    async fn take_up(&self, plugin: &Arc<Plugin>, previous: Option<String>) -> Result<(), Error> {
        self.inner.refuse_second(plugin)?;
        let tried = Arc::clone(plugin);
        self.blocking(move |inner| {
            let passed = trial::passes(&inner.engine, &inner.config.limits, &inner.log, &tried);
            passed.map_err(|reason| Error::Rejected {
                reason: format!("{}: nothing has changed: {reason}", tried.origin),
            })
        })
        .await?;
        let known = catalog::Upcaster {
            name: plugin.name.clone(),
            digest: plugin.digest.to_string(),
            previous,
            wanted: Wanted::Running,
            is_brought: false,
        };
        self.inner.put_upcaster(known, Some(plugin))
    }

    /// Does something with an upcaster.
    pub(super) async fn act_on_upcaster(
        &self,
        name: &str,
        action: Action,
        by: &str,
    ) -> Result<Outcome, Error> {
        let turn = self.inner.upcasting.lock().await;
        self.refuse_when_stopping()?;
        let known = self.inner.catalog.upcaster(name)?;
        let known = known.ok_or_else(|| Error::Unknown { name: name.to_owned() })?;
        let result = match action {
            Action::Rollback => {
                let Some(before) = known.previous.clone() else {
                    let reason = format!("{name} has nothing to go back to: it was deployed once");
                    return Err(Error::NotNow { reason });
                };
                let plugin = self.blocking(move |inner| inner.load_kept(&before)).await?;
                self.take_up(&plugin, Some(known.digest)).await?;
                Done::RolledBack
            }
            Action::Resume if known.wanted == Wanted::Running => Done::Unchanged,
            Action::Resume => {
                let digest = known.digest.clone();
                let plugin = self.blocking(move |inner| inner.load_kept(&digest)).await?;
                self.take_up(&plugin, known.previous).await?;
                Done::Resumed
            }
            Action::Remove { purge } => {
                let previous = known.previous.clone().filter(|_| !purge);
                let gone =
                    catalog::Upcaster { wanted: Wanted::Removed, previous, is_brought: false, ..known };
                self.inner.put_upcaster(gone, None)?;
                Done::Removed
            }
            Action::Promote | Action::Discard | Action::Rebuild | Action::Reset | Action::Pause => {
                let reason = format!(
                    "{name} is an upcaster: it has no read model and does not run by itself. `lantern remove {name}` has \
                     events no longer go through it, `lantern rollback {name}` goes back to the one before; the read models \
                     of its topics follow"
                );
                return Err(Error::NotNow { reason });
            }
        };
        let digest = self.inner.catalog.upcaster(name)?.map(|known| known.digest).unwrap_or_default();
        let done = Outcome { name: name.to_owned(), digest, result, generation: 0, pause_us: None };
        if result != Done::Unchanged {
            self.inner.record(&done, by, None)?;
            self.bring_to_all(name, &turn).await?;
        }
        Ok(done)
    }

    /// After a start: those that there were. What came from a file that is gone is removed.
    pub(super) fn resume_upcasters(&self, files: &Files) -> Result<(), Error> {
        for mut known in self.inner.catalog.upcasters()? {
            if files.is_gone(&known.name) {
                self.inner.catalog.forget_files(&known.name)?;
                if known.wanted == Wanted::Running {
                    known = catalog::Upcaster { wanted: Wanted::Removed, is_brought: false, ..known };
                    self.inner.catalog.put_upcaster(&known)?;
                }
            }
            let loaded = self.inner.load_kept(&known.digest);
            let error = loaded.as_ref().err().map(ToString::to_string);
            if let Some(error) = &error {
                tracing::error!("{}: no event goes through it: {error}", known.name);
            }
            let slot = Slot { plugin: loaded.ok(), error, known: known.clone() };
            self.inner.upcaster_slots().insert(known.name, slot);
        }
        Ok(())
    }

    /// After a start: brings to all what a crash kept from them.
    pub(super) async fn settle_upcasters(&self) -> Result<(), Error> {
        let turn = self.inner.upcasting.lock().await;
        for known in self.inner.catalog.upcasters()? {
            if !known.is_brought {
                self.bring_to_all(&known.name, &turn).await?;
            }
        }
        Ok(())
    }

    /// Who goes on with a read model by this plugin: with today's upcasters if its rows are made by such, else with those
    /// that its rows are made by.
    pub(super) async fn author_of(&self, digest: &str, read_model: PathBuf) -> Result<Author, Error> {
        let digest = digest.to_owned();
        self.blocking(move |inner| {
            let plugin = inner.load_kept(&digest)?;
            let today = inner.author(&plugin);
            // Why a read model cannot be gone on with is told by whoever opens it.
            if today.blueprint().fits(&read_model).unwrap_or(true) {
                return Ok(today);
            }
            let recorded = Reader::open(&read_model)?.upcasters()?;
            let upcasters =
                recorded.iter().map(|digest| inner.load_kept(digest)).collect::<Result<_, _>>()?;
            Ok(Author { plugin, upcasters: Upcasters::new(upcasters) })
        })
        .await
    }
}

impl Inner {
    fn upcaster_slots(&self) -> MutexGuard<'_, BTreeMap<String, Slot>> {
        self.upcasters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an upcaster of this name is known.
    pub(super) fn has_upcaster(&self, name: &str) -> bool {
        self.upcaster_slots().contains_key(name)
    }

    /// All upcasters that events go through today.
    pub(super) fn active_upcasters(&self) -> Upcasters {
        let slots = self.upcaster_slots();
        let active = slots.values().filter(|slot| slot.is_active());
        Upcasters::new(active.filter_map(|slot| slot.plugin.clone()).collect())
    }

    /// A plugin with today's upcasters.
    pub(super) fn author(&self, plugin: &Arc<Plugin>) -> Author {
        Author::new(plugin, &self.active_upcasters(), &self.options(&plugin.name))
    }

    /// Stores an upcaster; without a plugin it keeps the one that it has.
    fn put_upcaster(&self, known: catalog::Upcaster, plugin: Option<&Arc<Plugin>>) -> Result<(), Error> {
        self.catalog.put_upcaster(&known)?;
        let mut slots = self.upcaster_slots();
        let before = slots.remove(&known.name);
        let plugin = plugin.cloned().or_else(|| before.and_then(|slot| slot.plugin));
        slots.insert(known.name.clone(), Slot { plugin, known, error: None });
        Ok(())
    }

    /// Refuses what would leave open which of two upcasters a type goes through.
    fn refuse_second(&self, plugin: &Plugin) -> Result<(), Error> {
        for other in self.active_upcasters().iter().filter(|other| other.name != plugin.name) {
            let topic = plugin.manifest.topics.iter().find(|topic| other.manifest.topics.contains(topic));
            let Some(topic) = topic else { continue };
            let Some(old) = plugin.manifest.types.iter().find(|old| other.manifest.types.contains(old))
            else {
                continue;
            };
            let reason = format!(
                "{}: events {old} of the topic {topic} go through the upcaster {} already. Leave that type out, deploy this \
                 one as a new version of {1}, or remove {1} first",
                plugin.origin, other.name
            );
            return Err(Error::Rejected { reason });
        }
        Ok(())
    }
}

fn outcome(plugin: &Plugin, result: Done) -> Outcome {
    Outcome {
        name: plugin.name.clone(),
        digest: plugin.digest.to_string(),
        result,
        generation: 0,
        pause_us: None,
    }
}
