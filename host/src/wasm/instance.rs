//! A projection's instance, and its calls.

use super::component::Component;
use super::engine::Engine;
use super::error::Error;
use super::failure::Failure;
use super::guest::Guest;
use super::imports::Imports;
use super::kind::PROJECTION;
use super::limits::Limits;
use super::trap::CallError;
use wasmtime::component::Func;

type ApplyResult = (Result<Vec<u8>, Failure>,);

/// A projection's memory, and its calls. It lives on one thread at a time, which needs
/// [`Limits::thread_stack_bytes`] of stack.
pub struct Instance<I: Imports> {
    guest: Guest<I>,
    apply: Func,
}

impl<I: Imports> Instance<I> {
    /// Makes an instance, and runs what the plugin does at its start.
    ///
    /// # Errors
    /// When it is no projection, an import or export is not of the contract's type, or the plugin does not start within
    /// its limits.
    pub fn new(engine: &Engine, component: &Component, imports: I, limits: &Limits) -> Result<Self, Error> {
        let export = component.apply()?;
        let mut guest = Guest::new(engine, component, imports, limits)?;
        let apply = guest.function::<(&[u8],), ApplyResult>(export, PROJECTION, "apply")?;
        Ok(Self { guest, apply })
    }

    /// The plugin's manifest, as JSON.
    ///
    /// # Errors
    /// When the plugin traps.
    pub fn describe(&mut self) -> Result<String, CallError> {
        self.guest.describe()
    }

    /// Applies a frame of `event_count` events; answers the frame of writes that are left to do.
    ///
    /// # Errors
    /// When the plugin answers with a failure, or traps.
    pub fn apply(&mut self, events: &[u8], event_count: usize) -> Result<Vec<u8>, CallError> {
        let (apply, time) = (self.apply, self.guest.limits().batch_time(event_count));
        let (result,) = self.guest.call::<_, ApplyResult>(apply, (events,), time)?;
        Ok(result?)
    }

    /// What the plugin may ask of its host.
    pub fn imports(&mut self) -> &mut I {
        self.guest.imports()
    }

    /// Ends the instance and gives its imports back.
    pub fn into_imports(self) -> I {
        self.guest.into_imports()
    }
}
