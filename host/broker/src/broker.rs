//! Starting and stopping.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::folder::{self, Lock};
use crate::group::{Groups, Offsets};
use crate::log::Syncer;
use crate::memory::Budget;
use crate::options::{Fsync, Options};
use crate::security::{self, Door, Inside, Login};
use crate::topics::{self, Topics};
use crate::transaction::Transactions;
use crate::{journal, server};

/// How long connections get to take the answers that are under way at shutdown.
const DRAIN_MAX: Duration = Duration::from_secs(3);
/// Threads of the broker's own runtime. Requests are short; what blocks for long has other threads.
const THREADS_MAX: usize = 4;

/// Why the broker could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// A topic could not be opened.
    #[error(transparent)]
    Topics(#[from] topics::Error),
    /// The state of transactions or groups could not be opened.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// It would be open to others, or its certificate is of no use.
    #[error(transparent)]
    Security(#[from] security::Error),
    /// The login of those who share the folder cannot be left there.
    #[error("cannot leave the login for this machine's clients in {dir}: {source}; check that the folder is writable", dir = dir.display())]
    Login {
        /// The folder.
        dir: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another address with `listen`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The system gave no threads.
    #[error("cannot start the broker's threads: {0}")]
    Threads(std::io::Error),
}

/// Everything that requests work on.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) options: Arc<Options>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) transactions: Transactions,
    pub(crate) groups: Groups,
    pub(crate) requests_memory: Budget,
    pub(crate) answers_memory: Budget,
    // Released last, when nothing writes any more.
    _lock: Lock,
}

impl Core {
    pub(crate) fn open(options: Options) -> Result<Core, Error> {
        let lock = folder::claim(&options.dir)?;
        let options = Arc::new(options);
        let syncer = Arc::new(Syncer::start().map_err(Error::Threads)?);
        let topics = Arc::new(Topics::open(&options, &syncer)?);
        let offsets = Arc::new(Offsets::open(&options.dir, options.fsync, &syncer)?);
        if let Err(error) = offsets.delete_unknown(|topic| topics.get(topic).is_some()) {
            tracing::warn!(%error, "offsets of deleted topics remain until the next start");
        }
        let transactions = Transactions::open(&options, &syncer, &topics, &offsets)?;
        Ok(Core {
            topics,
            transactions,
            groups: Groups::new(&options, &offsets),
            requests_memory: Budget::of_requests(options.request_bytes_max),
            answers_memory: Budget::of_answers(options.fetch_bytes_max),
            options,
            _lock: lock,
        })
    }

    /// Forces everything to the disk, so that the next start takes no time.
    fn settle(&self) -> Result<(), Error> {
        self.topics.settle()?;
        self.sync_journals()
    }

    fn sync_all(&self) -> Result<(), Error> {
        self.topics.sync_all()?;
        self.sync_journals()
    }

    fn sync_journals(&self) -> Result<(), Error> {
        self.transactions.sync()?;
        self.groups.offsets.sync()?;
        Ok(())
    }
}

/// A running broker. It works on threads of its own, so neither holds up the other: its host, nor
/// it its host.
///
/// Dropping it without [`Broker::shutdown`] ends it as abruptly as a crash would, and as safely.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    inside: Inside,
    closing: watch::Sender<bool>,
    core: Arc<Core>,
    serving: Option<JoinHandle<()>>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Broker {
    /// Opens the data folder, checks everything in it, and begins to listen.
    ///
    /// # Errors
    ///
    /// When another process has the folder, when something in it is damaged, when the address is
    /// taken, or when others could reach it without TLS and a password.
    pub async fn start(options: Options) -> Result<Broker, Error> {
        raise_file_limit();
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.clamp(2, THREADS_MAX))
            .thread_name("broker")
            .enable_all()
            .build()
            .map_err(Error::Threads)?;
        let starting = runtime.spawn(start(options));
        match starting.await {
            Ok(Ok(Started { address, inside, core, closing, serving })) => {
                let (serving, runtime) = (Some(serving), Some(runtime));
                Ok(Broker { address, inside, closing, core, serving, runtime })
            }
            Ok(Err(error)) => {
                runtime.shutdown_background();
                Err(error)
            }
            Err(ended) => {
                runtime.shutdown_background();
                Err(Error::Threads(std::io::Error::other(ended)))
            }
        }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where and as whom the process that embeds the broker connects; [`Inside::of`] is for others
    /// of its user.
    pub fn inside(&self) -> &Inside {
        &self.inside
    }

    /// Stops accepting, lets requests under way be answered, forces everything to the disk, and
    /// releases the folder.
    ///
    /// # Errors
    ///
    /// When the disk refuses to keep what was written.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.closing.send_replace(true);
        if let Some(serving) = self.serving.take() {
            let _ended_or_late = tokio::time::timeout(DRAIN_MAX, serving).await;
        }
        let core = Arc::clone(&self.core);
        let settling = move || {
            let _of_no_use_any_more = Inside::forget(&core.options.dir);
            core.settle()
        };
        let outcome = match tokio::task::spawn_blocking(settling).await {
            Ok(outcome) => outcome,
            Err(ended) => Err(Error::Threads(std::io::Error::other(ended))),
        };
        if let Some(runtime) = self.runtime.take() {
            // Ends every task, so that nothing holds the folder's lock when this returns.
            let ending = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(DRAIN_MAX));
            let _ended_or_late = ending.await;
        }
        outcome
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.closing.send_replace(true);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Every segment is an open file. The soft limit on them is low for the sake of old programs; those
/// that know better raise it to the hard limit.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit on open files stays as it is");
        }
    }
}

struct Started {
    address: SocketAddr,
    inside: Inside,
    core: Arc<Core>,
    closing: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

async fn start(options: Options) -> Result<Started, Error> {
    let door = Door::of(&options)?;
    let listen = options.listen;
    let core = tokio::task::spawn_blocking(move || Core::open(options))
        .await
        .map_err(|ended| Error::Threads(std::io::Error::other(ended)))??;
    let core = Arc::new(core);
    core.transactions.recover().await;
    let (listener, address) = bind(listen).await?;
    let (closing, closed) = watch::channel(false);
    if let Fsync::EveryMs(interval_ms) = core.options.fsync {
        tokio::spawn(sync_regularly(Arc::clone(&core), interval_ms, closed.clone()));
    }
    tokio::spawn(maintain_regularly(Arc::clone(&core), closed.clone()));
    let sweeping = Arc::clone(&core);
    let until = closed.clone();
    tokio::spawn(async move { sweeping.transactions.sweep(until).await });
    let sweeping = Arc::clone(&core);
    let until = closed.clone();
    tokio::spawn(async move { sweeping.groups.sweep(until).await });
    let (inside, serving_inside) = inside(&core, &door, address, &closed).await?;
    let serving_outside = server::serve(listener, door, Arc::clone(&core), closed);
    let serving = tokio::spawn(async {
        serving_outside.await;
        if let Some(serving) = serving_inside {
            let _ended = serving.await;
        }
    });
    Ok(Started { address, inside, core, closing, serving })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let listening = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    Ok((listener, address))
}

/// The way for those who share the folder: the door itself where it is open, else one of their own.
async fn inside(
    core: &Arc<Core>,
    door: &Door,
    address: SocketAddr,
    closed: &watch::Receiver<bool>,
) -> Result<(Inside, Option<JoinHandle<()>>), Error> {
    let dir = &core.options.dir;
    let leaving = |source| Error::Login { dir: dir.clone(), source };
    if door.is_open() {
        Inside::forget(dir).map_err(leaving)?;
        return Ok((Inside { address, login: None }, None));
    }
    let login = Login::new().map_err(security::Error::Login)?;
    let door = Door::inside(&login)?;
    let (listener, address) = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let inside = Inside { address, login: Some(login) };
    inside.leave(dir).map_err(leaving)?;
    let serving = tokio::spawn(server::serve(listener, door, Arc::clone(core), closed.clone()));
    Ok((inside, Some(serving)))
}

/// Forces everything to the disk at an interval.
async fn sync_regularly(core: Arc<Core>, interval_ms: u64, mut closing: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(interval_ms.max(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = closing.changed() => return,
        }
        let core = Arc::clone(&core);
        match tokio::task::spawn_blocking(move || core.sync_all()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the log could not be forced to the disk"),
            Err(_) => return,
        }
    }
}

/// Has retention and compaction done at an interval.
async fn maintain_regularly(core: Arc<Core>, mut closing: watch::Receiver<bool>) {
    let interval = Duration::from_millis(core.options.maintain_every_ms.max(1));
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            _ = closing.changed() => return,
        }
        let topics = Arc::clone(&core.topics);
        if tokio::task::spawn_blocking(move || topics.maintain()).await.is_err() {
            tracing::error!("retention and compaction have ended by a bug; start the broker again for them");
            return;
        }
    }
}
