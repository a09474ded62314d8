//! Upcasters: old events become events of today, between the log and whoever reads a topic.
//!
//! # Layout
//!
//! * [`Upcasters`]: those of some topics, as a set.
//! * [`Chain`]: a set that runs: what events go through, one by one.
//! * [`Error`]: an event that cannot be upcast, with its coordinates.
//!
//! An event goes through each upcaster at most once: what one of them answers may be an old event of another.

mod chain;
mod error;
#[cfg(test)]
mod tests;

pub use chain::{Chain, Today};
pub use error::{Error, Unread};

use crate::plugin::Plugin;
use std::sync::Arc;

/// Upcasters, in the order of their names. A clone is the same set.
#[derive(Clone, Default)]
pub struct Upcasters(Arc<[Arc<Plugin>]>);

impl Upcasters {
    /// A set of these plugins, each of which is an upcaster, and no two of which upgrade the same type of a topic.
    pub fn new(mut plugins: Vec<Arc<Plugin>>) -> Self {
        plugins.sort_by(|a, b| a.name.cmp(&b.name));
        Upcasters(plugins.into())
    }

    /// Those that some of these topics go through. Which types they make of theirs is not known beforehand, so that
    /// whoever reads a topic is concerned.
    #[must_use]
    pub fn of_topics(&self, topics: &[String]) -> Self {
        let concerns =
            |plugin: &&Arc<Plugin>| plugin.manifest.topics.iter().any(|topic| topics.contains(topic));
        if self.0.iter().all(|plugin| concerns(&plugin)) {
            return self.clone();
        }
        Upcasters(self.0.iter().filter(concerns).cloned().collect())
    }

    /// The plugins.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The digests of their artifacts.
    pub fn digests(&self) -> Vec<String> {
        self.0.iter().map(|plugin| plugin.digest.to_string()).collect()
    }

    /// What the rows depend on that are made of their events: names and state versions, as `orders-v1:2`.
    pub fn version(&self) -> String {
        let versions: Vec<String> = self
            .0
            .iter()
            .map(|plugin| format!("{}:{}", plugin.name, plugin.manifest.state_version))
            .collect();
        versions.join(" ")
    }
}

/// What the other set says too: the same artifacts.
impl PartialEq for Upcasters {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(other.0.iter()).all(|(one, other)| one.digest == other.digest)
    }
}
