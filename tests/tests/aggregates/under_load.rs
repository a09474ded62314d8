//! Handlers are swapped while commands come, and the host is killed in the middle of them.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use lantern_tests::api::Api;
use lantern_tests::client;
use lantern_tests::guest::Plugin;
use lantern_tests::log::{Log, each_log};
use lantern_tests::report::say;
use lantern_tests::site::Site;
use lantern_tests::wait;
use serde_json::{Value, json};

use crate::Accounts;

/// How often the handler is replaced on each broker, unless `LANTERN_TESTS_SWAPS` says otherwise.
const SWAPS: u32 = 40;
/// One swap of so many is followed by a kill.
const SWAPS_PER_KILL: u32 = 13;
const CLIENTS: u64 = 6;
const ACCOUNTS: u64 = 12;
/// How long a client waits before it sends a command again.
const AGAIN_MS: u64 = 10;

/// What a client was told: a command's amount, which no other has, and the version that it led to.
type Told = BTreeMap<i64, (String, u64)>;

// A handler is replaced while customers wait for answers. None of their commands may get lost or be decided twice, and none
// may be decided by one handler on a state that another has made: the guest traps on such a state.
#[test]
fn every_command_is_decided_once_and_by_one_handler_however_often_it_is_swapped() -> Result<()> {
    each_log(swapped_and_killed)
}

fn swapped_and_killed(log: &Log<'_>) -> Result<()> {
    let swaps = env::var("LANTERN_TESTS_SWAPS").ok().and_then(|swaps| swaps.parse().ok()).unwrap_or(SWAPS);
    let accounts = Accounts::new("swapped");
    let mut site = Site::new(log)?;
    site.deploy(&version(&accounts, 0)?)?;
    let mut host = site.start()?;
    accounts.await_live(&mut host)?;
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let (told, host) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (accounts, stop, sent, api) = (&accounts, &stop, &sent, site.api());
                scope.spawn(move || send(accounts, &api, client, stop, sent))
            })
            .collect();
        let swapped = (|| {
            let mut host = host;
            let mut pauses_us = Vec::new();
            for swap in 1..=swaps {
                let before = sent.load(Ordering::Relaxed);
                host.until("commands are answered", || {
                    Ok((sent.load(Ordering::Relaxed) > before + 20).then_some(()))
                })?;
                let done = site.api().deploy(&version(&accounts, swap)?)?.done("swapped");
                let done = done.with_context(|| format!("swap {swap}"))?;
                pauses_us.push(done["pause_us"].as_u64().with_context(|| format!("no pause: {done}"))?);
                if swap % SWAPS_PER_KILL == 0 {
                    host.kill()?;
                    host = site.start()?;
                    let live = accounts.await_live(&mut host)?;
                    ensure!(live["digest"] == version(&accounts, swap)?.digest(), "another one: {live}");
                }
            }
            pauses_us.sort_unstable();
            let at = |share: usize| pauses_us.get((pauses_us.len() - 1) * share / 100).copied();
            say(&format!(
                "{}: {swaps} swaps, half below {:?} us, longest {:?} us",
                log.name(),
                at(50),
                at(100)
            ));
            anyhow::Ok(host)
        })();
        stop.store(true, Ordering::Relaxed);
        let told: Result<Vec<Told>> = clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|_| bail!("a client panicked")))
            .collect();
        let host = swapped?;
        anyhow::Ok((told?, host))
    })?;
    check_log(&accounts, &site, told)?;
    check_states(&accounts, &site)?;
    ensure!(host.terminate()?.success());
    Ok(())
}

/// The handler of this number; every other one has another state version.
fn version(accounts: &Accounts, number: u32) -> Result<Plugin> {
    accounts.handler(&[&format!("by:v{}", number % 8), &format!("state:{}", number / 2 % 2 + 1)])
}

/// Deposits until it is told to stop, each amount with a key of its own until it is answered.
fn send(accounts: &Accounts, api: &Api, client: u64, stop: &AtomicBool, sent: &AtomicU64) -> Result<Told> {
    let mut told = Told::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let cents = i64::try_from(number * CLIENTS + client)?;
        let account = format!("a-{}", (number + client) % ACCOUNTS);
        let key = format!("k-{cents}");
        let version = wait::until_every(AGAIN_MS, &format!("{key} is answered"), || {
            let data = json!({ "cents": cents });
            let headers = [("Idempotency-Key", key.as_str())];
            match api.command((&accounts.name, &account), ("Deposit", data), &headers) {
                Ok(reply) if reply.status == 200 => {
                    reply.body["version"].as_u64().context("an answer without a version").map(Some)
                }
                Ok(reply) if reply.status == 503 => Ok(None),
                Ok(reply) => bail!("{} {}", reply.status, reply.body),
                // The host is being killed.
                Err(_) => Ok(None),
            }
        })?;
        told.insert(cents, (account, version));
        sent.fetch_add(1, Ordering::Relaxed);
    }
    Ok(told)
}

/// Every command that was answered is in the log, once, at the version that was answered.
fn check_log(accounts: &Accounts, site: &Site, told: Vec<Told>) -> Result<()> {
    let told: Told = told.into_iter().flatten().collect();
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    let mut found: BTreeMap<i64, (String, u64)> = BTreeMap::new();
    let mut by = BTreeSet::new();
    for record in client::read_committed(site.address(), &accounts.topic)?.into_values().flatten() {
        let account = String::from_utf8(record.key.context("an event without its aggregate")?)?;
        let event: Value = serde_json::from_slice(&record.value.context("an event without data")?)?;
        let cents = event["cents"].as_i64().with_context(|| format!("{event}"))?;
        by.insert(event["by"].as_str().unwrap_or_default().to_owned());
        let version = versions.entry(account.clone()).or_default();
        *version += 1;
        let twice = found.insert(cents, (account, *version));
        ensure!(twice.is_none(), "the command of {cents} cents was decided twice");
    }
    for (cents, expected) in &told {
        let there = found.get(cents);
        ensure!(there == Some(expected), "{cents} cents: answered {expected:?}, the log has {there:?}");
    }
    ensure!(found.len() == told.len(), "{} events of {} answered commands", found.len(), told.len());
    ensure!(by.len() > 4, "only {by:?} have decided");
    Ok(())
}

/// What is kept of each account is the fold of its events.
fn check_states(accounts: &Accounts, site: &Site) -> Result<()> {
    for account in 0..ACCOUNTS {
        let id = format!("a-{account}");
        let events = site.api().aggregates(&format!("/{}/{id}/events?limit=1000", accounts.name))?.body;
        let mut sum = 0;
        let mut next = events;
        let mut version = 0;
        loop {
            for event in next["events"].as_array().with_context(|| format!("{next}"))? {
                version += 1;
                ensure!(event["version"] == version, "{event} is not number {version} of {id}");
                sum += event["data"]["cents"].as_i64().context("an amount")?;
            }
            let Some(from) = next["next"].as_u64() else { break };
            let path = format!("/{}/{id}/events?limit=1000&from_version={from}", accounts.name);
            next = site.api().aggregates(&path)?.body;
        }
        let state = accounts.state(&site.api(), &id)?;
        ensure!(
            state["cents"] == sum && state["events"] == version,
            "{id}: {state}, {sum} in {version} events"
        );
    }
    Ok(())
}
