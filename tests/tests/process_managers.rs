//! Process managers: the bank of `examples/bank`, whose transfers are moved by one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use lantern_tests::api::Api;
use lantern_tests::client;
use lantern_tests::guest::example;
use lantern_tests::kafka::Kafka;
use lantern_tests::log::{Log, on};
use lantern_tests::seed::seeded;
use lantern_tests::site::{Host, Site};
use lantern_tests::wait;
use lantern_tests::whole::ends;
use rand::RngExt as _;
use serde_json::{Value, json};

const ACCOUNTS: u64 = 8;
const CENTS_EACH: i64 = 1_000;
const TRANSFERS: u64 = 150;
const CLIENTS: u64 = 3;
const KILLS: u64 = 4;
/// Which of the kills is that of Apache Kafka, where that is the log.
const KAFKA_KILL: u64 = 2;
/// How long a client waits before it sends a command again.
const AGAIN_MS: u64 = 10;

fn bank(log: &Log<'_>) -> Result<Site> {
    let mut site = Site::new(log)?;
    for plugin in ["account", "transfer", "process", "statement"] {
        site.deploy(&example(&format!("bank/{plugin}"))?)?;
    }
    Ok(site)
}

fn start(site: &Site) -> Result<Host<'_>> {
    let mut host = site.start()?;
    for name in ["account", "transfer"] {
        host.await_plugin(name, "takes commands", |it| it["state"] == "live")?;
    }
    Ok(host)
}

/// Sends a command until it is answered; answers the status and the body.
fn send(api: &Api, to: (&str, &str), command: (&str, Value), key: &str) -> Result<(u16, Value)> {
    wait::until_every(AGAIN_MS, &format!("{to:?} {command:?} is answered"), || {
        match api.command(to, command.clone(), &[("Idempotency-Key", key)]) {
            Ok(reply) if matches!(reply.status, 200 | 422) => Ok(Some((reply.status, reply.body))),
            // The host is being killed, or has just come back.
            Ok(reply) if reply.status == 503 => Ok(None),
            Ok(reply) => bail!("{to:?} {command:?}: {} {}", reply.status, reply.body),
            Err(_) => Ok(None),
        }
    })
}

fn accepted(api: &Api, to: (&str, &str), command: (&str, Value), key: &str) -> Result<()> {
    let (status, body) = send(api, to, command, key)?;
    ensure!(status == 200, "{to:?}: {body}");
    Ok(())
}

/// The types of a transfer's events.
fn happened(api: &Api, transfer: &str) -> Result<Vec<String>> {
    let events = api.aggregates(&format!("/transfer/{transfer}/events"))?.body;
    let events = events["events"].as_array().with_context(|| format!("{events}"))?.clone();
    Ok(events.iter().map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect())
}

fn await_over(host: &mut Host<'_>, api: &Api, transfer: &str) -> Result<String> {
    host.until(&format!("{transfer} is over"), || {
        let events = happened(api, transfer)?;
        let last = events.last().cloned().unwrap_or_default();
        Ok(["Completed", "Failed", "Expired"].contains(&&*last).then_some(last))
    })
}

// No transaction spans two accounts. Whatever is killed between two steps, each has its effect once, and a step that is refused
// gives the money back.
#[test]
fn a_process_manager_s_commands_have_their_effect_once_whatever_is_killed() -> Result<()> {
    on(&Log::Embedded, |log| have_their_effect_once(log, &bank(log)?))
}

// A timeout that is forgotten by a restart, or fires although it was taken back, is worse than none.
#[test]
fn a_timeout_survives_a_restart_and_can_be_taken_back() -> Result<()> {
    on(&Log::Embedded, |log| survives_a_restart(&bank(log)?))
}

// The same where the log dies apart from the host. The handlers' names are those of the example, and one Kafka has one of
// each: one bank does both.
#[test]
fn commands_have_their_effect_once_and_timeouts_survive_on_apache_kafka() -> Result<()> {
    let Some(kafka) = Kafka::start()? else { return Ok(()) };
    on(&Log::Kafka(&kafka), |log| {
        let site = bank(log)?;
        have_their_effect_once(log, &site)?;
        survives_a_restart(&site)
    })
}

fn have_their_effect_once(log: &Log<'_>, site: &Site) -> Result<()> {
    let (_, mut random) = seeded();
    let host = start(site)?;
    let api = site.api();
    for account in 0..ACCOUNTS {
        let id = format!("a-{account}");
        accepted(&api, ("account", &id), ("Open", json!({ "owner": id })), "open")?;
        accepted(&api, ("account", &id), ("Deposit", json!({ "cents": CENTS_EACH })), "deposit")?;
    }
    let mut wanted: Vec<(String, Value)> = (0..TRANSFERS)
        .map(|number| {
            let from = random.random_range(0..ACCOUNTS);
            let to = (from + random.random_range(1..ACCOUNTS)) % ACCOUNTS;
            let (from, mut to) = (format!("a-{from}"), format!("a-{to}"));
            if number % 10 == 3 {
                to = "nobody".to_owned();
            }
            let cents: i64 = random.random_range(1..CENTS_EACH);
            (format!("t-{number}"), json!({ "from": from, "to": to, "cents": cents }))
        })
        .collect();
    // One that surely fails at its first step.
    wanted[0].1["cents"] = json!(CENTS_EACH * 100);
    let (wanted, sent) = (&wanted, AtomicU64::new(0));
    let mut host = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (api, sent) = (site.api(), &sent);
                scope.spawn(move || {
                    for (transfer, request) in wanted.iter().skip(client as usize).step_by(CLIENTS as usize) {
                        accepted(&api, ("transfer", transfer), ("Request", request.clone()), "request")?;
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        let mut host = host;
        for kill in 1..=KILLS {
            let until = kill * TRANSFERS / (KILLS + 1);
            host.until("transfers are requested", || {
                Ok((sent.load(Ordering::Relaxed) >= until).then_some(()))
            })?;
            if let Log::Kafka(kafka) = log
                && kill == KAFKA_KILL
            {
                // Lantern outlives its log, and sends on when that is back.
                kafka.kill();
                kafka.restart()?;
                continue;
            }
            host.kill()?;
            host = start(site)?;
        }
        for client in clients {
            client.join().unwrap_or_else(|_| bail!("a client panicked"))?;
        }
        anyhow::Ok(host)
    })?;

    let mut ends = BTreeSet::new();
    for (transfer, request) in wanted {
        let end = await_over(&mut host, &api, transfer)?;
        ensure!(happened(&api, transfer)? == ["Requested", &end], "{transfer} ended more than once");
        ensure!(request["to"] != "nobody" || end == "Failed", "{transfer} went to nobody");
        ends.insert(end);
    }
    ensure!(ends.len() == 2, "all transfers were {ends:?}: the test shows little");
    ensure!(happened(&api, "t-0")? == ["Requested", "Failed"]);
    check_books(site, &mut host)?;

    // What is thought of the past is built anew; what was sent for it is not sent again.
    let before = site.read_model("bank-statement")?.number("SELECT count(*) FROM lines")?;
    let live = api.plugin("bank-process")?.body["generation"].as_u64().context("a generation")?;
    api.act("bank-process", "rebuild")?.done("rebuilding")?;
    host.await_plugin("bank-process", "is promoted", |it| it["generation"].as_u64() > Some(live))?;
    accepted(
        &api,
        ("transfer", "last"),
        ("Request", json!({ "from": "a-0", "to": "a-1", "cents": 1 })),
        "r",
    )?;
    await_over(&mut host, &api, "last")?;
    check_books(site, &mut host)?;
    let after = site
        .read_model("bank-statement")?
        .number("SELECT count(*) FROM lines WHERE transfer IS NOT 'last'")?;
    ensure!(before == after, "{before} lines became {after} by a rebuild");
    ensure!(host.terminate()?.success());
    Ok(())
}

/// What must not be in the statements.
const WRONG: [(&str, &str); 3] = [
    ("accounts are overdrawn", "SELECT count(*) FROM accounts WHERE cents < 0"),
    (
        "accounts are not their lines",
        "SELECT count(*) FROM accounts WHERE cents <> (SELECT ifnull(sum(cents), 0) FROM lines WHERE lines.account = accounts.account)",
    ),
    (
        "transfers are not balanced",
        "SELECT count(*) FROM (SELECT 1 FROM lines WHERE transfer IS NOT NULL GROUP BY transfer \
         HAVING sum(cents) <> 0 OR count(*) <> 2)",
    ),
];

/// No money was made or lost, every account is what its lines add up to, and every transfer is balanced.
fn check_books(site: &Site, host: &mut Host<'_>) -> Result<()> {
    let total = i64::try_from(ACCOUNTS)? * CENTS_EACH;
    host.until("the statements are whole", || {
        let ends = ends(&client::read_committed(site.address(), "accounts")?);
        let statement = site.read_model("bank-statement")?;
        // One snapshot, as statements go on.
        let _snapshot = statement.connection.unchecked_transaction()?;
        let there = statement.checkpoints("accounts")?;
        let is_at_end = ends.iter().all(|(partition, end)| there.get(partition).is_some_and(|it| it >= end));
        let sum = statement.number("SELECT ifnull(sum(cents), 0) FROM accounts")?;
        if !is_at_end || sum != total {
            return Ok(None);
        }
        for (what, sql) in WRONG {
            let wrong = statement.number(sql)?;
            ensure!(wrong == 0, "{wrong} {what}");
        }
        Ok(Some(()))
    })?;
    let process = site.read_model("bank-process")?;
    ensure!(process.number("SELECT count(*) FROM _lantern_unsent")? == 0, "commands were refused");
    host.until("everything is sent", || Ok((process_left(site)? == 0).then_some(())))
}

fn process_left(site: &Site) -> Result<i64> {
    site.read_model("bank-process")?.number("SELECT count(*) FROM _lantern_outbox")
}

fn survives_a_restart(site: &Site) -> Result<()> {
    let host = start(site)?;
    let api = site.api();
    for id in ["ada", "bob"] {
        accepted(&api, ("account", id), ("Open", json!({ "owner": id })), "open")?;
        accepted(&api, ("account", id), ("Deposit", json!({ "cents": 500 })), "deposit")?;
    }
    let request = |transfer: &str, within_ms: i64| {
        let data = json!({ "from": "ada", "to": "bob", "cents": 100, "confirm_within_ms": within_ms });
        accepted(&api, ("transfer", transfer), ("Request", data), "request")
    };
    // The deadline that is taken back lies before the one that is waited for.
    request("confirmed", 5_000)?;
    accepted(&api, ("transfer", "confirmed"), ("Confirm", Value::Null), "confirm")?;
    request("late", 3_600_000)?;
    request("soon", 5_000)?;
    let mut host = host;
    ensure!(await_over(&mut host, &api, "confirmed")? == "Completed");
    host.kill()?;

    let mut host = start(site)?;
    ensure!(await_over(&mut host, &api, "soon")? == "Expired");
    ensure!(happened(&api, "soon")? == ["Requested", "Expired"]);
    ensure!(happened(&api, "confirmed")? == ["Requested", "Confirmed", "Completed"]);
    ensure!(happened(&api, "late")? == ["Requested"]);
    host.until("only what is not due is left", || Ok((process_left(site)? == 1).then_some(())))?;
    ensure!(host.terminate()?.success());
    Ok(())
}
