//! A host that stands still while another takes over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use lantern_tests::broker::OwnBroker;
use lantern_tests::kafka;
use lantern_tests::site::{Signal, Site};
use serde_json::json;

use super::{AGAIN, Accounts};

/// Commands that have been decided before the old host is stopped.
const BEFORE: u64 = 20;

// A machine that sleeps, a process that swaps: it wakes up and knows nothing of what happened meanwhile.
#[test]
fn a_host_that_stood_still_appends_nothing_on_the_embedded_broker() -> Result<()> {
    let broker = OwnBroker::start()?;
    stood_still(broker.address())
}

#[test]
fn a_host_that_stood_still_appends_nothing_on_apache_kafka() -> Result<()> {
    kafka::shared().map_or(Ok(()), |kafka| stood_still(&kafka.address()))
}

fn stood_still(log: &str) -> Result<()> {
    let accounts = Accounts::new("stood-still");
    let mut sites = [Site::on_kafka(log)?, Site::on_kafka(log)?];
    for (site, by) in sites.iter_mut().zip(["by:old", "by:new"]) {
        site.deploy(&accounts.handler(&[by])?)?;
    }
    let [old_site, new_site] = &sites;
    let mut old = old_site.start()?;
    accounts.await_live(&mut old)?;
    let over = AtomicBool::new(false);
    let (told, last) = thread::scope(|scope| {
        // It asks the old host all the time, also while that stands still, until it is told to go elsewhere.
        let client = scope.spawn(|| {
            let api = old_site.api();
            let mut told = 0;
            loop {
                let reply = accounts.send(&api, "a", "Deposit", json!({ "cents": 1 }), &[])?;
                match reply.status {
                    200 => told += 1,
                    _ if over.load(Ordering::Relaxed) => return anyhow::Ok((told, reply)),
                    _ => thread::sleep(AGAIN),
                }
            }
        });
        let api = old_site.api();
        old.until("the old host decides", || {
            let shown = api.aggregates(&format!("/{}/a", accounts.name))?;
            Ok(shown.body["version"].as_u64().filter(|version| *version >= BEFORE))
        })?;
        old.signal(Signal::STOP)?;
        let mut new = new_site.start()?;
        accounts.await_live(&mut new)?;
        let decided = accounts.send(&new_site.api(), "a", "Deposit", json!({ "cents": 1 }), &[])?;
        ensure!(decided.status == 200, "the new host answers {} {}", decided.status, decided.body);
        old.signal(Signal::CONT)?;
        over.store(true, Ordering::Relaxed);
        let answered = client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        // The new one decides on.
        let decided = accounts.send(&new_site.api(), "a", "Deposit", json!({ "cents": 1 }), &[])?;
        ensure!(decided.status == 200, "the new host answers {} {}", decided.status, decided.body);
        anyhow::Ok(answered)
    })?;
    ensure!(last.status == 503, "the old host answers {} {}", last.status, last.body);
    ensure!(last.headers.contains_key("retry-after"), "{last:?}");
    let state = old.await_plugin(&accounts.name, "is fenced", |it| it["state"] == "fenced")?;
    ensure!(state["error"].as_str().is_some_and(|error| error.contains("taken over")), "{state}");

    let events = accounts.log(new_site)?;
    let by: Vec<&str> = events.iter().filter_map(|event| event.data["by"].as_str()).collect();
    let first = by.iter().position(|by| *by == "new");
    ensure!(first.is_some_and(|first| by.iter().skip(first).all(|by| *by == "new")), "{by:?}");
    let of_old = by.iter().filter(|by| **by == "old").count();
    // What it has answered is there; a last one may be there without an answer.
    ensure!(of_old == told || of_old == told + 1, "{told} answered, {of_old} in the log");
    Ok(())
}
