//! What both native loops share: the database and where it stands in the log.

use anyhow::{Context as _, Result};
use lantern_sdk::Projection as _;
use rusqlite::Connection;
use std::path::Path;

/// Reads where the database stands.
pub const CHECKPOINTS_SQL: &str = "SELECT partition, next_offset FROM checkpoints";
/// Moves it.
pub const MOVE_SQL: &str = "INSERT INTO checkpoints (partition, next_offset) VALUES (?1, ?2)
     ON CONFLICT (partition) DO UPDATE SET next_offset = excluded.next_offset";

/// Opens the database as Lantern opens its own, with the plugin's tables.
pub fn open(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16384;
         CREATE TABLE IF NOT EXISTS checkpoints (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);",
    )?;
    let has_tables: bool =
        connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'orders'", [], |row| row.get(0))?;
    if !has_tables {
        let manifest: serde_json::Value = serde_json::from_str(&orders::Orders::manifest().to_json())?;
        for sql in manifest["schema"].as_array().context("the manifest has no schema")? {
            connection.execute_batch(sql.as_str().context("a statement of the schema is no text")?)?;
        }
    }
    Ok(connection)
}

/// The next offsets, by partition.
pub fn checkpoints(connection: &Connection) -> Result<Vec<(i32, i64)>> {
    let mut statement = connection.prepare(CHECKPOINTS_SQL)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
