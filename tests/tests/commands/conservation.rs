//! Money is moved between accounts while everything is killed: none appears, none vanishes.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use lantern_tests::kafka::Kafka;
use lantern_tests::log::{Log, on};
use lantern_tests::report::say;
use lantern_tests::seed::seeded;
use lantern_tests::site::Site;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Accounts, version};

const ACCOUNTS: u32 = 100;
/// What each account begins with.
const CENTS: i64 = 1_000;
/// How many are made on each broker, unless `LANTERN_TRANSFERS` says otherwise.
const TRANSFERS: u32 = 10_000;
const CLIENTS: u32 = 16;
/// How often something is killed, at most: what comes after is quicker. `LANTERN_KILLS` says otherwise.
const KILLS_MAX: u32 = 24;
/// Apache Kafka is killed after so many kills of Lantern; it takes seconds to come back.
const KILLS_PER_KAFKA_KILL: u32 = 4;

/// A command that was accepted: its aggregate and key, and the version that was answered.
type Told = ((String, String), u64);

// The broker dies with the process, in the middle of whatever transaction is open.
#[test]
fn money_is_conserved_on_the_embedded_broker_whatever_is_killed_and_when() -> Result<()> {
    on(&Log::Embedded, conserved)
}

// Here the log dies apart from the host, and a commit may be on its way between the two. The Kafka is this test's own.
#[test]
fn money_is_conserved_on_apache_kafka_whatever_is_killed_and_when() -> Result<()> {
    match Kafka::start()? {
        Some(kafka) => on(&Log::Kafka(&kafka), conserved),
        None => Ok(()),
    }
}

fn conserved(log: &Log<'_>) -> Result<()> {
    let given = |name: &str| env::var(name).ok().and_then(|number| number.parse::<u32>().ok());
    let transfers = given("LANTERN_TRANSFERS").unwrap_or(TRANSFERS);
    let kills_max = given("LANTERN_KILLS").unwrap_or(KILLS_MAX);
    let (seed, mut random) = seeded();
    let accounts = Accounts::new("conserved");
    let mut site = Site::new(log)?;
    site.deploy(&accounts.handler(&[])?)?;
    let mut host = site.start()?;
    accounts.await_live(&mut host)?;

    let next = AtomicU32::new(0);
    let (told, kills, _host) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (accounts, site, next) = (&accounts, &site, &next);
                let random = StdRng::seed_from_u64(seed ^ (u64::from(client) << 32));
                scope.spawn(move || transfer(accounts, site, next, transfers, client, random))
            })
            .collect();
        let mut kills = 0;
        while kills < kills_max && !clients.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(random.random_range(0..3_000)));
            kills += 1;
            if let Log::Kafka(kafka) = log
                && kills % KILLS_PER_KAFKA_KILL == 0
            {
                kafka.kill();
                thread::sleep(Duration::from_millis(random.random_range(0..1_000)));
                kafka.restart()?;
            } else {
                host.kill()?;
                host = site.start()?;
            }
            accounts.await_live(&mut host)?;
        }
        let told: Result<Vec<Vec<Told>>> = clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        anyhow::Ok((told?.concat(), kills, host))
    })?;
    check(&accounts, &site, &told)?;
    let name = log.name();
    say(&format!("{name}: {transfers} transfers, {} accepted commands, {kills} kills", told.len()));
    Ok(())
}

/// Makes transfers until there are enough: from one account, then to the other, each with a key of its own.
fn transfer(
    accounts: &Accounts,
    site: &Site,
    next: &AtomicU32,
    transfers: u32,
    client: u32,
    mut random: StdRng,
) -> Result<Vec<Told>> {
    let api = site.api();
    let mut told = Vec::new();
    let mut settle = |account: u32, name: &str, cents: i64, key: String| -> Result<bool> {
        let id = format!("a-{account}");
        let reply = accounts.settle(&api, &id, name, cents, &key)?;
        let is_accepted = reply.status == 200;
        if is_accepted {
            told.push(((id, key), version(&reply)?));
        }
        Ok(is_accepted)
    };
    for account in (0..ACCOUNTS).filter(|account| account % CLIENTS == client) {
        settle(account, "Deposit", CENTS, format!("open-{account}"))?;
    }
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= transfers {
            return Ok(told);
        }
        let (from, to) = (random.random_range(0..ACCOUNTS), random.random_range(0..ACCOUNTS));
        let cents = random.random_range(1..CENTS / 4);
        // What is refused for want of money is over.
        if settle(from, "Withdraw", cents, format!("{number}-from"))? {
            ensure!(settle(to, "Deposit", cents, format!("{number}-to"))?, "a deposit was refused");
        }
    }
}

/// Every accepted command is in the log once, as it was answered; no account was ever overdrawn; the sum is what it was.
fn check(accounts: &Accounts, site: &Site, told: &[Told]) -> Result<()> {
    let mut balances: BTreeMap<String, (i64, u64)> = BTreeMap::new();
    let mut decided: HashMap<(String, String), u64> = HashMap::new();
    for event in accounts.log(site)? {
        let (cents, version) = balances.entry(event.id.clone()).or_default();
        *cents += event.cents()?;
        *version = event.version;
        ensure!(*cents >= 0, "{} is overdrawn at version {version}", event.id);
        let key = event.key.clone().unwrap_or_default();
        let twice = decided.insert((event.id.clone(), key.clone()), event.version);
        ensure!(twice.is_none(), "{}: {key} was decided twice", event.id);
    }
    for (command, version) in told {
        let there = decided.get(command);
        ensure!(there == Some(version), "{command:?}: answered version {version}, the log has {there:?}");
    }
    // Clients ask until they are answered: nothing else was decided.
    ensure!(decided.len() == told.len(), "{} decided, {} answered", decided.len(), told.len());
    let sum: i64 = balances.values().map(|(cents, _)| cents).sum();
    ensure!(sum == i64::from(ACCOUNTS) * CENTS, "{sum} cents are left of {}", i64::from(ACCOUNTS) * CENTS);
    for (id, (cents, version)) in &balances {
        let shown = site.api().aggregates(&format!("/{}/{id}", accounts.name))?.body;
        ensure!(
            shown["state"]["cents"] == *cents && shown["version"] == *version,
            "{id} has {cents} cents at version {version} in the log, and is shown as {shown}"
        );
    }
    Ok(())
}
