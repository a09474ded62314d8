//! Connections that read a read model, for people and programs: never more than one statement that reads.

use super::authorizer::{Actor, Authorizer};
use super::checkpoint::{self, Checkpoints};
use super::{Cursor, Error, Page, blueprint, journal};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What one query may cost.
#[derive(Clone, Copy, Debug)]
pub struct ReaderLimits {
    /// How long it may run.
    pub time_max: Duration,
}

/// A value of a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// NULL.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// A 64-bit float.
    Real(f64),
    /// UTF-8 text.
    Text(String),
    /// Bytes, as lower-case hex.
    Blob {
        /// The digits.
        hex: String,
    },
}

/// A read-only connection.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    authorizer: Authorizer,
    path: PathBuf,
}

impl Reader {
    /// Opens a read model that exists.
    ///
    /// # Errors
    /// When it does not exist or is not a database.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let opened = |source| Error::Open { path: path.into(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(opened)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(opened)?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;").map_err(opened)?;
        let authorizer = Authorizer::install(&mut connection).map_err(opened)?;
        Ok(Reader { connection, authorizer, path: path.into() })
    }

    fn storage(&self, source: rusqlite::Error) -> Error {
        Error::Storage { path: self.path.clone(), source }
    }

    /// The next offsets to apply.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn checkpoints(&self) -> Result<Checkpoints, Error> {
        checkpoint::load(&self.connection).map_err(|source| self.storage(source))
    }

    /// Where each partition was taken up.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn beginnings(&self) -> Result<Checkpoints, Error> {
        checkpoint::beginnings(&self.connection).map_err(|source| self.storage(source))
    }

    /// At most `limit` runs of the journal behind a place in it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn journal_after(&self, cursor: Cursor, limit: usize) -> Result<Page, Error> {
        journal::after(&self.connection, cursor, limit).map_err(|source| self.storage(source))
    }

    /// The digest of the plugin that wrote last.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn digest(&self) -> Result<Option<String>, Error> {
        blueprint::meta(&self.connection, "digest").map_err(|source| self.storage(source))
    }

    /// Runs one statement that reads. `start` is given the names of the columns, `each` every row; a row
    /// that `each` breaks at is the last.
    ///
    /// # Errors
    /// When the statement is refused, wrong, or takes longer than it may.
    pub fn query(
        &mut self,
        sql: &str,
        limits: ReaderLimits,
        start: impl FnOnce(Vec<String>),
        mut each: impl FnMut(Vec<Cell>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + limits.time_max;
        self.connection
            .progress_handler(10_000, Some(move || Instant::now() >= deadline))
            .map_err(|source| self.storage(source))?;
        self.authorizer.set(Actor::Reader);
        let result = self.run(sql, start, &mut each);
        self.authorizer.set(Actor::Host);
        result.map_err(|error| match (self.authorizer.take_refusal(), error.sqlite_error_code()) {
            (Some(reason), _) => Error::Query(reason),
            (None, Some(ErrorCode::OperationInterrupted)) => Error::Query(format!(
                "the query ran longer than {} ms: narrow it, or give it more time",
                limits.time_max.as_millis()
            )),
            (None, Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt)) => self.storage(error),
            (None, _) => Error::Query(error.to_string()),
        })
    }

    fn run(
        &self,
        sql: &str,
        start: impl FnOnce(Vec<String>),
        each: &mut impl FnMut(Vec<Cell>) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(sql)?;
        let columns = statement.column_count();
        start(statement.column_names().map(str::to_owned).collect());
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let cells =
                (0..columns).map(|column| row.get_ref(column).map(cell)).collect::<rusqlite::Result<_>>()?;
            if each(cells).is_break() {
                break;
            }
        }
        Ok(())
    }
}

pub(super) fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Integer(value),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Text(bytes) => Cell::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Cell::Blob { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() },
    }
}
