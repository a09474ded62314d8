//! A generation goes live: one that was built beside the live one, or one that was live before.

use super::deploy::micros;
use super::rebuild::Rebuilder;
use super::report::{Done, Outcome, Rebuild, RebuildState};
use super::slot::{Building, Slot, State};
use super::{Deployments, Error};
use crate::catalog::{self, Wanted};
use crate::projection::Author;
use crate::read_model;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long to wait before something that failed is tried again; it doubles.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// The longest that is waited.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

impl Deployments {
    /// Makes a generation live, and has its plugin write it from the next batch on. Answers how long no event
    /// was applied. The generation is finished first, where a rebuild is still at it. The live projection is held meanwhile, and goes on where it was when this fails.
    pub(super) async fn go_live(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        author: &Author,
        generation: u32,
        rebuilder: Option<&Rebuilder>,
    ) -> Result<Option<Duration>, Error> {
        let known = self.catalogued(slot)?;
        let live = state.generations.live().unwrap_or(0);
        let since = Instant::now();
        let is_held = match &state.worker {
            Some(worker) => worker.hold().await.is_ok(),
            None => false,
        };
        let not_now = |reason: String| {
            if let Some(worker) = state.worker.as_ref().filter(|_| is_held) {
                worker.release();
            }
            Self::not_now(format!("{reason}. Generation {live} of {} stays live", slot.name))
        };
        let finished = match rebuilder {
            Some(rebuilder) => rebuilder.finish().await,
            None => Ok(()),
        };
        let prepared = match finished {
            Ok(()) => self.take_over_outbox(slot, state, live, generation).await,
            Err(reason) => Err(reason),
        };
        let prepared =
            prepared.and_then(|()| state.generations.set_live(generation).map_err(|error| error.to_string()));
        if let Err(reason) = prepared {
            return not_now(reason);
        }
        let noted = self.inner.catalog.put(&catalog::Plugin {
            digest: author.plugin.digest.to_string(),
            generation,
            fallback: None,
            previous: Some((known.digest.clone(), live)),
            ..known.clone()
        });
        if let Err(error) = noted {
            match state.generations.set_live(live) {
                Ok(()) => return not_now(error.to_string()),
                // The link is right about what is live, and the next start tells the catalog.
                Err(stays) => tracing::error!("{}: {error}; {stays}", slot.name),
            }
        }
        let path = state.generations.path(generation);
        let switched = match state.worker.as_ref().filter(|_| is_held) {
            Some(worker) => worker.switch(author.clone(), path, false).await.is_ok(),
            None => false,
        };
        state.author = Some(author.clone());
        if switched {
            self.show(slot)?;
        } else if known.wanted == Wanted::Running {
            self.end_worker(state).await;
            self.run(slot, state, author, None)?;
        } else {
            self.show_paused(slot, state)?;
        }
        Ok(switched.then(|| since.elapsed()))
    }

    /// Has a generation that is about to go live wait for the same commands to be sent as the live one: a replay changes
    /// what is thought of the past, and not what was sent for it.
    async fn take_over_outbox(
        &self,
        slot: &Slot,
        state: &State,
        live: u32,
        generation: u32,
    ) -> Result<(), String> {
        let (from, to) = (state.generations.path(live), state.generations.path(generation));
        if live == generation || !from.exists() {
            return Ok(());
        }
        let left = self.blocking(move |_| Ok(read_model::outbox::take_over(&from, &to)?)).await;
        let left = left.map_err(|error| error.to_string())?;
        if left > 0 {
            tracing::warn!(
                "{}: {left} commands that were to be sent stay in generation {live}: the plugin sends none any more",
                slot.name
            );
        }
        Ok(())
    }

    /// Waits until a rebuild is where the live generation is, then promotes it, or compares for a preview. What fails is
    /// tried again: a disk that is full or a database that is locked is no fault of the plugin.
    pub(super) async fn promote_when_ready(
        self,
        slot: Arc<Slot>,
        mut status: watch::Receiver<Rebuild>,
        preview: bool,
    ) {
        let is_settled = |state: RebuildState| matches!(state, RebuildState::Ready | RebuildState::Failed);
        let mut backoff = BACKOFF_FIRST;
        // Said once, however often it is tried.
        let mut said = None;
        loop {
            let settled = status.wait_for(|rebuild| is_settled(rebuild.state)).await.map(|now| now.clone());
            // Closed when it was promoted or given up.
            let Ok(settled) = settled else { return };
            let Err(error) = self.end_rebuild(&slot, &settled, preview).await else { return };
            let reason = error.to_string();
            if said.as_ref() != Some(&reason) {
                tracing::warn!("generation {} of {}, trying again: {reason}", settled.generation, slot.name);
                said = Some(reason);
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Does what is to be done when a rebuild is ready or has failed.
    ///
    /// # Errors
    /// When that should be tried again.
    async fn end_rebuild(&self, slot: &Arc<Slot>, settled: &Rebuild, preview: bool) -> Result<(), Error> {
        let mut state = slot.state.lock().await;
        // It may have been promoted or given up meanwhile.
        let is_it = |building: &&Building| building.generation == settled.generation;
        let Some(building) = state.rebuild.as_ref().filter(is_it) else { return Ok(()) };
        if preview && settled.state == RebuildState::Ready {
            let compared = building.rebuilder.compare();
            // It may take long, and somebody may want to give it up.
            drop(state);
            return compared.await.map(drop).map_err(|reason| Error::NotNow { reason });
        }
        let outcome = |result, pause_us| Outcome {
            name: slot.name.clone(),
            digest: settled.digest.clone(),
            result,
            generation: settled.generation,
            pause_us,
        };
        let recorded = if settled.state == RebuildState::Failed {
            self.inner.record(&outcome(Done::Rejected, None), "its rebuild", settled.error.as_deref())
        } else {
            let pause = self.promote(slot, &mut state).await?;
            self.inner.record(&outcome(Done::Promoted, pause.map(micros)), "its rebuild", None)
        };
        if let Err(error) = recorded {
            tracing::error!("{}: {error}", slot.name);
        }
        Ok(())
    }

    /// Makes the generation live that is ready.
    async fn promote(&self, slot: &Arc<Slot>, state: &mut State) -> Result<Option<Duration>, Error> {
        let Some(building) = state.rebuild.take() else {
            return Self::not_now(format!("nothing is built beside {}", slot.name));
        };
        let Building { rebuilder, generation, .. } = &building;
        let generation = *generation;
        let author = rebuilder.author.clone();
        let promoted = self.go_live(slot, state, &author, generation, Some(rebuilder)).await;
        if let Err(error) = &promoted
            && state.generations.live() != Some(generation)
        {
            rebuilder.go_on(&error.to_string());
            state.rebuild = Some(building);
            return promoted;
        }
        let _ = tokio::task::spawn_blocking(move || building.rebuilder.stop()).await;
        let kept = [generation, slot.view().previous.map_or(0, |previous| previous.generation)];
        let cleaned = self.inner.catalog.set_build(&slot.name, None).map_err(Error::from);
        // It is live whatever becomes of what is left; the next start cleans up.
        if let Err(error) = cleaned.and_then(|()| Ok(state.generations.keep(&kept)?)) {
            tracing::warn!("{}: what is left of its rebuild stays for now: {error}", slot.name);
        }
        // Last, since it tells everybody that the promotion is done.
        self.forget_rebuild(slot, state).await;
        promoted
    }

    pub(super) async fn promote_preview(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
    ) -> Result<(Done, Option<Duration>), Error> {
        let Some(building) = &state.rebuild else {
            return Self::not_now(format!(
                "nothing is built beside {0}; `lantern deploy --preview` or `lantern rebuild {0}` builds",
                slot.name
            ));
        };
        let rebuild = building.rebuilder.status.borrow().clone();
        match rebuild.state {
            RebuildState::Ready => Ok((Done::Promoted, self.promote(slot, state).await?)),
            RebuildState::Failed => Self::not_now(format!(
                "generation {} of {} cannot be finished: {}",
                rebuild.generation,
                slot.name,
                rebuild.error.unwrap_or_default()
            )),
            _ => Self::not_now(format!(
                "generation {} of {} is still being built ({} of {} offsets); promote it when it is ready",
                rebuild.generation, slot.name, rebuild.done, rebuild.total
            )),
        }
    }
}
