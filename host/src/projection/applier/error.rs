//! Why an applier does not go on.

use crate::projection::poison::Poison;
use crate::{read_model, wasm};
use lantern_contract::frame;
use std::io;

/// Why batches are no longer applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An event is at fault, or the plugin at that event.
    #[error("{0}")]
    Poison(Poison),
    /// The read model cannot be written.
    #[error(transparent)]
    ReadModel(read_model::Error),
    /// The plugin cannot be started.
    #[error("the plugin does not start: {0}")]
    Plugin(#[from] wasm::Error),
    /// A thread of the projection could not be started.
    #[error("the system has no thread for the projection: {0}")]
    NoThread(io::Error),
    /// A thread of the projection has ended, as it should not.
    #[error("{0}; to go on from there, restart the host")]
    Ended(String),
    /// A frame of the host's own is not as it was written.
    #[error("the host's own frame: {0}. This is a fault of Lantern: please report it")]
    Frame(#[from] frame::Error),
}

impl Error {
    /// Whether the same may succeed later, without anybody changing the plugin or the events.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::ReadModel(error) => error.is_transient(),
            Error::NoThread(_) => true,
            Error::Poison(_) | Error::Plugin(_) | Error::Ended(_) | Error::Frame(_) => false,
        }
    }
}
