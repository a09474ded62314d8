//! Idempotency keys through the real process.

use std::thread;

use anyhow::{Context, Result, ensure};
use lantern_tests::log::{Log, each_log};
use lantern_tests::site::Site;
use serde_json::json;

use super::Accounts;

/// Clients that send the same command at once.
const CLIENTS: usize = 12;

// A client that got no answer has only one choice: to send it again. Also elsewhere, also after a crash.
#[test]
fn a_key_is_decided_once_twice_at_once_and_after_a_kill() -> Result<()> {
    each_log(decided_once)
}

fn decided_once(log: &Log<'_>) -> Result<()> {
    let accounts = Accounts::new("decided-once");
    let mut site = Site::new(log)?;
    site.deploy(&accounts.handler(&[])?)?;
    let mut host = site.start()?;
    accounts.await_live(&mut host)?;
    let send = |name: &str, cents: i64, key: &str| {
        accounts.send(&site.api(), "a", name, json!({ "cents": cents }), &[("Idempotency-Key", key)])
    };
    let at_once = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| send("Deposit", 7, "k"))).collect();
        let join = |client: thread::ScopedJoinHandle<'_, Result<_>>| {
            client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        clients.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let first = at_once.first().context("answers")?;
    for reply in &at_once {
        ensure!(reply.status == 200 && reply.body["version"] == 1, "{reply:?}");
        ensure!(reply.body["events"] == first.body["events"], "{reply:?} is not {first:?}");
    }
    ensure!(send("Withdraw", 9, "no")?.status == 422, "it is overdrawn");
    ensure!(send("Deposit", 5, "more")?.status == 200, "it takes a deposit");

    host.kill()?;
    let mut host = site.start()?;
    accounts.await_live(&mut host)?;
    let again = send("Deposit", 7, "k")?;
    ensure!(
        again.status == 200 && again.body["events"] == first.body["events"],
        "{again:?} is not {first:?}"
    );
    let again = send("Withdraw", 9, "no")?;
    ensure!(again.status == 422, "what was refused is refused though there is money now: {again:?}");
    for (name, cents) in [("Deposit", 8), ("Withdraw", 7)] {
        let other = send(name, cents, "k")?;
        ensure!(other.status == 409, "another command with the same key: {other:?}");
    }
    let keys: Vec<_> = accounts.log(&site)?.into_iter().filter_map(|event| event.key).collect();
    ensure!(keys == ["k", "more"], "the log has {keys:?}");
    Ok(())
}
