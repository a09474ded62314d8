//! Concurrent commands on few aggregates, with expected versions, across a kill of the host, by a history checker.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
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
use super::{AGAIN, Accounts, PATIENCE, handler, version};

const ACCOUNTS: u32 = 3;
const CLIENTS: u64 = 8;
const OPERATIONS: u32 = 150;
/// The host is killed when so many have been asked of all.
const KILLED_AT: u32 = CLIENTS as u32 * OPERATIONS / 3;

/// Something that a client asked of an account, and what became of it.
struct Asked {
    account: u32,
    /// The key of a command.
    key: Option<String>,
    from: Instant,
    end: End,
}

impl Asked {
    fn told(&self) -> Option<Seen> {
        match self.end {
            End::Told(_, seen) => Some(seen),
            End::Maybe { .. } | End::Refused => None,
        }
    }
}

/// What a client was told.
enum End {
    Told(Instant, Seen),
    /// Nothing that says whether it was carried out.
    Maybe {
        expected: Option<u64>,
    },
    /// That nothing was appended.
    Refused,
}

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
    let begun = AtomicU32::new(0);
    let (asked, _host) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (accounts, api, begun) = (&accounts, site.api(), &begun);
                let random = StdRng::seed_from_u64(seed ^ (client << 32));
                scope.spawn(move || ask(accounts, &api, begun, client, random))
            })
            .collect();
        host.until("operations are asked", || {
            let is_enough = begun.load(Ordering::Relaxed) >= KILLED_AT;
            // Clients that have failed ask nothing more.
            Ok((is_enough || clients.iter().all(thread::ScopedJoinHandle::is_finished)).then_some(()))
        })?;
        host.kill()?;
        let mut host = site.start()?;
        accounts.await_live(&mut host)?;
        let join = |client: thread::ScopedJoinHandle<'_, Result<Vec<Asked>>>| {
            client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let asked: Vec<Asked> =
            clients.into_iter().map(join).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        anyhow::Ok((asked, host))
    })?;
    let mut cents: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut appended: HashMap<String, u64> = HashMap::new();
    for event in accounts.log(&site)? {
        let all = cents.entry(event.id.clone()).or_insert_with(|| vec![0]);
        all.push(all.last().copied().unwrap_or_default() + event.cents()?);
        appended.insert(event.key.clone().context("an event without its key")?, event.version);
    }
    let mut unanswered = 0;
    for account in 0..ACCOUNTS {
        let mut history: Vec<Operation> = Vec::new();
        for asked in asked.iter().filter(|asked| asked.account == account) {
            let there = asked.key.as_ref().and_then(|key| appended.get(key)).copied();
            let (to, seen) = match asked.end {
                End::Told(to, seen) => (Some(to), seen),
                End::Refused => {
                    ensure!(there.is_none(), "{:?}: nothing was appended, and it is {there:?}", asked.key);
                    continue;
                }
                End::Maybe { expected } => {
                    unanswered += 1;
                    let Some(version) = there else { continue };
                    (None, Seen::Made { version, expected })
                }
            };
            history.push(Operation { from: asked.from, to, seen });
        }
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
    ensure!(unanswered > 0, "the kill was in nobody's way: this shows nothing");
    Ok(())
}

/// Reads, and deposits on what it has read or whatever is there.
fn ask(
    accounts: &Accounts,
    api: &Api,
    begun: &AtomicU32,
    client: u64,
    mut random: StdRng,
) -> Result<Vec<Asked>> {
    let mut history = Vec::new();
    let mut known = [0_u64; ACCOUNTS as usize];
    for number in 0..OPERATIONS {
        begun.fetch_add(1, Ordering::Relaxed);
        let account = random.random_range(0..ACCOUNTS);
        let known = known.get_mut(account as usize).context("an account")?;
        let expected = random.random_bool(0.7).then_some(*known);
        if random.random_bool(0.7) {
            let asked = deposit(accounts, api, account, format!("c{client}-{number}"), expected)?;
            let told = asked.told();
            history.push(asked);
            if let Some(seen) = told {
                *known = seen.version();
                continue;
            }
            // The host is on its way back: what is read next is of the one that comes.
        }
        let read = read(accounts, api, account)?;
        *known = read.told().map_or(*known, Seen::version);
        history.push(read);
    }
    Ok(history)
}

fn deposit(
    accounts: &Accounts,
    api: &Api,
    account: u32,
    key: String,
    expected: Option<u64>,
) -> Result<Asked> {
    let tag = expected.map(|version| format!("\"{version}\""));
    let mut headers = vec![("Idempotency-Key", key.as_str())];
    headers.extend(tag.iter().map(|tag| ("If-Match", tag.as_str())));
    let from = Instant::now();
    let sent = accounts.send(api, &format!("a-{account}"), "Deposit", json!({ "cents": 1 }), &headers);
    let to = Instant::now();
    let end = match sent {
        // It may have been carried out before the host was killed.
        Err(_) => End::Maybe { expected },
        Ok(reply) => match (reply.status, reply.body["type"].as_str().unwrap_or_default()) {
            (200, _) => End::Told(to, Seen::Made { version: version(&reply)?, expected }),
            (412, _) => End::Told(to, Seen::Found { version: version(&reply)?, cents: None }),
            (503, "urn:lantern:catching-up" | "urn:lantern:unavailable") => End::Refused,
            (503, _) => End::Maybe { expected },
            (status, _) => bail!("{status} {}", reply.body),
        },
    };
    Ok(Asked { account, key: Some(key), from, end })
}

/// Reads until a handler answers that is live: what one reads that is not may be of the past, and it says so.
fn read(accounts: &Accounts, api: &Api, account: u32) -> Result<Asked> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let from = Instant::now();
        let shown = api.aggregates(&format!("/{}/a-{account}", accounts.name));
        let to = Instant::now();
        let seen = match shown {
            Ok(shown) if shown.status == 404 => Some(Seen::Found { version: 0, cents: Some(0) }),
            Ok(shown) if shown.status == 200 && handler(&shown) == "live" => {
                let cents = shown.body["state"]["cents"].as_i64();
                Some(Seen::Found { version: version(&shown)?, cents })
            }
            Ok(shown) if matches!(shown.status, 200 | 503) => None,
            Ok(shown) => bail!("{} {}", shown.status, shown.body),
            Err(_) => None,
        };
        if let Some(seen) = seen {
            return Ok(Asked { account, key: None, from, end: End::Told(to, seen) });
        }
        ensure!(Instant::now() < deadline, "no handler was live in {PATIENCE:?}");
        thread::sleep(AGAIN);
    }
}
