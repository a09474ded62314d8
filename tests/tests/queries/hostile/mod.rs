//! Ways to write, escape, hang or flood through SQL, parameters, paths, headers, bodies and slow clients: each is refused or
//! bounded, and afterwards the host answers as before.

mod clients;
mod requests;
mod sql;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lantern_tests::client;
use lantern_tests::guest::{plugin, unique_topic};
use lantern_tests::http::Raw;
use lantern_tests::log::{Log, on};
use lantern_tests::site::Site;
use serde_json::json;

use crate::{append, query};

/// Bounds that are hit within a test's time.
const SETTINGS: &str = "head_ms_max = 700\nbody_ms_max = 700\nwrite_ms_max = 700\nconnections_max = 48\n\
    query_ms_max = 1500\nwait_ms_max = 3000\nquery_memory_bytes_max = 67108864\n";
/// How long a request may take that is refused or cut off: a debug build on a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// What the process may hold at most: its engine, its broker, and what queries may take, more than once.
const RESIDENT_KIB_MAX: u64 = 1 << 20;

/// An endless table of numbers.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";

/// A host with one event in its read model, on the embedded broker: for what a log has no part in.
fn with_host(test: impl Fn(&Site, &str) -> Result<()>) -> Result<()> {
    on(&Log::Embedded, |log| with_host_on(log, &test))
}

/// The same, on some log.
fn with_host_on(log: &Log<'_>, test: impl Fn(&Site, &str) -> Result<()>) -> Result<()> {
    let topic = unique_topic("hostile");
    let mut site = Site::new(log)?.with_settings(SETTINGS)?;
    site.deploy(&plugin("ledger", "ledger", &[&topic])?)?;
    let mut host = site.start()?;
    host.await_broker()?;
    client::create_topic(site.address(), &topic, 1)?;
    host.await_http()?;
    let position = append(&site, &topic, "a", "{}")?;
    // A query has less time than a first event may take on a busy machine.
    host.await_checkpoint("ledger", &topic, &[(0, 1)])?;
    let raw = query(&site, "", &json!({ "sql": "SELECT count(*) FROM entries", "wait_for": position }))?;
    ensure!(raw.status == 200, "{raw:?}");
    test(&site, &topic)?;
    let pid = site.json(["status"])?["host"]["pid"].as_u64().context("a pid")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = peak.and_then(|it| it.split_whitespace().next()?.parse().ok()).context("a peak")?;
    ensure!(peak < RESIDENT_KIB_MAX, "the process took {peak} KiB");
    ensure!(host.terminate()?.success(), "it ends as always");
    Ok(())
}

/// Checks that an answer is this refusal, in time, and that nothing has changed and others are answered.
fn check(site: &Site, what: &str, expected: &str, ask: impl FnOnce() -> Result<Raw>) -> Result<()> {
    let since = Instant::now();
    let raw = ask().with_context(|| what.to_owned())?;
    let took = since.elapsed();
    let shown = || {
        let body: String = raw.body.chars().take(400).collect();
        format!("{what}\n  was answered {}: {body}\n  instead of {expected}, after {took:?}", raw.status)
    };
    ensure!(took < ANSWER_MAX, "{}", shown());
    let mut words = expected.split_whitespace();
    ensure!(words.next() == Some(&raw.status.to_string()), "{}", shown());
    let kind = words.next().unwrap_or_default();
    // Some are refused by what parses the request, before there is anybody to say why.
    ensure!(kind.is_empty() || raw.json()?["type"] == format!("urn:lantern:{kind}"), "{}", shown());
    for word in words {
        ensure!(raw.body.contains(word), "{}", shown());
    }
    let still = patient(site, "SELECT count(*), max(seq) FROM entries")?;
    ensure!(still.status == 200 && still.json()?["rows"] == json!([[1, 1]]), "after {what}: {still:?}");
    Ok(())
}

/// Asks as a good client does: again, when the host says that it is busy.
fn patient(site: &Site, sql: &str) -> Result<Raw> {
    let since = Instant::now();
    loop {
        let raw = query(site, "", &json!({ "sql": sql }))?;
        if raw.status != 503 || since.elapsed() > ANSWER_MAX {
            return Ok(raw);
        }
    }
}
