//! What a read model says can be proved from its log: it can be checked, given as of an earlier moment, copied while it is
//! written, and taken up elsewhere.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lantern_tests::client::{self, NewRecord};
use lantern_tests::fold::{check_ledger, check_tally};
use lantern_tests::guest::{Plugin, plugin, unique_topic};
use lantern_tests::log::{Log, each_log, on};
use lantern_tests::read_model::ReadModel;
use lantern_tests::seed::seeded;
use lantern_tests::site::{Site, transcript};
use lantern_tests::stream::Stream;
use lantern_tests::whole::ends;
use rusqlite::Connection;
use serde_json::Value;

const PARTITIONS: i32 = 4;
/// The partitions must have taken turns so often for their order to matter.
const TURNS_MIN: i64 = 40;

/// Streams events into a topic while these plugins run one after the other, each until the partitions have taken some
/// turns, and ends everything in order.
fn applied(site: &mut Site, topic: &str, plugins: &[Plugin]) -> Result<()> {
    let (seed, _) = seeded();
    let mut stream = None;
    for (index, plugin) in plugins.iter().enumerate() {
        site.deploy(plugin)?;
        let mut host = site.start()?;
        host.await_broker()?;
        if stream.is_none() {
            client::create_topic(site.address(), topic, PARTITIONS)?;
            stream = Some(Stream::start(site.address(), topic, PARTITIONS, seed));
        }
        let by = index + 1;
        host.until(&format!("{TURNS_MIN} turns of the partitions by plugin {by}"), || {
            let Ok(model) = site.read_model(&plugin.name) else { return Ok(None) };
            let count = format!("SELECT count(*) FROM _lantern_journal WHERE plugin = {by}");
            Ok((model.number(&count).unwrap_or(0) >= TURNS_MIN).then_some(()))
        })?;
        if index + 1 == plugins.len()
            && let Some(stream) = stream.take()
        {
            stream.stop()?;
        }
        let status = host.terminate()?;
        ensure!(status.success(), "SIGTERM ended it with {status}");
    }
    Ok(())
}

/// What `lantern verify --json` says; its status must say the same.
fn verified(site: &Site, name: &str) -> Result<Value> {
    let output = site.lantern(["verify", name, "--json"])?.output()?;
    let found: Value = serde_json::from_slice(&output.stdout).with_context(|| transcript(&output))?;
    ensure!(found["equal"] == output.status.success(), "the status says otherwise: {}", transcript(&output));
    Ok(found)
}

/// What a command that must fail says.
fn refused<'a>(site: &Site, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
    let output = site.lantern(arguments)?.output()?;
    ensure!(!output.status.success(), "it should fail: {}", transcript(&output));
    Ok(transcript(&output))
}

// Who cannot find out what is wrong with a read model has to rebuild it whenever in doubt. Whatever was done to it by hand
// is found, with the rows, and nothing is found that is not there.
#[test]
fn verify_finds_every_edit_with_its_rows() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("edited");
        let mut site = Site::new(log)?;
        applied(&mut site, &topic, &[plugin("ledger", "ledger", &[&topic])?])?;
        let file = site.data().join("read-models/ledger.db");
        let original = site.data().join("original.db");
        Connection::open(&file)?.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        fs::copy(&file, &original)?;
        let accounts: i64 =
            Connection::open(&original)?.query_one("SELECT count(*) FROM accounts", [], |row| row.get(0))?;
        let accounts = u64::try_from(accounts)?;

        let check = |sql: &str, table: &str, counts: [u64; 3]| -> Result<()> {
            fs::copy(&original, &file)?;
            Connection::open(&file)?.execute_batch(sql)?;
            let found = verified(&site, "ledger")?;
            let said = || format!("{sql}: {found:#}");
            ensure!(found["equal"] == false && found["reason"] == "edited", said());
            ensure!(found["differing_tables"] == serde_json::json!([table]), said());
            let diff = &found["diff"]["tables"][table];
            for (what, count) in ["changed", "removed", "added"].iter().zip(counts) {
                ensure!(diff[what].as_u64().unwrap_or(0) == count, said());
            }
            let examples = diff["examples"].as_array().map_or(0, Vec::len) as u64;
            ensure!(examples == counts.iter().sum::<u64>().min(5), said());
            Ok(())
        };
        ensure!(verified(&site, "ledger")?["equal"] == true, "it differs before it was edited");
        check("UPDATE total SET fold = fold + 1", "total", [1, 0, 0])?;
        let row = r#""key" = (SELECT "key" FROM accounts ORDER BY "key" LIMIT 1 OFFSET 3)"#;
        check(&format!("UPDATE accounts SET events = -events WHERE {row}"), "accounts", [1, 0, 0])?;
        check(&format!("DELETE FROM accounts WHERE {row}"), "accounts", [0, 0, 1])?;
        check("INSERT INTO accounts VALUES (x'00', 1, 1)", "accounts", [0, 1, 0])?;
        check("UPDATE accounts SET events = 0", "accounts", [accounts, 0, 0])?;
        // A table without a key: the row that was and the row that is.
        check("UPDATE entries SET value = x'00' WHERE seq = 7", "entries", [0, 1, 1])?;
        fs::copy(&original, &file)?;
        Connection::open(&file)?.execute_batch("DROP TABLE accounts")?;
        let found = verified(&site, "ledger")?;
        let is_missing = found["diff"]["tables_added"] == serde_json::json!(["accounts"]);
        ensure!(is_missing && found["reason"] == "edited", "{found:#}");
        fs::copy(&original, &file)?;
        Connection::open(&file)?.execute_batch("CREATE INDEX mine ON entries (value)")?;
        ensure!(verified(&site, "ledger")?["equal"] == true, "an index changes no row");

        // For people: the key, the value that is there, and the one that should be.
        let edit =
            r#"UPDATE total SET events = 12345 WHERE one = 1; CREATE TABLE extra (x); DROP TABLE accounts"#;
        Connection::open(&file)?.execute_batch(edit)?;
        let said = refused(&site, ["verify", "ledger"])?;
        for words in [
            "one=1: events is 12345, by the log ",
            "extra: the log makes no such table",
            "accounts: the table is missing",
            "edited by hand",
        ] {
            ensure!(said.contains(words), "it does not say {words:?}: {said}");
        }
        Ok(())
    })
}

// What a plugin remembers from event to event outside of its tables is gone with its instance, so that rows depend on when
// batches began. A replay in other batches shows it, and nobody looks for an editor who was not there.
#[test]
fn verify_finds_a_plugin_that_is_not_deterministic() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("forgetful");
        let mut site = Site::new(log)?;
        applied(&mut site, &topic, &[plugin("ledger", "ledger", &[&topic, "forgetful"])?])?;
        let found = verified(&site, "ledger")?;
        ensure!(found["equal"] == false && found["reason"] == "not-deterministic", "{found:#}");
        ensure!(found["differing_tables"] == serde_json::json!(["entries"]), "{found:#}");
        Ok(())
    })
}

// The most common mistake that no compiler finds: each hash map has an order of its own, also without randomness.
#[test]
fn verify_finds_rows_in_the_order_of_a_hash_map() -> Result<()> {
    on(&Log::Embedded, |log| {
        let topic = unique_topic("hashed");
        let mut site = Site::new(log)?;
        applied(&mut site, &topic, &[plugin("ledger", "ledger", &[&topic, "hashed"])?])?;
        let found = verified(&site, "ledger")?;
        ensure!(found["equal"] == false && found["reason"] == "not-deterministic", "{found:#}");
        ensure!(found["differing_tables"] == serde_json::json!(["entries"]), "{found:#}");
        Ok(())
    })
}

// A read model may have been written by several plugins, one after the other; each of them is needed to repeat it.
#[test]
fn a_read_model_that_several_plugins_wrote_is_verified_with_all_of_them() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("swapped");
        let mut site = Site::new(log)?;
        let plugins =
            [plugin("ledger", "ledger", &[&topic])?, plugin("ledger", "ledger", &[&topic, "marking"])?];
        applied(&mut site, &topic, &plugins)?;
        let model = site.read_model("ledger")?;
        for (kind, is_marked) in [("marked", true), ("others", false)] {
            let count = format!("SELECT count(*) FROM entries WHERE (type = 'marked') = {is_marked}");
            ensure!(model.number(&count)? > 0, "no entry is of {kind}");
        }
        let digests = model.number("SELECT count(DISTINCT plugin) FROM _lantern_journal")?;
        ensure!(digests == 2, "the journal names {digests} plugins");
        let first = model.connection.query_row(
            "SELECT digest FROM _lantern_plugins WHERE id = (SELECT plugin FROM _lantern_journal ORDER BY seq LIMIT 1)",
            [],
            |row| row.get::<_, String>(0),
        )?;
        let found = verified(&site, "ledger")?;
        ensure!(found["equal"] == true, "{found:#}");
        fs::remove_file(site.data().join(format!("plugins/{first}.wasm")))?;
        let said = refused(&site, ["verify", "ledger"])?;
        ensure!(said.contains(&first) && said.contains("is not kept"), "{said}");
        Ok(())
    })
}

// Retention takes events away that were applied. The read model is right as it is, and what cannot be proved any more must
// not be called wrong.
#[test]
fn verify_says_when_the_log_no_longer_has_what_was_applied() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("truncated");
        let mut site = Site::new(log)?;
        applied(&mut site, &topic, &[plugin("tally", "tally", &[&topic])?])?;
        {
            // The embedded broker is there while a process of Lantern's is.
            let mut host = site.start()?;
            host.await_broker()?;
            client::delete_records(site.address(), &topic, 2, 5)?;
            host.terminate()?;
        }
        let found = verified(&site, "tally")?;
        ensure!(found["equal"] == false && found["reason"] == "log", "{found:#}");
        let said = found["explanation"].as_str().unwrap_or_default();
        ensure!(said.contains("truncated") && said.contains(&format!("{topic}/2@0")), "{found:#}");
        let said = refused(&site, ["verify", "tally"])?;
        ensure!(said.contains("cannot be compared with its log"), "{said}");
        Ok(())
    })
}

/// The next offset of each partition, as `topic/partition@offset`.
fn position(topic: &str, offsets: &[i64]) -> String {
    let parts = offsets.iter().enumerate().map(|(partition, offset)| format!("{topic}/{partition}@{offset}"));
    parts.collect::<Vec<_>>().join(",")
}

// "What did it say before that event?" is asked when something has gone wrong; the answer must be what it said.
#[test]
fn a_replay_up_to_a_time_or_a_position_is_the_fold_up_to_there() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("until");
        let mut site = Site::new(log)?;
        site.deploy(&plugin("ledger", "ledger", &[&topic])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, PARTITIONS)?;
        // Partition p has a record every p + 1 seconds, from the same second on.
        let start_ms = 1_767_225_600_000;
        let of = |partition: i32| {
            let record = move |number: i64| NewRecord {
                partition,
                key: Some(format!("{partition}-{}", number % 3).into_bytes()),
                value: Some(format!("{number}").into_bytes()),
                timestamp_ms: Some(start_ms + number * 1_000 * i64::from(partition + 1)),
                ..NewRecord::default()
            };
            (0..100).map(record)
        };
        for step in 0..10 {
            let some = (0..PARTITIONS).flat_map(|partition| of(partition).skip(step * 10).take(10));
            client::produce(site.address(), &topic, some)?;
        }
        host.await_checkpoint("ledger", &topic, &(0..PARTITIONS).map(|id| (id, 100)).collect::<Vec<_>>())?;
        let records = client::read_committed(site.address(), &topic)?;
        host.terminate()?;

        let out = site.data().join("then.db");
        let replayed = |until: &str| -> Result<ReadModel> {
            let path = out.to_str().context("a path")?;
            let found = site.json(["replay", "ledger", "--until", until, "--out", path, "--force"])?;
            let model = ReadModel::open(&out)?;
            let applied = check_ledger(&model, &topic, &records)?;
            ensure!(found["events"] == applied, "{applied} events, and it says {found:#}");
            Ok(model)
        };
        let check = |until: &str, expected: &[i64]| -> Result<()> {
            let model = replayed(until)?;
            let found: Vec<i64> = model.checkpoints(&topic)?.into_values().collect();
            ensure!(found == expected, "until {until}: {found:?}, not {expected:?}");
            Ok(())
        };
        check("2026-01-01T00:00:00Z", &[0, 0, 0, 0])?;
        check("2026-01-01T00:00:30Z", &[30, 15, 10, 8])?;
        check("2026-01-01T01:00:30.001+01:00", &[31, 16, 11, 8])?;
        check("2026-01-02T00:00:00Z", &[100, 100, 100, 100])?;
        for offsets in [[25, 0, 99, 100], [100, 100, 100, 100], [0, 0, 0, 1]] {
            check(&position(&topic, &offsets), &offsets)?;
        }
        // One event's coordinates, as an error shows them: all as it was when that event was next.
        let model = replayed(&format!("{topic}/1@57"))?;
        let live = site.read_model("ledger")?;
        let applied = model.number("SELECT count(*) FROM entries")?;
        let before = live.connection.query_row(
            r#"SELECT max(seq) FROM entries WHERE "partition" = 1 AND "offset" < 57"#,
            [],
            |row| row.get::<_, i64>(0),
        )?;
        ensure!(applied == before, "{applied} events are applied, {before} had been");

        let path = out.to_str().context("a path")?;
        for (until, words) in [
            (format!("{topic}/1@101"), "has not come to"),
            (format!("{topic}/9@1"), "has applied nothing of"),
            ("yesterday".to_owned(), "RFC 3339"),
        ] {
            let said = refused(&site, ["replay", "ledger", "--until", &until, "--out", path, "--force"])?;
            ensure!(said.contains(words), "{until}: {said}");
        }
        let said = refused(&site, ["replay", "ledger", "--out", path])?;
        ensure!(said.contains("exists already; --force"), "{said}");
        Ok(())
    })
}

// A disk dies, a machine is added: who has the file goes on where it was made, with each event applied once.
#[test]
fn a_backup_that_was_made_under_load_goes_on_exactly_once_elsewhere() -> Result<()> {
    each_log(|log| {
        let (seed, _) = seeded();
        let topic = unique_topic("backup");
        let plugins = [plugin("ledger", "ledger", &[&topic])?, plugin("tally", "tally", &[&topic])?];
        let mut site = Site::new(log)?;
        for plugin in &plugins {
            site.deploy(plugin)?;
        }
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, PARTITIONS)?;
        let stream = Stream::start(site.address(), &topic, PARTITIONS, seed);
        let file = |name: &str| site.data().join(format!("{name}-backup.db"));
        for turns in [TURNS_MIN, 2 * TURNS_MIN] {
            host.until("more turns of the partitions", || {
                let Ok(model) = site.read_model("ledger") else { return Ok(None) };
                Ok((model.number("SELECT count(*) FROM _lantern_journal").unwrap_or(0) >= turns)
                    .then_some(()))
            })?;
            for name in ["ledger", "tally"] {
                let path = file(name);
                site.json(["backup", name, path.to_str().context("a path")?, "--force"])?;
            }
        }
        let path = file("ledger");
        let path = path.to_str().context("a path")?;
        let said = refused(&site, ["restore", path, "--replace"])?;
        ensure!(said.contains("`lantern run`"), "it should name who has the folder: {said}");
        let said = refused(&site, ["backup", "ledger", path])?;
        ensure!(said.contains("--force"), "{said}");
        stream.stop()?;
        let records = client::read_committed(site.address(), &topic)?;
        host.terminate()?;

        let mut elsewhere = Site::new(log)?;
        if let Log::Embedded = log {
            copy_folder(&site.data().join("log"), &elsewhere.data().join("log"))?;
        }
        for plugin in &plugins {
            let path = file(&plugin.name);
            elsewhere.json(["restore", path.to_str().context("a path")?])?;
            elsewhere.deploy(plugin)?;
        }
        let restored = elsewhere.read_model("ledger")?.checkpoints(&topic)?;
        let backed_up = ReadModel::open(&file("ledger"))?.checkpoints(&topic)?;
        ensure!(restored == backed_up, "the checkpoint is {restored:?}, in the backup {backed_up:?}");
        let mut host = elsewhere.start()?;
        for name in ["ledger", "tally"] {
            host.await_checkpoint(name, &topic, &ends(&records))?;
        }
        host.terminate()?;
        let applied = check_ledger(&elsewhere.read_model("ledger")?, &topic, &records)?;
        check_tally(&elsewhere.read_model("tally")?, &topic, &records)?;
        let before = ReadModel::open(&file("ledger"))?.number("SELECT events FROM total")?;
        ensure!(before > 0 && before < applied as i64, "{before} of {applied} events were in the backup");
        for name in ["ledger", "tally"] {
            let found = verified(&elsewhere, name)?;
            ensure!(found["equal"] == true, "{found:#}");
        }

        // There is one now: it is taken only on request, and is one generation more.
        let path = file("ledger");
        let path = path.to_str().context("a path")?;
        let said = refused(&elsewhere, ["restore", path])?;
        ensure!(said.contains("--replace"), "{said}");
        let found = elsewhere.json(["restore", path, "--replace"])?;
        ensure!(found["generation"] == 2, "{found:#}");
        ensure!(
            elsewhere.read_model("ledger")?.checkpoints(&topic)? == backed_up,
            "the link leads elsewhere"
        );
        let live = elsewhere.data().join("read-models/ledger/1.db");
        let said = refused(&elsewhere, ["restore", live.to_str().context("a path")?, "--replace"])?;
        ensure!(said.contains("no backup"), "{said}");
        Ok(())
    })
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
