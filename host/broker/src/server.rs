//! Connections: a reader that takes requests in order, and a writer that sends answers in the same
//! order.
//!
//! Requests of one connection take effect one after the other, as Kafka's protocol promises. Only
//! what a `Produce` waits for, the disk, is left to the writer, so that batches sent one after the
//! other share one fsync.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::api::Session;
use crate::broker::Core;
use crate::poison::lock;
use crate::wire::Error;
use crate::wire::dispatch::{Reply, dispatch};
use crate::wire::frame::Frames;

/// Answers of one connection that may wait to be sent; further requests are not read meanwhile.
const REPLIES_MAX: usize = 64;
/// An answer from this size on is taken by the writer before the next request is read, so that a client that asks
/// and does not read cannot fill the memory.
const LARGE_REPLY_BYTES: usize = 64 << 10;
/// Pause after the system could not accept a connection, for instance for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `closing` turns true, then lets them finish.
pub(crate) async fn serve(listener: TcpListener, core: Arc<Core>, mut closing: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(core.options.connections_max));
    let complaints = Arc::new(Complaints::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_ended) = connections.join_next() => continue,
            _ = closing.changed() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            complaints.once("connections", || {
                tracing::warn!(
                    connections_max = core.options.connections_max,
                    "too many connections; further ones are closed"
                );
            });
            continue;
        };
        let core = Arc::clone(&core);
        let closing = closing.clone();
        let complaints = Arc::clone(&complaints);
        connections.spawn(async move {
            let _slot = slot;
            if let Err(error) = connection(stream, peer, core, closing).await {
                complaints.about(peer, &error);
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Things that are logged once each, so that a client that retries for ever does not fill the log.
#[derive(Default)]
struct Complaints(Mutex<HashSet<String>>);

impl Complaints {
    const KINDS_MAX: usize = 1_000;

    fn once(&self, kind: &str, log: impl FnOnce()) {
        let mut seen = lock(&self.0);
        if seen.len() < Self::KINDS_MAX && seen.insert(kind.to_owned()) {
            log();
        }
    }

    fn about(&self, peer: SocketAddr, error: &Error) {
        match error {
            Error::Io(_) | Error::Idle => tracing::debug!(%peer, %error, "a connection ended"),
            Error::UnknownApi(_) | Error::UnknownVersion { .. } => {
                self.once(&error.to_string(), || {
                    tracing::warn!(%peer, %error, "a connection was closed; this is said once");
                });
            }
            _ => tracing::warn!(%peer, %error, "a connection was closed"),
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    core: Arc<Core>,
    closing: watch::Receiver<bool>,
) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let write_max = Duration::from_millis(core.options.write_ms_max);
    let session = Session { core, local, peer, closing };
    let (reader, writer) = stream.into_split();
    let (replies, queue) = mpsc::channel(REPLIES_MAX);
    let mut writing = tokio::spawn(write(writer, queue, write_max));
    let outcome = tokio::select! {
        outcome = read(reader, &session, replies) => outcome,
        // The client is gone or stuck: whatever its request waits for, nobody will read the answer.
        written = &mut writing => return written.unwrap_or(Ok(())),
    };
    let written = writing.await.unwrap_or(Ok(()));
    outcome.and(written)
}

async fn read(reader: OwnedReadHalf, session: &Session, replies: mpsc::Sender<Reply>) -> Result<(), Error> {
    let options = &session.core.options;
    let mut frames = Frames::new(reader, options.request_bytes_max);
    let idle = Duration::from_millis(options.idle_ms_max);
    let mut closing = session.closing.clone();
    loop {
        if *closing.borrow() {
            return Ok(());
        }
        let frame = tokio::select! {
            frame = timeout(idle, frames.next()) => frame.map_err(|_| Error::Idle)??,
            _ = closing.changed() => continue,
        };
        let Some(frame) = frame else {
            return Ok(());
        };
        let reply = match dispatch(session, frame).await? {
            Reply::None => continue,
            reply => reply,
        };
        let is_large = matches!(&reply, Reply::Ready(bytes) if bytes.len() >= LARGE_REPLY_BYTES);
        if replies.send(reply).await.is_err() {
            return Ok(());
        }
        // The whole queue is free again once the writer has taken this answer, and it takes one only
        // when the one before it is sent: so at most two large ones exist.
        if is_large && replies.reserve_many(REPLIES_MAX).await.is_err() {
            return Ok(());
        }
    }
}

async fn write(
    mut writer: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Reply>,
    write_max: Duration,
) -> Result<(), Error> {
    while let Some(reply) = queue.recv().await {
        let bytes = match reply {
            Reply::Ready(bytes) => bytes,
            Reply::Later(bytes) => bytes.await?,
            Reply::None => continue,
        };
        timeout(write_max, writer.write_all(&bytes)).await.map_err(|_| Error::Stuck)??;
    }
    Ok(())
}
