//! What is built beside a live generation: begun, given up, shown.

use super::rebuild::{Order, Rebuilder};
use super::report::{Rebuild, RebuildState};
use super::slot::{Building, Slot, State};
use super::{Deployments, Error, persisted};
use crate::catalog::Build;
use crate::projection::Author;
use crate::projection::replay::{Plugins, Setup};
use std::sync::Arc;
use tokio::sync::oneshot;

impl Deployments {
    /// Begins to fill a new generation; another that was on its way is given up.
    pub(super) async fn begin_rebuild(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        author: &Author,
        preview: bool,
    ) -> Result<u32, Error> {
        self.discard_rebuild(slot, state).await?;
        let generation = self.inner.next_generation(&slot.name, &state.generations)?;
        let build = Build { generation, digest: author.plugin.digest.to_string(), preview };
        self.inner.catalog.set_build(&slot.name, Some(&build))?;
        self.spawn_rebuild(slot, state, author, &build).await?;
        Ok(generation)
    }

    /// Starts the thread of a rebuild and the task that promotes it.
    pub(super) async fn spawn_rebuild(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        author: &Author,
        build: &Build,
    ) -> Result<(), Error> {
        let inner = &self.inner;
        let beyond = self.beyond(slot, state, author).await;
        let Build { generation, preview, .. } = *build;
        let weak = Arc::downgrade(inner);
        let order = Order {
            generation,
            preview,
            path: state.generations.path(generation),
            live: state.generations.path(state.generations.live().unwrap_or(1)),
            beyond,
            author: author.clone(),
            setup: Setup {
                plugins: Plugins::One(author.clone()),
                options: inner.options(&slot.name),
                batch: inner.config.batch.for_rebuild(&inner.config.rebuild),
                limits: inner.config.limits.clone(),
                log: inner.log.clone(),
                engine: inner.engine.clone(),
            },
            is_pressed: Box::new(move || weak.upgrade().is_some_and(|inner| inner.is_pressed())),
        };
        let (permit, turn) = oneshot::channel();
        let rebuilder = Rebuilder::spawn(order, turn)
            .map_err(|source| Error::Thread { name: slot.name.clone(), source })?;
        let status = rebuilder.status.clone();
        let path = inner.data.rebuild_status(&slot.name);
        let is_last = |rebuild: &Rebuild| rebuild.state == RebuildState::Failed;
        state.persisting_rebuild = Some(tokio::spawn(persisted::follow(status.clone(), path, is_last)));
        slot.change_view(|view| view.rebuild = Some(status.clone()));
        let this = self.clone();
        let own = Arc::clone(slot);
        let promoter = tokio::spawn(async move {
            // Closed only when the host is gone.
            let Ok(turn) = Arc::clone(&this.inner.rebuilds).acquire_owned().await else { return };
            let _ = permit.send(turn);
            this.promote_when_ready(own, status, preview).await;
        });
        state.rebuild = Some(Building { rebuilder, generation, preview, promoter });
        Ok(())
    }

    /// The topics that a plugin reads and the live one does not.
    async fn beyond(&self, slot: &Slot, state: &State, author: &Author) -> Vec<String> {
        // Of a live plugin that cannot be loaded it is not known: the new one takes all topics up when it is live.
        let Ok(live) = self.live_author(slot, state).await else { return Vec::new() };
        let options = self.inner.options(&slot.name);
        let known = options.topics(&live.plugin.manifest);
        let topics = options.topics(&author.plugin.manifest).iter();
        topics.filter(|topic| !known.contains(topic)).cloned().collect()
    }

    /// Gives up what is built beside the live generation, and deletes it.
    pub(super) async fn discard_rebuild(&self, slot: &Slot, state: &mut State) -> Result<(), Error> {
        let Some(Building { rebuilder, generation, promoter, .. }) = state.rebuild.take() else {
            return Ok(());
        };
        promoter.abort();
        // A rebuild that waits for its turn never gets it, once the task that would give it is gone.
        let _ = promoter.await;
        let _ = tokio::task::spawn_blocking(move || rebuilder.stop()).await;
        self.inner.catalog.set_build(&slot.name, None)?;
        self.forget_rebuild(slot, state).await;
        state.generations.delete(generation)?;
        Ok(())
    }

    /// Shows that nothing is built beside the live generation any more.
    pub(super) async fn forget_rebuild(&self, slot: &Slot, state: &mut State) {
        slot.change_view(|view| view.rebuild = None);
        if let Some(writer) = state.persisting_rebuild.take() {
            writer.abort();
            let _ = writer.await;
        }
        // It may never have been written.
        let _ = std::fs::remove_file(self.inner.data.rebuild_status(&slot.name));
    }
}
