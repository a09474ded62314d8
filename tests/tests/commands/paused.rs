//! A host that stands still while another takes over.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lantern_tests::api::Api;
use lantern_tests::broker::OwnBroker;
use lantern_tests::http::Reply;
use lantern_tests::kafka;
use lantern_tests::seed::seeded;
use lantern_tests::site::{Host, Signal, Site};
use rand::RngExt;
use serde_json::json;

use super::{AGAIN, Accounts, handler};

/// How often a host is stopped, and the other takes over.
const ROUNDS: usize = 5;
const ACCOUNTS: [&str; 2] = ["a", "b"];
/// Clients that ask at the same time, each of one account.
const CLIENTS: usize = 4;
/// Commands of each client that have been decided before the host is stopped.
const BEFORE: usize = 5;
/// It is stopped within this time after that: in the middle of whatever it does.
const STOPPED_WITHIN: Duration = Duration::from_millis(40);
/// The hosts, as they stand in what they decide.
const BY: [&str; 2] = ["one", "two"];

/// The keys of commands, by what is known of them.
#[derive(Default)]
struct Keys {
    told: Vec<String>,
    /// Without an answer that says whether they were carried out.
    maybe: HashSet<String>,
}

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
    let (_, mut random) = seeded();
    let accounts = Accounts::new("stood-still");
    let mut sites = [Site::on_kafka(log)?, Site::on_kafka(log)?];
    for (site, by) in sites.iter_mut().zip(BY) {
        site.deploy(&accounts.handler(&[&format!("by:{by}")])?)?;
    }
    let mut keys = Keys::default();
    let [first, second] = &sites;
    let mut host = first.start()?;
    accounts.await_live(&mut host)?;
    for round in 0..ROUNDS {
        let (old, new) = if round % 2 == 0 { (first, second) } else { (second, first) };
        let moment = STOPPED_WITHIN.mul_f64(random.random());
        host = take_over(&accounts, round, (old, host), new, moment, &mut keys)
            .with_context(|| format!("in round {round}"))?;
    }

    let mut rounds: BTreeMap<String, usize> = BTreeMap::new();
    let mut there = HashSet::new();
    for event in accounts.log(first)? {
        let key = event.key.clone().context("an event without its key")?;
        let round = key.split('-').next().context("a round")?.parse::<usize>()?;
        ensure!(event.data["by"] == BY[round % 2], "{key} was decided by {}", event.data);
        let last = rounds.entry(event.id.clone()).or_default();
        ensure!(*last <= round, "{key} was appended to {} after round {last}", event.id);
        *last = round;
        ensure!(there.insert(key.clone()), "{key} was decided twice");
        ensure!(keys.maybe.contains(&key) || keys.told.contains(&key), "{key} was refused, and is there");
    }
    for key in &keys.told {
        ensure!(there.contains(key), "{key} was answered, and is not in the log");
    }
    Ok(())
}

/// Stops a host at some moment while clients ask it, has the other take over, and lets it go on. What is sent to it has
/// keys of this round, and what is sent to the other those of the next.
fn take_over<'s>(
    accounts: &Accounts,
    round: usize,
    (old_site, mut old): (&Site, Host<'_>),
    new_site: &'s Site,
    moment: Duration,
    keys: &mut Keys,
) -> Result<Host<'s>> {
    let over = AtomicBool::new(false);
    let decided: [AtomicUsize; CLIENTS] = Default::default();
    let mut new = None;
    let ends = thread::scope(|scope| {
        // They ask the old host all the time, also while that stands still, until they are told to go elsewhere.
        let clients: Vec<_> = decided
            .iter()
            .enumerate()
            .map(|(client, decided)| {
                let (api, over, id) = (old_site.api(), &over, ACCOUNTS[client % ACCOUNTS.len()]);
                scope.spawn(move || ask(accounts, &api, id, &format!("{round}-{client}"), decided, over))
            })
            .collect();
        let swapped = || -> Result<()> {
            old.until("the old host decides", || {
                let is_enough = decided.iter().all(|decided| decided.load(Ordering::Relaxed) >= BEFORE);
                Ok(is_enough.then_some(()))
            })?;
            thread::sleep(moment);
            old.signal(Signal::STOP)?;
            let new = new.insert(new_site.start()?);
            accounts.await_live(new)?;
            settle_all(accounts, new_site, &format!("{}-first", round + 1), keys)?;
            old.signal(Signal::CONT)
        }();
        over.store(true, Ordering::Relaxed);
        let join = |client: thread::ScopedJoinHandle<'_, Result<(Keys, Reply)>>| {
            client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let ends: Result<Vec<_>> = clients.into_iter().map(join).collect();
        swapped.and(ends)
    })?;
    for (of, last) in ends {
        ensure!(last.status == 503, "the old host answers {} {}", last.status, last.body);
        ensure!(last.headers.contains_key("retry-after"), "{last:?}");
        keys.told.extend(of.told);
        keys.maybe.extend(of.maybe);
    }
    // The new one decides on.
    settle_all(accounts, new_site, &format!("{}-on", round + 1), keys)?;
    let state = old.await_plugin(&accounts.name, "is fenced", |it| it["state"] == "fenced")?;
    ensure!(state["error"].as_str().is_some_and(|error| error.contains("taken over")), "{state}");
    // What the old one shows may be of the past, and it says so; that there is no such account it does not say.
    let shown = old_site.api().aggregates(&format!("/{}/a", accounts.name))?;
    ensure!(shown.status == 200 && handler(&shown) == "fenced", "{shown:?}");
    let shown = old_site.api().aggregates(&format!("/{}/nobody", accounts.name))?;
    ensure!(shown.status == 503 && shown.body["type"] == "urn:lantern:fenced", "{shown:?}");
    let shown = new_site.api().aggregates(&format!("/{}/nobody", accounts.name))?;
    ensure!(shown.status == 404, "{shown:?}");
    ensure!(old.terminate()?.success());
    new.context("a host that took over")
}

/// Deposits until the host no longer answers as asked; answers what was said last.
fn ask(
    accounts: &Accounts,
    api: &Api,
    id: &str,
    client: &str,
    decided: &AtomicUsize,
    over: &AtomicBool,
) -> Result<(Keys, Reply)> {
    let mut keys = Keys::default();
    let mut number = 0;
    loop {
        number += 1;
        let key = format!("{client}-{number}");
        let headers = [("Idempotency-Key", key.as_str())];
        let reply = accounts.send(api, id, "Deposit", json!({ "cents": 1 }), &headers)?;
        if reply.status == 200 {
            keys.told.push(key);
            decided.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        if matches!(reply.body["type"].as_str(), Some("urn:lantern:uncertain" | "urn:lantern:fenced")) {
            keys.maybe.insert(key);
        }
        if over.load(Ordering::Relaxed) {
            return Ok((keys, reply));
        }
        thread::sleep(AGAIN);
    }
}

/// Has one command decided for each account.
fn settle_all(accounts: &Accounts, site: &Site, label: &str, keys: &mut Keys) -> Result<()> {
    for id in ACCOUNTS {
        let key = format!("{label}-{id}");
        let headers = [("Idempotency-Key", key.as_str())];
        let decided = accounts.send(&site.api(), id, "Deposit", json!({ "cents": 1 }), &headers)?;
        ensure!(decided.status == 200, "the new host answers {} {}", decided.status, decided.body);
        keys.told.push(key);
    }
    Ok(())
}
