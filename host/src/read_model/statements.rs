//! A plugin's SQL: prepared once, written in bulk, queried within the transaction.

use super::authorizer::Authorizer;
use super::blueprint::beginning;
use super::{is_damage, storage_hint, text};
use lantern_contract::frame::value::Value;
use lantern_contract::frame::{self, ops, rows};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, ToSql};
use std::collections::HashMap;
use std::sync::Arc;

/// More statements than a plugin writes by hand; one that makes them from data leaks.
const STATEMENTS_MAX: usize = 1_000;
/// The longest statement.
const SQL_BYTES_MAX: usize = 64 * 1024;
/// The most that one query of a plugin answers.
const RESULT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SQLite does not accept the statement or its values.
    Sql,
    /// The write breaks a constraint of the schema.
    Conflict,
    /// The frame is mangled, or names what is not there.
    Frame,
    /// Disk or lock: nobody's fault who is asked, and worth another try.
    Storage,
    /// The file is damaged: nobody's fault who is asked, and no try mends it.
    Damage,
}

/// Why a plugin's SQL was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Whose fault it is.
    pub fault: Fault,
    /// What is wrong, with the statement.
    pub message: String,
    /// The event of the batch that caused the write, if the plugin said so.
    pub event: Option<u32>,
}

impl Refusal {
    /// Whether it says nothing of the statement, the plugin or an event.
    pub fn is_of_storage(&self) -> bool {
        matches!(self.fault, Fault::Storage | Fault::Damage)
    }
}

impl From<frame::Error> for Refusal {
    fn from(error: frame::Error) -> Self {
        Refusal { fault: Fault::Frame, message: error.to_string(), event: None }
    }
}

#[derive(Debug)]
struct Known {
    sql: Arc<str>,
    parameters: usize,
    reads: bool,
}

/// The statements that the plugin has prepared, by id.
#[derive(Debug, Default)]
pub struct Statements {
    known: Vec<Known>,
    ids: HashMap<Arc<str>, u32>,
}

struct Bound<'a>(Value<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(value) => ValueRef::Integer(value),
            Value::Real(value) => ValueRef::Real(value),
            Value::Text(value) => ValueRef::Text(value.as_bytes()),
            Value::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

/// The connection and its authorizer, while a plugin's SQL runs on it.
#[derive(Clone, Copy)]
pub struct Session<'c> {
    pub connection: &'c Connection,
    pub authorizer: &'c Authorizer,
}

impl<'c> Session<'c> {
    fn open(&self, sql: &str) -> Result<CachedStatement<'c>, Refusal> {
        self.connection.prepare_cached(sql).map_err(|error| self.refuse(&error, sql, None))
    }

    fn refuse(&self, error: &rusqlite::Error, sql: &str, event: Option<u32>) -> Refusal {
        let fault = match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Fault::Conflict,
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly,
            ) => Fault::Storage,
            _ if is_damage(error) => Fault::Damage,
            _ => Fault::Sql,
        };
        let reason = match (self.authorizer.take_refusal(), error.sqlite_error_code()) {
            (Some(reason), _) => reason,
            (None, Some(ErrorCode::OperationInterrupted)) => "ran longer than the limit `call_ms_max`".into(),
            (None, _) => error.to_string(),
        };
        let hint = storage_hint(error);
        Refusal { fault, message: format!("{reason}{hint}\n  in: {}", beginning(sql)), event }
    }
}

impl Statements {
    /// Checks a statement and gives it an id; the same text has the same id.
    pub fn prepare(&mut self, session: Session<'_>, sql: &str) -> Result<u32, Refusal> {
        if let Some(&id) = self.ids.get(sql) {
            return Ok(id);
        }
        let refuse = |message| Err(Refusal { fault: Fault::Sql, message, event: None });
        if sql.len() > SQL_BYTES_MAX {
            return refuse(format!(
                "a statement of {} bytes, at most {SQL_BYTES_MAX} are allowed",
                sql.len()
            ));
        }
        if self.known.len() >= STATEMENTS_MAX {
            return refuse(format!(
                "more than {STATEMENTS_MAX} different statements: bind values as parameters instead of writing them into the SQL"
            ));
        }
        if let Err(error) = text::single(sql) {
            return refuse(error.to_string());
        }
        // Not from the connection's cache: there the host's own statements are, which nobody judged.
        let statement = session.connection.prepare(sql).map_err(|error| session.refuse(&error, sql, None))?;
        if statement.expanded_sql().is_none_or(|text| text.trim().is_empty()) {
            return refuse("an empty statement".into());
        }
        let sql: Arc<str> = sql.into();
        let id = self.known.len() as u32;
        self.known.push(Known {
            sql: Arc::clone(&sql),
            parameters: statement.parameter_count(),
            reads: statement.readonly(),
        });
        self.ids.insert(sql, id);
        Ok(id)
    }

    fn get(&self, id: u32) -> Result<&Known, Refusal> {
        self.known.get(id as usize).ok_or_else(|| Refusal {
            fault: Fault::Frame,
            message: format!("statement {id} was never prepared"),
            event: None,
        })
    }

    /// Runs a frame of writes; answers how many rows changed.
    pub fn apply(&self, session: Session<'_>, frame: &[u8]) -> Result<u32, Refusal> {
        let ops = ops::Ops::parse(frame)?;
        // A statement is taken out of the connection's cache once a frame, not once a write.
        let mut open: Vec<Option<CachedStatement<'_>>> = Vec::new();
        open.resize_with(self.known.len(), || None);
        let mut changed = 0u64;
        for op in ops.iter() {
            let op = op?;
            let known = self.get(op.statement)?;
            let slot = &mut open[op.statement as usize];
            let statement = match slot {
                Some(statement) => statement,
                None => slot.insert(session.open(&known.sql)?),
            };
            bind(statement, known, op.values, op.event)?;
            changed +=
                statement.raw_execute().map_err(|error| session.refuse(&error, &known.sql, op.event))? as u64;
        }
        Ok(u32::try_from(changed).unwrap_or(u32::MAX))
    }

    /// Runs one statement that reads.
    pub fn query(
        &self,
        session: Session<'_>,
        id: u32,
        params: &[u8],
        rows_max: u32,
    ) -> Result<Vec<u8>, Refusal> {
        let known = self.get(id)?;
        let refuse = |message| Refusal { fault: Fault::Sql, message, event: None };
        if !known.reads {
            return Err(refuse(format!("a query must not write\n  in: {}", beginning(&known.sql))));
        }
        let params = rows::Rows::parse(params)?;
        let mut statement = session.open(&known.sql)?;
        match params.iter().next() {
            Some(values) => bind(&mut statement, known, values?, None)?,
            None => check_count(known, 0, None)?,
        }
        let columns = statement.column_count();
        let mut out = rows::Writer::new();
        for name in statement.column_names() {
            out.column(name);
        }
        let failed = |error: rusqlite::Error| session.refuse(&error, &known.sql, None);
        let mut found = statement.raw_query();
        let mut count = 0;
        while count < rows_max {
            let Some(row) = found.next().map_err(failed)? else { break };
            let mut values = Vec::with_capacity(columns);
            for column in 0..columns {
                values.push(match row.get_ref(column).map_err(failed)? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(value) => Value::Integer(value),
                    ValueRef::Real(value) => Value::Real(value),
                    ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                        Ok(text) => Value::Text(text),
                        Err(_) => Value::Blob(bytes),
                    },
                    ValueRef::Blob(bytes) => Value::Blob(bytes),
                });
            }
            out.push(values);
            count += 1;
            if out.size_bytes() > RESULT_BYTES_MAX {
                return Err(refuse(format!(
                    "the query answers more than {RESULT_BYTES_MAX} bytes: narrow it or set a LIMIT\n  in: {}",
                    beginning(&known.sql)
                )));
            }
        }
        let mut frame = Vec::new();
        out.finish(&mut frame);
        Ok(frame)
    }
}

fn check_count(known: &Known, given: usize, event: Option<u32>) -> Result<(), Refusal> {
    if given == known.parameters {
        return Ok(());
    }
    Err(Refusal {
        fault: Fault::Sql,
        message: format!(
            "the statement has {} parameters, {given} values were given\n  in: {}",
            known.parameters,
            beginning(&known.sql)
        ),
        event,
    })
}

fn bind(
    statement: &mut CachedStatement<'_>,
    known: &Known,
    values: frame::value::Values<'_>,
    event: Option<u32>,
) -> Result<(), Refusal> {
    check_count(known, values.len(), event)?;
    for (index, value) in values.enumerate() {
        statement.raw_bind_parameter(index + 1, Bound(value?)).map_err(|error| Refusal {
            fault: Fault::Sql,
            message: format!("parameter {}: {error}\n  in: {}", index + 1, beginning(&known.sql)),
            event,
        })?;
    }
    Ok(())
}
