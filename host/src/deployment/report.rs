//! What is told about deployments, to people and programs: the JSON of the HTTP side and of `--json`.

use crate::command;
use crate::projection::Status;
use crate::read_model::Diff;
use serde::{Deserialize, Serialize};

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The plugin's name.
    pub name: String,
    /// The digest of the plugin that the request was about.
    pub digest: String,
    /// What was done.
    pub result: Done,
    /// The generation of the read model that it was done to; 0 of a command handler, which has none.
    pub generation: u32,
    /// How long no event was applied or no command decided, in microseconds, where that is known at once: a swap, a
    /// promotion.
    pub pause_us: Option<u64>,
}

impl Outcome {
    /// Whether it was done to a command handler, which has no generations.
    pub fn is_of_handler(&self) -> bool {
        self.generation == 0
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// There was nothing to do.
    Unchanged,
    /// The first plugin of its name runs.
    Started,
    /// It runs on the read model of the one before.
    Swapped,
    /// It fills a new generation, and takes over when it is where the live one is.
    Rebuilding,
    /// It fills a new generation, and waits for `promote` when it is where the live one is.
    Previewing,
    /// The generation that was waiting is live.
    Promoted,
    /// What was built beside the live generation is given up.
    Discarded,
    /// What ran before runs again.
    RolledBack,
    /// The state of every aggregate is folded from its events again.
    Refolded,
    /// The read model is empty, and is filled from the log's beginning.
    Reset,
    /// No event is applied until `resume`.
    Paused,
    /// Events are applied again.
    Resumed,
    /// It no longer runs.
    Removed,
    /// Its read model came from a backup.
    Restored,
    /// It did not take over, or was put back; the one before runs.
    Rejected,
}

/// Every [`Done`], as it is written.
const DONE: [(Done, &str); 15] = [
    (Done::Unchanged, "unchanged"),
    (Done::Started, "started"),
    (Done::Swapped, "swapped"),
    (Done::Rebuilding, "rebuilding"),
    (Done::Previewing, "previewing"),
    (Done::Promoted, "promoted"),
    (Done::Discarded, "discarded"),
    (Done::RolledBack, "rolled-back"),
    (Done::Refolded, "refolded"),
    (Done::Reset, "reset"),
    (Done::Paused, "paused"),
    (Done::Resumed, "resumed"),
    (Done::Removed, "removed"),
    (Done::Restored, "restored"),
    (Done::Rejected, "rejected"),
];

impl Done {
    /// What a text of the history stands for; what a newer Lantern wrote is nothing that was done here.
    pub fn parse(text: &str) -> Self {
        DONE.iter().find(|(_, name)| *name == text).map_or(Done::Unchanged, |(done, _)| *done)
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(DONE.iter().find(|(done, _)| done == self).map_or("", |(_, name)| name))
    }
}

/// A plugin, by what it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Deployed {
    /// It reads events, and writes a read model.
    Projection(Plugin),
    /// It decides commands.
    Commands(Handler),
    /// It turns old events into events of today.
    Upcaster(Upcaster),
}

impl Deployed {
    /// The plugin's name.
    pub fn name(&self) -> &str {
        match self {
            Deployed::Projection(plugin) => &plugin.status.name,
            Deployed::Commands(handler) => &handler.status.name,
            Deployed::Upcaster(upcaster) => &upcaster.name,
        }
    }
}

/// A command handler.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Handler {
    /// What it shows of itself.
    #[serde(flatten)]
    pub status: command::Status,
    /// The digest of what `rollback` goes back to.
    pub previous: Option<String>,
}

/// An upcaster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upcaster {
    /// Its name.
    pub name: String,
    /// Whether events go through it.
    pub state: UpcasterState,
    /// The digest of its plugin.
    pub digest: String,
    /// The digest of what `rollback` goes back to.
    pub previous: Option<String>,
    /// The topics whose events go through it.
    pub topics: Vec<String>,
    /// The old types that it upgrades.
    pub types: Vec<String>,
    /// Its state version.
    pub state_version: u32,
    /// Why no event goes through it, where one should.
    pub error: Option<String>,
}

/// Whether events go through an upcaster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpcasterState {
    /// They do.
    Active,
    /// It was removed.
    Removed,
    /// It does not load.
    Halted,
}

impl std::fmt::Display for UpcasterState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            UpcasterState::Active => "active",
            UpcasterState::Removed => "removed",
            UpcasterState::Halted => "halted",
        })
    }
}

/// A plugin, its read model, and what is being built beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plugin {
    /// What the projection shows of itself.
    #[serde(flatten)]
    pub status: Status,
    /// The live generation.
    pub generation: u32,
    /// What `rollback` goes back to.
    pub previous: Option<Previous>,
    /// What is being built beside it.
    pub rebuild: Option<Rebuild>,
}

/// A plugin and its generation as they were before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// The plugin's digest.
    pub digest: String,
    /// The generation that it wrote.
    pub generation: u32,
}

/// A generation on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rebuild {
    /// Its number.
    pub generation: u32,
    /// The digest of its plugin.
    pub digest: String,
    /// How far it is.
    pub state: RebuildState,
    /// Whether it waits for `promote` when it is ready.
    pub preview: bool,
    /// Offsets behind it.
    pub done: u64,
    /// Offsets that the live generation has behind it.
    pub total: u64,
    /// Offsets a second, lately.
    pub per_second: u64,
    /// Seconds that are left, where that can be told.
    pub eta_s: Option<u64>,
    /// Why it failed, or what it waits for: one that is ready and has an error could not go live, or not be compared, and
    /// that is tried again.
    pub error: Option<String>,
    /// What would change, once a preview is ready.
    pub changes: Option<Diff>,
}

/// How far a rebuild is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RebuildState {
    /// It waits for others to finish.
    Waiting,
    /// It applies the log at full speed.
    Building,
    /// It lets live projections go first.
    Throttled,
    /// It is where the live one is, and waits for `promote`.
    Ready,
    /// It cannot go on.
    Failed,
}

/// One line of a plugin's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, as RFC 3339.
    pub at: String,
    /// The plugin's name; empty for an artifact that could not say its own.
    pub name: String,
    /// The artifact's digest.
    pub digest: String,
    /// What was done.
    pub result: Done,
    /// The generation it was done to; 0 where there is none.
    pub generation: u32,
    /// Who asked: a file's path, `lantern deploy` of a user, an address.
    pub by: String,
    /// Why it was rejected or put back.
    pub reason: Option<String>,
}
