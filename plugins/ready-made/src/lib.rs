//! The plugins that are shipped with Lantern, to be used without writing code: they are set up in `lantern.toml`.
//!
//! All of them are one WebAssembly file. Which it is, and how, says the configuration that the host puts into it; the
//! host reads the same [`Settings`] natively, so that a mistake is told with its line before anything runs.
//!
//! # Layout
//!
//! * [`Settings`]: what can be set, and the [`Manifest`] that follows from it.
//! * [`json_table`], [`event_archive`], [`counters`]: the plugins.
//! * `fields`, `time`: where values are found in events, and what they become.

pub mod counters;
pub mod event_archive;
mod fields;
pub mod json_table;
mod schema;
mod time;

use lantern_sdk::{Db, Error, Event, Fault, Manifest, Projection, Result};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// Which plugin it is, and what is set for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "use", rename_all = "kebab-case")]
pub enum Settings {
    /// Fields of JSON events become columns.
    JsonTable(json_table::Settings),
    /// Every event is kept, and can be searched.
    EventArchive(event_archive::Settings),
    /// Events are counted, and what is in them summed up.
    Counters(counters::Settings),
}

/// Settings with the name of the read model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The name of the read model.
    pub name: String,
    /// Everything else.
    pub settings: Settings,
}

impl Configuration {
    /// The manifest of the plugin that this makes.
    ///
    /// # Errors
    /// When settings do not fit each other, in words that name them.
    pub fn manifest(&self) -> std::result::Result<Manifest, String> {
        let manifest = match &self.settings {
            Settings::JsonTable(settings) => settings.manifest(&self.name),
            Settings::EventArchive(settings) => settings.manifest(&self.name),
            Settings::Counters(settings) => settings.manifest(&self.name),
        }?;
        let manifest = manifest.version(env!("CARGO_PKG_VERSION")).state_version(self.state_version());
        manifest.check().map_err(|error| error.to_string())?;
        Ok(manifest)
    }

    /// Its form for the plugin.
    pub fn to_json(&self) -> String {
        // Texts, lists and maps of texts always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Other settings give other rows, so the read model is built anew for them: FNV-1a of the settings.
    fn state_version(&self) -> u32 {
        let hash = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
        self.to_json().bytes().fold(2_166_136_261, hash).max(1)
    }
}

/// What applies events.
enum Plugin {
    JsonTable(json_table::Plugin),
    EventArchive(event_archive::Plugin),
    Counters(counters::Plugin),
}

/// The plugin that the configuration makes. It is the same as long as the artifact is.
#[derive(Default)]
struct ReadyMade;

impl Projection for ReadyMade {
    #[allow(
        clippy::panic,
        reason = "a description has no other way to say why there is none, and the host shows it"
    )]
    fn manifest() -> Manifest {
        match configuration().and_then(|configuration| configuration.manifest()) {
            Ok(manifest) => manifest,
            Err(reason) => panic!("{reason}"),
        }
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        match plugin()? {
            Plugin::JsonTable(plugin) => plugin.apply(event, db),
            Plugin::EventArchive(plugin) => plugin.apply(event, db),
            Plugin::Counters(plugin) => plugin.apply(event, db),
        }
    }
}

fn configuration() -> std::result::Result<Configuration, String> {
    let json = lantern_sdk::configuration()
        .ok_or("nothing is set for it: it is used by a section [plugins.<name>] of lantern.toml")?;
    serde_json::from_str(&json).map_err(|error| error.to_string())
}

fn plugin() -> Result<&'static Plugin> {
    static PLUGIN: OnceLock<std::result::Result<Plugin, String>> = OnceLock::new();
    let made = PLUGIN.get_or_init(|| {
        let Configuration { name, settings } = configuration()?;
        Ok(match settings {
            Settings::JsonTable(settings) => Plugin::JsonTable(json_table::Plugin::new(settings, &name)?),
            Settings::EventArchive(settings) => Plugin::EventArchive(event_archive::Plugin::new(settings)),
            Settings::Counters(settings) => Plugin::Counters(counters::Plugin::new(settings)?),
        })
    });
    made.as_ref().map_err(|reason| Error::new(Fault::Other, reason.as_str()))
}

lantern_sdk::projection!(ReadyMade);
