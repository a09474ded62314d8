//! A store whose log was moved: what it says of offsets is made to be of the new log.

use super::Error;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

/// How long to wait for somebody else's lock.
const BUSY: Duration = Duration::from_secs(5);

/// Where reading goes on in the new log for who would go on at this offset of a topic's partition; `None` where the new log
/// does not have it yet.
pub type Relocated<'a> = &'a dyn Fn(&str, i32, i64) -> Option<i64>;

/// Makes checkpoints and events of a store be of another log, in one transaction, once: `log` names it. With `dry` only
/// looks whether all of them can be. Answers the first place that the new log does not have: then nothing was changed.
///
/// # Errors
/// When the file cannot be read or written.
pub fn relocate(
    path: &Path,
    log: &str,
    to: Relocated<'_>,
    dry: bool,
) -> Result<Option<(String, i32, i64)>, Error> {
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
) -> rusqlite::Result<Option<(String, i32, i64)>> {
    connection.busy_timeout(BUSY)?;
    // What is done must stay done: it is not done again.
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'about'";
    // A file that was only begun has nothing to be moved.
    if transaction.query_row(tables, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(None);
    }
    let about = |key: &str| {
        let value = "SELECT value FROM about WHERE key = ?1";
        transaction.query_row(value, [key], |row| row.get::<_, String>(0)).optional()
    };
    if about("log")?.as_deref() == Some(log) {
        return Ok(None);
    }
    let events = about("topic")?.unwrap_or_default();
    for (table, key, topic, offset) in [
        ("checkpoints", ["topic", "partition"], "topic", "next_offset"),
        ("events", ["id", "version"], "?1", "\"offset\""),
    ] {
        let select =
            format!("SELECT {}, {}, {topic}, partition, {offset} FROM {table} WHERE ?1 = ?1", key[0], key[1]);
        let mut moved = Vec::new();
        {
            let mut rows = transaction.prepare(&select)?;
            let mut rows = rows.query([&events])?;
            while let Some(row) = rows.next()? {
                let (topic, partition, offset): (String, i32, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
                match to(&topic, partition, offset) {
                    Some(new) => moved.push((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, new)),
                    None => return Ok(Some((topic, partition, offset))),
                }
            }
        }
        let update = format!("UPDATE {table} SET {offset} = ?3 WHERE {} = ?1 AND {} = ?2", key[0], key[1]);
        let mut update = transaction.prepare(&update)?;
        for row in moved {
            update.execute(row)?;
        }
    }
    transaction.execute("INSERT OR REPLACE INTO about VALUES ('log', ?1)", [log])?;
    if !dry {
        transaction.commit()?;
    }
    Ok(None)
}
