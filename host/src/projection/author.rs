//! Who writes a read model.

use super::options::Options;
use crate::plugin::Plugin;
use crate::read_model::{self, Blueprint};
use crate::upcast::Upcasters;
use std::sync::Arc;

/// A plugin, and the upcasters that its events come through: together they say which rows the log gives.
#[derive(Clone)]
pub struct Author {
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// The upcasters.
    pub upcasters: Upcasters,
}

impl Author {
    /// A plugin, and those of all upcasters that the topics go through which it reads.
    pub fn new(plugin: &Arc<Plugin>, all: &Upcasters, options: &Options) -> Self {
        let upcasters = all.of_topics(options.topics(&plugin.manifest));
        Author { plugin: Arc::clone(plugin), upcasters }
    }

    /// A plugin whose events come as they were written.
    pub fn alone(plugin: &Arc<Plugin>) -> Self {
        Author { plugin: Arc::clone(plugin), upcasters: Upcasters::default() }
    }

    /// The read model that it writes.
    pub fn blueprint(&self) -> Blueprint {
        let manifest = &self.plugin.manifest;
        Blueprint {
            plugin: manifest.name.clone(),
            digest: self.plugin.digest.to_string(),
            schema: manifest.schema.clone(),
            state_version: manifest.state_version,
            sends: manifest.sends.clone(),
            upcasters: self.upcasters.digests(),
            upcast_version: self.upcasters.version(),
        }
    }

    /// What the journal calls it.
    pub fn digests(&self) -> String {
        read_model::author(&self.plugin.digest.to_string(), &self.upcasters.digests())
    }
}
