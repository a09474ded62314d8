//! A command handler's instance, and its calls.

use super::component::Component;
use super::decision::Decision;
use super::engine::Engine;
use super::error::Error;
use super::failure::{Failure, Fault};
use super::guest::Guest;
use super::kind::COMMANDS;
use super::limits::{Limits, bytes};
use super::no_database::NoDatabase;
use super::trap::CallError;
use lantern_contract::frame::commands::Decided;
use wasmtime::component::Func;

type DecideResult = (Result<Decision, Failure>,);
type EvolveResult = (Result<Vec<u8>, Failure>,);

/// A command handler's memory, and its calls. It lives on one thread at a time, which needs
/// [`Limits::thread_stack_bytes`] of stack.
pub struct Handler {
    guest: Guest<NoDatabase>,
    decide: Func,
    evolve: Func,
}

impl Handler {
    /// Makes an instance, and runs what the plugin does at its start. `name` is whose log its messages are.
    ///
    /// # Errors
    /// When it is no command handler, an import or export is not of the contract's type, or the plugin does not start
    /// within its limits.
    pub fn new(engine: &Engine, component: &Component, name: &str, limits: &Limits) -> Result<Self, Error> {
        let (decide, evolve) = component.decide_and_evolve()?;
        let mut guest = Guest::new(engine, component, NoDatabase::new(name), limits)?;
        Ok(Self {
            decide: guest.function::<(&[u8],), DecideResult>(decide, COMMANDS, "decide")?,
            evolve: guest.function::<(Option<&[u8]>, &[u8]), EvolveResult>(evolve, COMMANDS, "evolve")?,
            guest,
        })
    }

    /// The plugin's manifest, as JSON.
    ///
    /// # Errors
    /// When the plugin traps.
    pub fn describe(&mut self) -> Result<String, CallError> {
        self.guest.describe()
    }

    /// Decides a command, a frame of [`lantern_contract::frame::commands::Request`].
    ///
    /// # Errors
    /// When the plugin answers with a failure, decides what is no frame of events or too many of them, or traps. A
    /// failure of [`Fault::BadInput`] is the command's fault, everything else the plugin's.
    pub fn decide(&mut self, request: &[u8]) -> Result<Decision, CallError> {
        let (decide, time) = (self.decide, self.guest.limits().batch_time(1));
        let (result,) = self.guest.call::<_, DecideResult>(decide, (request,), time)?;
        let decision = result?;
        if let Decision::Events(frame) = &decision {
            self.check(frame)?;
        }
        Ok(decision)
    }

    /// Applies a frame of `event_count` events to a state; answers the new one.
    ///
    /// # Errors
    /// When the plugin answers with a failure, or traps.
    pub fn evolve(
        &mut self,
        state: Option<&[u8]>,
        events: &[u8],
        event_count: usize,
    ) -> Result<Vec<u8>, CallError> {
        let (evolve, time) = (self.evolve, self.guest.limits().batch_time(event_count));
        let (result,) = self.guest.call::<_, EvolveResult>(evolve, (state, events), time)?;
        Ok(result?)
    }

    /// Refuses what is no frame of events before anybody reads one of them, and too many before anybody copies them.
    fn check(&self, frame: &[u8]) -> Result<(), Failure> {
        let failure = |message| Failure { fault: Fault::Other, message, index: None };
        let decided =
            Decided::parse(frame).map_err(|error| failure(format!("it decided no events: {error}")))?;
        let (count, limit) = (decided.len(), self.guest.limits().decided_events_max);
        if count > bytes(limit) {
            return Err(failure(format!(
                "it decided {count} events for one command; the limit `decided_events_max` is {limit}"
            )));
        }
        for event in decided.iter() {
            let event = event.map_err(|error| failure(format!("it decided no events: {error}")))?;
            if event.kind.is_empty() {
                return Err(failure("it decided an event without a type".to_owned()));
            }
        }
        Ok(())
    }
}
