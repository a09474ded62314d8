//! Connections: a reader that takes requests in order, and a writer that sends answers in the same
//! order.
//!
//! Requests of one connection take effect one after the other, as Kafka's protocol promises. Only
//! what a `Produce` waits for, the disk, is left to the writer, so that batches sent one after the
//! other share one fsync.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::api::{Session, text};
use crate::broker::Core;
use crate::handshake::{self, Outcome, authenticate};
use crate::poison::lock;
use crate::security::strangers::Stranger;
use crate::security::{Door, is_loopback};
use crate::wire::Error;
use crate::wire::dispatch::{Reply, dispatch};
use crate::wire::frame::Frames;

/// Answers of one connection that may wait to be sent; further requests are not read meanwhile.
const REPLIES_MAX: usize = 64;
/// An answer from this size on is taken by the writer before the next request is read, so that a client that asks
/// and does not read cannot fill the memory.
const LARGE_REPLY_BYTES: usize = 64 << 10;
/// So much of an answer, or all of it, is taken within `write_ms_max`: a slow client takes its time for a large one,
/// and one that takes a byte now and then does not hold it for ever.
const PROGRESS_BYTES: usize = 1 << 20;
/// Pause after the system could not accept a connection, for instance for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `closing` turns true, then lets them finish.
pub(crate) async fn serve(
    listener: TcpListener,
    door: Door,
    core: Arc<Core>,
    mut closing: watch::Receiver<bool>,
) {
    let door = Arc::new(door);
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
        let door = Arc::clone(&door);
        let closing = closing.clone();
        let complaints = Arc::clone(&complaints);
        connections.spawn(async move {
            let _slot = slot;
            if let Err(error) = connection(stream, peer, &door, core, closing).await {
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
            // A client tries again for ever, and whoever guesses passwords does it quickly.
            Error::UnknownApi(_)
            | Error::UnknownVersion { .. }
            | Error::Unauthenticated { .. }
            | Error::Mechanism(_)
            | Error::Stalled
            | Error::Halted
            | Error::Strangers
            | Error::Tls(_)
            | Error::Refused { .. } => {
                self.once(&format!("{} {error}", peer.ip()), || {
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
    door: &Door,
    core: Arc<Core>,
    closing: watch::Receiver<bool>,
) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let (host, port) = match &door.advertise {
        Some(endpoint) => endpoint.clone(),
        None => {
            let local = stream.local_addr()?;
            (local.ip().to_canonical().to_string(), local.port())
        }
    };
    let stranger = match door.is_open() {
        true => None,
        false => Some(door.strangers.enter(peer.ip()).ok_or(Error::Strangers)?),
    };
    let deadline = Instant::now() + Duration::from_millis(core.options.handshake_ms_max);
    let is_private = door.tls.is_some() || is_loopback(peer);
    let session = Session { core, host: text(host), port, peer, closing };
    let visitor = Visitor { stranger, deadline, is_private };
    match &door.tls {
        None => {
            let (reader, writer) = stream.into_split();
            converse(reader, writer, session, door, visitor).await
        }
        Some(tls) => {
            let mut closing = session.closing.clone();
            let accepted = tokio::select! {
                accepted = timeout_at(deadline, tls.0.accept(stream)) => accepted,
                _ = closing.changed() => return Ok(()),
            };
            let stream = accepted.map_err(|_| Error::Stalled)?.map_err(Error::Tls)?;
            let (reader, writer) = tokio::io::split(stream);
            converse(reader, writer, session, door, visitor).await
        }
    }
}

/// Somebody at the door.
struct Visitor {
    /// Holds a stranger's place until it is known who it is.
    stranger: Option<Stranger>,
    deadline: Instant,
    /// Whether nobody else reads what is sent.
    is_private: bool,
}

/// Lets a client in, and answers its requests.
async fn converse<R, W>(
    reader: R,
    mut writer: W,
    session: Session,
    door: &Door,
    visitor: Visitor,
) -> Result<(), Error>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let options = &session.core.options;
    let mut frames = Frames::new(reader, handshake::REQUEST_BYTES_MAX);
    if let Some(users) = &door.users {
        let mut closing = session.closing.clone();
        let asking = authenticate(&mut frames, &mut writer, users, visitor.is_private);
        let outcome = tokio::select! {
            outcome = timeout_at(visitor.deadline, asking) => outcome.map_err(|_| Error::Stalled)??,
            _ = closing.changed() => return Ok(()),
        };
        match outcome {
            Outcome::User(user) => tracing::debug!(peer = %session.peer, user, "a client is authenticated"),
            Outcome::Left => return Ok(()),
            Outcome::Refused { answer, error } => {
                // It is not told sooner when it leaves and comes back.
                if let Some(stranger) = &visitor.stranger {
                    tokio::time::sleep(stranger.refusal_pause()).await;
                }
                if let Some(answer) = answer {
                    let telling = async {
                        writer.write_all(&answer).await?;
                        writer.shutdown().await
                    };
                    let _gone = timeout(Duration::from_millis(options.write_ms_max), telling).await;
                }
                return Err(error);
            }
        }
    }
    drop(visitor);
    let step_max = Duration::from_millis(options.write_ms_max);
    frames.allow(options.request_bytes_max, &session.core.requests_memory, step_max);
    let write_max = Duration::from_millis(options.write_ms_max);
    let (replies, queue) = mpsc::channel(REPLIES_MAX);
    let mut writing = tokio::spawn(write(writer, queue, write_max));
    let outcome = tokio::select! {
        outcome = read(frames, &session, replies) => outcome,
        // The client is gone or stuck: whatever its request waits for, nobody will read the answer.
        written = &mut writing => return written.unwrap_or(Ok(())),
    };
    let written = writing.await.unwrap_or(Ok(()));
    outcome.and(written)
}

async fn read<R: AsyncRead + Unpin>(
    mut frames: Frames<R>,
    session: &Session,
    replies: mpsc::Sender<Reply>,
) -> Result<(), Error> {
    let options = &session.core.options;
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
        let is_large = matches!(&reply, Reply::Ready(answer) if answer.remaining() >= LARGE_REPLY_BYTES);
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

async fn write<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut queue: mpsc::Receiver<Reply>,
    write_max: Duration,
) -> Result<(), Error> {
    while let Some(reply) = queue.recv().await {
        let mut answer = match reply {
            Reply::Ready(answer) => answer,
            Reply::Later(bytes) => bytes.await?.into(),
            Reply::None => continue,
        };
        let mut deadline = Instant::now() + write_max;
        let mut taken = 0;
        while answer.has_remaining() {
            let writing = writer.write_buf(&mut answer);
            taken += match timeout_at(deadline, writing).await.map_err(|_| Error::Stuck)?? {
                0 => return Err(Error::Io(ErrorKind::WriteZero.into())),
                count => count,
            };
            if taken >= PROGRESS_BYTES {
                (taken, deadline) = (0, Instant::now() + write_max);
            }
        }
        // TLS keeps bytes until then.
        timeout_at(deadline, writer.flush()).await.map_err(|_| Error::Stuck)??;
    }
    // TLS says good-bye, so that nobody takes a cut for the end.
    let _gone = timeout(write_max, writer.shutdown()).await;
    Ok(())
}
