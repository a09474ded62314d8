//! An independent reader of read models: SQLite and the names of Lantern's two tables, no more.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use rusqlite::{Connection, OpenFlags, params};

/// A read model's file, opened to read it.
#[derive(Debug)]
pub struct ReadModel {
    /// For queries of the test's own.
    pub connection: Connection,
}

/// One event as the `ledger` guest wrote it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts every event in the order of application, from 1.
    pub seq: i64,
    /// Where the event stands.
    pub partition: i32,
    /// Where the event stands in its partition.
    pub offset: i64,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value.
    pub value: Option<Vec<u8>>,
}

impl ReadModel {
    /// Opens the file.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        Ok(Self { connection })
    }

    /// The next offset of each partition of a topic; empty where nothing was applied yet.
    ///
    /// # Errors
    ///
    /// SQLite's, except that the table may not be there yet.
    pub fn checkpoints(&self, topic: &str) -> Result<BTreeMap<i32, i64>> {
        let tables: i64 = self.connection.query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name = '_lantern_checkpoints'",
            [],
            |row| row.get(0),
        )?;
        if tables == 0 {
            return Ok(BTreeMap::new());
        }
        let mut statement = self
            .connection
            .prepare_cached("SELECT partition, next_offset FROM _lantern_checkpoints WHERE topic = ?1")?;
        let rows = statement.query_map([topic], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The entries of a topic in the order of application.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn entries(&self, topic: &str) -> Result<Vec<Entry>> {
        let mut statement = self.connection.prepare(
            r#"SELECT seq, "partition", "offset", "key", value FROM entries WHERE topic = ?1 ORDER BY seq"#,
        )?;
        let rows = statement.query_map(params![topic], |row| {
            Ok(Entry {
                seq: row.get(0)?,
                partition: row.get(1)?,
                offset: row.get(2)?,
                key: row.get(3)?,
                value: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A number that a query answers.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn number(&self, sql: &str) -> Result<i64> {
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }
}
