//! One running host: the data folder, the log, what is deployed on them.
//!
//! # Layout
//!
//! * [`Log`]: where the log is: Kafka, the embedded broker of a running host, or one of our own.
//! * [`Host`]: everything that runs in this process, from start to drain.

mod log_access;

pub use log_access::{Log, Place};

use crate::config::Config;
use crate::data_dir::{self, DataDir};
use crate::deployment::{self, Deployments};
use crate::projection::Status;
use crate::wasm;

/// Why a host does not start.
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
    /// What is deployed.
    #[error(transparent)]
    Deployment(#[from] deployment::Error),
}

/// A host that runs.
pub struct Host {
    data: DataDir,
    log: Log,
    deployments: Deployments,
}

impl Host {
    /// Takes the data folder and reaches for the log; starts the embedded broker where no other is
    /// configured. `command` tells others who holds the folder. With `once` projections end when they have
    /// applied what the log has at their start. Nothing is deployed yet.
    ///
    /// # Errors
    /// When the folder is taken or cannot be used, or the broker or the engine does not start.
    pub async fn start(config: &Config, command: &str, once: bool) -> Result<Host, Error> {
        let data = DataDir::new(&config.data_dir);
        let log = Log::own(config, &data, command).await?;
        data.create(&data.cache())?;
        let engine = wasm::Engine::with_limits(Some(data.cache()), &config.limits)?;
        let deployments = Deployments::open(config, &data, &engine, log.options(), once)?;
        Ok(Host { data, log, deployments })
    }

    /// The log that it uses.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its data folder.
    pub fn data(&self) -> &DataDir {
        &self.data
    }

    /// What runs on it, and what shall run.
    pub fn deployments(&self) -> &Deployments {
        &self.deployments
    }

    /// Stops everything in order: projections commit what they have, then the broker. Answers the last
    /// status of each projection.
    ///
    /// # Errors
    /// When the embedded broker cannot write its last bytes.
    pub async fn shutdown(self) -> Result<Vec<Status>, Error> {
        let last = self.deployments.shutdown().await;
        self.log.close().await?;
        Ok(last)
    }
}
