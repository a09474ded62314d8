//! A host that does what the contract says, in a few lines, on a database in memory.

use lantern_contract::frame::events::{self, NewEvent};
use lantern_contract::frame::ops::Ops;
use lantern_contract::frame::rows;
use lantern_contract::frame::value::{Value, Values};
use lantern_sdk::guest::{Failure, Host, Runner};
use lantern_sdk::{Error, Fault, Projection, Result};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};
use std::cell::RefCell;
use std::rc::Rc;

/// One event of a test: its type and its data.
pub type Given<'a> = (&'a str, &'a str);

/// A database with a projection on it.
pub struct ReadModel {
    runner: Runner,
    shared: Rc<Shared>,
}

struct Shared {
    connection: Connection,
    statements: RefCell<Vec<String>>,
    /// How often the host was asked to write or read in the middle of a batch.
    calls: RefCell<usize>,
}

struct Sqlite(Rc<Shared>);

impl ReadModel {
    pub fn new<P: Projection>() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        for sql in P::manifest().check().unwrap().schema {
            connection.execute_batch(&sql).unwrap();
        }
        let shared =
            Rc::new(Shared { connection, statements: RefCell::default(), calls: RefCell::default() });
        ReadModel { runner: Runner::new(Box::new(Sqlite(shared.clone()))), shared }
    }

    /// Applies a batch in a transaction; answers how many writes it returned.
    pub fn apply<P: Projection>(&mut self, given: &[Given<'_>]) -> std::result::Result<usize, Failure> {
        let mut writer = events::Writer::new();
        for (offset, (kind, data)) in given.iter().enumerate() {
            let event = NewEvent {
                kind,
                topic: "things",
                partition: 3,
                offset: 100 + offset as i64,
                timestamp_ms: 1_700_000_000_000,
                key: Some(b"key"),
                payload: Some(data.as_bytes()),
            };
            writer.push(event, [("trace", Some(&b"t-1"[..])), ("empty", None)]);
        }
        let mut frame = Vec::new();
        writer.finish(&mut frame);

        let connection = &self.shared.connection;
        connection.execute_batch("BEGIN").unwrap();
        let applied = self.runner.apply::<P>(&frame).and_then(|writes| {
            let count = Ops::parse(&writes).unwrap().len();
            self.shared.write(&writes).map(|_| count).map_err(Failure::from)
        });
        connection.execute_batch(if applied.is_ok() { "COMMIT" } else { "ROLLBACK" }).unwrap();
        applied
    }

    /// All rows of a query, as text: columns by `|`.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let mut statement = self.shared.connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (0..columns).map(|at| match row.get_ref(at).unwrap() {
                ValueRef::Null => "null".to_owned(),
                ValueRef::Integer(value) => value.to_string(),
                ValueRef::Real(value) => format!("{value:?}"),
                ValueRef::Text(value) => String::from_utf8_lossy(value).into_owned(),
                ValueRef::Blob(value) => format!("{value:02x?}"),
            });
            Ok(cells.collect::<Vec<_>>().join("|"))
        });
        rows.unwrap().map(|row| row.unwrap()).collect()
    }

    /// The statements that were prepared, in order.
    pub fn statements(&self) -> Vec<String> {
        self.shared.statements.borrow().clone()
    }

    /// How often the host was called for more than preparing a statement.
    pub fn calls(&self) -> usize {
        *self.shared.calls.borrow()
    }
}

impl Shared {
    fn write(&self, frame: &[u8]) -> Result<u32> {
        let statements = self.statements.borrow();
        let mut changed = 0;
        for op in Ops::parse(frame)?.iter() {
            let op = op?;
            let mut statement = self.connection.prepare_cached(&statements[op.statement as usize])?;
            bind(&mut statement, op.values)?;
            match statement.raw_execute() {
                Ok(count) => changed += count as u32,
                Err(error) => return Err(at_event(error, op.event)),
            }
        }
        Ok(changed)
    }
}

/// The contract's failure carries the event; the SDK's errors do so only inside of it.
fn at_event(error: rusqlite::Error, event: Option<u32>) -> Error {
    Error::new(Fault::Sql, format!("event {event:?}: {error}"))
}

fn bind(statement: &mut Statement<'_>, values: Values<'_>) -> Result<()> {
    for (nth, value) in values.enumerate() {
        match value? {
            Value::Null => statement.raw_bind_parameter(nth + 1, rusqlite::types::Null)?,
            Value::Integer(value) => statement.raw_bind_parameter(nth + 1, value)?,
            Value::Real(value) => statement.raw_bind_parameter(nth + 1, value)?,
            Value::Text(value) => statement.raw_bind_parameter(nth + 1, value)?,
            Value::Blob(value) => statement.raw_bind_parameter(nth + 1, value)?,
        }
    }
    Ok(())
}

impl Host for Sqlite {
    fn prepare(&mut self, sql: &str) -> Result<u32> {
        if let Err(error) = self.0.connection.prepare(sql) {
            return Err(Error::new(Fault::Sql, error.to_string()));
        }
        let mut statements = self.0.statements.borrow_mut();
        statements.push(sql.to_owned());
        Ok(statements.len() as u32 - 1)
    }

    fn apply(&mut self, ops: &[u8]) -> Result<u32> {
        *self.0.calls.borrow_mut() += 1;
        self.0.write(ops)
    }

    fn query(&mut self, statement: u32, params: &[u8], rows_max: u32) -> Result<Vec<u8>> {
        *self.0.calls.borrow_mut() += 1;
        let statements = self.0.statements.borrow();
        let mut statement = self.0.connection.prepare_cached(&statements[statement as usize])?;
        let params = rows::Rows::parse(params)?.iter().next().expect("a frame of one row")?;
        bind(&mut statement, params)?;
        let mut writer = rows::Writer::new();
        for name in statement.column_names() {
            writer.column(name);
        }
        let columns = statement.column_count();
        let mut found = statement.raw_query();
        let mut count = 0;
        while let Some(row) = found.next()? {
            count += 1;
            assert!(count <= rows_max);
            let values = (0..columns).map(|at| match row.get_ref(at).unwrap() {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(value) => Value::Integer(value),
                ValueRef::Real(value) => Value::Real(value),
                ValueRef::Text(value) => Value::Text(std::str::from_utf8(value).unwrap()),
                ValueRef::Blob(value) => Value::Blob(value),
            });
            writer.push(values);
        }
        let mut frame = Vec::new();
        writer.finish(&mut frame);
        Ok(frame)
    }
}
