//! A new artifact: it is started, swapped in, or its read model is built beside the live one.

use super::report::{Done, Outcome, Previous, RebuildState};
use super::slot::{Slot, State};
use super::{Artifact, Deployments, Error, Inner, persisted};
use crate::catalog::{self, Wanted};
use crate::plugin::{Digest, Kind, Plugin};
use crate::projection::{self, Author, Projection, Status, Worker};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Deployments {
    /// Deploys an artifact: starts it, swaps it in, or rebuilds its read model beside the live one. With
    /// `preview` the read model is always built beside, and waits for [`Action::Promote`](super::Action). `expected`
    /// is the name that its manifest must have, where the caller knows it.
    ///
    /// # Errors
    /// When it is rejected, with the reason.
    pub async fn deploy(
        &self,
        artifact: Artifact,
        expected: Option<&str>,
        preview: bool,
    ) -> Result<Outcome, Error> {
        let (this, expected) = (self.clone(), expected.map(str::to_owned));
        self.to_its_end(async move {
            let digest = Digest::of(&artifact.bytes).to_string();
            let plugin = this.load(artifact, &digest, expected.as_deref()).await?;
            this.place(&plugin, preview, None).await
        })
        .await
    }

    /// Makes a plugin of an artifact of this digest. One that is none goes into the history.
    pub(super) async fn load(
        &self,
        artifact: Artifact,
        digest: &str,
        expected: Option<&str>,
    ) -> Result<Arc<Plugin>, Error> {
        let by = artifact.origin.clone();
        let plugin = match self.blocking(move |inner| inner.load(&artifact)).await {
            Ok(plugin) => plugin,
            Err(error) => {
                let outcome = rejected(expected.unwrap_or_default(), digest, 0);
                self.inner.record(&outcome, &by, Some(&error.to_string()))?;
                return Err(error);
            }
        };
        if let Some(expected) = expected.filter(|expected| *expected != plugin.name) {
            let reason = format!(
                "{by}: the plugin calls itself {:?}, not {expected:?}: deploy it under its own name",
                plugin.name
            );
            self.inner.record(&rejected(expected, digest, 0), &by, Some(&reason))?;
            return Err(Error::Rejected { reason });
        }
        Ok(plugin)
    }

    /// Puts a plugin in the place of its name. `file` is the path that it was taken up from, if it was.
    pub(super) async fn place(
        &self,
        plugin: &Arc<Plugin>,
        preview: bool,
        file: Option<&str>,
    ) -> Result<Outcome, Error> {
        let digest = plugin.digest.to_string();
        // While the plugin's place is held: before another file can come with the same name.
        let note = |deployed: &Result<Outcome, Error>, generation| -> Result<(), Error> {
            if let (Some(file), Ok(_)) = (file, deployed) {
                self.inner.catalog.set_file(file, Some((&digest, &plugin.name)))?;
            }
            match deployed {
                Ok(Outcome { result: Done::Unchanged, .. }) => Ok(()),
                Ok(outcome) => self.inner.record(outcome, &plugin.origin, None),
                Err(error) => self.inner.record(
                    &rejected(&plugin.name, &digest, generation),
                    &plugin.origin,
                    Some(&error.to_string()),
                ),
            }
        };
        if let Err(error) = self.inner.claim(plugin) {
            let refused = Err(error);
            note(&refused, 0)?;
            return refused;
        }
        let deployed = match plugin.kind {
            Kind::Projection => {
                let slot = self.inner.slot(&plugin.name)?;
                let mut state = slot.state.lock().await;
                self.refuse_when_stopping()?;
                let deployed = self.deploy_into(&slot, &mut state, plugin, preview).await;
                note(&deployed, state.generations.live().unwrap_or(0))?;
                deployed
            }
            Kind::Commands => {
                let slot = self.inner.handler_slot(&plugin.name);
                let mut state = slot.state.lock().await;
                self.refuse_when_stopping()?;
                let deployed = self.deploy_handler(&slot, &mut state, plugin, preview).await;
                note(&deployed, 0)?;
                deployed
            }
            Kind::Upcaster => {
                let turn = self.inner.upcasting.lock().await;
                self.refuse_when_stopping()?;
                let deployed = self.deploy_upcaster(plugin, preview).await;
                note(&deployed, 0)?;
                // Told before what becomes of those that it concerns.
                if deployed.as_ref().is_ok_and(|outcome| outcome.result != Done::Unchanged) {
                    self.bring_to_all(&plugin.name, &turn).await?;
                }
                deployed
            }
        };
        if deployed.is_err() {
            self.inner.unclaim(&plugin.name)?;
        }
        deployed
    }

    /// Runs something to its end, also when whoever asked for it goes away meanwhile: a projection that is
    /// held would wait for ever.
    pub(super) async fn to_its_end<T: Send + 'static>(
        &self,
        run: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        tokio::spawn(run).await.unwrap_or(Err(Error::Stopping))
    }

    /// Nothing is begun that nobody would stop.
    pub(super) fn refuse_when_stopping(&self) -> Result<(), Error> {
        if self.inner.is_stopping.load(Ordering::Relaxed) { Err(Error::Stopping) } else { Ok(()) }
    }

    /// Runs what takes its time on a thread for such things.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || run(&inner)).await.unwrap_or(Err(Error::Stopping))
    }

    async fn deploy_into(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        plugin: &Arc<Plugin>,
        preview: bool,
    ) -> Result<Outcome, Error> {
        self.refuse_twins(plugin, slot.generation() > 0)?;
        let outcome = |result, generation| Outcome {
            name: plugin.name.clone(),
            digest: plugin.digest.to_string(),
            result,
            generation,
            pause_us: None,
        };
        let Some(live) = state.generations.live() else {
            self.start_first(slot, state, plugin)?;
            return Ok(outcome(Done::Started, 1));
        };
        let is_over = state.worker.as_ref().is_none_or(|worker| worker.status.borrow().is_over());
        // Also of one that does not run.
        let known = self.inner.catalog.plugin(&slot.name)?;
        let is_same = known.is_some_and(|known| known.digest == plugin.digest.to_string());
        let author = self.inner.author(plugin);
        if let Some(building) = &state.rebuild
            && building.rebuilder.author.plugin.digest == plugin.digest
            && building.rebuilder.author.upcasters == author.upcasters
            && building.preview == preview
            && building.rebuilder.status.borrow().state != RebuildState::Failed
        {
            let result = if preview { Done::Previewing } else { Done::Rebuilding };
            return Ok(Outcome { result: Done::Unchanged, ..outcome(result, building.generation) });
        }
        let fits = author.blueprint().fits(&state.generations.path(live))?;
        if fits && !preview {
            // Whoever deploys what is live does not want what is built beside it.
            let is_given_up = state.rebuild.is_some();
            self.discard_rebuild(slot, state).await?;
            if is_same && !is_over {
                return Ok(outcome(if is_given_up { Done::Discarded } else { Done::Unchanged }, live));
            }
            let pause = self.swap(slot, state, &author, live).await?;
            let result = if is_same { Done::Started } else { Done::Swapped };
            return Ok(Outcome { pause_us: pause.map(micros), ..outcome(result, live) });
        }
        let generation = self.begin_rebuild(slot, state, &author, preview).await?;
        Ok(outcome(if preview { Done::Previewing } else { Done::Rebuilding }, generation))
    }

    fn start_first(&self, slot: &Arc<Slot>, state: &mut State, plugin: &Arc<Plugin>) -> Result<(), Error> {
        let generation = 1;
        state.generations.set_live(generation)?;
        self.inner.catalog.put(&catalog::Plugin {
            name: plugin.name.clone(),
            digest: plugin.digest.to_string(),
            generation,
            fallback: None,
            previous: None,
            wanted: Wanted::Running,
        })?;
        self.run(slot, state, &self.inner.author(plugin), None)
    }

    /// Has the live generation be written by this plugin from the next batch on.
    async fn swap(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        author: &Author,
        live: u32,
    ) -> Result<Option<Duration>, Error> {
        let path = state.generations.path(live);
        let known = self.inner.catalog.plugin(&slot.name)?;
        let is_paused = known.as_ref().is_some_and(|known| known.wanted == Wanted::Paused);
        let digest = author.plugin.digest.to_string();
        let before = known.as_ref().map(|known| known.digest.clone()).filter(|before| *before != digest);
        // While it is on trial, what was before the fallback is kept, for when that is put back.
        let stored = known.as_ref().and_then(catalog::Plugin::before);
        let entry = |on_trial: bool| {
            let fallback = before.clone().filter(|_| on_trial);
            let replaced = before.clone().filter(|_| !on_trial).map(|before| (before, live));
            catalog::Plugin {
                name: slot.name.clone(),
                digest: digest.clone(),
                generation: live,
                fallback,
                previous: replaced.or_else(|| stored.clone()),
                wanted: if is_paused { Wanted::Paused } else { Wanted::Running },
            }
        };
        let mut pause = None;
        if let Some(worker) = &state.worker {
            // First: nothing takes over that the catalog cannot take note of.
            self.inner.catalog.put(&entry(true))?;
            match worker.switch(author.clone(), path, true).await {
                Ok(Ok(took)) => pause = Some(took),
                Ok(Err(reason)) => {
                    // Where this fails, the catalog is put right as after a trial that was not passed.
                    if let Some(Err(error)) = known.as_ref().map(|known| self.inner.catalog.put(known)) {
                        tracing::error!("{}: {error}", slot.name);
                    }
                    return Err(Error::Rejected {
                        reason: format!("the plugin does not start, and the one before runs on: {reason}"),
                    });
                }
                // It had halted: there is nothing to go back to.
                Err(projection::IsOver) => {}
            }
        }
        if pause.is_none() {
            self.inner.catalog.put(&entry(false))?;
        }
        if pause.is_some() {
            state.author = Some(author.clone());
            self.show(slot)?;
        } else if is_paused {
            state.author = Some(author.clone());
            self.show_paused(slot, state)?;
        } else {
            self.end_worker(state).await;
            self.run(slot, state, author, None)?;
        }
        Ok(pause)
    }

    /// Starts the projection of the live generation.
    pub(super) fn run(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        author: &Author,
        fallback: Option<Author>,
    ) -> Result<(), Error> {
        let inner = &self.inner;
        let name = &author.plugin.name;
        let live = state.generations.live().unwrap_or(1);
        let worker = Worker::spawn(Projection {
            author: author.clone(),
            fallback,
            read_model: state.generations.path(live),
            options: inner.options(name),
            batch: inner.config.batch.clone(),
            limits: inner.config.limits.clone(),
            log: inner.log.clone(),
            engine: inner.engine.clone(),
            once: inner.once,
            progress: slot.progress.clone(),
        })
        .map_err(|source| Error::Thread { name: name.clone(), source })?;
        let status = worker.status.clone();
        let path = inner.data.status(name);
        state.persisting.push(tokio::spawn(persisted::follow(status.clone(), path, Status::is_over)));
        self.send_for(slot, state, status.clone());
        tokio::spawn(self.clone().watch_trial(Arc::clone(slot), status.clone()));
        state.author = Some(author.clone());
        state.worker = Some(worker);
        slot.change_view(|view| view.status = status);
        self.show(slot)
    }

    /// Stops the projection and waits for that.
    pub(super) async fn end_worker(&self, state: &mut State) {
        state.sending = None;
        let Some(worker) = state.worker.take() else { return };
        worker.stop();
        // A panic of the thread is reported by `join`.
        let _ = tokio::task::spawn_blocking(move || worker.join()).await;
        for writer in state.persisting.drain(..) {
            // Ends with the projection, after its last status.
            let _ = writer.await;
        }
    }

    /// Shows which generation is live, and what a rollback goes back to.
    pub(super) fn show(&self, slot: &Slot) -> Result<(), Error> {
        let known = self.inner.catalog.plugin(&slot.name)?;
        let previous = known.and_then(|known| known.before());
        slot.change_view(|view| {
            view.previous = previous.map(|(digest, generation)| Previous { digest, generation });
        });
        Ok(())
    }
}

/// What is said of an artifact that is not taken.
pub(super) fn rejected(name: &str, digest: &str, generation: u32) -> Outcome {
    Outcome {
        name: name.to_owned(),
        digest: digest.to_owned(),
        result: Done::Rejected,
        generation,
        pause_us: None,
    }
}

pub(super) fn micros(pause: Duration) -> u64 {
    u64::try_from(pause.as_micros()).unwrap_or(u64::MAX)
}
