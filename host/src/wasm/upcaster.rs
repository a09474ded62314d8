//! An upcaster's instance, and its calls.

use super::component::Component;
use super::engine::Engine;
use super::error::Error;
use super::failure::{Failure, Fault};
use super::guest::Guest;
use super::kind::UPCAST;
use super::limits::Limits;
use super::no_database::NoDatabase;
use super::trap::CallError;
use lantern_contract::frame::upcast::Upcasted;
use wasmtime::component::Func;

type UpcastResult = (Result<Vec<u8>, Failure>,);

/// An upcaster's memory, and its calls. It lives on one thread at a time, which needs
/// [`Limits::thread_stack_bytes`] of stack.
pub struct Upcaster {
    guest: Guest<NoDatabase>,
    upcast: Func,
}

impl Upcaster {
    /// Makes an instance, and runs what the plugin does at its start. `name` is whose log its messages are.
    ///
    /// # Errors
    /// When it is no upcaster, an import or export is not of the contract's type, or the plugin does not start within
    /// its limits.
    pub fn new(engine: &Engine, component: &Component, name: &str, limits: &Limits) -> Result<Self, Error> {
        let export = component.upcast()?;
        let mut guest = Guest::new(engine, component, NoDatabase::new(name), limits)?;
        let upcast = guest.function::<(&[u8],), UpcastResult>(export, UPCAST, "upcast")?;
        Ok(Self { guest, upcast })
    }

    /// The plugin's manifest, as JSON.
    ///
    /// # Errors
    /// When the plugin traps.
    pub fn describe(&mut self) -> Result<String, CallError> {
        self.guest.describe()
    }

    /// Upcasts a frame of `event_count` events; answers a frame of as many, which
    /// [`lantern_contract::frame::upcast::Upcasted`] reads.
    ///
    /// # Errors
    /// When the plugin answers with a failure, or with something else than one event of a type for each; or traps.
    pub fn upcast(&mut self, events: &[u8], event_count: usize) -> Result<Vec<u8>, CallError> {
        let (upcast, time) = (self.upcast, self.guest.limits().batch_time(event_count));
        let (result,) = self.guest.call::<_, UpcastResult>(upcast, (events,), time)?;
        let frame = result?;
        check(&frame, event_count)?;
        Ok(frame)
    }
}

/// Refuses what is no frame of events of today, before anybody reads one of them.
fn check(frame: &[u8], event_count: usize) -> Result<(), Failure> {
    let failure = |message, index| Failure { fault: Fault::Other, message, index };
    let unusable = |error| failure(format!("what it answered cannot be read: {error}"), None);
    let upcasted = Upcasted::parse(frame).map_err(unusable)?;
    if upcasted.len() != event_count {
        let found = upcasted.len();
        let message = format!("it answered {found} events for {event_count}: it has to answer one for each");
        return Err(failure(message, None));
    }
    for (index, event) in (0..).zip(upcasted.iter()) {
        if event.map_err(unusable)?.kind.is_empty() {
            return Err(failure("it answered an event without a type".to_owned(), Some(index)));
        }
    }
    Ok(())
}
