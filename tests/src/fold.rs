//! The independent fold: what the tables of the `ledger` and `tally` guests must be, computed in
//! plain Rust from what an independent client reads.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, ensure};

use crate::client::Record;
use crate::read_model::ReadModel;

/// The prime that folds are taken modulo, small enough that no product overflows.
const PRIME: i64 = 1_000_000_007;

/// A topic's records by partition.
pub type Records = BTreeMap<i32, Vec<Record>>;

/// One step of the fold: depends on every value before it and on their order.
fn mix(fold: i64, value: Option<&[u8]>) -> i64 {
    // FNV-1a, 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/
    let digest = value
        .unwrap_or_default()
        .iter()
        .fold(0x811c_9dc5_u32, |digest, byte| (digest ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (fold * 31 + i64::from(digest)) % PRIME
}

/// Checks that a read model of the `ledger` guest, which reads one topic, is the fold of every
/// partition's records up to its checkpoint, event by event. Answers how many events that was.
///
/// # Errors
///
/// Names the first event that is lost, doubled, changed or out of order.
pub fn check_ledger(model: &ReadModel, topic: &str, log: &Records) -> Result<usize> {
    let expected = applied(model, topic, log)?;
    let entries = model.entries(topic)?;

    let mut next: HashMap<i32, std::slice::Iter<'_, &Record>> =
        expected.iter().map(|(partition, records)| (*partition, records.iter())).collect();
    let mut everything = 0;
    for (index, entry) in entries.iter().enumerate() {
        let at = format!("{topic}/{}@{}", entry.partition, entry.offset);
        let record = next.get_mut(&entry.partition).and_then(Iterator::next);
        let record = record.with_context(|| format!("{at} was applied beyond the log's end"))?;
        ensure!(
            entry.offset == record.offset,
            "{at} was applied where {topic}/{}@{} comes next: lost, doubled or out of order",
            record.partition,
            record.offset
        );
        ensure!(entry.key == record.key && entry.value == record.value, "{at} has other content");
        ensure!(
            usize::try_from(entry.seq) == Ok(index + 1),
            "{at} is counted as event {}, and is event {}",
            entry.seq,
            index + 1
        );
        everything = mix(everything, entry.value.as_deref());
    }
    for (partition, mut rest) in next {
        if let Some(record) = rest.next() {
            anyhow::bail!("{topic}/{partition}@{} is lost: the checkpoint is behind it", record.offset);
        }
    }

    let total: Vec<(i64, i64)> = rows(model, "SELECT events, fold FROM total")?;
    let count = entries.len();
    let expected_total = if count == 0 { vec![] } else { vec![(i64::try_from(count)?, everything)] };
    ensure!(total == expected_total, "total is {total:?}, its fold {expected_total:?}");
    check_accounts(model, &expected)?;
    Ok(count)
}

/// Checks that a read model of the `tally` guest is the fold, as [`check_ledger`] does, as far as
/// rows that are written over can show it.
///
/// # Errors
///
/// Names the first row that differs.
pub fn check_tally(model: &ReadModel, topic: &str, log: &Records) -> Result<usize> {
    let expected = applied(model, topic, log)?;
    for (partition, records) in &expected {
        let bytes: usize = records.iter().filter_map(|record| record.value.as_ref()).map(Vec::len).sum();
        let found = model.connection.query_row(
            r#"SELECT events, bytes, last_offset FROM partitions WHERE topic = ?1 AND "partition" = ?2"#,
            (topic, partition),
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
        );
        let wanted = records.last().map(|last| (records.len() as i64, bytes as i64, last.offset));
        ensure!(
            found.as_ref().ok() == wanted.as_ref(),
            "{topic}/{partition} is {found:?}, its fold {wanted:?}"
        );
    }
    check_latest(model, &expected)?;
    Ok(expected.values().map(Vec::len).sum())
}

/// The records before the checkpoint of their partition.
fn applied<'l>(model: &ReadModel, topic: &str, log: &'l Records) -> Result<BTreeMap<i32, Vec<&'l Record>>> {
    let checkpoints = model.checkpoints(topic)?;
    for partition in checkpoints.keys() {
        ensure!(log.contains_key(partition), "a checkpoint of {topic}/{partition}, which is not");
    }
    let before = |partition: &i32| checkpoints.get(partition).copied().unwrap_or(0);
    Ok(log
        .iter()
        .map(|(partition, records)| {
            let end = before(partition);
            (*partition, records.iter().filter(|record| record.offset < end).collect())
        })
        .collect())
}

/// A key is always in the same partition, so its fold does not depend on how partitions were
/// interleaved.
fn check_accounts(model: &ReadModel, expected: &BTreeMap<i32, Vec<&Record>>) -> Result<()> {
    let mut accounts: BTreeMap<&[u8], (i64, i64)> = BTreeMap::new();
    for record in expected.values().flatten() {
        if let Some(key) = &record.key {
            let (events, fold) = accounts.entry(key).or_default();
            *events += 1;
            *fold = mix(*fold, record.value.as_deref());
        }
    }
    let found: Vec<(Vec<u8>, i64, i64)> =
        rows(model, r#"SELECT "key", events, fold FROM accounts ORDER BY "key""#)?;
    let expected: Vec<(Vec<u8>, i64, i64)> =
        accounts.into_iter().map(|(key, (events, fold))| (key.to_vec(), events, fold)).collect();
    check_rows("accounts", &found, &expected)
}

fn check_latest(model: &ReadModel, expected: &BTreeMap<i32, Vec<&Record>>) -> Result<()> {
    let mut latest: BTreeMap<&[u8], (i64, Option<Vec<u8>>)> = BTreeMap::new();
    for record in expected.values().flatten() {
        if let Some(key) = &record.key {
            let (events, value) = latest.entry(key).or_default();
            *events += 1;
            value.clone_from(&record.value);
        }
    }
    let found: Vec<(Vec<u8>, i64, Option<Vec<u8>>)> =
        rows(model, r#"SELECT "key", events, value FROM latest ORDER BY "key""#)?;
    let expected: Vec<(Vec<u8>, i64, Option<Vec<u8>>)> =
        latest.into_iter().map(|(key, (events, value))| (key.to_vec(), events, value)).collect();
    check_rows("latest", &found, &expected)
}

fn check_rows<T: PartialEq + std::fmt::Debug>(table: &str, found: &[T], expected: &[T]) -> Result<()> {
    ensure!(found.len() == expected.len(), "{table} has {} rows, its fold {}", found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        ensure!(found == expected, "{table} has {found:?}, its fold {expected:?}");
    }
    Ok(())
}

fn rows<T>(model: &ReadModel, sql: &str) -> Result<Vec<T>>
where
    T: for<'r> TryFrom<&'r rusqlite::Row<'r>, Error = rusqlite::Error>,
{
    let mut statement = model.connection.prepare(sql)?;
    let rows = statement.query_map([], |row| T::try_from(row))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests;
