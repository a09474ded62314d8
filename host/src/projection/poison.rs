//! What is said of an event that cannot be applied.

use super::batch::Place;
use std::fmt;

/// An event that cannot be applied. Everything before it is committed.
#[derive(Clone, Debug)]
pub struct Poison {
    /// Where it stands.
    pub place: Place,
    /// What the plugin, or SQLite, says.
    pub message: String,
    /// The plugin's functions that were running, the innermost first.
    pub backtrace: Vec<String>,
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { topic, partition, offset, kind } = &self.place;
        write!(f, "cannot apply the event {kind} at {topic}/{partition}@{offset}: {}", self.message)?;
        for function in &self.backtrace {
            write!(f, "\n    at {function}")?;
        }
        Ok(())
    }
}
