//! The host behind a read model in memory: it does what the contract says, on SQLite.

use lantern_contract::frame::ops::Ops;
use lantern_contract::frame::rows;
use lantern_contract::frame::value::{Value, Values};
use lantern_sdk::guest::Host;
use lantern_sdk::{Error, Fault, Result};
use rusqlite::types::{Null, ValueRef};
use rusqlite::{Connection, Statement};
use std::cell::RefCell;
use std::rc::Rc;

/// A database in memory, and the statements that a plugin has prepared on it. A clone is the same one.
#[derive(Clone)]
pub struct Sqlite {
    connection: Rc<Connection>,
    statements: Rc<RefCell<Vec<String>>>,
}

impl Sqlite {
    /// An empty database on which these statements were run.
    ///
    /// # Errors
    /// When SQLite refuses one of them.
    pub fn new(schema: &[String]) -> Result<Self> {
        let connection = Connection::open_in_memory().map_err(sql)?;
        connection.execute_batch("PRAGMA foreign_keys = ON").map_err(sql)?;
        for statement in schema {
            connection.execute_batch(statement).map_err(sql)?;
        }
        Ok(Sqlite { connection: Rc::new(connection), statements: Rc::default() })
    }

    /// Does something in a transaction, which is taken back when that fails.
    ///
    /// # Errors
    /// That error, or that SQLite refuses to commit.
    pub fn transaction<T, E: From<Error>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let run = |text| self.connection.execute_batch(text).map_err(|error| E::from(sql(error)));
        run("BEGIN")?;
        match work().and_then(|done| run("COMMIT").map(|()| done)) {
            Ok(done) => Ok(done),
            Err(error) => {
                run("ROLLBACK")?;
                Err(error)
            }
        }
    }

    /// Runs a frame of writes; answers how many rows changed.
    ///
    /// # Errors
    /// When SQLite refuses one of them; it names the event that it was for.
    pub fn write(&self, frame: &[u8]) -> Result<u32> {
        let mut changed = 0;
        for op in Ops::parse(frame)?.iter() {
            let op = op?;
            let text = self.text(op.statement)?;
            let refused = |error| sql(error).at_event(op.event);
            let mut statement = self.connection.prepare_cached(&text).map_err(refused)?;
            bind(&mut statement, op.values)?;
            changed += u32::try_from(statement.raw_execute().map_err(refused)?).unwrap_or(u32::MAX);
        }
        Ok(changed)
    }

    /// Runs a statement that reads; answers a frame of rows.
    ///
    /// # Errors
    /// When SQLite refuses it, or it answers more rows.
    pub fn read(&self, text: &str, params: &[u8], rows_max: u32) -> Result<Vec<u8>> {
        let mut statement = self.connection.prepare_cached(text).map_err(sql)?;
        if let Some(params) = rows::Rows::parse(params)?.iter().next() {
            bind(&mut statement, params?)?;
        }
        let mut writer = rows::Writer::new();
        statement.column_names().for_each(|name| writer.column(name));
        let columns = statement.column_count();
        let mut found = statement.raw_query();
        let mut count = 0;
        while let Some(row) = found.next().map_err(sql)? {
            count += 1;
            if count > rows_max {
                return Err(Error::new(Fault::Sql, format!("it answers more than {rows_max} rows")));
            }
            let values = (0..columns).map(|at| row.get_ref(at).map(value)).collect::<Result<Vec<_>, _>>();
            writer.push(values.map_err(sql)?);
        }
        let mut frame = Vec::new();
        writer.finish(&mut frame);
        Ok(frame)
    }

    /// All rows of a query as text, columns by `|`.
    ///
    /// # Errors
    /// When SQLite refuses it.
    pub fn rows(&self, text: &str) -> Result<Vec<String>> {
        let mut statement = self.connection.prepare(text).map_err(sql)?;
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (0..columns).map(|at| Ok(shown(row.get_ref(at)?)));
            Ok(cells.collect::<rusqlite::Result<Vec<_>>>()?.join("|"))
        });
        rows.map_err(sql)?.collect::<rusqlite::Result<_>>().map_err(sql)
    }

    /// The statements that were prepared, in order.
    pub fn statements(&self) -> Vec<String> {
        self.statements.borrow().clone()
    }

    fn text(&self, statement: u32) -> Result<String> {
        let known = self.statements.borrow().get(statement as usize).cloned();
        known.ok_or_else(|| Error::new(Fault::Other, format!("statement {statement} was not prepared")))
    }
}

impl Host for Sqlite {
    fn prepare(&mut self, text: &str) -> Result<u32> {
        self.connection.prepare(text).map_err(sql)?;
        let mut statements = self.statements.borrow_mut();
        statements.push(text.to_owned());
        Ok(statements.len() as u32 - 1)
    }

    fn apply(&mut self, ops: &[u8]) -> Result<u32> {
        self.write(ops)
    }

    fn query(&mut self, statement: u32, params: &[u8], rows_max: u32) -> Result<Vec<u8>> {
        self.read(&self.text(statement)?, params, rows_max)
    }
}

fn sql(error: rusqlite::Error) -> Error {
    Error::new(Fault::Sql, error.to_string())
}

fn bind(statement: &mut Statement<'_>, values: Values<'_>) -> Result<()> {
    for (nth, value) in values.enumerate() {
        let nth = nth + 1;
        let bound = match value? {
            Value::Null => statement.raw_bind_parameter(nth, Null),
            Value::Integer(value) => statement.raw_bind_parameter(nth, value),
            Value::Real(value) => statement.raw_bind_parameter(nth, value),
            Value::Text(value) => statement.raw_bind_parameter(nth, value),
            Value::Blob(value) => statement.raw_bind_parameter(nth, value),
        };
        bound.map_err(sql)?;
    }
    Ok(())
}

/// As the host has it: a text that is not UTF-8 is its bytes.
fn value(value: ValueRef<'_>) -> Value<'_> {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).map_or(Value::Blob(bytes), Value::Text),
        ValueRef::Blob(bytes) => Value::Blob(bytes),
    }
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => format!("{value:?}"),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Blob(bytes) => format!("{bytes:02x?}"),
    }
}
