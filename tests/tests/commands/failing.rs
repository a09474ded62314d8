//! Handlers that loop, trap and flood.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use lantern_tests::log::{Log, each_log};
use lantern_tests::site::Site;
use serde_json::json;

use super::Accounts;

// One account must not take the others down with it.
#[test]
fn a_handler_that_fails_fails_clearly_appends_nothing_and_others_go_on() -> Result<()> {
    each_log(fails_alone)
}

fn fails_alone(log: &Log<'_>) -> Result<()> {
    let accounts = Accounts::new("fails-alone");
    // Memory must run out before time does, also on a busy machine.
    let mut site = Site::new(log)?.with_settings("[limits]\nevent_ms_max = 5_000")?;
    site.deploy(&accounts.handler(&["faulty"])?)?;
    let mut host = site.start()?;
    accounts.await_live(&mut host)?;
    let over = AtomicBool::new(false);
    let decided = thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut decided: u64 = 0;
            while !over.load(Ordering::Relaxed) {
                decided += 1;
                let reply = accounts.settle(&site.api(), "good", "Deposit", 1, &format!("k{decided}"))?;
                ensure!(reply.status == 200, "{reply:?}");
            }
            anyhow::Ok(decided)
        });
        let check = |(fault, words): (&str, &str)| -> Result<()> {
            let key = [("Idempotency-Key", fault)];
            let reply = accounts.send(&site.api(), "bad", "Fault", json!(fault), &key)?;
            ensure!(reply.status == 500, "{fault}: {reply:?}");
            ensure!(reply.body["type"] == "urn:lantern:handler-failed", "{fault}: {reply:?}");
            let detail = reply.body["detail"].as_str().unwrap_or_default();
            for words in [words, "nothing was appended"] {
                ensure!(detail.contains(words), "{fault}: {detail} lacks {words:?}");
            }
            let next = accounts.settle(&site.api(), "next", "Deposit", 1, fault)?;
            ensure!(next.status == 200, "after {fault}: {next:?}");
            Ok(())
        };
        let faults = [
            ("Loop", "event_ms_max"),
            ("Trap", "gave up"),
            ("Panic", "the account panics"),
            ("Memory", "memory_bytes_max"),
            ("Events", "_max"),
            ("Bytes", "_bytes_max"),
            ("Evolve", "cannot evolve"),
            ("Detail", "a rejection's detail has 2097154 bytes, and may have 262144"),
        ];
        let checked: Result<Vec<()>> = faults.into_iter().map(check).collect();
        over.store(true, Ordering::Relaxed);
        let decided = others.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        checked.and(decided)
    })?;
    let events = accounts.log(&site)?;
    ensure!(events.iter().all(|event| event.id != "bad"), "something of the bad account was appended");
    let good = events.iter().filter(|event| event.id == "good").count() as u64;
    ensure!(good == decided && decided > 0, "{decided} decided, {good} in the log");
    Ok(())
}
