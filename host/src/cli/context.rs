//! What every command is given.

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::host::{self, Log};
use std::future::Future;
use std::path::{Path, PathBuf};

/// The configuration, the data folder, and a runtime to wait on.
pub struct Context {
    /// What is set.
    pub config: Config,
    /// The data folder that it names.
    pub data: DataDir,
    /// Whether progress and remarks are unwanted.
    pub quiet: bool,
    runtime: tokio::runtime::Runtime,
}

impl Context {
    /// Reads the configuration; flags go before it.
    ///
    /// # Errors
    /// When the configuration is wrong, or the system has no threads.
    pub fn new(file: Option<&Path>, data_dir: Option<PathBuf>, quiet: bool) -> anyhow::Result<Self> {
        let mut config = Config::load(file, std::env::vars())?;
        if let Some(data_dir) = data_dir {
            config.data_dir = data_dir;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Context { data: DataDir::new(&config.data_dir), config, quiet, runtime })
    }

    /// Waits for something on the runtime.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// A way to the log for `command`, used by `with`, and closed after it.
    ///
    /// # Errors
    /// When the log cannot be reached, or `with` fails.
    pub fn with_log<T>(
        &self,
        command: &str,
        with: impl FnOnce(&Log) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let log = self.wait(Log::reach(&self.config, &self.data, command))?;
        let done = with(&log);
        let closed: Result<(), host::Error> = self.wait(log.close());
        // What went wrong first is what matters.
        let done = done?;
        closed?;
        Ok(done)
    }
}
