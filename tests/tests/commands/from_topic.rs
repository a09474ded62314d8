//! Commands that come by a topic, through the real process.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lantern_tests::client::{self, NewRecord};
use lantern_tests::guest::unique_topic;
use lantern_tests::log::{Log, each_log};
use lantern_tests::report::say;
use lantern_tests::seed::seeded;
use lantern_tests::site::Site;
use rand::RngExt;

use super::Accounts;

const COMMANDS: u32 = 1_500;
const ACCOUNTS: u32 = 10;
const PARTITIONS: u32 = 4;
const KILLS: u32 = 8;
/// How long after a start the next kill comes, at most.
const KILLED_WITHIN: Duration = Duration::from_millis(600);
/// Small transactions, so that kills meet many of them.
const SETTINGS: &str = "[commands]\nfrom_topics = true\ncommands_max = 10";

// Whoever sends a command by a topic gets no answer to retry by: reading, deciding, appending and answering are one.
#[test]
fn a_command_of_a_topic_is_decided_and_answered_once_whatever_is_killed() -> Result<()> {
    each_log(decided_once)
}

fn decided_once(log: &Log<'_>) -> Result<()> {
    let (_, mut random) = seeded();
    let accounts = Accounts::new("from-topic");
    let answers = unique_topic("answers");
    let mut site = Site::new(log)?.with_settings(SETTINGS)?;
    site.deploy(&accounts.handler(&[])?)?;
    let mut host = site.start()?;
    host.await_broker()?;
    client::create_topic(site.address(), &answers, 1)?;
    accounts.await_live(&mut host)?;
    let commands = format!("{}.commands", accounts.name);
    client::produce(site.address(), &commands, (0..COMMANDS).map(|number| deposit(number, &answers)))?;

    for _ in 0..KILLS {
        thread::sleep(KILLED_WITHIN.mul_f64(random.random()));
        host.kill()?;
        host = site.start()?;
        accounts.await_live(&mut host)?;
    }
    let api = site.api();
    let version = |account| {
        let shown = api.aggregates(&format!("/{}/a-{account}", accounts.name))?;
        anyhow::Ok(shown.body["version"].as_u64().unwrap_or_default())
    };
    host.until("every command is decided", || {
        let versions = (0..ACCOUNTS).map(version).sum::<Result<u64>>()?;
        Ok((versions >= u64::from(COMMANDS)).then_some(()))
    })?;

    let mut decided = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for event in accounts.log(&site)? {
        ensure!(keys.insert(event.key.clone()), "{:?} was decided twice", event.key);
        decided.insert((event.id, event.version));
    }
    ensure!(decided.len() == COMMANDS as usize, "{} of {COMMANDS} were decided", decided.len());
    let mut answered = BTreeSet::new();
    for answer in client::read_committed(site.address(), &answers)?.into_values().flatten() {
        ensure!(answer.header("ce_type") == Some("lantern.accepted"), "{answer:?}");
        let id = answer.header("ce_subject").context("an answer without its aggregate")?.to_owned();
        let body: serde_json::Value = serde_json::from_slice(answer.value.as_deref().unwrap_or_default())?;
        let version = body["version"].as_u64().with_context(|| format!("{body}"))?;
        ensure!(answered.insert((id, version)), "answered twice: {answer:?}");
    }
    ensure!(answered == decided, "the answers are not of what was decided");
    say(&format!("{}: {COMMANDS} commands, {KILLS} kills", log.name()));
    Ok(())
}

/// A deposit of one cent; those of one account are in one partition.
fn deposit(number: u32, answers: &str) -> NewRecord {
    let account = number % ACCOUNTS;
    let id = format!("a-{account}");
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", &format!("c-{number}")),
        ("ce_source", "tests"),
        ("ce_type", "Deposit"),
        ("ce_subject", &id),
        ("ce_replytopic", answers),
    ];
    NewRecord {
        partition: (account % PARTITIONS) as i32,
        key: Some(id.clone().into_bytes()),
        value: Some(br#"{"cents":1}"#.to_vec()),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        timestamp_ms: None,
    }
}
