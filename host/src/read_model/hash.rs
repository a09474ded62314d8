//! Whether two databases say the same: a hash of the rows, not of the file.
//!
//! Tables in the order of their names, each with its columns and its rows in the order of all their
//! columns, byte by byte, every value with its kind. Lantern's own tables, indexes, shadow tables and rowids do not count.

use super::{Error, RESERVED_PREFIX, Snapshot};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// What a read model says at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash of all its tables, in hex.
    pub hash: String,
    /// The hash of each table, in hex, by name.
    pub tables: BTreeMap<String, String>,
}

impl Fingerprint {
    /// Reads all of a read model, which may be written meanwhile: everything is of one moment.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn of(path: &Path) -> Result<Self, Error> {
        Snapshot::of(path)?.fingerprint()
    }
}

/// Of what the connection sees; in a transaction it is of one moment.
pub fn fingerprint(connection: &Connection) -> rusqlite::Result<Fingerprint> {
    let mut all = Sha256::new();
    let mut hashes = BTreeMap::new();
    for table in tables(connection)? {
        let hash = hash(connection, &table)?;
        text(&mut all, b't', table.as_bytes());
        all.update(hash);
        hashes.insert(table, hex(&hash));
    }
    Ok(Fingerprint { hash: hex(&all.finalize()), tables: hashes })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The tables that a plugin has made, in the order of their names.
pub fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM pragma_table_list
         WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         ORDER BY name",
    )?;
    let names =
        statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(names.into_iter().filter(|name| !name.starts_with(RESERVED_PREFIX)).collect())
}

/// A name as SQL wants it quoted.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The names of a table's columns, as `SELECT *` has them.
pub fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let statement = connection.prepare(&format!("SELECT * FROM {} LIMIT 0", quoted(table)))?;
    Ok(statement.column_names().map(str::to_owned).collect())
}

/// An order of rows that is the same in every database: a column's collation may take different texts for
/// equal, and numbers of different kinds are.
pub fn order<S: AsRef<str>>(columns: &[S]) -> String {
    let term = |column: &S| {
        let column = quoted(column.as_ref());
        format!("{column} COLLATE BINARY, typeof({column})")
    };
    columns.iter().map(term).collect::<Vec<_>>().join(", ")
}

fn hash(connection: &Connection, table: &str) -> rusqlite::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let names = columns(connection, table)?;
    let order = order(&names);
    let mut statement = connection.prepare(&format!("SELECT * FROM {} ORDER BY {order}", quoted(table)))?;
    for column in statement.column_names() {
        text(&mut hasher, b'c', column.as_bytes());
    }
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        hasher.update(b"r");
        for column in 0..names.len() {
            value(&mut hasher, row.get_ref(column)?);
        }
    }
    Ok(hasher.finalize().into())
}

fn text(hasher: &mut Sha256, tag: u8, bytes: &[u8]) {
    hasher.update([tag]);
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn value(hasher: &mut Sha256, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => hasher.update(b"n"),
        ValueRef::Integer(integer) => {
            hasher.update(b"i");
            hasher.update(integer.to_le_bytes());
        }
        ValueRef::Real(real) => {
            hasher.update(b"f");
            hasher.update(real.to_bits().to_le_bytes());
        }
        ValueRef::Text(bytes) => text(hasher, b's', bytes),
        ValueRef::Blob(bytes) => text(hasher, b'b', bytes),
    }
}
