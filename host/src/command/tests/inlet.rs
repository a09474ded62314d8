//! Commands that come by the log.

use super::*;

const FROM_TOPICS: fn() -> Options = || Options { from_topics: true, ..Options::default() };

/// Sends a command by the log, with these headers beside its name and its aggregate.
fn send(site: &Site, id: &str, name: &str, payload: &str, more: &[(&str, &str)]) {
    let producer = log::Producer::new(&log::Options::new(&site.servers)).unwrap();
    let more = more.iter().map(|(name, value)| (*name, value.as_bytes()));
    let headers: Vec<(&str, &[u8])> =
        [("ce_type", name.as_bytes()), ("ce_id", b"c-1")].into_iter().chain(more).collect();
    let (key, payload) = (Some(id.as_bytes()), Some(payload.as_bytes()));
    producer.send("accounts.commands", key, payload, &headers, None, None).unwrap();
    producer.flush(PATIENCE).unwrap();
}

/// Waits until so many events have been appended in all.
fn await_events(account: &Account<'_>, id: &str, version: u64) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while account
        .site
        .runtime
        .block_on(account.handler.show(id))
        .unwrap()
        .is_none_or(|it| it.version < version)
    {
        assert!(std::time::Instant::now() < deadline, "{id} has no version {version}");
    }
}

/// What was answered, in order: type and body.
fn replies(site: &Site, count: usize) -> Vec<(String, serde_json::Value)> {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let records = site.read("answers");
        if records.len() >= count {
            let kind = |headers: &[(String, String)]| {
                headers.iter().find(|(name, _)| name == "ce_type").map(|(_, kind)| kind.clone()).unwrap()
            };
            let read =
                |(headers, body): &(Vec<_>, String)| (kind(headers), serde_json::from_str(body).unwrap());
            return records.iter().map(read).collect();
        }
        assert!(std::time::Instant::now() < deadline, "{} answers", records.len());
    }
}

// Read and appended in one transaction: a command is decided once, also when the process ends at any moment.
#[test]
fn commands_of_a_topic_are_decided_once_and_answered_where_they_ask() {
    let site = Site::new();
    let client = log::Client::new(&log::Options::new(&site.servers)).unwrap();
    client.create_topic("answers", 1).unwrap();
    let account = site.start_as("one", 1, FROM_TOPICS());
    let answer = ("ce_replytopic", "answers");
    send(&site, "a", "Deposit", "5", &[answer, ("ce_correlationid", "order-7")]);
    await_events(&account, "a", 1);
    send(&site, "a", "Withdraw", "9", &[answer]);
    send(&site, "a", "Nonsense", "", &[answer]);
    send(&site, "a", "Deposit", "1", &[answer, ("ce_expectedversion", "7")]);
    send(&site, "a", "Deposit", "2", &[answer, ("ce_commandkey", "k")]);
    await_events(&account, "a", 2);
    // The same key, by HTTP or by the log, is the same command.
    assert!(account.accepted(keyed("a", "Deposit", "2", "k")).is_repeated);
    send(&site, "a", "Deposit", "2", &[answer, ("ce_commandkey", "k")]);
    let replies = replies(&site, 6);
    let kinds: Vec<&str> = replies.iter().map(|(kind, _)| kind.as_str()).collect();
    let (accepted, failed) = ("lantern.accepted", "lantern.failed");
    assert_eq!(kinds, [accepted, "lantern.rejected", failed, failed, accepted, accepted]);
    assert_eq!(
        (&replies[0].1["version"], &replies[0].1["events"][0]["type"]),
        (&1.into(), &"Deposited".into())
    );
    assert_eq!((&replies[1].1["code"], &replies[1].1["detail"]["cents"]), (&"overdraft".into(), &5.into()));
    assert!(replies[3].1["message"].as_str().unwrap().contains("version 7 was expected"));
    assert_eq!(replies[5].1["version"], 2);
    account.stop();

    // It goes on where it was.
    send(&site, "a", "Deposit", "4", &[]);
    let account = site.start_as("one", 1, FROM_TOPICS());
    await_events(&account, "a", 3);
    assert_eq!(account.state("a").as_deref(), Some("{\"v1\":11}"));
    account.stop();
    let events = site.read("accounts");
    assert_eq!(events.len(), 3);
    assert!(events[0].0.contains(&("ce_causationid".into(), "c-1".into())));
    assert!(events[0].0.contains(&("ce_correlationid".into(), "order-7".into())));
}

// What others write into the topic must not stop it, nor be answered into places where answers do harm.
#[test]
fn what_is_no_command_is_passed_over() {
    let site = Site::new();
    let account = site.start_as("one", 1, FROM_TOPICS());
    send(&site, "a", "", "5", &[]);
    send(&site, "", "Deposit", "5", &[]);
    send(&site, "a", "Deposit", "1", &[("ce_expectedversion", "one")]);
    send(&site, "a", "Trap", "1", &[]);
    send(&site, "a", "Deposit", "1", &[("ce_replytopic", "nowhere")]);
    send(&site, "a", "Deposit", "1", &[("ce_replytopic", "accounts")]);
    await_events(&account, "a", 2);
    assert_eq!(account.accepted(command("a", "Deposit", "1")).version, 3);
    account.stop();
    assert_eq!(site.read("accounts").len(), 3);
}
