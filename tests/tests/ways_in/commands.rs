//! `lantern deploy` and what else asks a running host; the same by HTTP.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lantern_tests::client;
use lantern_tests::guest::{Plugin, assembled, plugin, unique_topic};
use lantern_tests::http::ask;
use lantern_tests::log::{Log, each_log, on};
use lantern_tests::site::{Site, check};
use lantern_tests::wait::{self, DEAR_POLL_MS};
use lantern_tests::whole::await_whole;
use serde_json::{Value, json};

use crate::{await_applied, await_history, entries};

/// How often an event comes while a plugin is on trial.
const EVENT_EVERY: Duration = Duration::from_millis(2);

/// Puts a plugin where a command finds it, and nothing watches; answers the path.
fn file(site: &Site, name: &str, plugin: &Plugin) -> Result<String> {
    let path = site.plugins_dir().with_file_name(format!("{name}.wasm"));
    fs::write(&path, &plugin.wasm)?;
    Ok(path.to_str().context("a path in UTF-8")?.to_owned())
}

// The deployment of a script is its exit code: it must say what became of the plugin, not that it was sent.
#[test]
fn a_plugin_is_deployed_looked_at_promoted_and_rolled_back_by_commands() -> Result<()> {
    each_log(|log| {
        let topic = unique_topic("commands");
        let site = Site::new(log)?;
        let ledger = file(&site, "ledger", &plugin("ledger", "ledger", &[&topic])?)?;
        let swapped = file(&site, "swapped", &plugin("ledger", "ledger", &[&topic, "faulty"])?)?;
        let tally = file(&site, "tally", &plugin("tally", "ledger", &[&topic])?)?;
        let text = file(&site, "text", &Plugin { name: String::new(), wasm: b"hello".to_vec() })?;
        check(&site, ["deploy", &ledger], 1, &["nothing runs on the data folder", "lantern run", "plugins"])?;
        check(&site, ["rollback", "ledger"], 1, &["nothing runs on the data folder", "lantern run"])?;

        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 2)?;
        client::produce(site.address(), &topic, entries(0..60))?;
        check(&site, ["deploy", &ledger], 0, &["ledger", "started"])?;
        await_whole(&mut host, &site, "ledger", &topic)?;
        check(&site, ["deploy", &ledger], 0, &["nothing to do"])?;
        check(&site, ["rollback", "ledger"], 1, &["nothing to go back to"])?;
        check(&site, ["deploy", &text], 1, &["not a plugin"])?;
        check(&site, ["deploy", "nowhere.wasm"], 1, &["nowhere.wasm"])?;
        check(&site, ["deploy", &swapped], 0, &["swapped in", "ms without events"])?;
        check(&site, ["promote", "ledger"], 1, &["nothing is built"])?;
        check(&site, ["promote", "nothing"], 1, &["there is no plugin", "lantern status"])?;

        // Other tables: what would change is shown, and the live one stays until somebody wants it otherwise.
        let words = [
            "entries: no longer there",
            "latest: a new table",
            "lantern promote ledger",
            "lantern discard ledger",
        ];
        check(&site, ["deploy", &tally, "--preview"], 0, &words)?;
        await_whole(&mut host, &site, "ledger", &topic)?;
        check(&site, ["discard", "ledger"], 0, &["given up"])?;
        check(&site, ["promote", "ledger"], 1, &["nothing is built"])?;
        check(&site, ["deploy", &tally, "--preview", "--json"], 0, &["\"tables_added\":"])?;
        client::produce(site.address(), &topic, entries(60..80))?;
        await_applied(&mut host, &site, "ledger", &topic)?;
        check(&site, ["promote", "ledger"], 0, &["promoted", "generation 3 is live"])?;
        await_applied(&mut host, &site, "ledger", &topic)?;
        ensure!(site.read_model("ledger")?.number("SELECT sum(events) FROM partitions")? == 80);
        check(&site, ["rollback", "ledger"], 0, &["rolled back", "generation 1 is live"])?;
        await_whole(&mut host, &site, "ledger", &topic)?;
        check(&site, ["deploy", &tally], 0, &["promoted"])?;
        await_applied(&mut host, &site, "ledger", &topic)?;
        ensure!(site.read_model("ledger")?.number("SELECT sum(events) FROM partitions")? == 80);
        check(&site, ["rebuild", "ledger"], 0, &["promoted"])?;

        check(&site, ["pause", "ledger"], 0, &["paused"])?;
        client::produce(site.address(), &topic, entries(80..90))?;
        ensure!(site.projection("ledger")?.is_some_and(|ledger| ledger["state"] == "paused"));
        check(&site, ["resume", "ledger"], 0, &["resumed"])?;
        await_applied(&mut host, &site, "ledger", &topic)?;
        check(&site, ["reset", "ledger"], 1, &["empties", "--yes"])?;
        check(&site, ["reset", "ledger", "--yes"], 0, &["reset"])?;
        await_applied(&mut host, &site, "ledger", &topic)?;
        ensure!(site.read_model("ledger")?.number("SELECT sum(events) FROM partitions")? == 90);
        check(&site, ["remove", "ledger", "--purge"], 1, &["deletes", "--yes"])?;
        check(&site, ["remove", "ledger", "--purge", "--yes"], 0, &["removed"])?;
        ensure!(site.read_model("ledger").is_err(), "its read model was deleted");
        let said = check(&site, ["history", "ledger"], 0, &["lantern deploy", "rolled-back"])?;
        ensure!(said.lines().count() > 10);
        Ok(())
    })
}

/// An event that has a faulty ledger trap.
fn ordered() -> client::NewRecord {
    client::NewRecord { value: Some(b"fault: trap".to_vec()), ..client::NewRecord::default() }
}

// A plugin that fails at its first events was accepted, and is not what runs: the code says so.
#[test]
fn a_plugin_that_is_put_back_or_halts_is_a_failed_deployment() -> Result<()> {
    on(&Log::Embedded, |log| {
        let topic = unique_topic("put-back");
        // A disk that stalls would hold up the events for longer than a trial without any lasts.
        let site = Site::new(log)?.with_replaced("[broker]\n", "[broker]\nfsync = \"never\"\n")?;
        let good = file(&site, "good", &plugin("ledger", "ledger", &[&topic])?)?;
        let faulty = file(&site, "faulty", &plugin("ledger", "ledger", &[&topic, "faulty"])?)?;
        let schema = json!({ "name": "schema", "topics": [topic], "schema": ["CREATE TABEL t (x)"] });
        let schema = file(&site, "schema", &assembled("bad-schema", &schema)?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 1)?;
        check(&site, ["deploy", &good], 0, &["started"])?;
        // Each event is one that only the faulty one fails at; they come all the time, so that it meets one soon.
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // By one producer: a new one for each event may take longer than a trial without events lasts.
            let until_over = std::iter::from_fn(|| {
                std::thread::sleep(EVENT_EVERY);
                (!is_over.load(Ordering::Relaxed)).then(ordered)
            });
            let producing = scope.spawn(|| client::produce(site.address(), &topic, until_over));
            // A producer takes its time to begin.
            let has_begun = wait::until("an event has come", || {
                let applied = site.read_model("ledger")?.number("SELECT count(*) FROM entries")?;
                Ok((applied > 0).then_some(()))
            });
            let refused = has_begun
                .and_then(|()| check(&site, ["deploy", &faulty], 1, &["was put back", "unreachable"]));
            is_over.store(true, Ordering::Relaxed);
            let produced = producing.join().map_err(|_| anyhow::anyhow!("the producer panicked"));
            produced?.and(refused)
        })?;
        await_whole(&mut host, &site, "ledger", &topic)?;
        await_history(&mut host, &site, "ledger", &["started", "swapped", "rejected"])?;
        let status = site.projection("ledger")?.context("it runs")?;
        ensure!(
            status["put_back"]["reason"].as_str().is_some_and(|it| it.contains("unreachable")),
            "{status}"
        );
        check(&site, ["deploy", &schema], 1, &["CREATE TABEL"])?;
        Ok(())
    })
}

// What is not Lantern deploys too: a pipeline needs an HTTP client and this contract, no more.
#[test]
fn a_plugin_is_deployed_queried_and_removed_by_http() -> Result<()> {
    on(&Log::Embedded, |log| {
        let topic = unique_topic("http");
        let site = Site::new(log)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 2)?;
        client::produce(site.address(), &topic, entries(0..40))?;
        let address = host.until_every(DEAR_POLL_MS, "HTTP is answered", || Ok(site.http().ok()))?;
        let ask = |method: &str, target: &str, body: &[u8]| ask(&address, method, target, body);

        let ledger = plugin("ledger", "ledger", &[&topic])?.wasm;
        let (status, problem) = ask("PUT", "/v1/plugins/other", &ledger)?;
        ensure!(status == 422 && problem["type"] == "urn:lantern:rejected", "{problem}");
        let (status, outcome) = ask("PUT", "/v1/plugins/ledger", &ledger)?;
        ensure!(status == 200 && outcome["result"] == "started", "{outcome}");
        await_whole(&mut host, &site, "ledger", &topic)?;

        let query = |sql: &str| {
            ask("POST", "/v1/read-models/ledger/query", json!({ "sql": sql }).to_string().as_bytes())
        };
        let (_, answer) = query("SELECT count(*) AS n FROM entries")?;
        let position = format!("{topic}/0@20,{topic}/1@20");
        let expected = json!({ "columns": ["n"], "rows": [[40]], "generation": 1, "position": position });
        ensure!(answer == expected, "{answer}");

        // Other tables: accepted, and on its way when it is answered.
        let (status, outcome) = ask("POST", "/v1/plugins", &plugin("tally", "ledger", &[&topic])?.wasm)?;
        ensure!(status == 202 && outcome["result"] == "rebuilding", "{outcome}");
        let generation = outcome["generation"].clone();
        host.until("it is promoted", || {
            let (_, plugin) = ask("GET", "/v1/plugins/ledger", b"")?;
            Ok((plugin["generation"] == generation && plugin["rebuild"].is_null()).then_some(()))
        })?;
        // At once visible to who asks anew.
        let (_, answer) = query("SELECT sum(events) AS n FROM partitions")?;
        let expected =
            json!({ "columns": ["n"], "rows": [[40]], "generation": generation, "position": position });
        ensure!(answer == expected, "{answer}");

        let (status, outcome) = ask("DELETE", "/v1/plugins/ledger?purge=true", b"")?;
        ensure!(status == 200 && outcome["result"] == "removed", "{outcome}");
        let (status, _) = query("SELECT 1")?;
        ensure!(status == 404);
        let (_, history) = ask("GET", "/v1/plugins/ledger/history", b"")?;
        let by = |entry: &Value| entry["by"].as_str().is_some_and(|by| by.starts_with("raw from 127.0.0.1"));
        ensure!(history["history"].as_array().is_some_and(|all| all.first().is_some_and(by)), "{history}");
        ensure!(host.terminate()?.success());
        Ok(())
    })
}
