//! What people ask of a plugin that is there.

use super::deploy::micros;
use super::report::{Done, Outcome};
use super::slot::{Slot, State};
use super::{Action, Deployments, Error};
use crate::catalog::{self, Wanted};
use crate::projection::{self, Author, Status};
use crate::read_model::{self, Durability};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

impl Deployments {
    /// Does something with a plugin that is there. `by` is who asks, for the history.
    ///
    /// # Errors
    /// When there is no such plugin, or it cannot be done as things are.
    pub async fn act(&self, name: &str, action: Action, by: &str) -> Result<Outcome, Error> {
        let (this, name, by) = (self.clone(), name.to_owned(), by.to_owned());
        self.to_its_end(async move { this.act_now(&name, action, &by).await }).await
    }

    async fn act_now(&self, name: &str, action: Action, by: &str) -> Result<Outcome, Error> {
        let handler = self.inner.handlers().get(name).cloned();
        if let Some(handler) = handler {
            return self.act_on_handler(&handler, action, by).await;
        }
        if self.inner.has_upcaster(name) {
            return self.act_on_upcaster(name, action, by).await;
        }
        let slot = self.inner.known(name)?;
        let mut state = slot.state.lock().await;
        self.refuse_when_stopping()?;
        let done = match action {
            Action::Rollback => self.rollback(&slot, &mut state).await,
            Action::Promote => self.promote_preview(&slot, &mut state).await,
            Action::Discard => self.discard(&slot, &mut state).await,
            Action::Rebuild => self.rebuild(&slot, &mut state).await,
            Action::Reset => self.reset(&slot, &mut state).await,
            Action::Pause => self.pause(&slot, &mut state).await,
            Action::Resume => self.resume_one(&slot, &mut state).await,
            Action::Remove { purge } => self.remove(&slot, &mut state, purge).await,
        };
        let (result, pause) = done?;
        let outcome = Outcome {
            name: name.to_owned(),
            digest: state.author.as_ref().map(|author| author.plugin.digest.to_string()).unwrap_or_default(),
            result,
            generation: match (&state.rebuild, result) {
                (Some(building), Done::Rebuilding) => building.generation,
                _ => state.generations.live().unwrap_or(0),
            },
            pause_us: pause.map(micros),
        };
        if result != Done::Unchanged {
            self.inner.record(&outcome, by, None)?;
        }
        Ok(outcome)
    }

    pub(super) fn catalogued(&self, slot: &Slot) -> Result<catalog::Plugin, Error> {
        let known = self.inner.catalog.plugin(&slot.name)?;
        known.ok_or_else(|| Error::Unknown { name: slot.name.clone() })
    }

    pub(super) fn not_now<T>(reason: String) -> Result<T, Error> {
        Err(Error::NotNow { reason })
    }

    async fn rollback(&self, slot: &Arc<Slot>, state: &mut State) -> Result<(Done, Option<Duration>), Error> {
        let Some((digest, generation)) = self.catalogued(slot)?.before() else {
            return Self::not_now(format!("{} has nothing to go back to: it was deployed once", slot.name));
        };
        if !state.generations.path(generation).exists() {
            return Self::not_now(format!(
                "generation {generation} of {} is no longer there; deploy the earlier plugin to rebuild it",
                slot.name
            ));
        }
        self.discard_rebuild(slot, state).await?;
        let author = self.author_of(&digest, state.generations.path(generation)).await?;
        let pause = self.go_live(slot, state, &author, generation, None).await?;
        Ok((Done::RolledBack, pause))
    }

    async fn discard(&self, slot: &Slot, state: &mut State) -> Result<(Done, Option<Duration>), Error> {
        if state.rebuild.is_none() {
            return Self::not_now(format!("nothing is built beside {}", slot.name));
        }
        self.discard_rebuild(slot, state).await?;
        Ok((Done::Discarded, None))
    }

    async fn rebuild(&self, slot: &Arc<Slot>, state: &mut State) -> Result<(Done, Option<Duration>), Error> {
        let author = self.inner.author(&self.live_author(slot, state).await?.plugin);
        self.begin_rebuild(slot, state, &author, false).await?;
        Ok((Done::Rebuilding, None))
    }

    async fn reset(&self, slot: &Arc<Slot>, state: &mut State) -> Result<(Done, Option<Duration>), Error> {
        let author = self.inner.author(&self.live_author(slot, state).await?.plugin);
        self.discard_rebuild(slot, state).await?;
        let generation = self.inner.next_generation(&slot.name, &state.generations)?;
        let path = state.generations.path(generation);
        // It is there, with its tables, before anybody can look for it.
        let blueprint = author.blueprint();
        self.blocking(
            move |_| Ok(read_model::Writer::open(&path, &blueprint, Durability::Normal).map(drop)?),
        )
        .await?;
        let pause = self.go_live(slot, state, &author, generation, None).await?;
        let kept = [generation, slot.view().previous.map_or(0, |previous| previous.generation)];
        state.generations.keep(&kept)?;
        Ok((Done::Reset, pause))
    }

    /// Who writes the live generation, also when it does not run.
    pub(super) async fn live_author(&self, slot: &Slot, state: &State) -> Result<Author, Error> {
        if let Some(author) = &state.author {
            return Ok(author.clone());
        }
        let live = state.generations.live().unwrap_or(0);
        self.author_of(&self.catalogued(slot)?.digest, state.generations.path(live)).await
    }

    async fn pause(&self, slot: &Arc<Slot>, state: &mut State) -> Result<(Done, Option<Duration>), Error> {
        let known = self.catalogued(slot)?;
        if known.wanted == Wanted::Paused {
            return Ok((Done::Unchanged, None));
        }
        if known.wanted == Wanted::Removed {
            return Self::not_now(format!("{} was removed: it does not run", slot.name));
        }
        self.inner.catalog.put(&catalog::Plugin { wanted: Wanted::Paused, ..known })?;
        self.end_worker(state).await;
        self.show_paused(slot, state)?;
        Ok((Done::Paused, None))
    }

    /// Shows a projection that is paused, to this process and to others.
    pub(super) fn show_paused(&self, slot: &Slot, state: &mut State) -> Result<(), Error> {
        let mut status = slot.view().status.borrow().clone();
        status.pause_by_request(&slot.name);
        if let Some(author) = &state.author {
            status.digest = author.plugin.digest.to_string();
        }
        self.show_still(slot, state, status)
    }

    /// Shows a projection that does not run.
    pub(super) fn show_still(&self, slot: &Slot, state: &mut State, status: Status) -> Result<(), Error> {
        let still = watch::channel(status).1;
        let path = self.inner.data.status(&slot.name);
        state.persisting.push(tokio::spawn(super::persisted::follow(still.clone(), path, |_| true)));
        slot.change_view(|view| view.status = still);
        self.show(slot)
    }

    async fn resume_one(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
    ) -> Result<(Done, Option<Duration>), Error> {
        let known = self.catalogued(slot)?;
        let is_over = state.worker.as_ref().is_none_or(|worker| worker.status.borrow().is_over());
        if known.wanted == Wanted::Running && !is_over {
            return Ok((Done::Unchanged, None));
        }
        let author = self.live_author(slot, state).await?;
        let generation = match state.generations.live() {
            Some(live) => live,
            // Purged: it begins anew.
            None => {
                state.generations.set_live(1)?;
                1
            }
        };
        let was_removed = known.wanted == Wanted::Removed;
        self.inner.catalog.put(&catalog::Plugin { generation, wanted: Wanted::Running, ..known })?;
        self.end_worker(state).await;
        self.run(slot, state, &author, None)?;
        // While it was removed, no upcaster was brought to it.
        if was_removed {
            self.bring_upcasters(slot, state).await?;
        }
        Ok((Done::Resumed, None))
    }

    async fn remove(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        purge: bool,
    ) -> Result<(Done, Option<Duration>), Error> {
        let known = self.catalogued(slot)?;
        self.discard_rebuild(slot, state).await?;
        let (fallback, previous) = if purge { (None, None) } else { (known.fallback, known.previous) };
        self.inner.catalog.put(&catalog::Plugin { wanted: Wanted::Removed, fallback, previous, ..known })?;
        self.end_worker(state).await;
        let mut status = slot.view().status.borrow().clone();
        status.state = projection::State::Stopped;
        self.show_still(slot, state, status)?;
        if purge {
            // The catalog keeps that it was removed: its file, if it is still there, must not bring it back.
            state.generations.purge()?;
            for writer in state.persisting.drain(..) {
                let _ = writer.await;
            }
            let _ = std::fs::remove_file(self.inner.data.status(&slot.name));
        }
        Ok((Done::Removed, None))
    }
}
