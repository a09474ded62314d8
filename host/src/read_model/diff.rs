//! What two read models say differently, row by row.
//!
//! Both are read once, in the same order, and merged: memory does not grow with the tables. Rows are matched by
//! the primary key; those of a table without one are compared whole, as a bag of rows.

use super::hash::{columns, order, quoted, tables};
use super::{Cell, Error, Snapshot};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What a second read model says otherwise than a first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    /// Tables that only the second has.
    pub tables_added: Vec<String>,
    /// Tables that only the first has.
    pub tables_removed: Vec<String>,
    /// What differs in the tables of both, by name; tables that are equal are left out.
    pub tables: BTreeMap<String, TableDiff>,
}

/// What differs in one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableDiff {
    /// Columns that only the second has.
    pub columns_added: Vec<String>,
    /// Columns that only the first has.
    pub columns_removed: Vec<String>,
    /// The columns of the primary key, by which rows were matched; empty when rows were compared whole.
    pub key: Vec<String>,
    /// The columns that were compared, key first: what the cells of the examples are.
    pub columns: Vec<String>,
    /// Rows that only the second has.
    pub added: u64,
    /// Rows that only the first has.
    pub removed: u64,
    /// Rows of the same key with other values.
    pub changed: u64,
    /// The first of them, in the order of the keys.
    pub examples: Vec<Change>,
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The first one's row; `None` when it was added.
    pub before: Option<Vec<Cell>>,
    /// The second one's row; `None` when it was removed.
    pub after: Option<Vec<Cell>>,
}

impl Diff {
    /// Whether both say the same.
    pub fn is_empty(&self) -> bool {
        self.tables_added.is_empty() && self.tables_removed.is_empty() && self.tables.is_empty()
    }
}

impl TableDiff {
    fn is_empty(&self) -> bool {
        self.columns_added.is_empty()
            && self.columns_removed.is_empty()
            && self.added + self.removed + self.changed == 0
    }
}

/// Compares two read models. Of each table at most `examples_max` rows are shown.
///
/// # Errors
/// When one of them cannot be read.
pub fn diff(before: &Snapshot, after: &Snapshot, examples_max: usize) -> Result<Diff, Error> {
    let (old, new) = (before.ask(tables)?, after.ask(tables)?);
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|table| !those.contains(table)).cloned().collect()
    };
    let mut diff =
        Diff { tables_added: only(&new, &old), tables_removed: only(&old, &new), tables: BTreeMap::new() };
    for table in old.into_iter().filter(|table| new.contains(table)) {
        let found = compare(before, after, &table, examples_max)?;
        if !found.is_empty() {
            diff.tables.insert(table, found);
        }
    }
    Ok(diff)
}

fn compare(
    before: &Snapshot,
    after: &Snapshot,
    table: &str,
    examples_max: usize,
) -> Result<TableDiff, Error> {
    let layout = |connection: &Connection| Ok((columns(connection, table)?, key(connection, table)?));
    let ((old, old_key), (new, new_key)) = (before.ask(layout)?, after.ask(layout)?);
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|column| !those.contains(column)).cloned().collect()
    };
    // Rows of another key are other rows.
    let key = if old_key == new_key { old_key } else { Vec::new() };
    let others = old.iter().filter(|column| new.contains(column) && !key.contains(column));
    let common: Vec<String> = key.iter().chain(others).cloned().collect();
    let mut found = TableDiff {
        columns_added: only(&new, &old),
        columns_removed: only(&old, &new),
        key,
        columns: common,
        ..TableDiff::default()
    };
    if found.columns.is_empty() {
        let count = format!("SELECT count(*) FROM {}", quoted(table));
        let count = |connection: &Connection| connection.query_row(&count, [], |row| row.get::<_, i64>(0));
        found.removed = before.ask(count)?.unsigned_abs();
        found.added = after.ask(count)?.unsigned_abs();
        return Ok(found);
    }
    let list = found.columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT {list} FROM {} ORDER BY {}", quoted(table), order(&found.columns));
    let storage = |snapshot: &Snapshot| {
        let path = snapshot.path().to_owned();
        move |source| Error::Storage { path, source }
    };
    let mut old = before.connection().prepare(&sql).map_err(storage(before))?;
    let mut new = after.connection().prepare(&sql).map_err(storage(after))?;
    let (mut old, mut new) = (
        Side { rows: old.query([]).map_err(storage(before))?, snapshot: before },
        Side { rows: new.query([]).map_err(storage(after))?, snapshot: after },
    );
    let matched = if found.key.is_empty() { found.columns.len() } else { found.key.len() };
    merge(&mut old, &mut new, matched, examples_max, &mut found)?;
    Ok(found)
}

/// The columns of a table's primary key, in their order in it.
fn key(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")?
        .query_map([table], |row| row.get(0))?
        .collect()
}

struct Side<'s> {
    rows: Rows<'s>,
    snapshot: &'s Snapshot,
}

impl<'s> Side<'s> {
    fn next(&mut self) -> Result<Option<&Row<'s>>, Error> {
        let path = self.snapshot.path();
        self.rows.next().map_err(|source| Error::Storage { path: path.into(), source })
    }
}

/// Walks through both, which are sorted by the first `matched` columns.
fn merge(
    old: &mut Side<'_>,
    new: &mut Side<'_>,
    matched: usize,
    examples_max: usize,
    found: &mut TableDiff,
) -> Result<(), Error> {
    let columns = found.columns.len();
    let (mut before, mut after) = (old.next()?, new.next()?);
    loop {
        let order = match (before, after) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(before), Some(after)) => compare_rows(before, after, 0..matched),
        };
        let is_changed = match (order, before, after) {
            (Ordering::Equal, Some(before), Some(after)) => !is_same(before, after, columns),
            _ => true,
        };
        let removed = before.filter(|_| order.is_le());
        let added = after.filter(|_| order.is_ge());
        if is_changed {
            let count = match order {
                Ordering::Less => &mut found.removed,
                Ordering::Equal => &mut found.changed,
                Ordering::Greater => &mut found.added,
            };
            *count += 1;
            if found.examples.len() < examples_max {
                let cells =
                    |row: &Row<'_>| (0..columns).map(|column| Cell::from(value(row, column))).collect();
                found.examples.push(Change { before: removed.map(cells), after: added.map(cells) });
            }
        }
        if order.is_le() {
            before = old.next()?;
        }
        if order.is_ge() {
            after = new.next()?;
        }
    }
}

/// A column that the statement has always has a value.
fn value<'r>(row: &'r Row<'_>, column: usize) -> ValueRef<'r> {
    row.get_ref(column).unwrap_or(ValueRef::Null)
}

/// As SQLite sorts them with `COLLATE BINARY`, and then by kind.
fn compare_rows(a: &Row<'_>, b: &Row<'_>, mut columns: std::ops::Range<usize>) -> Ordering {
    let compared = columns.find_map(|column| {
        let order = compare_values(value(a, column), value(b, column));
        order.is_ne().then_some(order)
    });
    compared.unwrap_or(Ordering::Equal)
}

fn compare_values(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    use ValueRef::{Blob, Integer, Null, Real, Text};
    let class = |value: ValueRef<'_>| match value {
        Null => 0,
        Integer(_) | Real(_) => 1,
        Text(_) => 2,
        Blob(_) => 3,
    };
    match (a, b) {
        (Integer(a), Integer(b)) => a.cmp(&b),
        (Real(a), Real(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        (Integer(a), Real(b)) => integer_with_real(a, b).then(Ordering::Less),
        (Real(a), Integer(b)) => integer_with_real(b, a).reverse().then(Ordering::Greater),
        (Text(a), Text(b)) | (Blob(a), Blob(b)) => a.cmp(b),
        _ => class(a).cmp(&class(b)),
    }
}

/// Exactly: most integers beyond 2^53 are no float.
fn integer_with_real(integer: i64, real: f64) -> Ordering {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if real >= BEYOND {
        return Ordering::Less;
    }
    if real < -BEYOND {
        return Ordering::Greater;
    }
    let whole = real.trunc();
    // Within the range of integers, so the conversion is exact.
    integer.cmp(&(whole as i64)).then_with(|| {
        let rest = real - whole;
        0.0_f64.partial_cmp(&rest).unwrap_or(Ordering::Equal)
    })
}

fn is_same(a: &Row<'_>, b: &Row<'_>, columns: usize) -> bool {
    (0..columns).all(|column| match (value(a, column), value(b, column)) {
        (ValueRef::Real(a), ValueRef::Real(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    })
}

#[cfg(test)]
mod tests;
