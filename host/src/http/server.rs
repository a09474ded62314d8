//! The server: from an address to drained connections.

use super::readers::Readers;
use super::{App, DEFAULT_ADDRESS, Options};
use axum::extract::Extension;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;

/// The most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long requests that run may take to end once the host goes down.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long to wait when the system has no more file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be taken.
    #[error(
        "HTTP cannot listen on {address}: {source}. Set another address with http.listen (LANTERN_HTTP_LISTEN)"
    )]
    Taken {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Whoever reaches the address could do everything.
    #[error(
        "HTTP does not listen on {address}, which other machines reach, as long as nobody needs a token there. Make one          with `lantern token create`; or listen on a loopback address such as {DEFAULT_ADDRESS}, which is reached through          an SSH tunnel; or set http.allow_anonymous where only who may do everything reaches it"
    )]
    Open {
        /// The address.
        address: SocketAddr,
    },
}

/// Who sent a request.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Takes the address that is set; one that other machines reach only where requests need a token. With none set, several hosts on one machine are normal: where the default is taken, a
/// free port is.
///
/// # Errors
/// When the address that is set is taken or open to everybody, or the system refuses.
pub async fn bind(options: &Options, has_tokens: bool) -> Result<TcpListener, Error> {
    let address = options.listen.map_or(DEFAULT_ADDRESS, |listen| listen.address());
    if !address.ip().to_canonical().is_loopback() && !has_tokens && !options.allow_anonymous {
        return Err(Error::Open { address });
    }
    match TcpListener::bind(address).await {
        Err(error) if options.listen.is_none() && error.kind() == ErrorKind::AddrInUse => {
            let address = SocketAddr::new(address.ip(), 0);
            TcpListener::bind(address).await.map_err(|source| Error::Taken { address, source })
        }
        bound => bound.map_err(|source| Error::Taken { address, source }),
    }
}

/// Serves until `shutdown`, then ends what has begun, and returns.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) {
    let connections = Arc::new(Semaphore::new(app.options.connections_max.max(1)));
    let patience = Patience::of(&app.options);
    let sweeper = tokio::spawn(sweep(app.readers.clone()));
    let draining = GracefulShutdown::new();
    let router = app.router();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            // Never closed.
            let place = Arc::clone(&connections).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let service = router.clone().layer(Extension(Peer(peer)));
                let connection = draining.watch(connection(stream, service, patience));
                tokio::spawn(async move {
                    let _place = place;
                    // A client that goes away is no concern of ours.
                    let _ = connection.await;
                });
            }
            Err(error) if is_of_one_client(&error) => {}
            Err(error) => {
                tracing::warn!("HTTP cannot accept a connection, trying again: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    sweeper.abort();
    if tokio::time::timeout(DRAIN_MAX, draining.shutdown()).await.is_err() {
        tracing::warn!("HTTP requests were cut off that did not end within {} s", DRAIN_MAX.as_secs());
    }
}

/// How long a client may keep a connection waiting.
#[derive(Clone, Copy)]
struct Patience {
    /// For a request's head.
    head: Duration,
    /// For some bytes of its answer to be taken.
    write: Duration,
}

impl Patience {
    fn of(options: &Options) -> Self {
        let ms = Duration::from_millis;
        Patience { head: ms(options.head_ms_max), write: ms(options.write_ms_max) }
    }
}

type Connection = hyper::server::conn::http1::Connection<
    TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>,
    TowerToHyperService<axum::Router>,
>;

fn connection(stream: TcpStream, service: axum::Router, patience: Patience) -> Connection {
    // Small answers should not wait for more; where it is refused they do.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience.write));
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(service))
}

/// Closes connections to read models that nobody uses.
async fn sweep(readers: Readers) {
    loop {
        tokio::time::sleep(Readers::SWEEP_EVERY).await;
        let readers = readers.clone();
        // One that panics is said by the runtime.
        let _ = tokio::task::spawn_blocking(move || readers.sweep()).await;
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}
