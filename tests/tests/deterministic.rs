//! Promise 5: the same events and the same plugin give the same rows.

use anyhow::{Context, Result, ensure};
use lantern_tests::client;
use lantern_tests::guest::{plugin, unique_topic};
use lantern_tests::log::each_log;
use lantern_tests::seed::seeded;
use lantern_tests::site::{Site, transcript};
use lantern_tests::stream::Stream;
use rusqlite::Connection;
use serde_json::Value;

const PARTITIONS: i32 = 4;
/// The partitions must have taken turns so often for their order to matter.
const TURNS_MIN: i64 = 40;

// The ledger numbers the events of all partitions, and folds them in that order. The log does not
// know the order, so only a replay that repeats what was recorded gives the same rows. The process
// is killed on the way: the record of the order is part of what a kill must not damage.
#[test]
fn a_replay_gives_the_same_rows_and_an_edited_row_is_found() -> Result<()> {
    each_log(|log| {
        let (seed, _) = seeded();
        let topic = unique_topic("deterministic");
        let mut site = Site::new(log)?;
        site.deploy(&plugin("ledger", "ledger", &[&topic])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, PARTITIONS)?;
        let stream = Stream::start(site.address(), &topic, PARTITIONS, seed);
        for turns in [TURNS_MIN / 2, TURNS_MIN] {
            host.until(&format!("{turns} turns of the partitions"), || {
                let Ok(model) = site.read_model("ledger") else { return Ok(None) };
                let taken = model.number("SELECT count(*) FROM _lantern_journal").unwrap_or(0);
                Ok((taken >= turns).then_some(()))
            })?;
            host.kill()?;
            host = site.start()?;
        }
        host.await_broker()?;
        stream.stop()?;
        let status = host.terminate()?;
        ensure!(status.success(), "SIGTERM ended it with {status}");

        let hash = replay(&site, true)?;
        ensure!(hash == replay(&site, true)?, "two replays have different hashes");

        let file = site.data().join("read-models/ledger.db");
        let edit = |sql: &str| -> Result<()> {
            let changed = Connection::open(&file)?.execute(sql, [])?;
            ensure!(changed == 1, "the edit has changed {changed} rows");
            Ok(())
        };
        edit("UPDATE entries SET value = CAST(value AS TEXT) || '!' WHERE seq = 7")?;
        ensure!(hash == replay(&site, false)?, "the replay depends on the rows that are there");
        edit("DELETE FROM entries WHERE seq = 7")?;
        replay(&site, false)?;
        Ok(())
    })
}

/// Runs `lantern verify`, which must find what is expected; answers the hash of the replay.
fn replay(site: &Site, equal: bool) -> Result<String> {
    let output = site.lantern(["verify", "ledger", "--json"])?.output()?;
    let said = || transcript(&output);
    let found: Value = serde_json::from_slice(&output.stdout).with_context(said)?;
    let hash = |field: &str| found[field].as_str().map(str::to_owned).with_context(said);
    let (live, replayed) = (hash("hash")?, hash("replayed_hash")?);
    ensure!(found["equal"] == equal, "expected equal: {equal}; {}", said());
    ensure!((live == replayed) == equal, "the hashes do not say the same; {}", said());
    ensure!(output.status.success() == equal, "the status does not say the same; {}", said());
    Ok(replayed)
}
