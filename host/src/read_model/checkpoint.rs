//! How far a read model is, in each partition.

use super::Error;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Lantern's own table of them.
pub const TABLES: &str = "
    CREATE TABLE _lantern_checkpoints (
        topic TEXT NOT NULL, partition INTEGER NOT NULL,
        first_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        PRIMARY KEY (topic, partition)
    ) WITHOUT ROWID;";

/// The next offset to apply, by topic and partition.
pub type Checkpoints = BTreeMap<(String, i32), i64>;

/// Offsets of one partition that are applied one after the other, from the checkpoint on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The checkpoint before.
    pub from: i64,
    /// The checkpoint after.
    pub to: i64,
    /// How many events the plugin was given of them.
    pub events: u64,
}

/// All checkpoints of a read model.
pub fn load(connection: &Connection) -> rusqlite::Result<Checkpoints> {
    all(connection, "SELECT topic, partition, next_offset FROM _lantern_checkpoints")
}

/// Where each partition was taken up.
pub fn beginnings(connection: &Connection) -> rusqlite::Result<Checkpoints> {
    all(connection, "SELECT topic, partition, first_offset FROM _lantern_checkpoints")
}

fn all(connection: &Connection, sql: &str) -> rusqlite::Result<Checkpoints> {
    connection
        .prepare_cached(sql)?
        .query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?
        .collect()
}

/// Stores the checkpoint of a partition that the read model did not have: the log's beginning.
pub fn begin(connection: &Connection, topic: &str, partition: i32, offset: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO _lantern_checkpoints VALUES (?1, ?2, ?3, ?3)")?
        .execute((topic, partition, offset))
        .map(drop)
}

/// Moves the checkpoints, each only if it is where the writer left it.
pub fn advance(connection: &Connection, path: &Path, runs: &[Advance]) -> Result<(), Error> {
    let storage = |source| Error::Storage { path: path.into(), source };
    let moved = |topic: &str, partition, expected, found| {
        Err(Error::Checkpoint { path: path.into(), topic: topic.into(), partition, expected, found })
    };
    // A batch may hold many runs of few partitions: each is moved once.
    let mut moves: BTreeMap<(&str, i32), (i64, i64)> = BTreeMap::new();
    for run in runs {
        let (_, to) = moves.entry((&run.topic, run.partition)).or_insert((run.from, run.from));
        if *to != run.from {
            return moved(&run.topic, run.partition, run.from, Some(*to));
        }
        *to = run.to;
    }
    let mut compare_and_set = connection
        .prepare_cached(
            "UPDATE _lantern_checkpoints SET next_offset = ?4
             WHERE topic = ?1 AND partition = ?2 AND next_offset = ?3",
        )
        .map_err(storage)?;
    for ((topic, partition), (from, to)) in moves {
        if compare_and_set.execute((topic, partition, from, to)).map_err(storage)? != 1 {
            let found = connection
                .query_row(
                    "SELECT next_offset FROM _lantern_checkpoints WHERE topic = ?1 AND partition = ?2",
                    (topic, partition),
                    |row| row.get(0),
                )
                .optional()
                .map_err(storage)?;
            return moved(topic, partition, from, found);
        }
    }
    Ok(())
}
