//! What people ask of a command handler that is there.

use super::slot::{Slot, State};
use crate::catalog::{self, Wanted};
use crate::command::{self, Status};
use crate::deployment::deploy::micros;
use crate::deployment::report::{Done, Outcome};
use crate::deployment::{Action, Deployments, Error, generations, persisted};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a handler may read the log before all aggregates are folded anew.
const SETTLE_MAX: Duration = Duration::from_secs(30);

impl Deployments {
    /// Does something with a command handler.
    pub(in crate::deployment) async fn act_on_handler(
        &self,
        slot: &Arc<Slot>,
        action: Action,
        by: &str,
    ) -> Result<Outcome, Error> {
        let mut state = slot.state.lock().await;
        self.refuse_when_stopping()?;
        let known = self.inner.catalog.handler(&slot.name)?;
        let known = known.ok_or_else(|| Error::Unknown { name: slot.name.clone() })?;
        let (result, pause) = match action {
            Action::Rollback => self.rollback_handler(slot, &mut state, known).await?,
            Action::Rebuild => (self.refold(slot).await?, None),
            Action::Pause => (self.pause_handler(slot, &mut state, known).await?, None),
            Action::Resume => (self.resume_handler(slot, &mut state, known).await?, None),
            Action::Remove { purge } => (self.remove_handler(slot, &mut state, known, purge).await?, None),
            Action::Promote | Action::Discard => return Err(no_generations(&slot.name)),
            Action::Reset => return Err(no_reset(&slot.name)),
        };
        let digest = self.inner.catalog.handler(&slot.name)?.map(|known| known.digest);
        let outcome = Outcome {
            name: slot.name.clone(),
            digest: digest.unwrap_or_default(),
            result,
            generation: 0,
            pause_us: pause.map(micros),
        };
        if result != Done::Unchanged {
            self.inner.record(&outcome, by, None)?;
        }
        Ok(outcome)
    }

    async fn rollback_handler(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        known: catalog::Handler,
    ) -> Result<(Done, Option<Duration>), Error> {
        let Some(digest) = known.previous.clone() else {
            let reason = format!("{} has nothing to go back to: it was deployed once", slot.name);
            return Err(Error::NotNow { reason });
        };
        let plugin = self.blocking(move |inner| inner.load_kept(&digest)).await?;
        let pause = self.replace(slot, state, &plugin, known).await?;
        Ok((Done::RolledBack, pause))
    }

    async fn refold(&self, slot: &Slot) -> Result<Done, Error> {
        let handler = self.handler(&slot.name)?;
        // One that has just started folds nothing before it has read the log. What goes on after that says why not.
        let _ = tokio::time::timeout(SETTLE_MAX, slot.settled()).await;
        handler.refold().await.map_err(|source| Error::Refold { name: slot.name.clone(), source })?;
        Ok(Done::Refolded)
    }

    async fn pause_handler(
        &self,
        slot: &Slot,
        state: &mut State,
        known: catalog::Handler,
    ) -> Result<Done, Error> {
        match known.wanted {
            Wanted::Paused => return Ok(Done::Unchanged),
            Wanted::Removed => {
                let reason = format!("{} was removed: it takes no commands", slot.name);
                return Err(Error::NotNow { reason });
            }
            Wanted::Running => {}
        }
        self.inner.catalog.put_handler(&catalog::Handler { wanted: Wanted::Paused, ..known })?;
        slot.end(state).await;
        self.show_paused_handler(slot, state)?;
        Ok(Done::Paused)
    }

    async fn resume_handler(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        known: catalog::Handler,
    ) -> Result<Done, Error> {
        let runs = slot.handler().is_some_and(|handler| !handler.status().borrow().is_over());
        if known.wanted == Wanted::Running && runs {
            return Ok(Done::Unchanged);
        }
        let plugin = self.known_handler(state, &known).await?;
        self.inner.catalog.put_handler(&catalog::Handler { wanted: Wanted::Running, ..known })?;
        self.run_handler_anew(slot, state, &plugin).await?;
        Ok(Done::Resumed)
    }

    /// Stops a handler. Its topic stays whatever is wanted: that is where the events are.
    async fn remove_handler(
        &self,
        slot: &Slot,
        state: &mut State,
        known: catalog::Handler,
        purge: bool,
    ) -> Result<Done, Error> {
        let previous = known.previous.clone().filter(|_| !purge);
        // The catalog keeps that it was removed: its file, if it is still there, must not bring it back.
        self.inner.catalog.put_handler(&catalog::Handler { wanted: Wanted::Removed, previous, ..known })?;
        slot.end(state).await;
        self.show_still_handler(slot, state, command::State::Stopped, None)?;
        if purge {
            generations::delete(&self.inner.data.aggregates(&slot.name))?;
            for writer in state.persisting.drain(..) {
                let _ = writer.await;
            }
            // It may never have been written.
            let _ = std::fs::remove_file(self.inner.data.status(&slot.name));
        }
        Ok(Done::Removed)
    }

    pub(super) fn show_paused_handler(&self, slot: &Slot, state: &mut State) -> Result<(), Error> {
        let why = format!("paused on request; `lantern resume {}` goes on", slot.name);
        self.show_still_handler(slot, state, command::State::Paused, Some(why))
    }

    /// Shows a handler that does not run, to this process and to others.
    pub(super) fn show_still_handler(
        &self,
        slot: &Slot,
        state: &mut State,
        is: command::State,
        error: Option<String>,
    ) -> Result<(), Error> {
        let known = self.inner.catalog.handler(&slot.name)?;
        let last = slot.view().status.borrow().clone();
        let digest = known.map_or(last.digest.clone(), |known| known.digest);
        let still = watch::channel(Status { state: is, error, digest, ..last }).1;
        let path = self.inner.data.status(&slot.name);
        state.persisting.push(tokio::spawn(persisted::follow(still.clone(), path, |_| true)));
        slot.change_view(|view| view.status = still);
        self.show_handler(slot)
    }
}

fn no_generations(name: &str) -> Error {
    let reason = format!(
        "{name} is a command handler: nothing is built beside it, it is swapped between two commands. `lantern rollback \
         {name}` goes back to the one before"
    );
    Error::NotNow { reason }
}

fn no_reset(name: &str) -> Error {
    let reason = format!(
        "{name} is a command handler: its events are in the log, and are not deleted. `lantern rebuild {name}` folds all \
         aggregates anew"
    );
    Error::NotNow { reason }
}
