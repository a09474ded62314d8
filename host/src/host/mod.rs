//! One running host: the data folder, the log, what is deployed on them.
//!
//! # Layout
//!
//! * [`Log`]: where the log is: Kafka, the embedded broker of a running host, or one of our own.
//! * [`export`]: a copy of the log in another cluster, and the move there.
//! * [`folder`]: what is saved in and removed from the plugins folder.
//! * [`ready_made`]: plugins that the configuration sets up.
//! * [`Host`]: everything that runs in this process, from start to drain.

pub mod export;
pub mod folder;
mod log_access;
pub mod ready_made;

pub use log_access::{Log, Place};

use crate::config::Config;
use crate::data_dir::{self, DataDir, user_cache};
use crate::deployment::{self, Deployments};
use crate::http;
use crate::projection::Status;
use crate::wasm;
use folder::Folder;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

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
    /// The plugins folder.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// The ready-made plugins.
    #[error(transparent)]
    ReadyMade(#[from] ready_made::Error),
    /// Read models are of the embedded log, and another is configured.
    #[error(
        "the read models in {root} are of the embedded broker's log, and `bootstrap.servers` names {servers}, whose offsets are others. \
         Copy the log with `lantern log export --to {servers}` (without `bootstrap.servers`), then move what reads it with `lantern log switch`; \
         or begin anew with another --data-dir. \
         Where nothing has read that log, remove the folder `log` in it"
    )]
    NotMoved {
        /// The data folder.
        root: String,
        /// What is configured.
        servers: String,
    },
    /// A switch was interrupted.
    #[error("the log of {root} is being moved: finish it with `lantern log switch`")]
    Moving {
        /// The data folder.
        root: String,
    },
    /// The log was moved, and no other is configured.
    #[error(
        "the log of {root} was moved to the cluster {cluster}: set `bootstrap.servers` under [kafka] (it was {servers})"
    )]
    Moved {
        /// The data folder.
        root: String,
        /// The cluster's id.
        cluster: String,
        /// Its brokers when it was moved.
        servers: String,
    },
    /// Another cluster is configured than the one that the log was moved to.
    #[error(
        "the log of {root} is the cluster {cluster}, and {servers} is {found}, whose offsets are others: set `bootstrap.servers` to that one, \
         or begin anew with another --data-dir"
    )]
    OtherCluster {
        /// The data folder.
        root: String,
        /// What is configured.
        servers: String,
        /// Its cluster id.
        found: String,
        /// The one that the log was moved to.
        cluster: String,
    },
    /// HTTP.
    #[error(transparent)]
    Http(#[from] http::Error),
}

/// A host that runs.
pub struct Host {
    data: DataDir,
    log: Log,
    deployments: Deployments,
    /// What answers HTTP, and what tells it to stop.
    http: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    /// What deploys from the plugins folder.
    folder: Option<JoinHandle<()>>,
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
        // Who has built a plugin here has compiled it.
        let engine = wasm::Engine::with_limits(Some(data.cache()), &config.limits)?
            .looking_into(user_cache::compiled());
        let deployments = Deployments::open(config, &data, &engine, log.options(), once)?;
        Ok(Host { data, log, deployments, http: None, folder: None })
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

    /// Answers HTTP from now on, and tells the commands where.
    ///
    /// # Errors
    /// When the address that is set is taken, or the lock file cannot be written.
    pub async fn serve_http(&mut self, options: &http::Options) -> Result<(), Error> {
        let has_tokens = !self.deployments.catalog().tokens().map_err(deployment::Error::from)?.is_empty();
        let listener = http::bind(options, has_tokens).await?;
        let address = listener
            .local_addr()
            .map_err(|source| http::Error::Taken { address: http::DEFAULT_ADDRESS, source })?
            .to_string();
        let (deployments, data) = (self.deployments.clone(), self.data.clone());
        let app = http::App::new(deployments, data, options.clone(), self.log.options());
        let (stop, stopped) = oneshot::channel();
        // A host that is dropped ends it too.
        let serving = tokio::spawn(http::serve(listener, app, async move { stopped.await.unwrap_or(()) }));
        self.http = Some((stop, serving));
        self.log.announce_http(&address)?;
        tracing::info!("HTTP at {address}");
        Ok(())
    }

    /// Deploys what is saved in a folder from now on, and stops what is removed from it.
    pub fn follow(&mut self, folder: Folder) {
        self.folder = Some(tokio::spawn(folder::follow(folder, self.deployments.clone())));
    }

    /// Stops everything in order: nothing more is asked for, projections commit what they have, then the broker. Answers the last
    /// status of each projection.
    ///
    /// # Errors
    /// When the embedded broker cannot write its last bytes.
    pub async fn shutdown(self) -> Result<Vec<Status>, Error> {
        if let Some(folder) = self.folder {
            folder.abort();
        }
        if let Some((stop, serving)) = self.http {
            // It may have ended by a fault of its own.
            let _ = stop.send(());
            let _ = serving.await;
        }
        let last = self.deployments.shutdown().await;
        self.log.close().await?;
        Ok(last)
    }
}
