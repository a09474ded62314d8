//! Brings upcasters as they are now to whoever reads their topics.

use crate::catalog::{self, Wanted};
use crate::deployment::deploy::micros;
use crate::deployment::report::{Done, Outcome};
use crate::deployment::slot::{Slot, State};
use crate::deployment::{Deployments, Error, handlers};
use crate::projection::{self, Author};
use crate::upcast::Chain;
use std::sync::Arc;
use tokio::sync::MutexGuard;

impl Deployments {
    /// Brings upcasters as they are now to all whom they concern, because of this one. Who holds the turn changes no
    /// other meanwhile.
    pub(in crate::deployment) async fn bring_to_all(
        &self,
        name: &str,
        _turn: &MutexGuard<'_, ()>,
    ) -> Result<(), Error> {
        let slots: Vec<Arc<Slot>> = self.inner.slots().values().cloned().collect();
        for slot in slots {
            let mut state = slot.state.lock().await;
            self.refuse_when_stopping()?;
            // One that is not well is no reason to leave the others behind.
            let brought = match self.bring_upcasters(&slot, &mut state).await {
                Ok(None) => continue,
                Ok(Some(outcome)) => self.inner.record(&outcome, &format!("the upcaster {name}"), None),
                Err(error) => Err(error),
            };
            if let Err(error) = brought {
                tracing::error!("{}: the upcaster {name} does not come to it: {error}", slot.name);
            }
        }
        self.bring_to_handlers(name).await?;
        if let Some(known) = self.inner.catalog.upcaster(name)? {
            self.inner.catalog.put_upcaster(&catalog::Upcaster { is_brought: true, ..known })?;
        }
        Ok(())
    }

    /// Has a projection go on with today's upcasters: between two batches if its rows stay the same, else in a new
    /// generation. Answers what was done, if anything had to be.
    pub(in crate::deployment) async fn bring_upcasters(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
    ) -> Result<Option<Outcome>, Error> {
        let Some(known) = self.inner.catalog.plugin(&slot.name)? else { return Ok(None) };
        let Some(live) = state.generations.live() else { return Ok(None) };
        if known.wanted == Wanted::Removed {
            return Ok(None);
        }
        let before = self.live_author(slot, state).await?;
        let outcome = |author: &Author, result, generation| Outcome {
            name: slot.name.clone(),
            digest: author.plugin.digest.to_string(),
            result,
            generation,
            pause_us: None,
        };
        // What is built beside it, as it would be built today.
        let building = state.rebuild.as_ref().map(|building| {
            let author = self.inner.author(&building.rebuilder.author.plugin);
            let is_stale = author.upcasters != building.rebuilder.author.upcasters;
            let is_other = author.plugin.digest != before.plugin.digest;
            (author, building.preview, is_stale, is_other)
        });
        if let Some((author, false, is_stale, true)) = &building {
            if !is_stale {
                return Ok(None);
            }
            let generation = self.begin_rebuild(slot, state, author, false).await?;
            return Ok(Some(outcome(author, Done::Rebuilding, generation)));
        }
        let author = self.inner.author(&before.plugin);
        if !author.blueprint().fits(&state.generations.path(live))? {
            if let Some((_, false, false, _)) = &building {
                return Ok(None);
            }
            let generation = self.begin_rebuild(slot, state, &author, false).await?;
            return Ok(Some(outcome(&author, Done::Rebuilding, generation)));
        }
        match &building {
            Some((preview, true, true, _)) => {
                self.begin_rebuild(slot, state, preview, true).await?;
            }
            // The live one is as it would become.
            Some((_, false, true, _)) => self.discard_rebuild(slot, state).await?,
            _ => {}
        }
        if author.upcasters == before.upcasters {
            return Ok(None);
        }
        let path = state.generations.path(live);
        let switched = match &state.worker {
            Some(worker) => worker.switch(author.clone(), path, false).await,
            None => Err(projection::IsOver),
        };
        let pause = match switched {
            Ok(Ok(pause)) => Some(pause),
            // It says itself why it does not go on.
            Ok(Err(_)) => None,
            Err(projection::IsOver) => {
                if known.wanted == Wanted::Running {
                    self.end_worker(state).await;
                    self.run(slot, state, &author, None)?;
                }
                None
            }
        };
        state.author = Some(author.clone());
        Ok(Some(Outcome { pause_us: pause.map(micros), ..outcome(&author, Done::Swapped, live) }))
    }
    /// Has command handlers go on with today's upcasters, from between two commands on. Those that do not run are started
    /// with them.
    async fn bring_to_handlers(&self, name: &str) -> Result<(), Error> {
        let slots: Vec<Arc<handlers::Slot>> = self.inner.handlers().values().cloned().collect();
        for slot in slots {
            let mut state = slot.state.lock().await;
            let Some(known) = self.inner.catalog.handler(&slot.name)? else { continue };
            let (Some(handler), Some(plugin)) = (slot.handler(), &state.plugin) else { continue };
            let upcasters = self.inner.active_upcasters().of_topics(&plugin.manifest.topics);
            if upcasters == state.upcasters {
                continue;
            }
            let chain = Chain::new(&upcasters, &self.inner.engine, &self.inner.config.limits);
            // One that is over is started with them.
            if handler.upcast_by(chain).await.is_err() {
                continue;
            }
            state.upcasters = upcasters;
            let swapped = Outcome {
                name: slot.name.clone(),
                digest: known.digest,
                result: Done::Swapped,
                generation: 0,
                pause_us: None,
            };
            self.inner.record(&swapped, &format!("the upcaster {name}"), None)?;
        }
        Ok(())
    }
}
