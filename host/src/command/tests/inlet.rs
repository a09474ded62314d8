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
    let client = log::Client::new(&log::Options::new(&site.servers)).unwrap();
    for topic in ["orders", "orders.decisions", "orders.commands"] {
        client.create_topic(topic, 1).unwrap();
    }
    let account = site.start_as("one", 1, FROM_TOPICS());
    send(&site, "a", "", "5", &[]);
    send(&site, "", "Deposit", "5", &[]);
    send(&site, "a", "Deposit", "1", &[("ce_expectedversion", "one")]);
    send(&site, "a", "Trap", "1", &[]);
    send(&site, "a", "Deposit", "1", &[("ce_replytopic", "nowhere")]);
    send(&site, "a", "Deposit", "1", &[("ce_replytopic", "accounts")]);
    let long = "a".repeat(100_000);
    // A topic's own length, but not that of the decisions beside it.
    let longest = "a".repeat(249);
    let (own, of_others) =
        (["accounts.commands", "__own", "."], ["orders", "orders.decisions", "orders.commands"]);
    for topic in own.into_iter().chain(of_others).chain(["no name", &long, &longest]) {
        send(&site, "a", "Deposit", "1", &[("ce_replytopic", topic)]);
    }
    await_events(&account, "a", 11);
    assert_eq!(account.accepted(command("a", "Deposit", "1")).version, 12);
    account.stop();
    assert_eq!(site.read("accounts").len(), 12);
    for topic in ["orders", "orders.decisions", "orders.commands"] {
        assert!(site.read(topic).is_empty(), "an answer is in {topic}");
    }
}

// A command that can never be appended must not be read again for ever: those behind it would never be decided.
#[test]
fn a_command_of_a_topic_that_the_log_refuses_is_passed_over() {
    let site = Site::new();
    let client = log::Client::new(&log::Options::new(&site.servers)).unwrap();
    client.create_topic_with("accounts", 1, &[("max.message.bytes", "20000")]).unwrap();
    client.create_topic("answers", 1).unwrap();
    client.create_topic_with("small", 1, &[("max.message.bytes", "100")]).unwrap();
    let account = site.start_as("one", 1, FROM_TOPICS());
    let answer = ("ce_replytopic", "answers");
    for name in ["Kind", "Code", "Message", "Detail"] {
        send(&site, "a", name, "", &[answer]);
    }
    send(&site, "a", "Pad", "30000", &[answer]);
    send(&site, "a", "Pad", "30000", &[("ce_replytopic", "small")]);
    // What cannot be answered is decided.
    send(&site, "a", "Deposit", "5", &[("ce_replytopic", "small")]);
    send(&site, "a", "Deposit", "6", &[answer]);
    let replies = replies(&site, 6);
    let kinds: Vec<&str> = replies.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, [["lantern.failed"; 5].as_slice(), &["lantern.accepted"]].concat());
    assert!(replies[4].1["message"].as_str().unwrap().contains("max.message.bytes"), "{}", replies[4].1);
    assert_eq!(account.state("a").as_deref(), Some("{\"v1\":11}"));
    account.stop();
}

// What was read of the topic and has not been decided waits for its turn, whoever asks meanwhile.
#[test]
fn no_command_of_a_topic_is_lost_when_others_ask_at_the_same_time() {
    let site = Site::new();
    // Each round is full with its first command.
    let account = site.start_as("one", 1, Options { bytes_max: 1, ..FROM_TOPICS() });
    let handler = account.handler.clone();
    let asking = site.runtime.spawn(async move {
        for _ in 0..200 {
            handler.submit(command("b", "Deposit", "1")).await.unwrap();
        }
    });
    let producer = log::Producer::new(&log::Options::new(&site.servers)).unwrap();
    for _ in 0..50 {
        let headers: [(&str, &[u8]); 1] = [("ce_type", b"Deposit")];
        producer.send("accounts.commands", Some(b"a"), Some(b"1"), &headers, None, None).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    await_events(&account, "a", 50);
    site.runtime.block_on(asking).unwrap();
    account.stop();
}

// A command in a partition that nobody reads is one that nobody decides, and nobody is told.
#[test]
fn commands_in_partitions_that_are_added_are_decided() {
    let site = Site::new();
    let account = site.start_as("one", 1, FROM_TOPICS());
    send(&site, "a", "Deposit", "1", &[]);
    await_events(&account, "a", 1);
    let options = log::Options::new(&site.servers);
    let count = log::Client::new(&options).unwrap().partitions("accounts.commands").unwrap().len();
    log::Admin::new(&options).unwrap().set_partitions("accounts.commands", count + 1).unwrap();
    let producer = log::Producer::new(&options).unwrap();
    let headers: [(&str, &[u8]); 2] = [("ce_type", b"Deposit"), ("ce_id", b"c-1")];
    producer
        .send("accounts.commands", Some(b"a"), Some(b"2"), &headers, i32::try_from(count).ok(), None)
        .unwrap();
    producer.flush(PATIENCE).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    // It is not asked while it reads the log again.
    while site.read("accounts").len() < 2 {
        assert!(std::time::Instant::now() < deadline, "the command is not decided");
    }
    account.wait(State::Live);
    await_events(&account, "a", 2);
    account.stop();
}
