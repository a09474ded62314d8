//! A host on a database in memory that counts what it is asked.

use lantern_contract::frame::events::{self, NewEvent};
use lantern_contract::frame::ops::Ops;
use lantern_sdk::guest::{Failure, Host, Runner};
use lantern_sdk::{Projection, Result};
use lantern_testing::sqlite::Sqlite;
use std::cell::Cell;
use std::rc::Rc;

/// One event of a test: its type and its data.
pub type Given<'a> = (&'a str, &'a str);

/// A database with a projection on it.
pub struct ReadModel {
    runner: Runner,
    sqlite: Sqlite,
    calls: Rc<Cell<usize>>,
}

/// Counts how often it is asked to write or read in the middle of a batch.
struct Counting(Sqlite, Rc<Cell<usize>>);

impl Host for Counting {
    fn prepare(&mut self, sql: &str) -> Result<u32> {
        self.0.prepare(sql)
    }

    fn apply(&mut self, ops: &[u8]) -> Result<u32> {
        self.1.update(|calls| calls + 1);
        self.0.apply(ops)
    }

    fn query(&mut self, statement: u32, params: &[u8], rows_max: u32) -> Result<Vec<u8>> {
        self.1.update(|calls| calls + 1);
        self.0.query(statement, params, rows_max)
    }
}

impl ReadModel {
    pub fn new<P: Projection>() -> Self {
        let sqlite = Sqlite::new(&P::manifest().check().unwrap().schema).unwrap();
        let calls = Rc::default();
        let runner = Runner::new(Box::new(Counting(sqlite.clone(), Rc::clone(&calls))));
        ReadModel { runner, sqlite, calls }
    }

    /// Applies a batch in a transaction; answers how many writes it returned.
    pub fn apply<P: Projection>(&mut self, given: &[Given<'_>]) -> Result<usize, Failure> {
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
        let (runner, sqlite) = (&mut self.runner, &self.sqlite);
        sqlite.transaction(|| {
            let writes = runner.apply::<P>(&frame)?;
            sqlite.write(&writes)?;
            Ok(Ops::parse(&writes).unwrap().len())
        })
    }

    /// All rows of a query, as text: columns by `|`.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        self.sqlite.rows(sql).unwrap()
    }

    /// The statements that were prepared, in order.
    pub fn statements(&self) -> Vec<String> {
        self.sqlite.statements()
    }

    /// How often the host was called for more than preparing a statement.
    pub fn calls(&self) -> usize {
        self.calls.get()
    }
}
