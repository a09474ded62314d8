//! Promise 2: a reader sees the rows and the checkpoint of the same transaction, never half a
//! batch.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use lantern_tests::client;
use lantern_tests::fold::Records;
use lantern_tests::guest::{plugin, unique_topic};
use lantern_tests::log::each_log;
use lantern_tests::read_model::ReadModel;
use lantern_tests::seed::seeded;
use lantern_tests::site::Site;
use lantern_tests::stream::Stream;

const PARTITIONS: i32 = 3;
/// So many different checkpoints must have been met for the test to have shown anything.
const CHECKPOINTS_MIN: usize = 150;

/// What one transaction of the reader saw.
struct Sample {
    plugin: &'static str,
    checkpoints: BTreeMap<i32, i64>,
    /// Events and the last offset by partition, from the plugin's rows.
    rows: BTreeMap<i32, (i64, i64)>,
}

// The reader is an ordinary SQLite client in a process of its own, as users have them. What it saw
// is compared afterwards with the log: only the log knows how many events a checkpoint stands for.
#[test]
fn a_reader_never_sees_rows_and_checkpoint_disagree() -> Result<()> {
    each_log(|log| {
        let (seed, _) = seeded();
        let topic = unique_topic("atomic");
        let mut site = Site::new(log)?;
        site.deploy(&plugin("ledger", "ledger", &[&topic])?)?;
        site.deploy(&plugin("tally", "tally", &[&topic])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, PARTITIONS)?;
        let stream = Stream::start(site.address(), &topic, PARTITIONS, seed);

        let mut samples = Vec::new();
        for (plugin, rows) in [("ledger", LEDGER_ROWS), ("tally", TALLY_ROWS)] {
            let model = host.until("there is a read model", || Ok(site.read_model(plugin).ok()))?;
            let mut seen = BTreeSet::new();
            host.until(&format!("{CHECKPOINTS_MIN} checkpoints of {plugin}"), || {
                if let Some(sample) = sample(&model, plugin, &topic, rows)?
                    && seen.insert(sample.checkpoints.clone())
                {
                    samples.push(sample);
                }
                Ok((seen.len() >= CHECKPOINTS_MIN).then_some(()))
            })?;
        }

        stream.stop()?;
        let records = client::read_committed(site.address(), &topic)?;
        samples.iter().try_for_each(|sample| check(sample, &records))
    })
}

const LEDGER_ROWS: &str = r#"SELECT "partition", count(*), max("offset") FROM entries GROUP BY "partition""#;
const TALLY_ROWS: &str = r#"SELECT "partition", events, last_offset FROM partitions"#;

/// Reads rows and checkpoint in one transaction. `None` before the first batch.
fn sample(model: &ReadModel, plugin: &'static str, topic: &str, sql: &str) -> Result<Option<Sample>> {
    let transaction = model.connection.unchecked_transaction()?;
    let checkpoints = model.checkpoints(topic)?;
    if checkpoints.is_empty() {
        return Ok(None);
    }
    let mut statement = model.connection.prepare_cached(sql)?;
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
        .collect::<Result<_, _>>()?;
    drop(statement);
    transaction.finish()?;
    Ok(Some(Sample { plugin, checkpoints, rows }))
}

/// The rows of each partition are those of the records before its checkpoint.
fn check(sample: &Sample, log: &Records) -> Result<()> {
    for (partition, records) in log {
        let end = sample.checkpoints.get(partition).copied().unwrap_or(0);
        let before = records.partition_point(|record| record.offset < end);
        let expected = records[..before].last().map(|last| (before as i64, last.offset));
        let found = sample.rows.get(partition).copied();
        ensure!(
            found == expected,
            "{}: partition {partition} has checkpoint {end} and rows of (events, last offset) \
             {found:?}; its log has {expected:?}",
            sample.plugin
        );
    }
    Ok(())
}
