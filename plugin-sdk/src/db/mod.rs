//! What a projection writes: SQL and rows, gathered over a batch.

mod cache;
mod hash;
mod statement;
mod table;

pub use table::{RowMut, StoredRow, Table};

use crate::error::{Error, Fault, Result};
use crate::guest::Host;
use crate::query::Rows;
use crate::value::{FromValue, Key, Params};
use cache::Cache;
use lantern_contract::frame::{ops, rows};

/// The most bytes that writes may take before they are handed to the host, in the middle of a batch if need be.
pub const BUFFER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most rows that a query answers.
pub const ROWS_MAX: u32 = 100_000;

/// The read model, within the transaction of a batch.
///
/// There are two ways to write, and both may be mixed:
///
/// * **SQL**: [`execute`](Db::execute) and [`query`](Db::query).
/// * **Rows** of a [`Table`]: [`put`](Db::put), [`upsert`](Db::upsert), [`update`](Db::update),
///   [`delete`](Db::delete) and [`get`](Db::get). What is written to one row many times in a batch reaches SQLite once,
///   which is the fastest way to write.
///
/// Writes are handed over when the batch ends, so an error of SQLite is only known then; it names the event that
/// caused it all the same. Reading hands over what was written so far and then waits for it, so a
/// projection that never reads is faster: its next batch runs while this one is being written.
///
/// `execute` and `query` see every row that was written before: the rows gathered so far are turned into
/// statements first. So a projection that mixes them gathers little.
pub struct Db {
    host: Box<dyn Host>,
    /// Statements of `execute` and `query`, by address: a text in the program never moves or changes.
    statements: Vec<(*const u8, usize, u32)>,
    ops: ops::Writer,
    params: rows::Writer,
    /// Memory for frames on their way to the host.
    frame: Vec<u8>,
    caches: Vec<Cache>,
    /// Which of `caches` hold rows, in the order in which they were first touched.
    touched: Vec<usize>,
    /// The event that is being applied.
    event: Option<u32>,
    /// The first error of a write that could not answer one itself. It fails the event.
    error: Option<Error>,
}

impl Db {
    pub(crate) fn new(host: Box<dyn Host>) -> Self {
        Db {
            host,
            statements: Vec::new(),
            ops: ops::Writer::new(),
            params: rows::Writer::new(),
            frame: Vec::new(),
            caches: Vec::new(),
            touched: Vec::new(),
            event: None,
            error: None,
        }
    }

    /// Runs a statement that writes, with its parameters in order. It runs when the batch ends, or before a query.
    ///
    /// # Errors
    /// When SQLite does not understand the statement, or a parameter is no value of SQLite.
    pub fn execute(&mut self, sql: &'static str, params: impl Params) -> Result<()> {
        self.flush_rows()?;
        let statement = self.prepare(sql)?;
        self.ops.push_with(statement, self.event, |arena| params.write(arena))
    }

    /// Runs a statement that reads, on everything written so far; answers at most [`ROWS_MAX`] rows.
    ///
    /// # Errors
    /// When SQLite refuses the statement, or something that was written before.
    pub fn query(&mut self, sql: &'static str, params: impl Params) -> Result<Rows> {
        self.flush_rows()?;
        let statement = self.prepare(sql)?;
        self.query_prepared(statement, &params)
    }

    /// The first column of a query's first row; `None` when it has no row.
    ///
    /// # Errors
    /// As [`query`](Db::query), and when the value does not fit the type.
    pub fn query_value<T: for<'a> FromValue<'a>>(
        &mut self,
        sql: &'static str,
        params: impl Params,
    ) -> Result<Option<T>> {
        let rows = self.query(sql, params)?;
        rows.first().map(|row| row.get(0)).transpose()
    }

    /// Writes a whole row: the values of all columns that the table declares, in their order.
    pub fn put(&mut self, table: &Table, key: impl Key, values: impl Params) {
        let written = self.cache(table).and_then(|cache| {
            let event = self.event;
            self.caches[cache].put(key, values, event)
        });
        self.note(written);
    }

    /// Writes some columns of a row, which is made if there is none.
    ///
    /// The columns that are not written then have their default, so those that are `NOT NULL` need one.
    pub fn upsert(&mut self, table: &Table, key: impl Key) -> RowMut<'_> {
        RowMut::enter(self, table, key, cache::Intent::Upsert)
    }

    /// Writes some columns of a row, if there is one.
    pub fn update(&mut self, table: &Table, key: impl Key) -> RowMut<'_> {
        RowMut::enter(self, table, key, cache::Intent::Update)
    }

    /// Deletes a row, if there is one.
    pub fn delete(&mut self, table: &Table, key: impl Key) {
        let written = self.cache(table).and_then(|cache| {
            let event = self.event;
            self.caches[cache].delete(key, event)
        });
        self.note(written);
    }

    /// The row of this key: as it was written in this batch, or else as the database has it.
    ///
    /// # Errors
    /// As [`query`](Db::query).
    pub fn get(&mut self, table: &Table, key: impl Key) -> Result<Option<StoredRow<'_>>> {
        let index = self.cache(table)?;
        let mut entry = self.caches[index].find(&key)?;
        if entry.is_none_or(|entry| !self.caches[index].is_known(entry)) {
            if entry.is_some() {
                // The row was written in part: the database puts the parts together.
                self.flush_rows()?;
                self.cache(table)?;
            }
            let statement = self.caches[index].select(self.host.as_mut())?;
            let rows = self.query_prepared(statement, &key)?;
            entry = Some(self.caches[index].load(&key, rows.first())?);
        }
        Ok(entry.and_then(|entry| StoredRow::new(&self.caches[index], entry)))
    }

    /// Starts an event.
    pub(crate) fn begin(&mut self, event: u32) {
        self.event = Some(event);
    }

    /// Ends an event: what it wrote must be right, and must not take too much memory.
    pub(crate) fn end(&mut self) -> Result<()> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let rows_bytes: usize = self.touched.iter().map(|&cache| self.caches[cache].size_bytes()).sum();
        if rows_bytes + self.ops.size_bytes() > BUFFER_BYTES_MAX {
            self.flush_rows()?;
            self.flush_ops()?;
        }
        Ok(())
    }

    /// Ends a batch: the frame of all writes that the host has not seen yet.
    pub(crate) fn finish(&mut self) -> Result<Vec<u8>> {
        self.event = None;
        self.flush_rows()?;
        let mut frame = Vec::new();
        self.ops.finish(&mut frame);
        Ok(frame)
    }

    /// Forgets everything that was written. Statements stay: they are the instance's, not the transaction's.
    pub(crate) fn reset(&mut self) {
        self.ops.clear();
        for cache in &mut self.caches {
            cache.clear();
        }
        self.touched.clear();
        self.event = None;
        self.error = None;
    }

    fn prepare(&mut self, sql: &'static str) -> Result<u32> {
        let known = self.statements.iter().find(|(at, len, _)| *at == sql.as_ptr() && *len == sql.len());
        if let Some(&(_, _, statement)) = known {
            return Ok(statement);
        }
        let statement = self.host.prepare(sql)?;
        self.statements.push((sql.as_ptr(), sql.len(), statement));
        Ok(statement)
    }

    fn query_prepared(&mut self, statement: u32, params: &impl Params) -> Result<Rows> {
        self.flush_ops()?;
        self.params.push_with(|arena| params.write(arena))?;
        self.params.finish(&mut self.frame);
        let frame = self.host.query(statement, &self.frame, ROWS_MAX)?;
        Rows::new(frame)
    }

    /// Turns the rows gathered so far into writes.
    fn flush_rows(&mut self) -> Result<()> {
        for &index in &self.touched {
            self.caches[index].flush(self.host.as_mut(), &mut self.ops)?;
        }
        self.touched.clear();
        Ok(())
    }

    /// Hands the writes gathered so far to the host.
    fn flush_ops(&mut self) -> Result<()> {
        if self.ops.is_empty() {
            return Ok(());
        }
        self.ops.finish(&mut self.frame);
        let applied = self.host.apply(&self.frame);
        if let Err(error) = &applied {
            // Whatever the caller makes of it, these writes are lost: the event cannot count as applied.
            self.note(Err(Error::new(error.fault(), error.message()).at_event(error.event())));
        }
        applied.map(|_changed| ())
    }

    /// The cache of a table, which counts as touched from now on.
    fn cache(&mut self, table: &Table) -> Result<usize> {
        let index = match self.caches.iter().position(|cache| cache.table.is(table)) {
            Some(index) => index,
            None => self.new_cache(table)?,
        };
        if self.caches[index].touch() {
            self.touched.push(index);
        }
        Ok(index)
    }

    #[cold]
    fn new_cache(&mut self, table: &Table) -> Result<usize> {
        if let Some(other) = self.caches.iter().find(|cache| cache.table.name == table.name) {
            return Err(Error::new(
                Fault::Other,
                format!(
                    "table `{}` is declared twice, with columns {:?} and {:?}: declare each table once",
                    table.name, other.table.columns, table.columns
                ),
            ));
        }
        self.caches.push(Cache::new(*table));
        Ok(self.caches.len() - 1)
    }

    #[cold]
    fn keep(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// Keeps the first error of a write that cannot answer it itself.
    fn note(&mut self, written: Result<()>) {
        if let Err(error) = written {
            self.keep(error);
        }
    }
}
