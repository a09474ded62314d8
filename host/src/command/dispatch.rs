//! Sends what process managers want sent: each command with an idempotency key of its own, until it is answered.
//!
//! Between an answer and the moment at which its message is taken out of the outbox everything can be killed. The message is
//! then sent again, with the same key, and answered from what was decided. So each has its effect once.

#[cfg(test)]
mod tests;

use crate::projection::{State, Status};
use crate::read_model;
use crate::read_model::outbox::{Message, Outbox};
use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Messages that are on their way at once.
const ROUND_MAX: usize = 256;
/// How often it looks without having been told of anything.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The first pause before a message is sent again; it doubles.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What became of a command that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was decided: accepted or rejected.
    Decided,
    /// It will never be decided, and why: it is kept apart.
    Refused(String),
    /// It is not known whether it is decided, or not yet: it is sent again.
    NotYet(String),
}

/// How a command is sent, with its idempotency key.
pub type Send = Arc<
    dyn Fn(Message, String) -> Pin<Box<dyn Future<Output = Reply> + std::marker::Send>>
        + std::marker::Send
        + Sync,
>;

/// The dispatcher of one projection, in case it is a process manager.
pub struct Dispatcher {
    /// Its name, which begins the idempotency keys.
    pub plugin: String,
    /// The link to its live read model.
    pub read_model: PathBuf,
    /// Tells when to look.
    pub status: watch::Receiver<Status>,
    /// Sends a command.
    pub send: Send,
}

/// Aggregates that did not decide, by [`Message::to`]: when they are asked again, and after which pause.
type Waiting = HashMap<String, (Instant, Duration)>;

impl Dispatcher {
    /// Sends until it is aborted, which it can be at any moment. A projection that halts has sent what it sent.
    pub async fn run(mut self) {
        let mut outbox = None;
        let mut waiting = Waiting::new();
        let mut said = None;
        loop {
            let is_live = self.status.borrow_and_update().state == State::Live;
            let next = match self.round(&mut outbox, &mut waiting, is_live).await {
                Ok(None) => {
                    // Its plugin sends nothing; another may take its place, and makes an outbox at its first batch.
                    if self.status.changed().await.is_err() {
                        return;
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                    continue;
                }
                Ok(Some(next)) => {
                    said = None;
                    next
                }
                Err(error) => {
                    // Said once, however often it is tried.
                    let error = error.to_string();
                    if said.as_ref() != Some(&error) {
                        tracing::warn!(plugin = self.plugin, "commands are not sent now: {error}");
                        said = Some(error);
                    }
                    outbox = None;
                    LOOK_EVERY
                }
            };
            tokio::select! {
                Ok(()) = self.status.changed() => {}
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    /// Sends what is due; answers how long there is nothing to do, if nothing happens. `None`: there is no outbox.
    async fn round(
        &self,
        outbox: &mut Option<Outbox>,
        waiting: &mut Waiting,
        is_live: bool,
    ) -> Result<Option<Duration>, read_model::Error> {
        // Whoever promotes another generation replaces the link; messages of the one before were taken over.
        let live = std::fs::canonicalize(&self.read_model).unwrap_or_else(|_| self.read_model.clone());
        if outbox.as_ref().is_none_or(|outbox| outbox.path() != live) {
            waiting.clear();
            // The projection may not have made it yet.
            *outbox = if live.exists() { Outbox::open(&live)? } else { return Ok(Some(LOOK_EVERY)) };
        }
        if outbox.is_none() {
            return Ok(None);
        }
        loop {
            let now = Instant::now();
            // What comes behind a message may rest on it, so all of its aggregate waits.
            let held: Vec<String> =
                waiting.iter().filter(|(_, (at, _))| *at > now).map(|(to, _)| to.clone()).collect();
            let (due, next_due_ms) = with(outbox, move |outbox| {
                let held: Vec<&str> = held.iter().map(String::as_str).collect();
                let now_ms = now_ms();
                let due = outbox.due(is_live.then_some(now_ms), &held, ROUND_MAX)?;
                Ok((due, if is_live { outbox.next_due_ms(now_ms)? } else { None }))
            })
            .await?;
            if due.is_empty() {
                return Ok(Some(pause(next_due_ms, waiting)));
            }
            let settled = self.send_all(due, waiting).await;
            with(outbox, move |outbox| outbox.settle(&settled, now_ms())).await?;
        }
    }

    /// Sends messages, those of one aggregate one after the other. Answers those that are settled.
    async fn send_all(&self, due: Vec<Message>, waiting: &mut Waiting) -> Vec<(Message, Result<(), String>)> {
        let mut by_aggregate: HashMap<String, Vec<Message>> = HashMap::new();
        for message in due {
            by_aggregate.entry(message.to()).or_default().push(message);
        }
        let mut sending = JoinSet::new();
        for (_, messages) in by_aggregate {
            let (send, plugin) = (Arc::clone(&self.send), self.plugin.clone());
            sending.spawn(async move {
                let mut replies = Vec::with_capacity(messages.len());
                for message in messages {
                    let key = format!("{plugin}:{}", message.key);
                    let reply = send(message.clone(), key).await;
                    let is_waiting = matches!(reply, Reply::NotYet(_));
                    replies.push((message, reply));
                    if is_waiting {
                        break;
                    }
                }
                replies
            });
        }
        let mut settled = Vec::new();
        while let Some(replies) = sending.join_next().await {
            // A panic in it is a fault of Lantern, which the runtime reports; its messages are sent again.
            for (message, reply) in replies.unwrap_or_default() {
                self.note(message, reply, waiting, &mut settled);
            }
        }
        settled
    }

    fn note(
        &self,
        message: Message,
        reply: Reply,
        waiting: &mut Waiting,
        settled: &mut Vec<(Message, Result<(), String>)>,
    ) {
        let Message { key, command, .. } = &message;
        let (plugin, to) = (self.plugin.as_str(), message.to());
        match reply {
            Reply::Decided => {
                waiting.remove(&to);
                settled.push((message, Ok(())));
            }
            Reply::Refused(reason) => {
                waiting.remove(&to);
                tracing::error!(
                    plugin,
                    "{command} to {to} ({key}) can never be decided, and is kept in {}: {reason}",
                    read_model::outbox::UNSENT
                );
                settled.push((message, Err(reason)));
            }
            Reply::NotYet(reason) => {
                let before = waiting.get(&to).map(|(_, pause)| *pause);
                let pause = before.map_or(BACKOFF_FIRST, |pause| (pause * 2).min(BACKOFF_MAX));
                // Its first failure may pass; one that stays is to be seen, once.
                if pause == BACKOFF_MAX && before != Some(BACKOFF_MAX) {
                    tracing::warn!(plugin, "{command} to {to} ({key}) is not decided yet: {reason}");
                }
                waiting.insert(to, (Instant::now() + pause, pause));
            }
        }
    }
}

/// Asks the outbox where that may take long: it waits for the projection's batches.
async fn with<T: std::marker::Send + 'static>(
    outbox: &mut Option<Outbox>,
    ask: impl FnOnce(&mut Outbox) -> Result<T, read_model::Error> + std::marker::Send + 'static,
) -> Result<T, read_model::Error> {
    let gone = || read_model::Error::Query("the host is going down".into());
    let mut lent = outbox.take().ok_or_else(gone)?;
    let asked = tokio::task::spawn_blocking(move || {
        let answer = ask(&mut lent);
        (lent, answer)
    });
    let (lent, answer) = asked.await.map_err(|_| gone())?;
    *outbox = Some(lent);
    answer
}

/// Until the next message: one whose time comes, or one that is sent again.
fn pause(next_due_ms: Option<i64>, waiting: &Waiting) -> Duration {
    let now = Instant::now();
    let again = waiting.values().map(|(at, _)| at.saturating_duration_since(now)).min();
    let due = next_due_ms.map(|due| Duration::from_millis(u64::try_from(due - now_ms()).unwrap_or(0)));
    [again, due].into_iter().flatten().fold(LOOK_EVERY, Duration::min).max(Duration::from_millis(1))
}

/// The host's clock, in Unix milliseconds.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
