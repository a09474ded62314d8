//! What stands between the host and a plugin. Only the macros `projection!`, `aggregate!` and `upcaster!` and the
//! project's own tests use it; it may change at any time.

#[cfg(target_arch = "wasm32")]
#[allow(missing_docs, unsafe_code, clippy::all, reason = "generated from the contract")]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
#[allow(missing_docs, unsafe_code, clippy::all, reason = "generated from the contract")]
pub mod described;
mod handler;
#[cfg(target_arch = "wasm32")]
#[allow(missing_docs, unsafe_code, clippy::all, reason = "generated from the contract")]
pub mod handler_bindings;
#[cfg(target_arch = "wasm32")]
mod imported;
mod upcaster;
#[cfg(target_arch = "wasm32")]
#[allow(missing_docs, unsafe_code, clippy::all, reason = "generated from the contract")]
pub mod upcaster_bindings;

pub use handler::{Decision, decide, evolve};
#[cfg(target_arch = "wasm32")]
pub use imported::{decision, failure};
pub use upcaster::upcast;

use crate::error::{Error, Fault, Result};
use crate::{Db, Event, Manifest, Projection};
use lantern_contract::frame::events::Events;
use serde::Deserialize;

/// What the host offers within a batch.
pub trait Host {
    /// Checks a statement and gives it an id.
    ///
    /// # Errors
    /// When SQLite refuses it.
    fn prepare(&mut self, sql: &str) -> Result<u32>;

    /// Runs a frame of writes; answers how many rows changed.
    ///
    /// # Errors
    /// When SQLite refuses one.
    fn apply(&mut self, ops: &[u8]) -> Result<u32>;

    /// Runs a statement that reads; answers a frame of rows.
    ///
    /// # Errors
    /// When SQLite refuses it, or it answers too much.
    fn query(&mut self, statement: u32, params: &[u8], rows_max: u32) -> Result<Vec<u8>>;
}

/// An error of a batch, with the event at fault.
#[derive(Debug)]
pub struct Failure {
    /// Whose fault it is.
    pub fault: Fault,
    /// What is wrong, and where.
    pub message: String,
    /// The event at fault, counted from 0.
    pub index: Option<u32>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { fault: error.fault(), index: error.event(), message: error.into_message() }
    }
}

/// Applies batches to projections.
pub struct Runner {
    db: Db,
}

impl Runner {
    /// A runner on a host.
    pub fn new(host: Box<dyn Host>) -> Self {
        Runner { db: Db::new(host) }
    }

    /// Applies a frame of events; answers the frame of writes that were not handed over yet.
    ///
    /// # Errors
    /// When an event cannot be applied. Nothing of the batch is left behind then.
    pub fn apply<P: Projection>(&mut self, frame: &[u8]) -> Result<Vec<u8>, Failure> {
        let applied = self.try_apply::<P>(frame);
        if applied.is_err() {
            self.db.reset();
        }
        Ok(applied?)
    }

    fn try_apply<P: Projection>(&mut self, frame: &[u8]) -> Result<Vec<u8>> {
        let mut projection = P::default();
        let db = &mut self.db;
        for event in Events::parse(frame)?.iter() {
            let event = Event::new(event?);
            let index = event.index();
            db.begin(index);
            projection
                .apply(&event, db)
                .and_then(|()| db.end())
                .map_err(|error| error.at_event(Some(index)))?;
        }
        db.finish()
    }
}

/// What [`Event::decode`] makes of an event's type and its data, for tests of events without a batch.
///
/// # Errors
/// When the data is not the variant's, with line and column.
pub fn decode<'a, T: Deserialize<'a>>(kind: &'a str, data: &'a [u8]) -> Result<T> {
    Ok(crate::decode::decode(kind, data)?)
}

/// What `describe` answers.
pub fn describe(manifest: fn() -> Manifest) -> String {
    report_panics();
    manifest().to_json()
}

/// Sees to it that a panic's message is logged.
fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    imported::report_panics();
}
