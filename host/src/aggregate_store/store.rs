//! The one connection that writes.

use super::{Aggregate, Decision, Error, Event, Outcome, Position, schema};
use rusqlite::{Connection, OptionalExtension, Row};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait for somebody else's lock.
const BUSY: Duration = Duration::from_secs(5);
/// Pages that the connection keeps: 32 MiB.
const CACHE_KIB: i32 = 32 * 1024;
/// Prepared statements that stay; more than there are.
const STATEMENTS_CACHED: usize = 32;

/// The columns of [`event`].
pub(super) const EVENT: &str =
    "version, type, time_ms, partition, \"offset\", payload, event_id, correlation, causation";
/// The columns of [`aggregate`].
const AGGREGATE: &str = "id, partition, version, state, state_at, state_version";

/// The store of one aggregate type. One process writes it.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens a store, or makes it when there is none, for the aggregates `name` whose events are in `topic`.
    ///
    /// # Errors
    /// When the file cannot be opened or keeps something else.
    pub fn open(path: &Path, name: &str, topic: &str) -> Result<Self, Error> {
        let opened = |source| Error::Open { path: path.into(), source };
        let connection = Connection::open(path).map_err(opened)?;
        connection.busy_timeout(BUSY).map_err(opened)?;
        // What a crash of the machine takes, the log gives again.
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;
                 PRAGMA trusted_schema = OFF; PRAGMA cache_size = -{CACHE_KIB};"
            ))
            .map_err(opened)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        schema::ensure(&connection, path, name, topic)?;
        Ok(Store { connection, path: path.into() })
    }

    pub(super) fn storage(&self, source: rusqlite::Error) -> Error {
        Error::Storage { path: self.path.clone(), source }
    }

    /// How far the log was read.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn position(&self) -> Result<Position, Error> {
        position(&self.connection).map_err(|source| self.storage(source))
    }

    /// How many aggregates there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn count(&self) -> Result<u64, Error> {
        let count = self.connection.query_row("SELECT count(*) FROM aggregates", [], |row| count(row, 0));
        count.map_err(|source| self.storage(source))
    }

    /// An aggregate, if it has had events.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn aggregate(&self, id: &str) -> Result<Option<Aggregate>, Error> {
        show(&self.connection, id).map_err(|source| self.storage(source))
    }

    /// At most `limit` of an aggregate's events behind a version, in order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn events_after(&self, id: &str, version: u64, limit: usize) -> Result<Vec<Event>, Error> {
        let select =
            format!("SELECT {EVENT} FROM events WHERE id = ?1 AND version > ?2 ORDER BY version LIMIT ?3");
        let events = || -> rusqlite::Result<_> {
            let mut statement = self.connection.prepare_cached(&select)?;
            statement.query_map((id, version as i64, limit as i64), event)?.collect()
        };
        events().map_err(|source| self.storage(source))
    }

    /// What was decided for an idempotency key.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn decision(&self, id: &str, key: &str) -> Result<Option<Decision>, Error> {
        let find = || {
            self.connection
                .prepare_cached(
                    "SELECT digest, outcome, first, last, code, message, detail FROM decisions
                     WHERE id = ?1 AND key = ?2",
                )?
                .query_row((id, key), decision)
                .optional()
        };
        find().map_err(|source| self.storage(source))
    }

    /// At most `limit` aggregates behind an id whose state is not of the newest event and this state version.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn stale(&self, state_version: u32, after: &str, limit: usize) -> Result<Vec<String>, Error> {
        let find = || -> rusqlite::Result<_> {
            self.connection
                .prepare_cached(
                    "SELECT id FROM aggregates
                     WHERE id > ?1 AND (state_version <> ?2 OR state_at <> version OR state IS NULL)
                     ORDER BY id LIMIT ?3",
                )?
                .query_map((after, state_version, limit as i64), |row| row.get(0))?
                .collect()
        };
        find().map_err(|source| self.storage(source))
    }

    /// Says what the events are that states are made of, by the upcasters that they come through. If those were others,
    /// every state is to be made anew.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn make_of(&mut self, upcast_version: &str) -> Result<(), Error> {
        let make = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            let before: Option<String> = transaction
                .query_row("SELECT value FROM about WHERE key = 'upcast_version'", [], |row| row.get(0))
                .optional()?;
            // One that was made before there were upcasters says nothing of them.
            if before.unwrap_or_default() == upcast_version {
                return Ok(());
            }
            // No plugin has state version 0.
            transaction.execute("UPDATE aggregates SET state_version = 0", [])?;
            transaction
                .execute("INSERT OR REPLACE INTO about VALUES ('upcast_version', ?1)", [upcast_version])?;
            transaction.commit()
        };
        let made = make(&mut self.connection);
        made.map_err(|source| self.storage(source))
    }

    /// Begins a transaction; without [`Transaction::commit`] it is undone.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        let Store { connection, path } = self;
        let begun = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate);
        let inner = begun.map_err(|source| Error::Storage { path: path.clone(), source })?;
        Ok(Transaction { inner, path })
    }
}

/// What belongs together.
#[derive(Debug)]
pub struct Transaction<'s> {
    inner: rusqlite::Transaction<'s>,
    path: &'s Path,
}

impl Transaction<'_> {
    fn storage(&self, source: rusqlite::Error) -> Error {
        Error::Storage { path: self.path.into(), source }
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize, Error> {
        let done = self.inner.prepare_cached(sql).and_then(|mut statement| statement.execute(params));
        done.map_err(|source| self.storage(source))
    }

    /// Adds an event. Answers whether its version is the next of its aggregate: when it is not, nothing is changed.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn append(&self, id: &str, event: &Event) -> Result<bool, Error> {
        let version = event.version as i64;
        let moved = if event.version == 1 {
            self.execute(
                "INSERT OR IGNORE INTO aggregates (id, partition, version) VALUES (?1, ?2, 1)",
                (id, event.partition),
            )?
        } else {
            self.execute(
                "UPDATE aggregates SET version = ?2 WHERE id = ?1 AND version = ?2 - 1",
                (id, version),
            )?
        };
        if moved == 0 {
            return Ok(false);
        }
        self.execute(
            "INSERT INTO events (id, version, type, time_ms, partition, \"offset\", payload, event_id, correlation, causation)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            (
                id,
                version,
                &event.kind,
                event.time_ms,
                event.partition,
                event.offset,
                &event.payload,
                &event.event_id,
                &event.correlation,
                &event.causation,
            ),
        )?;
        Ok(true)
    }

    /// Takes back what others appended to an aggregate, from a version on, in whose place something of Lantern's own has
    /// come. Answers whether that was possible: where one of those is Lantern's own, nothing is changed.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn take_back(&self, id: &str, from: u64) -> Result<bool, Error> {
        let from = from as i64;
        let (count, own): (i64, i64) = self
            .inner
            .query_row(
                // Lantern's own have this id of an event.
                "SELECT count(*), coalesce(sum(event_id = id || '/' || version), 0) FROM events
                 WHERE id = ?1 AND version >= ?2",
                (id, from),
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .map_err(|source| self.storage(source))?;
        if count == 0 || own > 0 {
            return Ok(false);
        }
        self.execute("DELETE FROM events WHERE id = ?1 AND version >= ?2", (id, from))?;
        if from == 1 {
            self.execute("DELETE FROM aggregates WHERE id = ?1", [id])?;
        } else {
            // A state that has seen them is made anew.
            self.execute(
                "UPDATE aggregates SET version = ?2 - 1,
                 state = iif(state_at < ?2, state, NULL), state_at = iif(state_at < ?2, state_at, 0)
                 WHERE id = ?1",
                (id, from),
            )?;
        }
        Ok(true)
    }

    /// Keeps the state of an aggregate that has had events.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_state(&self, id: &str, state: &[u8], at: u64, state_version: u32) -> Result<(), Error> {
        self.execute(
            "UPDATE aggregates SET state = ?2, state_at = ?3, state_version = ?4 WHERE id = ?1",
            (id, state, at as i64, state_version),
        )
        .map(drop)
    }

    /// Keeps what was decided for an idempotency key; further events of the same command extend it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_decision(&self, id: &str, key: &str, decision: &Decision) -> Result<(), Error> {
        let (outcome, first, last, code, message, detail) = match &decision.outcome {
            Outcome::Appended { first, last } => ("appended", *first, *last, None, None, None),
            Outcome::Unchanged { version } => ("unchanged", *version, *version, None, None, None),
            Outcome::Rejected { version, code, message, detail } => {
                ("rejected", *version, *version, Some(code), Some(message), detail.as_ref())
            }
        };
        self.execute(
            "INSERT INTO decisions (id, key, digest, outcome, first, last, code, message, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (id, key) DO UPDATE SET last = max(last, excluded.last)",
            (id, key, &decision.digest, outcome, first as i64, last as i64, code, message, detail),
        )
        .map(drop)
    }

    /// Keeps how far a partition of the log was read.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_position(&self, topic: &str, partition: i32, next_offset: i64) -> Result<(), Error> {
        self.execute(
            "INSERT INTO checkpoints VALUES (?1, ?2, ?3)
             ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset",
            (topic, partition, next_offset),
        )
        .map(drop)
    }

    /// Makes it so.
    ///
    /// # Errors
    /// When the disk refuses; nothing has changed then.
    pub fn commit(self) -> Result<(), Error> {
        let Transaction { inner, path } = self;
        inner.commit().map_err(|source| Error::Storage { path: path.into(), source })
    }
}

pub(super) fn position(connection: &Connection) -> rusqlite::Result<Position> {
    connection
        .prepare_cached("SELECT topic, partition, next_offset FROM checkpoints")?
        .query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?
        .collect()
}

pub(super) fn show(connection: &Connection, id: &str) -> rusqlite::Result<Option<Aggregate>> {
    let select = format!("SELECT {AGGREGATE} FROM aggregates WHERE id = ?1");
    connection.prepare_cached(&select)?.query_row([id], aggregate).optional()
}

/// A column that never holds less than 0.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|value| u64::try_from(value).unwrap_or_default())
}

fn aggregate(row: &Row<'_>) -> rusqlite::Result<Aggregate> {
    Ok(Aggregate {
        id: row.get(0)?,
        partition: row.get(1)?,
        version: count(row, 2)?,
        state: row.get(3)?,
        state_at: count(row, 4)?,
        state_version: row.get(5)?,
    })
}

pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        version: count(row, 0)?,
        kind: row.get(1)?,
        time_ms: row.get(2)?,
        partition: row.get(3)?,
        offset: row.get(4)?,
        payload: row.get(5)?,
        event_id: row.get(6)?,
        correlation: row.get(7)?,
        causation: row.get(8)?,
    })
}

fn decision(row: &Row<'_>) -> rusqlite::Result<Decision> {
    let (first, last) = (count(row, 2)?, count(row, 3)?);
    let outcome = match row.get_ref(1)?.as_str()? {
        "appended" => Outcome::Appended { first, last },
        "unchanged" => Outcome::Unchanged { version: last },
        _ => Outcome::Rejected {
            version: last,
            code: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
            message: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
            detail: row.get(6)?,
        },
    };
    Ok(Decision { digest: row.get(0)?, outcome })
}
