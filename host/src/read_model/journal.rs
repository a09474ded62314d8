//! In which order ranges of partitions were applied, by which plugin and through which upcasters.

use super::checkpoint::Advance;
use rusqlite::Connection;
use std::collections::HashSet;
use std::sync::Arc;

/// Lantern's own tables for it.
pub const TABLES: &str = "
    CREATE TABLE _lantern_plugins (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE);
    CREATE TABLE _lantern_journal (
        seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
        first_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        events INTEGER NOT NULL, plugin INTEGER NOT NULL
    );";

/// Stands between the digests of a plugin and its upcasters.
const THROUGH: char = '+';

/// Who applies events: a plugin, and the upcasters that they come through, by their digests.
pub fn author(plugin: &str, upcasters: &[String]) -> String {
    let mut author = plugin.to_owned();
    for upcaster in upcasters {
        author.push(THROUGH);
        author.push_str(upcaster);
    }
    author
}

/// The digests of the plugin, and of the upcasters, that an author is.
pub fn digests(author: &str) -> (&str, Vec<&str>) {
    let mut digests = author.split(THROUGH);
    (digests.next().unwrap_or_default(), digests.collect())
}

/// Offsets of one partition that were applied one after the other by one plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset behind the last.
    pub to: i64,
    /// How many events the plugin was given of them: fewer than offsets where it does not read all types,
    /// and where records are missing.
    pub events: u64,
    /// Who applied them: see [`digests`].
    pub author: Arc<str>,
}

/// A place in a journal, which may grow behind it. The default is its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    seq: i64,
    /// How far the row was when it was read: the last row of a journal grows.
    to: i64,
    events: i64,
}

/// Some runs of a journal, in their order.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The runs. Empty when there is nothing more.
    pub runs: Vec<Run>,
    /// The place behind them.
    pub next: Cursor,
}

/// At most `limit` runs behind a place.
pub fn after(connection: &Connection, cursor: Cursor, limit: usize) -> rusqlite::Result<Page> {
    let mut names: HashSet<Arc<str>> = HashSet::new();
    let mut shared = |name: &str| {
        names.get(name).cloned().unwrap_or_else(|| {
            let name: Arc<str> = name.into();
            names.insert(Arc::clone(&name));
            name
        })
    };
    let mut statement = connection.prepare_cached(
        "SELECT j.seq, j.topic, j.partition, j.first_offset, j.next_offset, j.events, p.digest
         FROM _lantern_journal j JOIN _lantern_plugins p ON p.id = j.plugin
         WHERE j.seq >= ?1 ORDER BY j.seq LIMIT ?2",
    )?;
    // One more, because the first may be known already.
    let mut rows =
        statement.query((cursor.seq, i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)))?;
    let mut page = Page { runs: Vec::new(), next: cursor };
    while page.runs.len() < limit
        && let Some(row) = rows.next()?
    {
        let (seq, mut from, to, events): (i64, i64, i64, i64) =
            (row.get(0)?, row.get(3)?, row.get(4)?, row.get(5)?);
        let mut new = events;
        if seq == cursor.seq {
            (from, new) = (cursor.to, events - cursor.events);
            if from >= to {
                continue;
            }
        }
        page.runs.push(Run {
            topic: shared(row.get_ref(1)?.as_str()?),
            partition: row.get(2)?,
            from,
            to,
            events: u64::try_from(new).unwrap_or(0),
            author: shared(row.get_ref(6)?.as_str()?),
        });
        page.next = Cursor { seq, to, events };
    }
    Ok(page)
}

/// The digests of all plugins that wrote and of their upcasters, in the order in which they came.
pub fn plugins(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT digest FROM _lantern_plugins ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut found: Vec<String> = Vec::new();
    while let Some(row) = rows.next()? {
        let (plugin, upcasters) = digests(row.get_ref(0)?.as_str()?);
        for digest in [plugin].into_iter().chain(upcasters) {
            if !found.iter().any(|known| known == digest) {
                found.push(digest.to_owned());
            }
        }
    }
    Ok(found)
}

/// The id of an author; the first time, it is given one.
pub fn plugin(connection: &Connection, author: &str) -> rusqlite::Result<i64> {
    connection.execute("INSERT OR IGNORE INTO _lantern_plugins (digest) VALUES (?1)", [author])?;
    connection.query_row("SELECT id FROM _lantern_plugins WHERE digest = ?1", [author], |row| row.get(0))
}

/// Adds runs. The last one of the journal is extended where the same partition goes on by the same plugin.
pub fn record(connection: &Connection, plugin: i64, runs: &[Advance]) -> rusqlite::Result<()> {
    let mut merged: Vec<Advance> = Vec::with_capacity(runs.len());
    for run in runs {
        match merged.last_mut() {
            Some(last) if last.partition == run.partition && last.topic == run.topic => {
                last.to = run.to;
                last.events += run.events;
            }
            _ => merged.push(run.clone()),
        }
    }
    let events = |run: &Advance| i64::try_from(run.events).unwrap_or(i64::MAX);
    let mut new = merged.as_slice();
    if let Some(first) = merged.first() {
        let extended = connection
            .prepare_cached(
                "UPDATE _lantern_journal SET next_offset = ?4, events = events + ?5
                 WHERE seq = (SELECT max(seq) FROM _lantern_journal)
                   AND topic = ?1 AND partition = ?2 AND next_offset = ?3 AND plugin = ?6",
            )?
            .execute((&first.topic, first.partition, first.from, first.to, events(first), plugin))?;
        new = &merged[extended..];
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO _lantern_journal (topic, partition, first_offset, next_offset, events, plugin)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for run in new {
        insert.execute((&run.topic, run.partition, run.from, run.to, events(run), plugin))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Scratch, TABLE, advance, blueprint};
    use super::super::{Blueprint, Reader, Snapshot};
    use super::*;

    fn other(from: i64, to: i64) -> Advance {
        Advance { partition: 1, ..advance(from, to) }
    }

    fn run(advance: Advance, digest: &str) -> Run {
        let Advance { topic, partition, from, to, events } = advance;
        Run { topic, partition, from, to, events, author: digest.into() }
    }

    // The order of partitions is needed for a replay; one line per change of partition or plugin keeps it small.
    #[test]
    fn the_journal_is_run_length_encoded_across_transactions() {
        let scratch = Scratch::new();
        let mut writer = scratch.open(&[TABLE]).unwrap();
        for partition in [0, 1] {
            writer.begin_partition("a", partition, 0).unwrap();
        }
        let mut commit = |runs: &[Advance]| {
            writer.begin().unwrap();
            writer.commit(runs).unwrap();
        };
        for runs in [
            vec![advance(0, 3)],
            vec![advance(3, 9)],
            vec![advance(9, 10), other(0, 4)],
            vec![other(4, 5), other(5, 6), advance(10, 12), other(6, 7)],
        ] {
            commit(&runs);
        }
        let swapped = Blueprint { digest: "e".into(), ..blueprint(&[TABLE]) };
        writer.adopt(&swapped).unwrap();
        writer.begin().unwrap();
        writer.commit(&[other(7, 9)]).unwrap();
        let reader = Reader::open(&scratch.path()).unwrap();
        let page = reader.journal_after(Cursor::default(), 100).unwrap();
        let expected = [
            run(advance(0, 10), "d"),
            run(other(0, 6), "d"),
            run(advance(10, 12), "d"),
            run(other(6, 7), "d"),
            run(other(7, 9), "e"),
        ];
        assert_eq!(page.runs, expected);
        assert_eq!(Snapshot::of(&scratch.path()).unwrap().digests().unwrap(), ["d", "e"]);
    }

    // A journal is read while it grows, and not whole: whatever the pages, together they are the journal.
    #[test]
    fn pages_are_the_journal_also_when_its_last_run_grows() {
        let check = |limit: usize| {
            let scratch = Scratch::new();
            let mut writer = scratch.open(&[TABLE]).unwrap();
            for partition in [0, 1] {
                writer.begin_partition("a", partition, 0).unwrap();
            }
            let reader = Reader::open(&scratch.path()).unwrap();
            let mut cursor = Cursor::default();
            let mut seen: Vec<Run> = Vec::new();
            let mut read = |seen: &mut Vec<Run>| {
                loop {
                    let page = reader.journal_after(cursor, limit).unwrap();
                    assert!(page.runs.len() <= limit);
                    if page.runs.is_empty() {
                        return;
                    }
                    cursor = page.next;
                    for run in page.runs {
                        match seen.last_mut() {
                            Some(last) if last.partition == run.partition && last.to == run.from => {
                                last.to = run.to;
                                last.events += run.events;
                            }
                            _ => seen.push(run),
                        }
                    }
                }
            };
            for runs in [
                vec![advance(0, 2)],
                vec![advance(2, 5)],
                vec![other(0, 1), advance(5, 6), other(1, 2)],
                vec![other(2, 9)],
                vec![],
                vec![advance(6, 7), other(9, 10)],
            ] {
                writer.begin().unwrap();
                writer.commit(&runs).unwrap();
                read(&mut seen);
            }
            let whole = reader.journal_after(Cursor::default(), 100).unwrap();
            assert_eq!(seen, whole.runs, "{limit} at a time");
            assert_eq!(seen.iter().map(|run| run.events).sum::<u64>(), 17);
        };
        for limit in [1, 2, 3, 100] {
            check(limit);
        }
    }
}
