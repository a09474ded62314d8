//! What a plugin may ask for while it describes itself: a log, and no database.

use crate::wasm::{Failure, Fault, Imports, Level};
use std::time::Instant;

/// Refuses every statement, since there is no read model yet.
pub(super) struct NoDatabase;

impl NoDatabase {
    fn refuse<T>() -> Result<T, Failure> {
        Err(Failure {
            fault: Fault::Unsupported,
            message: "there is no database while a plugin describes itself: use SQL inside apply only"
                .to_owned(),
            index: None,
        })
    }
}

impl Imports for NoDatabase {
    /// Nothing here takes long.
    fn deadline(&mut self, _at: Instant) {}

    fn log(&mut self, level: Level, message: &str) {
        match level {
            Level::Error => tracing::error!(target: "plugin", "{message}"),
            Level::Warn => tracing::warn!(target: "plugin", "{message}"),
            Level::Info => tracing::info!(target: "plugin", "{message}"),
            Level::Debug => tracing::debug!(target: "plugin", "{message}"),
            Level::Trace => tracing::trace!(target: "plugin", "{message}"),
        }
    }

    fn prepare(&mut self, _sql: &str) -> Result<u32, Failure> {
        Self::refuse()
    }

    fn apply(&mut self, _ops: &[u8]) -> Result<u32, Failure> {
        Self::refuse()
    }

    fn query(&mut self, _statement: u32, _params: &[u8], _rows_max: u32) -> Result<Vec<u8>, Failure> {
        Self::refuse()
    }
}
