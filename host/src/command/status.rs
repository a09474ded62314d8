//! What a command handler shows of itself.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a handler is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It has not reached the log yet.
    Starting,
    /// It reads what the log has and it has not; commands are refused until then.
    CatchingUp,
    /// It takes commands.
    Live,
    /// It waits for a sick dependency, which it tries again by itself.
    Paused,
    /// It stopped at something that somebody has to look at.
    Halted,
    /// Another process has taken over.
    Fenced,
    /// It was told to stop, and did.
    Stopped,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Starting => "starting",
            State::CatchingUp => "catching up",
            State::Live => "live",
            State::Paused => "paused",
            State::Halted => "halted",
            State::Fenced => "fenced",
            State::Stopped => "stopped",
        })
    }
}

/// A moment of a handler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The aggregate type.
    pub name: String,
    /// The topic of its events.
    pub topic: String,
    /// What it is doing.
    pub state: State,
    /// Why it is paused, halted or fenced.
    pub error: Option<String>,
    /// The digest of its plugin.
    pub digest: String,
    /// The state version of its plugin.
    pub state_version: u32,
    /// Records that the log has and it has not read, while it catches up.
    pub lag: u64,
    /// Aggregates that have had events.
    pub aggregates: u64,
    /// Commands answered since the process started, whatever the answer.
    pub commands: u64,
    /// Of these, how many the domain refused.
    pub rejected: u64,
    /// Events appended since the process started.
    pub events: u64,
    /// Transactions since the process started.
    pub rounds: u64,
    /// The next offsets to read, by `topic/partition`, as of the last time it had caught up.
    pub checkpoint: BTreeMap<String, i64>,
}

impl Status {
    /// A handler that is about to start.
    pub fn starting(name: &str, digest: &str) -> Self {
        Status {
            name: name.into(),
            topic: String::new(),
            state: State::Starting,
            error: None,
            digest: digest.into(),
            state_version: 0,
            lag: 0,
            aggregates: 0,
            commands: 0,
            rejected: 0,
            events: 0,
            rounds: 0,
            checkpoint: BTreeMap::new(),
        }
    }

    /// Whether nothing more will happen without somebody doing something.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Halted | State::Fenced | State::Stopped)
    }
}
