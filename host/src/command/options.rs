//! What a user may set for command handlers.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[commands]`: how commands are decided and appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Whether commands are read from the topic `<topic>.commands`, too, which is made when it is missing.
    pub from_topics: bool,
    /// Partitions of a topic that is made for an aggregate type.
    pub partitions: i32,
    /// The most commands of one transaction of the log.
    pub commands_max: usize,
    /// The most bytes of events of one transaction, unless a single command brings more.
    pub bytes_max: usize,
    /// How long a transaction waits for as many commands as the one before had, in milliseconds: whose answers were
    /// just given ask again. A lone command never waits.
    pub gather_ms_max: u64,
    /// Commands that wait, at most; more are refused.
    pub queue_max: usize,
    /// Bytes of commands that wait, at most; more are refused.
    pub queue_bytes_max: usize,
    /// How long the log may take to append a transaction, in milliseconds, before its commands are answered that it is
    /// not known.
    pub append_ms_max: u64,
    /// The most bytes of one event's data.
    pub event_bytes_max: usize,
    /// The most bytes of all that one command appends.
    pub command_bytes_max: usize,
    /// The most bytes of an aggregate's state.
    pub state_bytes_max: usize,
    /// The most bytes of states that are kept in memory.
    pub cache_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            from_topics: false,
            partitions: 4,
            commands_max: 1_000,
            bytes_max: 4 << 20,
            gather_ms_max: 1,
            queue_max: 10_000,
            queue_bytes_max: 64 << 20,
            append_ms_max: 15_000,
            // The broker takes records of 1 MiB with their headers.
            event_bytes_max: 900_000,
            command_bytes_max: 8 << 20,
            state_bytes_max: 8 << 20,
            cache_bytes_max: 64 << 20,
        }
    }
}

impl Options {
    /// [`Options::gather_ms_max`] as a duration.
    pub fn gather_max(&self) -> Duration {
        Duration::from_millis(self.gather_ms_max)
    }

    /// [`Options::append_ms_max`] as a duration.
    pub fn append_max(&self) -> Duration {
        Duration::from_millis(self.append_ms_max)
    }
}
