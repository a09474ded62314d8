//! A copy of the log in another cluster, and the move of everything that reads it.
//!
//! # Layout
//!
//! * [`Export`]: copies topics, in transactions that say how far they are.
//! * [`map`]: the file that says which offset of the log is which of the copy.
//! * [`offsets`]: the same for one partition; `sum`: what its records are compared by.
//! * `topics`: the copy's topics and their settings.
//! * `check`: compares the copy with what was read.
//! * [`switch`]: has read models, aggregates and groups go on from the copy.

mod check;
mod copy;
mod error;
pub mod map;
pub mod offsets;
mod sum;
pub mod switch;
mod topics;

pub use copy::{Export, Partition, Report, Step};
pub use error::Error;
