//! One running host: the data folder, the log, the projections.
//!
//! # Layout
//!
//! * [`Log`]: where the log is: Kafka, the embedded broker of a running host, or one of our own.
//! * [`Host`]: the projections that run on it, from start to drain.
//! * [`persisted`]: what is left of a projection's status for other processes to read.

mod log_access;
pub mod persisted;

pub use log_access::{Log, Place};

use crate::config::Config;
use crate::data_dir::{self, DataDir};
use crate::plugin::{self, Plugin};
use crate::projection::{Projection, Status, Worker};
use crate::wasm;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Why a host does not start, or a projection not on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    /// The embedded broker.
    #[error("the embedded broker does not start: {0}")]
    Broker(#[from] lantern_broker::Error),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] wasm::Error),
    /// A plugin.
    #[error(transparent)]
    Plugin(#[from] plugin::Error),
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
    /// The system has no thread for it.
    #[error("{name}: no thread for the projection: {source}")]
    Thread {
        /// The projection.
        name: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A projection that runs on a host.
struct Running {
    name: String,
    origin: String,
    worker: Worker,
    status_writer: JoinHandle<()>,
}

/// A host that runs.
pub struct Host {
    config: Config,
    data: DataDir,
    engine: wasm::Engine,
    log: Log,
    running: Vec<Running>,
}

impl Host {
    /// Takes the data folder and reaches for the log; starts the embedded broker where no other is
    /// configured. `command` tells others who holds the folder.
    ///
    /// # Errors
    /// When the folder is taken or cannot be used, or the broker or the engine does not start.
    pub async fn start(config: Config, command: &str) -> Result<Host, Error> {
        let data = DataDir::new(&config.data_dir);
        let log = Log::own(&config, &data, command).await?;
        data.create(&data.cache())?;
        let engine = wasm::Engine::with_limits(Some(data.cache()), &config.limits)?;
        Ok(Host { config, data, engine, log, running: Vec::new() })
    }

    /// The log that it uses.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its data folder.
    pub fn data(&self) -> &DataDir {
        &self.data
    }

    /// Loads a plugin from a file and keeps a copy of it, by digest.
    ///
    /// # Errors
    /// When the file is not a plugin; nothing has changed then.
    pub fn load(&self, path: &Path) -> Result<Plugin, Error> {
        let bytes = plugin::read(path)?;
        let plugin = Plugin::load(&self.engine, &bytes, &path.display().to_string(), &self.config.limits)?;
        self.keep(&plugin, &bytes)?;
        Ok(plugin)
    }

    fn keep(&self, plugin: &Plugin, bytes: &[u8]) -> Result<(), Error> {
        let folder = self.data.artifacts();
        self.data.create(&folder)?;
        let path = folder.join(format!("{}.wasm", plugin.digest));
        if path.exists() {
            return Ok(());
        }
        let written = tempfile::NamedTempFile::new_in(&folder)
            .and_then(|mut file| file.write_all(bytes).map(|()| file))
            .and_then(|file| file.persist(&path).map_err(|error| error.error));
        written.map(drop).map_err(|source| data_dir::Error::Io { path, source }.into())
    }

    /// Runs a plugin as a projection. With `once` it stops when it has applied what the log has now.
    ///
    /// # Errors
    /// When another of its name runs, or its read model's folder cannot be made.
    pub fn run(&mut self, plugin: Plugin, once: bool) -> Result<(), Error> {
        let name = plugin.name.clone();
        let origin = plugin.origin.clone();
        if let Some(other) = self.running.iter().find(|running| running.name == name) {
            return Err(Error::Twice { origin, name, other: other.origin.clone() });
        }
        let read_model = self.live_generation(&name)?;
        let worker = Worker::spawn(Projection {
            plugin: Arc::new(plugin),
            read_model,
            options: self.config.projections.get(&name).cloned().unwrap_or_default(),
            batch: self.config.batch.clone(),
            limits: self.config.limits.clone(),
            log: self.log.options().clone(),
            engine: self.engine.clone(),
            once,
        })
        .map_err(|source| Error::Thread { name: name.clone(), source })?;
        let path = self.data.status(&name);
        let status_writer = tokio::spawn(persisted::follow(worker.status.clone(), path));
        self.running.push(Running { name, origin, worker, status_writer });
        Ok(())
    }

    /// The file of the live generation; the link that people open is made with the first.
    fn live_generation(&self, name: &str) -> Result<PathBuf, Error> {
        self.data.create(&self.data.generations(name))?;
        let link = self.data.read_model(name);
        if let Ok(target) = fs::read_link(&link) {
            return Ok(link.parent().unwrap_or(Path::new("")).join(target));
        }
        let target = Path::new(name).join("1.db");
        std::os::unix::fs::symlink(&target, &link)
            .map_err(|source| data_dir::Error::Io { path: link, source })?;
        Ok(self.data.generation(name, 1))
    }

    /// A moment of every projection.
    pub fn statuses(&self) -> Vec<Status> {
        self.running.iter().map(|running| running.worker.status.borrow().clone()).collect()
    }

    /// Waits until no projection does anything any more: each has stopped or halted.
    pub async fn over(&self) {
        for running in &self.running {
            let mut status = running.worker.status.clone();
            // A closed channel is a worker that is gone.
            let _ = status.wait_for(Status::is_over).await;
        }
    }

    /// Stops everything in order: projections commit what they have, then the broker. Answers the last
    /// status of each projection.
    ///
    /// # Errors
    /// When the embedded broker cannot write its last bytes.
    pub async fn shutdown(self) -> Result<Vec<Status>, Error> {
        for running in &self.running {
            running.worker.stop();
        }
        let mut last = Vec::new();
        for Running { worker, status_writer, .. } in self.running {
            let joined = tokio::task::spawn_blocking(move || worker.join()).await;
            // The writer ends with the worker's channel, after its last status.
            let _ = status_writer.await;
            last.extend(joined.ok());
        }
        self.log.close().await?;
        Ok(last)
    }
}
