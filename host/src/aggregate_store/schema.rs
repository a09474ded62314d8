//! The tables, and whether a file is what it should be.

use super::Error;
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;

/// "LNTA", so that `file` and friends can tell it from another database.
const APPLICATION_ID: i32 = 0x4C4E_5441;
/// The layout of the tables, in SQLite's `user_version`.
const FORMAT_VERSION: i32 = 1;

const TABLES: &str = "
    CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE aggregates (
        id TEXT PRIMARY KEY,
        partition INTEGER NOT NULL,
        version INTEGER NOT NULL,
        state BLOB,                        -- JSON, by the plugin of that state version
        state_at INTEGER NOT NULL DEFAULT 0,
        state_version INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE events (
        id TEXT NOT NULL, version INTEGER NOT NULL,
        type TEXT NOT NULL, time_ms INTEGER NOT NULL,
        partition INTEGER NOT NULL, \"offset\" INTEGER NOT NULL,
        payload BLOB NOT NULL,
        event_id TEXT NOT NULL, correlation TEXT, causation TEXT,
        PRIMARY KEY (id, version)
    ) WITHOUT ROWID;
    CREATE TABLE decisions (               -- of commands with an idempotency key
        id TEXT NOT NULL, key TEXT NOT NULL,
        digest TEXT NOT NULL,
        outcome TEXT NOT NULL CHECK (outcome IN ('appended', 'unchanged', 'rejected')),
        first INTEGER NOT NULL, last INTEGER NOT NULL,
        code TEXT, message TEXT, detail TEXT,
        PRIMARY KEY (id, key)
    ) WITHOUT ROWID;
    CREATE TABLE checkpoints (
        topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        PRIMARY KEY (topic, partition)
    ) WITHOUT ROWID;";

/// Makes the tables in an empty file; refuses one that keeps something else.
pub(super) fn ensure(connection: &Connection, path: &Path, name: &str, topic: &str) -> Result<(), Error> {
    let storage = |source| Error::Storage { path: path.into(), source };
    let count = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 = connection.query_row(count, [], |row| row.get(0)).map_err(storage)?;
    if tables == 0 {
        let make = format!(
            "BEGIN IMMEDIATE; {TABLES}
             PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT_VERSION};"
        );
        connection.execute_batch(&make).map_err(storage)?;
        let mut about = connection.prepare("INSERT INTO about VALUES (?1, ?2)").map_err(storage)?;
        for (key, value) in [("name", name), ("topic", topic), ("by", env!("CARGO_PKG_VERSION"))] {
            about.execute((key, value)).map_err(storage)?;
        }
        return connection.execute_batch("COMMIT").map_err(storage);
    }
    check(connection, path, name, topic)
}

/// Whether a file keeps these aggregates.
fn check(connection: &Connection, path: &Path, name: &str, topic: &str) -> Result<(), Error> {
    let storage = |source| Error::Storage { path: path.into(), source };
    let foreign = |reason| Err(Error::Foreign { path: path.into(), name: name.to_owned(), reason });
    let pragma = |name| {
        let get = |row: &rusqlite::Row<'_>| row.get::<_, i32>(0);
        connection.pragma_query_value(None, name, get).map_err(storage)
    };
    if pragma("application_id")? != APPLICATION_ID {
        return foreign("it is another database".to_owned());
    }
    let format = pragma("user_version")?;
    if format != FORMAT_VERSION {
        return foreign(format!("it has format {format}, this Lantern knows {FORMAT_VERSION}"));
    }
    for (key, wanted) in [("name", name), ("topic", topic)] {
        let found: Option<String> = connection
            .query_row("SELECT value FROM about WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(storage)?;
        if found.as_deref() != Some(wanted) {
            return foreign(format!("its {key} is `{}`, not `{wanted}`", found.unwrap_or_default()));
        }
    }
    Ok(())
}
