//! Why something is not deployed, and what runs on then.

use crate::plugin::Kind;
use crate::{catalog, command, data_dir, plugin, read_model};
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
    /// The name stands for something else.
    #[error("{origin}: {name:?} is the name of {} here, and this plugin is none. Give it another name", kind.one())]
    OtherKind {
        /// Where the plugin came from.
        origin: String,
        /// Its name.
        name: String,
        /// What the name stands for.
        kind: Kind,
    },
    /// There is no such type of aggregate.
    #[error(
        "there is no aggregate {name:?} here; {}",
        if known.is_empty() { "no command handler is deployed".to_owned() } else { format!("known: {}", known.join(", ")) }
    )]
    UnknownAggregate {
        /// The type that was asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A command handler does not run.
    #[error("{name} takes no commands: {reason}")]
    TakesNoCommands {
        /// The type of aggregate.
        name: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Aggregates could not be folded anew.
    #[error("{name} is not folded anew: {source}")]
    Refold {
        /// The type of aggregate.
        name: String,
        /// Why.
        source: command::Error,
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
    #[error("{name}: no thread for it: {source}")]
    Thread {
        /// The plugin.
        name: String,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    /// Whether the same artifact may be taken later, without anybody changing it: what was in the way is the machine's.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::DataDir(_) | Error::Catalog(_) | Error::Thread { .. } => true,
            Error::ReadModel(error) => error.is_transient(),
            Error::Plugin(plugin::Error::Thread { .. }) => true,
            // What somebody has to change, a change tells of.
            Error::Plugin(plugin::Error::Read { source, .. }) => !matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory
            ),
            _ => false,
        }
    }
}
