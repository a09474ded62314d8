//! A read model whose log was moved: what it says of offsets is made to be of the new log.

use super::{Error, blueprint};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

/// What the read model remembers: the log that its offsets are of, where it was moved.
pub(super) const LOG: &str = "log";
/// How long to wait for somebody else's lock.
const BUSY: Duration = Duration::from_secs(5);

/// Where reading goes on in the new log for who would go on at this offset of a topic's partition; `None` where the new log
/// does not have it yet.
pub type Relocated<'a> = &'a dyn Fn(&str, i32, i64) -> Option<i64>;

/// What was done to a read model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relocation {
    /// Whether it was of the new log already.
    pub is_repeated: bool,
    /// The first place that the new log does not have: then nothing was changed.
    pub uncovered: Option<(String, i32, i64)>,
}

/// Makes checkpoints and journal of a read model be of another log, in one transaction, once: `log` names it. With
/// `dry` only looks whether all of them can be. Nobody else may write it meanwhile.
///
/// # Errors
/// When the file cannot be read or written.
pub fn relocate(path: &Path, log: &str, to: Relocated<'_>, dry: bool) -> Result<Relocation, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)
        .map_err(|source| Error::Open { path: path.into(), source })?;
    relocated(&mut connection, log, to, dry).map_err(|source| Error::Storage { path: path.into(), source })
}

fn relocated(
    connection: &mut Connection,
    log: &str,
    to: Relocated<'_>,
    dry: bool,
) -> rusqlite::Result<Relocation> {
    connection.busy_timeout(BUSY)?;
    // What is done must stay done: it is not done again.
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = '_lantern_meta'";
    // A file that was only begun has nothing to be moved.
    if transaction.query_row(tables, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(Relocation::default());
    }
    if blueprint::meta(&transaction, LOG)?.as_deref() == Some(log) {
        return Ok(Relocation { is_repeated: true, uncovered: None });
    }
    for (table, id) in [("_lantern_checkpoints", "topic || '/' || partition"), ("_lantern_journal", "seq")] {
        let select = format!("SELECT {id}, topic, partition, first_offset, next_offset FROM {table}");
        let mut rows = transaction.prepare(&select)?;
        let mut rows = rows.query([])?;
        let update = format!("UPDATE {table} SET first_offset = ?2, next_offset = ?3 WHERE {id} = ?1");
        let mut update = transaction.prepare(&update)?;
        let mut moved = Vec::new();
        while let Some(row) = rows.next()? {
            let (topic, partition): (String, i32) = (row.get(1)?, row.get(2)?);
            let place = |column| -> rusqlite::Result<Result<i64, i64>> {
                let offset = row.get(column)?;
                Ok(to(&topic, partition, offset).ok_or(offset))
            };
            match (place(3)?, place(4)?) {
                (Ok(first), Ok(next)) => moved.push((row.get::<_, rusqlite::types::Value>(0)?, first, next)),
                (Err(offset), _) | (_, Err(offset)) => {
                    return Ok(Relocation {
                        is_repeated: false,
                        uncovered: Some((topic, partition, offset)),
                    });
                }
            }
        }
        // Not while it is being read: a row that is written might be met again.
        for (id, first, next) in moved {
            update.execute((id, first, next))?;
        }
    }
    // Runs of markers alone: nothing of them is in the new log.
    transaction
        .execute("DELETE FROM _lantern_journal WHERE first_offset = next_offset AND events = 0", [])?;
    transaction.execute("INSERT OR REPLACE INTO _lantern_meta (key, value) VALUES (?1, ?2)", (LOG, log))?;
    if !dry {
        transaction.commit()?;
    }
    Ok(Relocation::default())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Scratch, TABLE, advance};
    use super::super::{Cursor, Reader, Snapshot};
    use super::*;

    // Moved twice, a checkpoint would pass over events; moved in part, it would not fit its journal.
    #[test]
    fn a_read_model_is_moved_whole_and_once() {
        let scratch = Scratch::new();
        let mut writer = scratch.open(&[TABLE]).unwrap();
        writer.begin_partition("a", 0, 10).unwrap();
        writer.begin().unwrap();
        writer.commit(&[advance(10, 20)]).unwrap();
        drop(writer);
        let path = scratch.path();
        let half = |_: &str, _: i32, offset: i64| (offset < 20).then_some(offset / 2);
        let all = |_: &str, _: i32, offset: i64| Some(offset / 2);
        let at = || Reader::open(&path).unwrap().checkpoints().unwrap()[&("a".into(), 0)];
        let found = relocate(&path, "new", &half, false).unwrap();
        assert_eq!((found.uncovered, at()), (Some(("a".into(), 0, 20)), 20));
        assert_eq!(relocate(&path, "new", &all, true).unwrap(), Relocation::default());
        assert_eq!(at(), 20, "it was only looked at");
        for is_repeated in [false, true] {
            let done = relocate(&path, "new", &all, false).unwrap();
            assert_eq!((done, at()), (Relocation { is_repeated, uncovered: None }, 10));
        }
        let page = Snapshot::of(&path).unwrap().journal_after(Cursor::default(), 9).unwrap();
        assert_eq!(page.runs.iter().map(|run| (run.from, run.to)).collect::<Vec<_>>(), [(5, 10)]);
    }
}
