//! What a process manager wants sent: commands that its plugin wrote in the transaction of a batch, until somebody has
//! answered them.
//!
//! A plugin writes here and does not read: when a command was sent is no fact of the log. For the same reason no
//! comparison of read models looks at it, and a generation that goes live takes over what the one before had left: to
//! replay the past does not send it again.

#[cfg(test)]
pub(crate) mod tests;

use super::{Blueprint, Error};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a plugin writes its commands.
pub const TABLE: &str = "_lantern_outbox";
/// Where those are kept that can never be sent.
pub const UNSENT: &str = "_lantern_unsent";
const TRIGGER: &str = "_lantern_outbox_sends";
const COLUMNS: &str = "key, aggregate, id, command, payload, due_ms, correlation, causation";
/// A projection's batch may take as long.
const BUSY: Duration = Duration::from_secs(10);

/// A command that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Names it within the process manager, the same in every replay.
    pub key: String,
    /// The type of the aggregate that it is for.
    pub aggregate: String,
    /// Which of them.
    pub id: String,
    /// The command's name.
    pub command: String,
    /// Its data.
    pub payload: Vec<u8>,
    /// When it is due, in Unix milliseconds; at once if it is not said.
    pub due_ms: Option<i64>,
    /// The correlation id.
    pub correlation: Option<String>,
    /// The id of the event that caused it.
    pub causation: Option<String>,
}

impl Message {
    /// Which aggregate it is for, in one text.
    pub fn to(&self) -> String {
        format!("{}/{}", self.aggregate, self.id)
    }
}

/// Makes the tables of a plugin that sends commands, and sees to it that it sends them only where its manifest says.
pub fn ensure(connection: &Connection, blueprint: &Blueprint) -> rusqlite::Result<()> {
    if blueprint.sends.is_empty() {
        return Ok(());
    }
    // Names of aggregates need no quoting: they are names of plugins.
    let names: Vec<String> = blueprint.sends.iter().map(|name| format!("'{name}'")).collect();
    let trigger = format!(
        "CREATE TRIGGER {TRIGGER} BEFORE INSERT ON {TABLE} WHEN NEW.aggregate NOT IN ({}) BEGIN \
         SELECT RAISE(ABORT, 'the manifest''s `sends` does not name this aggregate'); END",
        names.join(", ")
    );
    let known: Option<String> = connection
        .query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [TRIGGER], |row| row.get(0))
        .optional()?;
    // Every change of the schema has all statements prepared anew.
    if known.as_ref() == Some(&trigger) {
        return Ok(());
    }
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (
             seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, aggregate TEXT NOT NULL, id TEXT NOT NULL,
             command TEXT NOT NULL, payload BLOB NOT NULL, due_ms INTEGER, correlation TEXT, causation TEXT);
         CREATE INDEX IF NOT EXISTS {TABLE}_due ON {TABLE} (due_ms) WHERE due_ms IS NOT NULL;
         CREATE TABLE IF NOT EXISTS {UNSENT} (
             seq INTEGER PRIMARY KEY, key TEXT NOT NULL, aggregate TEXT NOT NULL, id TEXT NOT NULL,
             command TEXT NOT NULL, payload BLOB NOT NULL, due_ms INTEGER, correlation TEXT, causation TEXT,
             reason TEXT NOT NULL, at_ms INTEGER NOT NULL);
         DROP TRIGGER IF EXISTS {TRIGGER};
         {trigger};"
    ))
}

/// The outbox of a live read model, beside the projection that writes it.
#[derive(Debug)]
pub struct Outbox {
    connection: Connection,
    path: PathBuf,
}

impl Outbox {
    /// Opens it; `None` where the read model has none, since its plugin sends nothing.
    ///
    /// # Errors
    /// When the read model cannot be opened.
    pub fn open(path: &Path) -> Result<Option<Self>, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = |source| Error::Open { path: path.into(), source };
        let connection = Connection::open_with_flags(path, flags).map_err(opened)?;
        connection.busy_timeout(BUSY).map_err(opened)?;
        connection
            .execute_batch("PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF")
            .map_err(opened)?;
        let outbox = Outbox { connection, path: path.into() };
        Ok(outbox.ask(|connection| exists(connection, "main"))?.then_some(outbox))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first messages in the order in which they were written; those with a time only `until_ms`, or none of them, and
    /// none for an aggregate that is `held`, which is written as [`Message::to`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn due(&self, until_ms: Option<i64>, held: &[&str], limit: usize) -> Result<Vec<Message>, Error> {
        // Texts always have a JSON form.
        let held = serde_json::to_string(held).unwrap_or_default();
        self.ask(|connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM {TABLE} WHERE (due_ms IS NULL OR due_ms <= ?1)
                     AND aggregate || '/' || id NOT IN (SELECT value FROM json_each(?2)) ORDER BY seq LIMIT ?3"
                ))?
                .query_map((until_ms, held, i64::try_from(limit).unwrap_or(i64::MAX)), message)?
                .collect()
        })
    }

    /// When the first message after this time is due, in Unix milliseconds.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn next_due_ms(&self, after_ms: i64) -> Result<Option<i64>, Error> {
        let next = format!("SELECT min(due_ms) FROM {TABLE} WHERE due_ms > ?1");
        self.ask(|connection| connection.prepare_cached(&next)?.query_row([after_ms], |row| row.get(0)))
    }

    /// Takes out messages that were answered, and keeps those apart that can never be, with the reason. A message that
    /// was written anew meanwhile stays.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn settle(&mut self, settled: &[(Message, Result<(), String>)], now_ms: i64) -> Result<(), Error> {
        let done = (|| {
            let transaction =
                self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            for (message, answer) in settled {
                if let Err(reason) = answer {
                    transaction
                        .prepare_cached(&format!(
                            "INSERT INTO {UNSENT} ({COLUMNS}, reason, at_ms) VALUES (?,?,?,?,?,?,?,?,?,?)"
                        ))?
                        .execute((
                            &message.key,
                            &message.aggregate,
                            &message.id,
                            &message.command,
                            &message.payload,
                            message.due_ms,
                            &message.correlation,
                            &message.causation,
                            reason,
                            now_ms,
                        ))?;
                }
                transaction
                    .prepare_cached(&format!(
                        "DELETE FROM {TABLE} WHERE key = ?1 AND due_ms IS ?2 AND command = ?3 AND payload = ?4"
                    ))?
                    .execute((&message.key, message.due_ms, &message.command, &message.payload))?;
            }
            transaction.commit()
        })();
        done.map_err(|source| Error::Storage { path: self.path.clone(), source })
    }

    fn ask<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        ask(&self.connection).map_err(|source| Error::Storage { path: self.path.clone(), source })
    }
}

/// Has a read model that is about to go live wait for the same messages as the live one, and for no others. Answers
/// how many are left behind, because the next one sends none. No batch may be written meanwhile.
///
/// # Errors
/// When one of them cannot be read or written.
pub fn take_over(live: &Path, next: &Path) -> Result<i64, Error> {
    let storage = |source| Error::Storage { path: next.into(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(next, flags)
        .map_err(|source| Error::Open { path: next.into(), source })?;
    connection.busy_timeout(BUSY).map_err(storage)?;
    connection.execute("ATTACH ?1 AS live", [live.to_string_lossy()]).map_err(storage)?;
    let done = (|| {
        let is_sending = exists(&connection, "live")?;
        if !exists(&connection, "main")? {
            let left = format!("SELECT count(*) FROM live.{TABLE}");
            return if is_sending { connection.query_row(&left, [], |row| row.get(0)) } else { Ok(0) };
        }
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        // Without the trigger, since what was promised is sent also where the new plugin would not send it; it is made anew
        // when the new plugin opens its read model.
        transaction.execute_batch(&format!(
            "DROP TRIGGER IF EXISTS main.{TRIGGER}; DELETE FROM main.{TABLE}; DELETE FROM main.{UNSENT}"
        ))?;
        if is_sending {
            transaction.execute_batch(&format!(
                "INSERT INTO main.{TABLE} SELECT * FROM live.{TABLE};
                 INSERT INTO main.{UNSENT} SELECT * FROM live.{UNSENT}"
            ))?;
        }
        transaction.commit().map(|()| 0)
    })();
    done.map_err(storage)
}

fn exists(connection: &Connection, schema: &str) -> rusqlite::Result<bool> {
    let tables = format!("SELECT count(*) FROM {schema}.sqlite_schema WHERE name = ?1");
    connection.query_row(&tables, [TABLE], |row| row.get::<_, i64>(0)).map(|tables| tables > 0)
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        key: row.get(0)?,
        aggregate: row.get(1)?,
        id: row.get(2)?,
        command: row.get(3)?,
        payload: row.get(4)?,
        due_ms: row.get(5)?,
        correlation: row.get(6)?,
        causation: row.get(7)?,
    })
}
