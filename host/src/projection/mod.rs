//! One projection: events of the log become rows of a read model. Here log, wasm and read model meet.
//!
//! # Layout
//!
//! * [`options`]: what a user may set.
//! * [`Author`]: who writes a read model: a plugin, and the upcasters that its events come through.
//! * [`status`]: what a projection shows of itself while it runs.
//! * [`batch`]: events on their way, and how far they bring the checkpoint.
//! * `session`: the read model as the plugin sees it while it applies a batch.
//! * `writer`: the thread that writes a batch while the plugin runs on the next.
//! * [`applier`]: batches through plugin and writer; finds the event at fault.
//! * `pipeline`: the same on a thread of its own, while the next batch is read.
//! * [`poison`]: what is said of an event that cannot be applied.
//! * [`worker`]: a projection that runs: what it needs, and what it can be asked.
//! * `run`: its thread: runs rounds, switches plugins, and decides what an error means.
//! * `round`: the loop itself: fetch, batch, submit.
//! * [`position`]: positions as people write them, and what is missing to one.
//! * [`progress`]: how far it is, told at each commit.
//! * [`replay`]: applies the log in the order that another read model recorded.
//! * [`verify`]: replays a read model's log and compares.

pub mod applier;
mod author;
pub mod batch;
pub mod options;
mod pipeline;
pub mod poison;
pub mod position;
pub mod progress;
pub mod replay;
mod round;
mod run;
mod session;
pub mod status;
pub mod verify;
pub mod worker;
mod writer;

pub use author::Author;
pub use options::{BatchOptions, OnTruncated, Options, RebuildOptions};
pub use progress::{Applied, Progress};
pub use status::{State, Status};
pub use worker::{IsOver, Projection, Worker};
