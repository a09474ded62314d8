//! Connections that read a read model, for people and programs: never more than one statement that reads.

use super::authorizer::{Actor, Authorizer};
use super::checkpoint::{self, Checkpoints};
use super::meter::{Meter, Stopped};
use super::question::{Answer, Params, Question, ReaderLimits};
use super::{Cell, Cursor, Error, Page, blueprint, cell, functions, is_damage, journal, text};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, Row};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long SQLite waits for somebody else's lock where people wait for the answer.
const BUSY: Duration = Duration::from_secs(5);
/// Statements that a connection which is asked again and again keeps.
const STATEMENTS_CACHED: usize = 64;
/// What it takes at least to name a value in a statement.
const NAME_BYTES: usize = 4;
/// What a statement of strangers may consist of. A pattern's time is its length for each character of the text.
const BOUNDS: [(Limit, i32); 5] = [
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 100),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 1_000),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// A read-only connection.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    authorizer: Authorizer,
    meter: Meter,
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
        connection.busy_timeout(BUSY).map_err(opened)?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;").map_err(opened)?;
        let meter = Meter::install(&mut connection).map_err(opened)?;
        let authorizer = Authorizer::install(&mut connection).map_err(opened)?;
        Ok(Reader { connection, authorizer, meter, path: path.into() })
    }

    /// The same, for queries of anybody, one after the other: statements are kept, functions take a time that grows
    /// with their arguments and not with the product of them, and nothing is written to temporary files.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_for_strangers(path: &Path, value_bytes_max: usize) -> Result<Self, Error> {
        let reader = Reader::open(path)?;
        reader.harden(value_bytes_max).map_err(|source| Error::Open { path: path.into(), source })?;
        Ok(reader)
    }

    fn harden(&self, value_bytes_max: usize) -> rusqlite::Result<()> {
        let connection = &self.connection;
        connection.execute_batch("PRAGMA temp_store = MEMORY;")?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        for (limit, value) in BOUNDS {
            connection.set_limit(limit, value)?;
        }
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        functions::bound(connection, value_bytes_max)
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

    /// The digests of the upcasters that the last events came through.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn upcasters(&self) -> Result<Vec<String>, Error> {
        let stored = blueprint::meta(&self.connection, blueprint::UPCASTERS);
        let stored = stored.map_err(|source| self.storage(source))?.unwrap_or_default();
        Ok(stored.split_whitespace().map(str::to_owned).collect())
    }

    /// Stays at this moment of the read model until [`Reader::leave`]; answers how far it is in it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn enter(&mut self) -> Result<Checkpoints, Error> {
        self.meter.set(BUSY, u64::MAX, u64::MAX);
        let entered = self.host("BEGIN").and_then(|()| checkpoint::load(&self.connection));
        entered.map_err(|source| {
            self.leave();
            self.storage(source)
        })
    }

    /// Goes on with the read model as it is now.
    pub fn leave(&mut self) {
        // What stopped the query must not stop this.
        self.meter.set(BUSY, u64::MAX, u64::MAX);
        if !self.connection.is_autocommit()
            && let Err(error) = self.host("ROLLBACK")
        {
            tracing::debug!(%error, "leaving a moment of a read model");
        }
    }

    /// Whether it is at a moment that it did not leave.
    pub fn is_within(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// How long it waits for somebody else's lock.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn wait_for_locks(&self, time_max: Duration) -> Result<(), Error> {
        self.connection.busy_timeout(time_max).map_err(|source| self.storage(source))
    }

    fn host(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    /// Runs one statement that reads. `start` is given the names of the columns, `each` every row; a row
    /// that `each` breaks at is the last.
    ///
    /// # Errors
    /// When the statement is refused, wrong, or takes longer than it may.
    pub fn query(
        &mut self,
        question: Question<'_>,
        limits: ReaderLimits,
        start: impl FnOnce(Vec<String>),
        mut each: impl FnMut(Vec<Cell>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.bounded(question, limits, |statement| {
            let columns = statement.column_count();
            start(statement.column_names().map(str::to_owned).collect());
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                let cells = (0..columns).map(|column| row.get_ref(column).map(Cell::from));
                if each(cells.collect::<rusqlite::Result<_>>()?).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Runs one statement that reads; answers all of its rows, or none.
    ///
    /// # Errors
    /// As [`Reader::query`]; [`Error::TooMuch`] when the answer has more rows or bytes than it may.
    pub fn answer(&mut self, question: Question<'_>, limits: ReaderLimits) -> Result<Answer, Error> {
        let mut answer = Answer::default();
        let mut over = None;
        self.bounded(question, limits, |statement| {
            let columns = statement.column_count();
            // Texts always have a JSON form.
            answer.columns =
                serde_json::to_string(&statement.column_names().collect::<Vec<_>>()).unwrap_or_default();
            let mut rows = statement.raw_query();
            let mut count = 0;
            while let Some(row) = rows.next()? {
                count += 1;
                if count > limits.rows_max {
                    over = Some(format!("{} rows (http.query_rows_max)", limits.rows_max));
                } else if !append(&mut answer.rows, row, columns, limits.bytes_max)? {
                    over = Some(format!("{} bytes (http.query_bytes_max)", limits.bytes_max));
                }
                if over.is_some() {
                    break;
                }
            }
            Ok(())
        })?;
        match over {
            Some(what) => Err(Error::TooMuch(format!(
                "the query answers more than {what}: narrow it, or read it in parts with LIMIT"
            ))),
            None => Ok(answer),
        }
    }

    /// Prepares a statement for a stranger, binds, and has it run within its limits.
    fn bounded(
        &mut self,
        question: Question<'_>,
        limits: ReaderLimits,
        run: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        let sql = text::single(question.sql)?;
        // SQLite looks at no bound while it goes straight on, and makes no more values there than the statement names.
        let values_max = u64::try_from(sql.len() / NAME_BYTES + 1).unwrap_or(u64::MAX);
        let each_max = usize::try_from(limits.memory_bytes_max / values_max).unwrap_or(usize::MAX);
        let limits = ReaderLimits { value_bytes_max: limits.value_bytes_max.min(each_max), ..limits };
        let length = i32::try_from(limits.value_bytes_max).unwrap_or(i32::MAX);
        self.connection
            .set_limit(Limit::SQLITE_LIMIT_LENGTH, length)
            .map_err(|source| self.storage(source))?;
        self.meter.set(limits.time_max, limits.steps_max, limits.memory_bytes_max);
        // Also while it runs: SQLite prepares it anew when the tables have changed.
        self.authorizer.set(Actor::Reader);
        let result = self.connection.prepare_cached(sql).map_err(Into::into).and_then(|mut statement| {
            // What answers nothing does not read. The host's own BEGIN is in the same cache, which nobody judged.
            if statement.column_count() == 0 {
                statement.discard();
                return Err(Failure::Refused("this connection only reads".into()));
            }
            bind(&mut statement, question.params)?;
            Ok(run(&mut statement)?)
        });
        self.authorizer.set(Actor::Host);
        result.map_err(|failure| self.explain(failure, limits))
    }

    fn explain(&self, failure: Failure, limits: ReaderLimits) -> Error {
        let refusal = self.authorizer.take_refusal();
        let error = match (failure, refusal) {
            (_, Some(reason)) | (Failure::Refused(reason), None) => return Error::Query(reason),
            (Failure::Sqlite(error), None) => error,
        };
        match (error.sqlite_error_code(), self.meter.stopped()) {
            (Some(ErrorCode::OperationInterrupted), Some(Stopped::Steps)) => Error::Unfinished,
            (Some(ErrorCode::OperationInterrupted), Some(Stopped::Memory)) => Error::TooMuch(format!(
                "the query, with others that run, takes more memory than {} bytes (http.query_memory_bytes_max): \
                 sort and group less at once",
                limits.memory_bytes_max
            )),
            (Some(ErrorCode::OperationInterrupted), _) if limits.steps_max < u64::MAX => Error::Unfinished,
            (Some(ErrorCode::OperationInterrupted), _) => Error::Query(format!(
                "the query ran longer than {} ms: narrow it, or give it more time",
                limits.time_max.as_micros().div_ceil(1_000)
            )),
            // A first try has smaller limits, and does not wait.
            (Some(ErrorCode::TooBig | ErrorCode::DatabaseBusy), _) if limits.steps_max < u64::MAX => {
                Error::Unfinished
            }
            (Some(ErrorCode::TooBig), _) => Error::TooMuch(format!(
                "a value has more than {} bytes (http.query_value_bytes_max, or less where the statement is long: have large \
                 values as parameters): {error}",
                limits.value_bytes_max
            )),
            (
                Some(
                    ErrorCode::SystemIoFailure
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::CannotOpen,
                ),
                _,
            ) => self.storage(error),
            _ if is_damage(&error) => self.storage(error),
            _ => Error::Query(error.to_string()),
        }
    }
}

/// Why a stranger's statement was not run to its end.
enum Failure {
    Refused(String),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Sqlite(error)
    }
}

/// Appends a row; answers whether there was room for it.
fn append(out: &mut Vec<u8>, row: &Row<'_>, columns: usize, bytes_max: usize) -> rusqlite::Result<bool> {
    out.extend_from_slice(if out.is_empty() { b"[" } else { b",[" });
    for column in 0..columns {
        if column > 0 {
            out.push(b',');
        }
        cell::write(out, row.get_ref(column)?);
        if out.len() >= bytes_max {
            return Ok(false);
        }
    }
    out.push(b']');
    Ok(true)
}

/// Gives a statement exactly the parameters that it has.
fn bind(statement: &mut CachedStatement<'_>, params: &Params) -> Result<(), Failure> {
    let wanted = statement.parameter_count();
    let given = match params {
        Params::None => 0,
        Params::List(list) => list.len(),
        Params::Named(named) => named.len(),
    };
    if wanted != given {
        let reason = format!("the statement has {wanted} parameters, and {given} are given");
        return Err(Failure::Refused(reason));
    }
    for at in 1..=wanted {
        let value = match params {
            Params::None => None,
            Params::List(list) => list.get(at - 1),
            Params::Named(named) => {
                let name = statement.parameter_name(at).unwrap_or_default();
                named.get(name).or_else(|| name.get(1..).and_then(|name| named.get(name)))
            }
        };
        let Some(value) = value else {
            let name = statement.parameter_name(at).unwrap_or("without a name");
            return Err(Failure::Refused(format!("the parameter {name} is not among those that are given")));
        };
        statement.raw_bind_parameter(at, value)?;
    }
    Ok(())
}
