//! Money is moved between accounts while everything is killed: none appears, none vanishes.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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
/// How many are made on each broker, unless `LANTERN_TESTS_TRANSFERS` says otherwise.
const TRANSFERS: u32 = 10_000;
const CLIENTS: u32 = 16;
/// How often something is killed, at most: what comes after is quicker. `LANTERN_TESTS_KILLS` says otherwise.
const KILLS_MAX: u32 = 24;
/// Clients go on until something was killed so often.
const KILLS_MIN: u32 = 8;
/// What is killed in turn where the log is Apache Kafka.
const TURNS: [Killed; 8] = [
    Killed::Host,
    Killed::Host,
    Killed::Kafka,
    Killed::Host,
    Killed::Host,
    Killed::Both,
    Killed::Kafka,
    Killed::Host,
];
/// Of the first kills, at least so many are of the host, and on Apache Kafka so many of that.
const HOST_KILLS_MIN: u32 = 6;
const KAFKA_KILLS_MIN: u32 = 3;

/// What dies at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Killed {
    Host,
    Kafka,
    Both,
}

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
    let transfers = given("LANTERN_TESTS_TRANSFERS").unwrap_or(TRANSFERS);
    let kills_max = given("LANTERN_TESTS_KILLS").unwrap_or(KILLS_MAX);
    let (seed, mut random) = seeded();
    let accounts = Accounts::new("conserved");
    let mut site = Site::new(log)?;
    site.deploy(&accounts.handler(&[])?)?;
    let mut host = site.start()?;
    accounts.await_live(&mut host)?;

    let kills_min = KILLS_MIN.min(kills_max);
    let (next, is_enough) = (AtomicU32::new(0), AtomicBool::new(kills_min == 0));
    let (told, [host_kills, kafka_kills, joint_kills], _host) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (accounts, site) = (&accounts, &site);
                let work = Work { next: &next, transfers, is_enough: &is_enough };
                let random = StdRng::seed_from_u64(seed ^ (u64::from(client) << 32));
                scope.spawn(move || transfer(accounts, site, &work, client, random))
            })
            .collect();
        // Also when the kills are cut short by an error, or nobody would end.
        let _end = Raised(&is_enough);
        let (mut kills, mut of) = (0, [0, 0, 0]);
        while kills < kills_max && !clients.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(random.random_range(0..3_000)));
            let (kafka, killed) = match log {
                Log::Embedded => (None, Killed::Host),
                Log::Kafka(kafka) => (Some(*kafka), TURNS[kills as usize % TURNS.len()]),
            };
            let (is_host, is_kafka) = (killed != Killed::Kafka, killed != Killed::Host);
            kills += 1;
            for (count, is_one) in of.iter_mut().zip([is_host, is_kafka, is_host && is_kafka]) {
                *count += u32::from(is_one);
            }
            let kafka = kafka.filter(|_| is_kafka);
            kafka.into_iter().for_each(Kafka::kill);
            if is_host {
                host.kill()?;
                kafka.map_or(Ok(()), Kafka::restart)?;
                host = site.start()?;
            } else {
                // Lantern finds out that its log is away.
                thread::sleep(Duration::from_millis(random.random_range(0..1_000)));
                kafka.map_or(Ok(()), Kafka::restart)?;
            }
            accounts.await_live(&mut host)?;
            is_enough.store(kills >= kills_min, Ordering::Relaxed);
        }
        let told: Result<Vec<Vec<Told>>> = clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        anyhow::Ok((told?.concat(), of, host))
    })?;
    if kills_min == KILLS_MIN {
        ensure!(host_kills >= HOST_KILLS_MIN, "the host was killed {host_kills} times");
        ensure!(
            matches!(log, Log::Embedded) || kafka_kills >= KAFKA_KILLS_MIN && joint_kills > 0,
            "Kafka was killed {kafka_kills} times, {joint_kills} of them with the host"
        );
    }
    check(&accounts, &site, &told)?;
    say(&format!(
        "{}: {} transfers, {} accepted commands, {host_kills} kills of the host and {kafka_kills} of Kafka",
        log.name(),
        next.load(Ordering::Relaxed).saturating_sub(CLIENTS),
        told.len()
    ));
    Ok(())
}

/// What all clients do together.
struct Work<'w> {
    /// The transfer that is made next.
    next: &'w AtomicU32,
    /// So many at least, and until enough was killed.
    transfers: u32,
    is_enough: &'w AtomicBool,
}

/// Raises a flag when it is dropped.
struct Raised<'f>(&'f AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes transfers until there are enough: from one account, then to the other, each with a key of its own.
fn transfer(
    accounts: &Accounts,
    site: &Site,
    work: &Work<'_>,
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
        let number = work.next.fetch_add(1, Ordering::Relaxed);
        if number >= work.transfers && work.is_enough.load(Ordering::Relaxed) {
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
