//! Command handlers: deployed, swapped between two commands, rolled back, paused, removed.
//!
//! A handler has no generations. What is kept of its aggregates is folded from the topic that it appends to, and states of
//! another state version are folded anew, so that every deployment is a swap.
//!
//! * `act`: what people ask of one that is there.
//! * `slot`: one handler.
//! * `trial`: tries a new one on aggregates that there are.

mod act;
mod slot;
mod trial;

pub(super) use slot::Slot;

use super::deploy::micros;
use super::report::{Done, Outcome};
use super::resume::Files;
use super::{Deployments, Error, Inner, persisted};
use crate::catalog::{self, Wanted};
use crate::command::{self, Handler, Setup, Status};
use crate::plugin::Plugin;
use crate::upcast::Chain;
use slot::State;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

impl Deployments {
    /// What takes the commands of this type of aggregate.
    ///
    /// # Errors
    /// When there is no such handler, or it does not run.
    pub fn handler(&self, name: &str) -> Result<Handler, Error> {
        let slot = self.inner.handlers().get(name).cloned();
        let slot = slot.ok_or_else(|| self.unknown_aggregate(name))?;
        slot.handler().ok_or_else(|| {
            let status = slot.view().status.borrow().clone();
            let reason = status.error.unwrap_or_else(|| format!("it is {}", status.state));
            Error::TakesNoCommands { name: name.to_owned(), reason }
        })
    }

    /// Where the aggregates of this type are kept, once its handler has made the file, and what the handler is doing: what
    /// it has answered until now is in there.
    ///
    /// # Errors
    /// When there is no such type here.
    pub fn aggregates(&self, name: &str) -> Result<(PathBuf, Status), Error> {
        // A name that is none could lead out of the folder; only known ones are asked for.
        let slot = self.inner.handlers().get(name).cloned();
        let status = slot.map(|slot| slot.report().status);
        let status = status.filter(|status| self.is_there(status));
        let status = status.ok_or_else(|| self.unknown_aggregate(name))?;
        Ok((self.inner.data.aggregates(name), status))
    }

    fn unknown_aggregate(&self, name: &str) -> Error {
        let known: Vec<String> = self.handlers().into_iter().map(|handler| handler.status.name).collect();
        Error::UnknownAggregate { name: name.to_owned(), known }
    }

    /// A new handler: it is started, or takes over between two commands.
    pub(super) async fn deploy_handler(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        plugin: &Arc<Plugin>,
        preview: bool,
    ) -> Result<Outcome, Error> {
        if preview {
            let reason = format!(
                "{} is a command handler, and a preview shows rows of a read model: deploy it without --preview. It is tried \
                 on aggregates that there are before it takes over",
                plugin.name
            );
            return Err(Error::NotNow { reason });
        }
        self.refuse_twins(plugin, slot.handler().is_some())?;
        let outcome = |result, pause: Option<Duration>| Outcome {
            name: plugin.name.clone(),
            digest: plugin.digest.to_string(),
            result,
            generation: 0,
            pause_us: pause.map(micros),
        };
        let known = self.inner.catalog.handler(&slot.name)?;
        let Some(known) = known else {
            self.inner.catalog.put_handler(&catalog::Handler {
                name: plugin.name.clone(),
                digest: plugin.digest.to_string(),
                previous: None,
                wanted: Wanted::Running,
            })?;
            self.run_handler(slot, state, plugin)?;
            return Ok(outcome(Done::Started, None));
        };
        if known.digest != plugin.digest.to_string() {
            let pause = self.replace(slot, state, plugin, known).await?;
            return Ok(outcome(Done::Swapped, pause));
        }
        let runs = slot.handler().is_some_and(|handler| !handler.status().borrow().is_over());
        if runs || known.wanted == Wanted::Paused {
            return Ok(outcome(Done::Unchanged, None));
        }
        self.inner.catalog.put_handler(&catalog::Handler { wanted: Wanted::Running, ..known })?;
        self.run_handler_anew(slot, state, plugin).await?;
        Ok(outcome(Done::Started, None))
    }

    /// Has another plugin decide from the next command on. Answers how long no command was decided, where one runs.
    async fn replace(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        plugin: &Arc<Plugin>,
        known: catalog::Handler,
    ) -> Result<Option<Duration>, Error> {
        self.try_out(slot, state, plugin, &known).await?;
        let running = slot.handler().filter(|handler| !handler.status().borrow().is_over());
        let is_paused = known.wanted == Wanted::Paused;
        // First: nothing takes over that the catalog cannot take note of.
        self.inner.catalog.put_handler(&catalog::Handler {
            digest: plugin.digest.to_string(),
            previous: Some(known.digest.clone()),
            wanted: if is_paused { Wanted::Paused } else { Wanted::Running },
            ..known.clone()
        })?;
        let pause = match &running {
            Some(handler) => match handler.swap(Arc::clone(plugin)).await {
                Ok(pause) => Some(pause),
                Err(error) => {
                    self.inner.catalog.put_handler(&known)?;
                    let reason =
                        format!("the handler does not take over, and the one before decides on: {error}");
                    return Err(Error::Rejected { reason });
                }
            },
            None => None,
        };
        state.plugin = Some(Arc::clone(plugin));
        if is_paused {
            self.show_paused_handler(slot, state)?;
        } else if running.is_none() {
            self.run_handler_anew(slot, state, plugin).await?;
        }
        self.show_handler(slot)?;
        Ok(pause)
    }

    /// Refuses a handler that cannot go on with the aggregates that there are.
    async fn try_out(
        &self,
        slot: &Slot,
        state: &State,
        plugin: &Arc<Plugin>,
        known: &catalog::Handler,
    ) -> Result<(), Error> {
        let store = self.inner.data.aggregates(&slot.name);
        if !store.exists() {
            return Ok(());
        }
        if let Ok(before) = self.known_handler(state, known).await
            && before.manifest.topics != plugin.manifest.topics
        {
            let topics = |plugin: &Plugin| plugin.manifest.topics.join(", ");
            let reason = format!(
                "{} appends to {}, and its aggregates are in {}: a handler stays with its topic. Name another aggregate, or \
                 remove this one with --purge first",
                plugin.name,
                topics(plugin),
                topics(&before)
            );
            return Err(Error::Rejected { reason });
        }
        let plugin = Arc::clone(plugin);
        self.blocking(move |inner| {
            let upcasters = inner.active_upcasters().of_topics(&plugin.manifest.topics);
            let upcasters = Chain::new(&upcasters, &inner.engine, &inner.config.limits);
            let passed = trial::passes(&inner.config, &inner.engine, &plugin, upcasters, &store);
            passed.map_err(|error| Error::Rejected {
                reason: format!("{}: the handler before decides on: {error}", plugin.origin),
            })
        })
        .await
    }

    /// Starts a handler in the place of one that is over.
    async fn run_handler_anew(
        &self,
        slot: &Arc<Slot>,
        state: &mut State,
        plugin: &Arc<Plugin>,
    ) -> Result<(), Error> {
        slot.end(state).await;
        self.run_handler(slot, state, plugin)
    }

    fn run_handler(&self, slot: &Arc<Slot>, state: &mut State, plugin: &Arc<Plugin>) -> Result<(), Error> {
        let inner = &self.inner;
        let store = inner.data.aggregates(&slot.name);
        if let Some(folder) = store.parent() {
            inner.data.create(folder)?;
        }
        let upcasters = inner.active_upcasters().of_topics(&plugin.manifest.topics);
        let handler = Handler::start(Setup {
            plugin: Arc::clone(plugin),
            upcasters: upcasters.clone(),
            store,
            log: inner.log.clone(),
            engine: inner.engine.clone(),
            limits: inner.config.limits.clone(),
            options: inner.config.commands.clone(),
        })
        .map_err(|source| Error::Thread { name: slot.name.clone(), source })?;
        let status = handler.status();
        let path = inner.data.status(&slot.name);
        state.persisting.push(tokio::spawn(persisted::follow(status.clone(), path, Status::is_over)));
        state.plugin = Some(Arc::clone(plugin));
        state.upcasters = upcasters;
        slot.change_view(|view| {
            view.status = status;
            view.handler = Some(handler);
        });
        self.show_handler(slot)
    }

    /// Shows what a rollback goes back to.
    fn show_handler(&self, slot: &Slot) -> Result<(), Error> {
        let previous = self.inner.catalog.handler(&slot.name)?.and_then(|known| known.previous);
        slot.change_view(|view| view.previous = previous);
        Ok(())
    }

    /// The plugin that decides, also when it does not run.
    async fn known_handler(&self, state: &State, known: &catalog::Handler) -> Result<Arc<Plugin>, Error> {
        if let Some(plugin) = &state.plugin {
            return Ok(Arc::clone(plugin));
        }
        let digest = known.digest.clone();
        self.blocking(move |inner| inner.load_kept(&digest)).await
    }

    /// After a start: runs the handlers that ran before. What came from a file that is gone stays
    /// stopped.
    pub(super) async fn resume_handlers(&self, files: &Files) -> Result<(), Error> {
        for mut known in self.inner.catalog.handlers()? {
            let slot = self.inner.handler_slot(&known.name);
            let mut state = slot.state.lock().await;
            if files.is_gone(&known.name) {
                known.wanted = Wanted::Removed;
                self.inner.catalog.put_handler(&known)?;
                self.inner.catalog.forget_files(&known.name)?;
            }
            let run = match known.wanted {
                Wanted::Removed => {
                    self.show_still_handler(&slot, &mut state, command::State::Stopped, None)?;
                    continue;
                }
                Wanted::Paused => {
                    self.show_paused_handler(&slot, &mut state)?;
                    continue;
                }
                Wanted::Running => self.known_handler(&state, &known).await,
            };
            let run = run.and_then(|plugin| self.run_handler(&slot, &mut state, &plugin));
            if let Err(error) = run {
                tracing::error!("{}: takes no commands: {error}", slot.name);
                let halted = command::State::Halted;
                self.show_still_handler(&slot, &mut state, halted, Some(error.to_string()))?;
            }
        }
        Ok(())
    }
}

impl Inner {
    pub(super) fn handlers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Slot>>> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of the handler of this name, which is made if there is none.
    pub(super) fn handler_slot(&self, name: &str) -> Arc<Slot> {
        let mut handlers = self.handlers();
        Arc::clone(handlers.entry(name.to_owned()).or_insert_with(|| Arc::new(Slot::new(name))))
    }
}
