//! What a projection shows of itself.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a projection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It has not reached the log yet.
    Starting,
    /// It applies events that were there before it looked.
    CatchingUp,
    /// It has applied everything that it knows of.
    Live,
    /// It waits: for a sick dependency, which it tries again by itself, or to be resumed.
    Paused,
    /// It stopped at an event or a fault that somebody has to look at.
    Halted,
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
            State::Stopped => "stopped",
        })
    }
}

/// A plugin that did not stand its trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBack {
    /// Its digest.
    pub digest: String,
    /// Why.
    pub reason: String,
    /// Counted from 1 since the projection started, so that two of the same plugin are told apart.
    #[serde(default)]
    pub number: u32,
}

/// A moment of a projection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Why it is paused or halted.
    pub error: Option<String>,
    /// The digest of its plugin.
    pub digest: String,
    /// Whether the plugin was swapped in lately, and is put back when it cannot apply its first events.
    #[serde(default)]
    pub on_trial: bool,
    /// The plugin that was put back last.
    #[serde(default)]
    pub put_back: Option<PutBack>,
    /// Events that the log has and the read model has not, as far as the projection knows.
    pub lag: u64,
    /// Events applied since the process started.
    pub events: u64,
    /// Transactions since the process started.
    pub batches: u64,
    /// The next offsets to apply, by `topic/partition`.
    pub checkpoint: BTreeMap<String, i64>,
}

impl Status {
    /// A projection that is about to start.
    pub fn starting(name: &str, digest: &str) -> Self {
        Status {
            name: name.into(),
            state: State::Starting,
            error: None,
            digest: digest.into(),
            on_trial: false,
            put_back: None,
            lag: 0,
            events: 0,
            batches: 0,
            checkpoint: BTreeMap::new(),
        }
    }

    /// Shows that it was paused by somebody, who has to resume it.
    pub fn pause_by_request(&mut self, name: &str) {
        self.state = State::Paused;
        self.error = Some(format!("paused on request; `lantern resume {name}` goes on"));
    }

    /// Whether nothing more will happen without somebody doing something.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Halted | State::Stopped)
    }
}
