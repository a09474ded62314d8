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
    let mut site = Site::new(log)?;
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
        let check = |fault: &str| -> Result<()> {
            let reply = accounts.send(&site.api(), "bad", "Fault", json!(fault), &[])?;
            ensure!((500..600).contains(&reply.status), "{fault}: {reply:?}");
            let detail = reply.body["detail"].as_str().unwrap_or_default();
            ensure!(detail.contains("nothing was appended"), "{fault}: {detail}");
            let next = accounts.settle(&site.api(), "next", "Deposit", 1, fault)?;
            ensure!(next.status == 200, "after {fault}: {next:?}");
            Ok(())
        };
        let faults = ["Loop", "Trap", "Panic", "Memory", "Events", "Bytes", "Evolve"];
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
