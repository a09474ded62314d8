//! Idempotency keys through the real process.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use lantern_tests::log::{Log, each_log};
use lantern_tests::site::Site;
use serde_json::json;

use super::{AGAIN, Accounts, PATIENCE};

/// Clients that send the same command at once.
const CLIENTS: usize = 12;
/// How often two commands meet that have one key.
const MEETINGS: usize = 20;

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
    for meeting in 0..MEETINGS {
        two_with_one_key(&accounts, &site, meeting)?;
    }
    Ok(())
}

/// Of two commands that take the same key at the same moment, one is decided and the other is told so.
fn two_with_one_key(accounts: &Accounts, site: &Site, meeting: usize) -> Result<()> {
    let (id, start) = (format!("b-{meeting}"), Barrier::new(2));
    let send = |cents: i64| {
        start.wait();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reply = accounts.send(
                &site.api(),
                &id,
                "Deposit",
                json!({ "cents": cents }),
                &[("Idempotency-Key", "k")],
            )?;
            // It may not know yet whose the key is.
            if reply.status != 503 || Instant::now() > deadline {
                return anyhow::Ok((cents, reply));
            }
            thread::sleep(AGAIN);
        }
    };
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(|| send(3));
        let other = send(5);
        (one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), other)
    });
    let mut replies = [one?, other?];
    replies.sort_by_key(|(_, reply)| reply.status);
    let [(cents, decided), (_, refused)] = &replies;
    ensure!(decided.status == 200 && refused.status == 409, "{replies:?}");
    ensure!(refused.body["type"] == "urn:lantern:key-reused", "{refused:?}");
    let state = site.api().aggregates(&format!("/{}/{id}", accounts.name))?.body;
    ensure!(state["version"] == 1 && state["state"]["cents"] == *cents, "{state}, of {replies:?}");
    Ok(())
}
