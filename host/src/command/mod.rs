//! Commands: decided on an aggregate's latest state, appended to the log, kept. Here log, wasm and aggregate store meet.
//!
//! # Layout
//!
//! * [`Handler`]: what commands are given to, from any thread; starts and stops the writer.
//! * [`options`], [`status`], [`error`]: what a user may set, what is shown, what can go wrong.
//! * `writer`: its thread: takes the log over, catches up, serves, and decides what an error means.
//! * `round`: one group commit: decided one after the other, appended together, kept together, answered.
//! * `aggregates`: their states in memory; loads those that are not there, and has them folded by `fold`.
//! * `catch_up`: reads what the log has and the store has not.
//! * `inlet`: commands that come by the log.
//! * `record`: events and decisions as records of the log, and back.
//! * `domain`: the plugin, as the writer calls it; [`Alone`]: as a test of it does, without a log.
//! * [`dispatch`]: sends what process managers want sent.

mod aggregates;
mod alone;
mod catch_up;
pub mod dispatch;
mod domain;
mod error;
mod fold;
mod handler;
mod inlet;
pub mod options;
mod record;
mod round;
pub mod status;
#[cfg(test)]
mod tests;
mod writer;

pub use alone::{Alone, Asked};
pub use domain::Verdict;
pub use error::Error;
pub use handler::{Handler, Setup};
pub use options::Options;
pub use status::{State, Status};

use crate::aggregate_store::Position;
use sha2::{Digest as _, Sha256};

/// What a domain is asked to do with one aggregate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Which aggregate.
    pub id: String,
    /// What is asked for.
    pub name: String,
    /// With which data.
    pub payload: Vec<u8>,
    /// However often it is sent with the same key, it is decided once.
    pub key: Option<String>,
    /// The version that the aggregate must have.
    pub expected: Option<u64>,
    /// What belongs together carries the same.
    pub correlation: Option<String>,
    /// What caused it.
    pub causation: Option<String>,
}

impl Command {
    /// Tells whether two commands of one key ask for the same: SHA-256 of name and data, in hexadecimal.
    fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update((self.name.len() as u64).to_le_bytes());
        hasher.update(&self.name);
        hasher.update(&self.payload);
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn bytes(&self) -> usize {
        let optional = [&self.key, &self.correlation, &self.causation].into_iter().flatten();
        self.id.len() + self.name.len() + self.payload.len() + optional.map(String::len).sum::<usize>()
    }
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The domain accepted it.
    Accepted(Accepted),
    /// The domain refused it.
    Rejected(Rejected),
}

/// What was appended for a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The aggregate's version after it.
    pub version: u64,
    /// In order; none when nothing had to change.
    pub events: Vec<Appended>,
    /// Where to read on behind these events.
    pub position: Position,
    /// Whether it was decided before, under the same idempotency key.
    pub is_repeated: bool,
}

/// An event that was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The aggregate's version after it.
    pub version: u64,
    /// Its type.
    pub kind: String,
    /// Its data.
    pub payload: Vec<u8>,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// Why the domain refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// JSON.
    pub detail: Option<String>,
    /// The version that it was decided on.
    pub version: u64,
    /// Whether it was decided before, under the same idempotency key.
    pub is_repeated: bool,
}
