//! What runs and what shall run: plugins are deployed, swapped, rebuilt, promoted and rolled back here.
//!
//! # Layout
//!
//! * [`Deployments`]: asks for all of this, from any thread.
//! * [`report`]: what is told of it.

pub mod report;

use report::{Entry, Outcome, Plugin};

/// An artifact that somebody wants to run.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where they came from, for messages and the history: a path, or who sent them.
    pub origin: String,
}

/// What is to be done with a plugin that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run what ran before.
    Rollback,
    /// Make the generation live that was previewed.
    Promote,
    /// Build its read model anew, beside the live one.
    Rebuild,
    /// Empty its read model and fill it from the log's beginning.
    Reset,
    /// Apply no events until it is resumed, also after a restart.
    Pause,
    /// Apply events again.
    Resume,
    /// Stop it; with `purge` delete its read models too.
    Remove {
        /// Whether its read models are deleted.
        purge: bool,
    },
}

/// Why a request was not carried out. What ran before runs on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The artifact is refused; the reason is whole sentences.
    #[error("{reason}")]
    Rejected {
        /// Why, with where the artifact came from.
        reason: String,
    },
    /// There is no such plugin.
    #[error("there is no plugin {name:?} here; `lantern status` lists those that there are")]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// It cannot be done as things are.
    #[error("{reason}")]
    NotNow {
        /// Why, and what to do.
        reason: String,
    },
    /// The host is going down.
    #[error("the host is stopping; try again when it runs")]
    Stopping,
}

/// Asks the running host for deployments. Cheap to clone.
#[derive(Clone)]
pub struct Deployments {}

impl Deployments {
    /// Deploys an artifact: starts it, swaps it in, or rebuilds its read model beside the live one. With
    /// `preview` the read model is always built beside, and waits for [`Action::Promote`]. `expected` is the
    /// name that its manifest must have, where the caller knows it.
    ///
    /// # Errors
    /// When it is rejected, with the reason.
    pub async fn deploy(
        &self,
        artifact: Artifact,
        expected: Option<&str>,
        preview: bool,
    ) -> Result<Outcome, Error> {
        let _ = (artifact, expected, preview);
        Err(Error::Stopping)
    }

    /// Does something with a plugin that is there. `by` is who asks, for the history.
    ///
    /// # Errors
    /// When there is no such plugin, or it cannot be done as things are.
    pub async fn act(&self, name: &str, action: Action, by: &str) -> Result<Outcome, Error> {
        let _ = (name, action, by);
        Err(Error::Stopping)
    }

    /// A plugin's file is there, or is another than before: deploys it, unless this very content was taken
    /// up from this path already (somebody may have rolled it back since).
    ///
    /// # Errors
    /// As [`Deployments::deploy`].
    pub async fn file(&self, path: &std::path::Path) -> Result<Outcome, Error> {
        let _ = path;
        Err(Error::Stopping)
    }

    /// A plugin's file was taken out of the plugins folder: its projection stops, its read model stays.
    pub async fn file_removed(&self, path: &std::path::Path) {
        let _ = path;
    }

    /// A moment of every plugin, in the order of their names.
    pub fn plugins(&self) -> Vec<Plugin> {
        Vec::new()
    }

    /// The history of one plugin, or of all, newest last.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn history(&self, name: Option<&str>) -> Result<Vec<Entry>, Error> {
        let _ = name;
        Ok(Vec::new())
    }
}
