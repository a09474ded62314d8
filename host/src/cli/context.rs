//! What every command is given.

use super::signals::Signals;
use crate::config::{self, Config};
use crate::data_dir::DataDir;
use crate::host::{self, Log};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The configuration, the data folder, and a runtime to wait on.
pub struct Context {
    /// The configuration file that is named, instead of the usual one.
    pub file: Option<PathBuf>,
    /// What is set.
    pub config: Config,
    /// The data folder that it names.
    pub data: DataDir,
    /// Whether progress and remarks are unwanted.
    pub quiet: bool,
    runtime: tokio::runtime::Runtime,
}

/// Whether a signal came.
#[derive(Clone, Debug, Default)]
pub struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    /// Whether one came.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Context {
    /// Reads the configuration; flags go before it.
    ///
    /// # Errors
    /// When the configuration is wrong, or the system has no threads.
    pub fn new(file: Option<&Path>, data_dir: Option<PathBuf>, quiet: bool) -> anyhow::Result<Self> {
        let mut config = Config::load(file, config::variables()?)?;
        if let Some(data_dir) = data_dir {
            config.data_dir = data_dir;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let file = file.map(Path::to_owned);
        Ok(Context { data: DataDir::new(&config.data_dir), file, config, quiet, runtime })
    }

    /// Waits for something on the runtime.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Ends the runtime without waiting for what still runs on its threads.
    pub fn leave(self) {
        self.runtime.shutdown_background();
    }

    /// From now on: whether somebody wants the command to end, by SIGINT or SIGTERM, so that it can clean up.
    ///
    /// # Errors
    /// When the system does not let signals be watched.
    pub fn interrupted(&self) -> anyhow::Result<Interrupted> {
        let _runtime = self.runtime.enter();
        let mut signals = Signals::watch()?;
        let interrupted = Interrupted::default();
        let seen = interrupted.clone();
        self.runtime.spawn(async move {
            signals.next().await;
            seen.0.store(true, Ordering::Relaxed);
        });
        Ok(interrupted)
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
