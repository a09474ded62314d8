//! What a plugin may ask for where there is no read model: a log, and no database.

use super::failure::{Failure, Fault};
use super::imports::{Imports, Level};
use std::time::Instant;

/// Logs, and refuses every statement.
pub struct NoDatabase {
    plugin: String,
}

impl NoDatabase {
    /// For a plugin of this name, or a file that it came from.
    pub fn new(plugin: &str) -> Self {
        Self { plugin: plugin.to_owned() }
    }

    fn refuse<T>() -> Result<T, Failure> {
        Err(Failure {
            fault: Fault::Unsupported,
            message: "there is no database here: use SQL inside a projection's apply only".to_owned(),
            index: None,
        })
    }
}

impl Imports for NoDatabase {
    /// Nothing here takes long.
    fn deadline(&mut self, _at: Instant) {}

    fn log(&mut self, level: Level, message: &str) {
        level.write(&self.plugin, message);
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
