//! Sends what process managers want sent: each command with an idempotency key of its own, until it is answered.
//!
//! Between an answer and the moment at which its message is taken out of the outbox everything can be killed. The message is
//! then sent again, with the same key, and answered from what was decided. So each has its effect once.

use crate::read_model;
#[cfg(test)]
mod tests;

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

/// A moment of the projection whose outbox it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Events applied so far: when it grows there may be messages.
    pub events: u64,
    /// Whether everything that the log has is applied: only then a timeout that nothing has taken back has come to pass.
    pub is_live: bool,
}

/// The dispatcher of one process manager.
pub struct Dispatcher {
    /// Its name, which begins the idempotency keys.
    pub plugin: String,
    /// The link to its live read model.
    pub read_model: PathBuf,
    /// Tells when to look.
    pub moment: watch::Receiver<Moment>,
    /// Sends a command.
    pub send: Send,
}

/// Messages that were not decided, and when each is sent again.
type Waiting = HashMap<String, (Instant, Duration)>;

impl Dispatcher {
    /// Sends until the projection's end, or until it is aborted, which it can be at any moment.
    pub async fn run(mut self) {
        let mut outbox = None;
        let mut waiting = Waiting::new();
        let mut said = None;
        loop {
            let moment = *self.moment.borrow_and_update();
            let next = match self.round(&mut outbox, &mut waiting, moment.is_live).await {
                Ok(next) => {
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
                changed = self.moment.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    /// Sends what is due; answers how long there is nothing to do, if nothing happens.
    async fn round(
        &self,
        outbox: &mut Option<Outbox>,
        waiting: &mut Waiting,
        is_live: bool,
    ) -> Result<Duration, read_model::Error> {
        // Whoever promotes another generation replaces the link; messages of the one before were taken over.
        let live = std::fs::canonicalize(&self.read_model).unwrap_or_else(|_| self.read_model.clone());
        if outbox.as_ref().is_none_or(|outbox| outbox.path() != live) {
            *outbox = Some(Outbox::open(&live)?);
            waiting.clear();
        }
        loop {
            let limit = ROUND_MAX + waiting.len();
            let (mut due, next_due_ms) = with(outbox, move |outbox| {
                let now_ms = now_ms();
                let due = outbox.due(is_live.then_some(now_ms), limit)?;
                Ok((due, if is_live { outbox.next_due_ms(now_ms)? } else { None }))
            })
            .await?;
            let now = Instant::now();
            due.retain(|message| waiting.get(&message.key).is_none_or(|(at, _)| *at <= now));
            if due.is_empty() {
                return Ok(pause(next_due_ms, waiting));
            }
            let settled = self.send_all(due, waiting).await;
            with(outbox, move |outbox| outbox.settle(&settled, now_ms())).await?;
        }
    }

    /// Sends messages, those of one aggregate one after the other. Answers those that are settled.
    async fn send_all(&self, due: Vec<Message>, waiting: &mut Waiting) -> Vec<(Message, Result<(), String>)> {
        let mut by_aggregate: HashMap<(String, String), Vec<Message>> = HashMap::new();
        for message in due {
            by_aggregate.entry((message.aggregate.clone(), message.id.clone())).or_default().push(message);
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
                    // What comes behind it may rest on it.
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
        let Message { key, aggregate, id, command, .. } = &message;
        let plugin = self.plugin.as_str();
        match reply {
            Reply::Decided => {
                waiting.remove(key);
                settled.push((message, Ok(())));
            }
            Reply::Refused(reason) => {
                waiting.remove(key);
                tracing::error!(
                    plugin,
                    "{command} to {aggregate} {id} ({key}) can never be decided, and is kept in {}: {reason}",
                    read_model::outbox::UNSENT
                );
                settled.push((message, Err(reason)));
            }
            Reply::NotYet(reason) => {
                let pause =
                    waiting.get(key).map_or(BACKOFF_FIRST, |(_, pause)| (*pause * 2).min(BACKOFF_MAX));
                // Its first failure may pass; one that stays is to be seen.
                if pause == BACKOFF_MAX && waiting.get(key).is_some_and(|(_, before)| *before < BACKOFF_MAX) {
                    tracing::warn!(
                        plugin,
                        "{command} to {aggregate} {id} ({key}) is not decided yet: {reason}"
                    );
                }
                waiting.insert(key.clone(), (Instant::now() + pause, pause));
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
