//! Concurrent commands on few aggregates, with expected versions, by a history checker.

use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use lantern_tests::api::Api;
use lantern_tests::log::{Log, each_log};
use lantern_tests::report::say;
use lantern_tests::seed::seeded;
use lantern_tests::site::Site;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::history::{Operation, Seen, check};
use super::{Accounts, version};

const ACCOUNTS: u32 = 3;
const CLIENTS: u64 = 8;
const OPERATIONS: u32 = 150;

// Whoever decides by what it has read must be refused when somebody was quicker, and must never read the past.
#[test]
fn commands_and_reads_of_an_aggregate_have_one_order() -> Result<()> {
    each_log(one_order)
}

fn one_order(log: &Log<'_>) -> Result<()> {
    let (seed, _) = seeded();
    let accounts = Accounts::new("one-order");
    let mut site = Site::new(log)?;
    site.deploy(&accounts.handler(&[])?)?;
    let mut host = site.start()?;
    accounts.await_live(&mut host)?;
    let histories = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (accounts, api) = (&accounts, site.api());
                let random = StdRng::seed_from_u64(seed ^ (client << 32));
                scope.spawn(move || ask(accounts, &api, random))
            })
            .collect();
        let join = |client: thread::ScopedJoinHandle<'_, Result<Vec<(u32, Operation)>>>| {
            client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        clients.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let mut cents: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for event in accounts.log(&site)? {
        let all = cents.entry(event.id.clone()).or_insert_with(|| vec![0]);
        all.push(all.last().copied().unwrap_or_default() + event.cents()?);
    }
    for account in 0..ACCOUNTS {
        let history: Vec<Operation> =
            histories.iter().flatten().filter(|(of, _)| *of == account).map(|(_, it)| *it).collect();
        let cents = cents.get(&format!("a-{account}")).context("an account without events")?;
        let made = history.iter().filter(|it| matches!(it.seen, Seen::Made { .. })).count();
        ensure!(made + 1 == cents.len(), "{made} accepted, {} in the log", cents.len() - 1);
        let refused = history.iter().filter(|it| matches!(it.seen, Seen::Found { cents: None, .. })).count();
        ensure!(refused > 0, "nobody was in anybody's way: this shows nothing");
        check(&history, cents)?;
        say(&format!(
            "{}: a-{account}: {made} accepted, {refused} refused, {} in all",
            log.name(),
            history.len()
        ));
    }
    Ok(())
}

/// Reads, and deposits on what it has read or whatever is there.
fn ask(accounts: &Accounts, api: &Api, mut random: StdRng) -> Result<Vec<(u32, Operation)>> {
    let mut history = Vec::new();
    let mut known = [0_u64; ACCOUNTS as usize];
    for _ in 0..OPERATIONS {
        let account = random.random_range(0..ACCOUNTS);
        let id = format!("a-{account}");
        let known = known.get_mut(account as usize).context("an account")?;
        let expected = random.random_bool(0.7).then_some(*known);
        let from = Instant::now();
        let seen = if random.random_bool(0.3) {
            let shown = api.aggregates(&format!("/{}/{id}", accounts.name))?;
            match shown.status {
                404 => Seen::Found { version: 0, cents: Some(0) },
                200 => {
                    Seen::Found { version: version(&shown)?, cents: shown.body["state"]["cents"].as_i64() }
                }
                status => bail!("{status} {}", shown.body),
            }
        } else {
            let tag = expected.map(|version| format!("\"{version}\""));
            let headers: Vec<(&str, &str)> = tag.iter().map(|tag| ("If-Match", tag.as_str())).collect();
            let reply = accounts.send(api, &id, "Deposit", json!({ "cents": 1 }), &headers)?;
            match reply.status {
                200 => Seen::Made { version: version(&reply)?, expected },
                412 => {
                    let actual = reply.body["version"].as_u64().or_else(|| reply.body["actual"].as_u64());
                    Seen::Found { version: actual.with_context(|| format!("{}", reply.body))?, cents: None }
                }
                status => bail!("{status} {}", reply.body),
            }
        };
        let to = Instant::now();
        *known = match seen {
            Seen::Made { version, .. } | Seen::Found { version, .. } => version,
        };
        history.push((account, Operation { from, to, seen }));
    }
    Ok(history)
}
