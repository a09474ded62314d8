//! Why something is not deployed, and what runs on then.

use crate::{catalog, data_dir, plugin, read_model};
use std::io;

/// Why a request was not carried out. What ran before runs on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The artifact is refused; the reason is whole sentences.
    #[error("{reason}")]
    Rejected {
        /// Why, with where the artifact came from.
        reason: String,
    },
    /// Two plugins have one name, and would write one read model.
    #[error(
        "{origin}: a plugin named {name:?} runs already, from {other}. Rename one of them, or remove one file"
    )]
    Twice {
        /// The plugin that comes second.
        origin: String,
        /// The name of both.
        name: String,
        /// Where the first came from.
        other: String,
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
    /// A plugin's artifact.
    #[error(transparent)]
    Plugin(#[from] plugin::Error),
    /// The data folder.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// A read model.
    #[error(transparent)]
    ReadModel(#[from] read_model::Error),
    /// The system has no thread for it.
    #[error("{name}: no thread for the projection: {source}")]
    Thread {
        /// The projection.
        name: String,
        /// What the system says.
        source: io::Error,
    },
}
