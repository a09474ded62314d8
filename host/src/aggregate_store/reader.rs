//! Connections that read.

use super::store::{self, EVENT};
use super::{Aggregate, Error, Event, Position};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait for somebody else's lock.
const BUSY: Duration = Duration::from_secs(5);

/// Which of an aggregate's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// From this version on.
    pub from_version: u64,
    /// Up to this version, itself included.
    pub to_version: u64,
    /// From this time on, in milliseconds since 1970.
    pub since_ms: i64,
    /// Before this time.
    pub until_ms: i64,
    /// At most so many.
    pub limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Filter { from_version: 0, to_version: u64::MAX, since_ms: i64::MIN, until_ms: i64::MAX, limit: 100 }
    }
}

/// A read-only connection.
#[derive(Debug)]
pub struct Reader {
    pub(super) connection: Connection,
    path: PathBuf,
}

impl Reader {
    /// Opens a store that exists.
    ///
    /// # Errors
    /// When it does not exist or is not a database.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let opened = |source| Error::Open { path: path.into(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(opened)?;
        connection.busy_timeout(BUSY).map_err(opened)?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;").map_err(opened)?;
        Ok(Reader { connection, path: path.into() })
    }

    /// Opens a store, if there is one: its writer makes it when it first reaches the log.
    ///
    /// # Errors
    /// When it is not a database.
    pub fn open_if_made(path: &Path) -> Result<Option<Self>, Error> {
        if !path.exists() {
            return Ok(None);
        }
        let reader = Reader::open(path)?;
        // The tables and the format come in one transaction, after the file.
        let format = reader.connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0));
        Ok((format.map_err(|source| reader.storage(source))? != 0).then_some(reader))
    }

    pub(super) fn storage(&self, source: rusqlite::Error) -> Error {
        Error::Storage { path: self.path.clone(), source }
    }

    /// The version of an aggregate, if it has had events.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn version(&self, id: &str) -> Result<Option<u64>, Error> {
        let find = || {
            let mut statement =
                self.connection.prepare_cached("SELECT version FROM aggregates WHERE id = ?1")?;
            statement.query_row([id], |row| store::count(row, 0)).optional()
        };
        find().map_err(|source| self.storage(source))
    }

    /// An aggregate, if it has had events. Its state may be behind, or of another state version: see
    /// [`Aggregate::is_current`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn show(&self, id: &str) -> Result<Option<Aggregate>, Error> {
        store::show(&self.connection, id).map_err(|source| self.storage(source))
    }

    /// An aggregate's events in order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn events(&self, id: &str, filter: &Filter) -> Result<Vec<Event>, Error> {
        let select = format!(
            "SELECT {EVENT} FROM events WHERE id = ?1 AND version BETWEEN ?2 AND ?3
             AND time_ms >= ?4 AND time_ms < ?5 ORDER BY version LIMIT ?6"
        );
        let version = |version: u64| i64::try_from(version).unwrap_or(i64::MAX);
        let params = (
            id,
            version(filter.from_version),
            version(filter.to_version),
            filter.since_ms,
            filter.until_ms,
            i64::try_from(filter.limit).unwrap_or(i64::MAX),
        );
        let events = || -> rusqlite::Result<_> {
            self.connection.prepare_cached(&select)?.query_map(params, store::event)?.collect()
        };
        events().map_err(|source| self.storage(source))
    }

    /// The ids and versions of at most `limit` aggregates behind an id, by their ids. States, which may be large, are not
    /// read.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, u64)>, Error> {
        let params = (after.unwrap_or_default(), i64::try_from(limit).unwrap_or(i64::MAX));
        let list = || -> rusqlite::Result<_> {
            self.connection
                .prepare_cached("SELECT id, version FROM aggregates WHERE id > ?1 ORDER BY id LIMIT ?2")?
                .query_map(params, |row| Ok((row.get(0)?, store::count(row, 1)?)))?
                .collect()
        };
        list().map_err(|source| self.storage(source))
    }

    /// How far the log was read.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn position(&self) -> Result<Position, Error> {
        store::position(&self.connection).map_err(|source| self.storage(source))
    }
}
