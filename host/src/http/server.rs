//! The server: from an address to drained connections.

use super::{App, DEFAULT_ADDRESS, Options};
use axum::extract::Extension;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 256;
/// How long a client may take for a request's head, or keep a connection without one.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// How long requests that run may take to end once the host goes down.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long to wait when the system has no more file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
#[error(
    "HTTP cannot listen on {address}: {source}. Set another address with http.listen (LANTERN_HTTP_LISTEN)"
)]
pub struct Error {
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

/// Who sent a request.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Takes the address that is set. With none set, several hosts on one machine are normal: where the default is taken, a
/// free port is.
///
/// # Errors
/// When the address that is set is taken, or the system refuses.
pub async fn bind(options: &Options) -> Result<TcpListener, Error> {
    let address = options.listen.map_or(DEFAULT_ADDRESS, |listen| listen.address());
    match TcpListener::bind(address).await {
        Err(error) if options.listen.is_none() && error.kind() == ErrorKind::AddrInUse => {
            let address = SocketAddr::new(address.ip(), 0);
            TcpListener::bind(address).await.map_err(|source| Error { address, source })
        }
        bound => bound.map_err(|source| Error { address, source }),
    }
}

/// Serves until `shutdown`, then ends what has begun, and returns.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
                let connection = draining.watch(connection(stream, service));
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
    if tokio::time::timeout(DRAIN_MAX, draining.shutdown()).await.is_err() {
        tracing::warn!("HTTP requests were cut off that did not end within {} s", DRAIN_MAX.as_secs());
    }
}

fn connection(
    stream: TcpStream,
    service: axum::Router,
) -> hyper::server::conn::http1::Connection<TokioIo<TcpStream>, TowerToHyperService<axum::Router>> {
    // Small answers should not wait for more; where it is refused they do.
    let _ = stream.set_nodelay(true);
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
}

fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}
