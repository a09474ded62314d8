//! Tables whose rows are gathered over a batch, and the rows being written.

use super::Db;
use super::cache::{Cache, Change, Intent};
use crate::error::{Error, Fault, Result};
use crate::value::{FromValue, Key, ToValue, Value};
use std::fmt;

/// A table that is written row by row, declared once:
///
/// ```
/// # use lantern_sdk::Table;
/// static ORDERS: Table = Table::new("orders", &["order_id"], &["customer_id", "status", "total_cents"]);
/// ```
///
/// The table itself is made by the manifest's schema. Of the rows that a batch writes, each reaches SQLite once, in the
/// order in which they were first written, table by table. That is the same as writing at once as long as
/// rows do not depend on each other; where they do, by a trigger, a foreign key or a second unique constraint, use
/// [`Db::execute`]. What it needs of the table:
///
/// * the key columns are its primary key or a unique index, and compare byte by byte (no `COLLATE NOCASE`);
/// * the values written to a column are of the column's type;
/// * a column that is added to, or is a maximum or minimum, has no `DEFAULT`, or, if added to, 0.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub(super) name: &'static str,
    pub(super) key: &'static [&'static str],
    pub(super) columns: &'static [&'static str],
}

impl Table {
    /// The most columns beside the key.
    pub const COLUMNS_MAX: usize = 64;

    /// A table by its name, its key columns, and those of its other columns that are written.
    ///
    /// # Panics
    /// While compiling, when it has no key or too many columns.
    pub const fn new(
        name: &'static str,
        key: &'static [&'static str],
        columns: &'static [&'static str],
    ) -> Self {
        assert!(!key.is_empty(), "a table needs a key");
        assert!(columns.len() <= Self::COLUMNS_MAX, "a table has at most 64 columns beside its key");
        Table { name, key, columns }
    }

    /// Whether both are the same declaration, or say the same.
    pub(super) fn is(&self, other: &Table) -> bool {
        let same = |mine: &[&str], theirs: &[&str]| std::ptr::eq(mine, theirs) || mine == theirs;
        std::ptr::eq(self.name, other.name) && same(self.key, other.key) && same(self.columns, other.columns)
            || self.name == other.name && self.key == other.key && self.columns == other.columns
    }

    /// Where a column stands.
    pub(super) fn column(&self, name: &str) -> Result<usize> {
        // The same text is mostly the same address: a comparison of pointers finds it.
        match self.columns.iter().position(|column| std::ptr::eq(*column, name)) {
            Some(position) => Ok(position),
            None => self.column_by_text(name),
        }
    }

    #[cold]
    fn column_by_text(&self, name: &str) -> Result<usize> {
        self.columns.iter().position(|column| *column == name).ok_or_else(|| {
            Error::new(
                Fault::Other,
                format!("table `{}` declares no column `{name}`, only {:?}", self.name, self.columns),
            )
        })
    }
}

/// A row that is being written. What is wrong with it fails the event when `apply` is done.
pub struct RowMut<'d> {
    db: &'d mut Db,
    cache: usize,
    /// `None`: there is no row to write to.
    entry: Option<usize>,
    intent: Intent,
}

impl<'d> RowMut<'d> {
    pub(super) fn enter(db: &'d mut Db, table: &Table, key: impl Key, intent: Intent) -> Self {
        let mut row = RowMut { db, cache: 0, entry: None, intent };
        let entered = row.db.cache(table).and_then(|cache| {
            row.cache = cache;
            let event = row.db.event;
            match row.db.caches[cache].enter(&key, intent, event)? {
                Some(entry) => row.entry = entry,
                // An update may have met no row, which an upsert now makes: two writes, not one.
                None => row.reenter(|arena| key.write(arena))?,
            }
            Ok(())
        });
        row.db.note(entered);
        row
    }

    /// Sets a column.
    pub fn set(self, column: &str, value: impl ToValue) -> Self {
        match value.to_value() {
            Ok(value) => self.change(column, Change::Set, value),
            Err(error) => {
                self.db.note(Err(error));
                self
            }
        }
    }

    /// Adds to a column of integers; NULL counts as 0.
    pub fn add(self, column: &str, n: impl Into<i64>) -> Self {
        self.change(column, Change::Add, Value::Integer(n.into()))
    }

    /// Raises a column of integers to `n`, if it is less or NULL.
    pub fn max(self, column: &str, n: impl Into<i64>) -> Self {
        self.change(column, Change::Max, Value::Integer(n.into()))
    }

    /// Lowers a column of integers to `n`, if it is more or NULL.
    pub fn min(self, column: &str, n: impl Into<i64>) -> Self {
        self.change(column, Change::Min, Value::Integer(n.into()))
    }

    #[inline]
    fn change(mut self, column: &str, change: Change, value: Value<'_>) -> Self {
        if let Some(entry) = self.entry {
            let changed = self.try_change(entry, column, change, value);
            self.db.note(changed);
        }
        self
    }

    fn try_change(&mut self, entry: usize, column: &str, change: Change, value: Value<'_>) -> Result<()> {
        let cache = &mut self.db.caches[self.cache];
        let column = cache.table.column(column)?;
        if cache.change(entry, column, change, value) {
            return Ok(());
        }
        self.change_anew(entry, column, change, value)
    }

    /// What is gathered and what comes now are not one change: the first is written, the second begins anew.
    #[cold]
    fn change_anew(&mut self, entry: usize, column: usize, change: Change, value: Value<'_>) -> Result<()> {
        let cache = &mut self.db.caches[self.cache];
        let key = cache.key(entry).to_vec();
        let parts = cache.table.key.len() as u32;
        self.reenter(|arena| {
            arena.extend_from_slice(&key);
            Ok(parts)
        })?;
        if let Some(entry) = self.entry {
            self.db.caches[self.cache].change(entry, column, change, value);
        }
        Ok(())
    }

    /// Writes what is gathered, then enters the row again.
    fn reenter(&mut self, write_key: impl FnOnce(&mut Vec<u8>) -> Result<u32>) -> Result<()> {
        self.db.flush_rows()?;
        let table = self.db.caches[self.cache].table;
        self.db.cache(&table)?;
        let event = self.db.event;
        self.entry = Some(self.db.caches[self.cache].insert(write_key, self.intent, event)?);
        Ok(())
    }
}

/// A row as it is stored, with what was written to it in this batch.
#[derive(Clone, Copy)]
pub struct StoredRow<'d> {
    cache: &'d Cache,
    entry: usize,
}

impl<'d> StoredRow<'d> {
    /// The row, unless it is known that there is none.
    pub(super) fn new(cache: &'d Cache, entry: usize) -> Option<Self> {
        cache.exists(entry).then_some(StoredRow { cache, entry })
    }

    /// The value of a column.
    ///
    /// # Errors
    /// When the table declares no such column, or its value does not fit the type.
    pub fn get<T: FromValue<'d>>(&self, column: &str) -> Result<T> {
        let value = self.cache.value(self.entry, self.cache.table.column(column)?)?;
        T::from_value(value).ok_or_else(|| {
            let table = self.cache.table.name;
            let expected = T::EXPECTED;
            Error::new(Fault::Other, format!("column `{column}` of `{table}` is {value:?}, not {expected}"))
        })
    }
}

impl fmt::Debug for StoredRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.cache.table.columns.iter().enumerate();
        f.debug_map()
            .entries(columns.map(|(index, name)| (name, self.cache.value(self.entry, index))))
            .finish()
    }
}
