//! What is asked of a reader, what it may cost, and what is answered.

use super::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

/// What one query may cost.
#[derive(Clone, Copy, Debug)]
pub struct ReaderLimits {
    /// How long it may run.
    pub time_max: Duration,
    /// The most steps of SQLite; beyond them is [`Error::Unfinished`](super::Error::Unfinished).
    pub steps_max: u64,
    /// The most bytes of one value, also of those that the query only computes with.
    pub value_bytes_max: usize,
    /// By how many bytes SQLite's memory may grow meanwhile, with that of other queries.
    pub memory_bytes_max: u64,
    /// The most rows of [`Reader::answer`](super::Reader::answer).
    pub rows_max: usize,
    /// The most bytes of [`Reader::answer`](super::Reader::answer).
    pub bytes_max: usize,
}

impl ReaderLimits {
    /// For somebody whose own machine it is.
    pub fn time(time_max: Duration) -> Self {
        ReaderLimits {
            time_max,
            steps_max: u64::MAX,
            value_bytes_max: 1_000_000_000,
            memory_bytes_max: u64::MAX,
            rows_max: usize::MAX,
            bytes_max: usize::MAX,
        }
    }
}

/// A query's parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Params {
    /// None.
    #[default]
    None,
    /// By their order: the first is `?1`.
    List(Vec<Cell>),
    /// By their names, with or without the sign before it: `:id`, `@id`, `$id`.
    Named(BTreeMap<String, Cell>),
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// One statement that reads.
    pub sql: &'a str,
    /// What is put into it.
    pub params: &'a Params,
}

impl<'a> Question<'a> {
    /// A statement without parameters.
    pub fn new(sql: &'a str) -> Self {
        Question { sql, params: &Params::None }
    }
}

/// A whole answer, as JSON.
#[derive(Debug, Default)]
pub struct Answer {
    /// The columns' names, an array.
    pub columns: String,
    /// The rows, each an array, with commas between them.
    pub rows: Vec<u8>,
}
