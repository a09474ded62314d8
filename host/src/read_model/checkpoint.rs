//! How far a read model is, and the order in which ranges of partitions brought it there.

use super::Error;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeMap;
use std::path::Path;

/// Lantern's own tables for both.
pub const TABLES: &str = "
    CREATE TABLE _lantern_checkpoints (
        topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        PRIMARY KEY (topic, partition)
    ) WITHOUT ROWID;
    CREATE TABLE _lantern_journal (
        seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
        first_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL
    );";

/// The next offset to apply, by topic and partition.
pub type Checkpoints = BTreeMap<(String, i32), i64>;

/// Offsets of one partition that are applied one after the other, from the checkpoint on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The checkpoint before.
    pub from: i64,
    /// The checkpoint after.
    pub to: i64,
}

/// A range of a partition as the journal has it; the same as an [`Advance`] that was stored.
pub type Run = Advance;

/// All checkpoints of a read model.
pub fn load(connection: &Connection) -> rusqlite::Result<Checkpoints> {
    connection
        .prepare_cached("SELECT topic, partition, next_offset FROM _lantern_checkpoints")?
        .query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?
        .collect()
}

/// The journal in the order in which it was written.
pub fn journal(connection: &Connection) -> rusqlite::Result<Vec<Run>> {
    connection
        .prepare_cached(
            "SELECT topic, partition, first_offset, next_offset FROM _lantern_journal ORDER BY seq",
        )?
        .query_map([], |row| {
            Ok(Run { topic: row.get(0)?, partition: row.get(1)?, from: row.get(2)?, to: row.get(3)? })
        })?
        .collect()
}

/// Stores the checkpoint of a partition that the read model did not have: the log's beginning.
pub fn begin(connection: &Connection, topic: &str, partition: i32, offset: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO _lantern_checkpoints VALUES (?1, ?2, ?3)")?
        .execute((topic, partition, offset))
        .map(drop)
}

/// Moves the checkpoints, each only if it is where the writer left it, and records the order.
pub fn advance(connection: &Connection, path: &Path, runs: &[Advance]) -> Result<(), Error> {
    let storage = |source| Error::Storage { path: path.into(), source };
    let mut compare_and_set = connection
        .prepare_cached(
            "UPDATE _lantern_checkpoints SET next_offset = ?4
             WHERE topic = ?1 AND partition = ?2 AND next_offset = ?3",
        )
        .map_err(storage)?;
    for run in runs {
        let moved =
            compare_and_set.execute((&run.topic, run.partition, run.from, run.to)).map_err(storage)?;
        if moved != 1 {
            let found = connection
                .query_row(
                    "SELECT next_offset FROM _lantern_checkpoints WHERE topic = ?1 AND partition = ?2",
                    (&run.topic, run.partition),
                    |row| row.get(0),
                )
                .optional()
                .map_err(storage)?;
            return Err(Error::Checkpoint {
                path: path.into(),
                topic: run.topic.clone(),
                partition: run.partition,
                expected: run.from,
                found,
            });
        }
        record(connection, run).map_err(storage)?;
    }
    Ok(())
}

/// Extends the journal's last run when the same partition goes on, else adds one.
fn record(connection: &Connection, run: &Advance) -> rusqlite::Result<()> {
    let extended = connection
        .prepare_cached(
            "UPDATE _lantern_journal SET next_offset = ?4
             WHERE seq = (SELECT max(seq) FROM _lantern_journal)
               AND topic = ?1 AND partition = ?2 AND next_offset = ?3",
        )?
        .execute((&run.topic, run.partition, run.from, run.to))?;
    if extended == 0 {
        connection
            .prepare_cached(
                "INSERT INTO _lantern_journal (topic, partition, first_offset, next_offset) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((&run.topic, run.partition, run.from, run.to))?;
    }
    Ok(())
}
