//! What a process manager sends.

use crate::db::{Db, Table};
use crate::encode::encode;
use crate::error::{Error, Fault, Result};
use crate::event::Event;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

static OUTBOX: Table = Table::new(
    "_lantern_outbox",
    &["key"],
    &["aggregate", "id", "command", "payload", "due_ms", "correlation", "causation"],
);

/// A command to an aggregate, sent by [`Db::send`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    aggregate: String,
    id: String,
    name: String,
    payload: Vec<u8>,
    due_ms: Option<i64>,
}

impl Command {
    /// A command by its name, to the aggregate of this type and id, with its data.
    ///
    /// # Errors
    /// When the data has no JSON.
    pub fn new(
        aggregate: impl Into<String>,
        id: impl Into<String>,
        name: impl Into<String>,
        payload: &impl Serialize,
    ) -> Result<Self> {
        let name = name.into();
        let payload = serde_json::to_vec(payload).map_err(|error| {
            Error::new(Fault::Other, format!("the data of the command {name} has no JSON: {error}"))
        })?;
        Ok(Command { aggregate: aggregate.into(), id: id.into(), name, payload, due_ms: None })
    }

    /// A command that is a variant of an enum, which names it, as the aggregate has it.
    ///
    /// # Errors
    /// When it is no variant of an enum, or has no JSON.
    pub fn of(aggregate: impl Into<String>, id: impl Into<String>, command: &impl Serialize) -> Result<Self> {
        let (name, payload) = encode(command).map_err(|error| {
            Error::new(Fault::Other, format!("the command has no name or no JSON: {error}"))
        })?;
        Ok(Command {
            aggregate: aggregate.into(),
            id: id.into(),
            name: name.to_owned(),
            payload,
            due_ms: None,
        })
    }

    /// A command that waits in the outbox, and its key.
    #[doc(hidden)]
    pub fn stored(row: &crate::Row<'_>) -> Result<(String, Self)> {
        let command = Command {
            aggregate: row.get(1)?,
            id: row.get(2)?,
            name: row.get(3)?,
            payload: row.get(4)?,
            due_ms: row.get(5)?,
        };
        Ok((row.get(0)?, command))
    }

    /// Has it wait until then, in Unix milliseconds: a timeout is `event.timestamp_ms() + 30 * 60_000`. It is sent at that
    /// time or later, when the projection has applied what there is, unless it was taken back by [`Db::cancel`].
    pub fn due_ms(mut self, due_ms: i64) -> Self {
        self.due_ms = Some(due_ms);
        self
    }
}

/// What an aggregate refused, as the topic with `.decisions` behind its name has it: the data of an event of the type
/// [`Rejected::KIND`]. The event's key is the aggregate's id.
#[derive(Clone, Debug, Deserialize)]
pub struct Rejected {
    /// The command's name.
    pub command: String,
    /// Its idempotency key.
    pub key: String,
    /// Why, for programs.
    pub code: String,
    /// Why, for people.
    pub message: String,
    detail: Option<Box<RawValue>>,
}

impl Rejected {
    /// The event's type.
    pub const KIND: &str = "lantern.rejected";

    /// The key under which the process manager of this name sent the command; `None` if it did not.
    pub fn sent_by(&self, plugin: &str) -> Option<&str> {
        self.key.strip_prefix(plugin)?.strip_prefix(':')
    }

    /// More for programs.
    ///
    /// # Errors
    /// When there is none, or it is something else.
    pub fn detail<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        let json = self.detail.as_ref().map_or("null", |detail| detail.get());
        serde_json::from_str(json).map_err(|error| {
            Error::bad_input(format!("the detail of the rejected command {}: {error}", self.command))
        })
    }
}

impl Db {
    /// Sends a command because of this event, once it is applied. The manifest has to name the aggregate in
    /// [`Manifest::sends`](crate::Manifest::sends).
    ///
    /// `key` says which command of the process it is: `transfer-7/debit`. It is the command's idempotency key, so that
    /// it has its effect once, whatever is killed and however often the events are replayed. So it must follow from
    /// the events, and each command of a process needs its own. Sending under a key that was not sent yet replaces the command.
    ///
    /// The answer comes as an event: of the aggregate's topic when it is accepted, of the topic with `.decisions`
    /// behind its name when it is rejected.
    pub fn send(&mut self, event: &Event<'_>, key: &str, command: Command) {
        let id = text(event, "ce_id");
        // What an event without a correlation begins is known by that event.
        let correlation = text(event, "ce_correlationid").or(id);
        let Command { aggregate, id: to, name, payload, due_ms } = &command;
        self.put(&OUTBOX, key, (aggregate, to, name, payload, due_ms, correlation, id));
    }

    /// Takes a command back that was not sent yet, such as a timeout that did not come to pass.
    pub fn cancel(&mut self, key: &str) {
        self.delete(&OUTBOX, key);
    }
}

/// A header that is text.
fn text<'a>(event: &Event<'a>, name: &str) -> Option<&'a str> {
    event.header(name).and_then(|value| std::str::from_utf8(value).ok())
}
