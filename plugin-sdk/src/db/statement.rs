//! The statements that write a row, by which of its columns are written, and how.

use super::table::Table;
use std::fmt::Write;

/// What a statement does to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Upsert,
    Update,
    Delete,
}

/// Which columns are written, and how, as bits by the columns' positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    /// All that are written; those in none of the others are set.
    pub written: u64,
    pub add: u64,
    pub max: u64,
    pub min: u64,
}

impl Columns {
    /// The positions of the columns that are written.
    pub fn positions(self) -> impl Iterator<Item = usize> {
        let mut rest = self.written;
        std::iter::from_fn(move || {
            let position = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(position)
        })
    }
}

/// The statement for a verb and columns. Its parameters are the key, then the columns by position.
pub(super) fn write_sql(table: &Table, verb: Verb, columns: Columns) -> String {
    let mut sql = String::new();
    let name = Quoted(table.name);
    // Writing to a String cannot fail.
    let _ = match verb {
        Verb::Upsert => {
            let names =
                list(table.key.iter().copied().chain(columns.positions().map(|at| table.columns[at])));
            let key = list(table.key.iter().copied());
            let count = table.key.len() + columns.written.count_ones() as usize;
            let marks = vec!["?"; count].join(", ");
            write!(sql, "INSERT INTO {name} ({names}) VALUES ({marks}) ON CONFLICT ({key}) DO ")
        }
        Verb::Update => write!(sql, "UPDATE {name} "),
        Verb::Delete => write!(sql, "DELETE FROM {name}"),
    };
    match verb {
        Verb::Upsert if columns.written == 0 => sql.push_str("NOTHING"),
        Verb::Upsert => {
            sql.push_str("UPDATE SET ");
            assignments(&mut sql, table, columns, |_, column| format!("excluded.{column}"));
        }
        Verb::Update => {
            sql.push_str("SET ");
            assignments(&mut sql, table, columns, |nth, _| format!("?{}", table.key.len() + nth + 1));
            where_key(&mut sql, table);
        }
        Verb::Delete => where_key(&mut sql, table),
    }
    sql
}

/// The statement that reads the declared columns of a row by its key.
pub(super) fn read_sql(table: &Table) -> String {
    // Only a qualified name is surely a column: a bare one that is misspelt would be a text.
    let name = Quoted(table.name);
    let columns = table.columns.iter().map(|column| format!("{name}.{}", Quoted(column)));
    let columns = columns.chain(table.columns.is_empty().then(|| "1".to_owned()));
    let mut sql = format!("SELECT {} FROM {name}", columns.collect::<Vec<_>>().join(", "));
    where_key(&mut sql, table);
    sql
}

fn assignments(
    sql: &mut String,
    table: &Table,
    columns: Columns,
    new: impl Fn(usize, &Quoted<'_>) -> String,
) {
    for (nth, at) in columns.positions().enumerate() {
        let column = Quoted(table.columns[at]);
        let (new, bit) = (new(nth, &column), 1u64 << at);
        // In an upsert a bare name would do, but not in its `excluded` twin: the table's name tells them apart.
        let old = format!("{}.{column}", Quoted(table.name));
        let value = if columns.add & bit != 0 {
            format!("ifnull({old}, 0) + {new}")
        } else if columns.max & bit != 0 {
            format!("max(ifnull({old}, {new}), {new})")
        } else if columns.min & bit != 0 {
            format!("min(ifnull({old}, {new}), {new})")
        } else {
            new
        };
        let comma = if nth == 0 { "" } else { ", " };
        let _ = write!(sql, "{comma}{column} = {value}");
    }
}

fn where_key(sql: &mut String, table: &Table) {
    for (nth, column) in table.key.iter().enumerate() {
        let and = if nth == 0 { " WHERE" } else { " AND" };
        let _ = write!(sql, "{and} {}.{} = ?{}", Quoted(table.name), Quoted(column), nth + 1);
    }
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|name| Quoted(name).to_string()).collect::<Vec<_>>().join(", ")
}

/// An identifier of SQL.
struct Quoted<'n>(&'n str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}
