//! Whether all ended with the same tables.

use anyhow::{Result, ensure};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

/// The tables of the projection.
const TABLES: [&str; 4] = ["orders", "customers", "products", "daily_sales"];

/// What a database says: for each table its rows, counted and hashed in the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents(Vec<(&'static str, u64, u64)>);

impl Contents {
    /// Reads a database.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(path: &Path) -> Result<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let tables = TABLES.map(|table| {
            // The first column is the key.
            let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1"))?;
            let columns = statement.column_count();
            let (mut hasher, mut count) = (DefaultHasher::new(), 0);
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                count += 1;
                for column in 0..columns {
                    match row.get_ref(column)? {
                        ValueRef::Null => 0u8.hash(&mut hasher),
                        ValueRef::Integer(value) => (1u8, value).hash(&mut hasher),
                        ValueRef::Real(value) => (2u8, value.to_bits()).hash(&mut hasher),
                        ValueRef::Text(value) => (3u8, value).hash(&mut hasher),
                        ValueRef::Blob(value) => (4u8, value).hash(&mut hasher),
                    }
                }
            }
            Ok((table, count, hasher.finish()))
        });
        Ok(Contents(tables.into_iter().collect::<rusqlite::Result<_>>()?))
    }

    /// Fails, with the tables that differ, unless both say the same.
    ///
    /// # Errors
    /// When they differ.
    pub fn ensure_same(&self, name: &str, other: &Contents, other_name: &str) -> Result<()> {
        ensure!(
            self == other,
            "{name} and {other_name} did not end with the same tables (name, rows, hash):\n  {:?}\n  {:?}",
            self.0,
            other.0
        );
        Ok(())
    }
}
