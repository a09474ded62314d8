//! What is appended, and that it is the same after a restart.

use super::*;

// Other programs read these events; what they rely on is written down here.
#[test]
fn events_are_cloud_events_with_version_correlation_and_causation() {
    let site = Site::new();
    let account = site.start("one");
    let first = account.accepted(command("a", "Deposit", "5"));
    assert_eq!((first.version, first.events.len(), first.is_repeated), (1, 1, false));
    let second = account.accepted(Command {
        correlation: Some("order-7".into()),
        causation: Some("event-3".into()),
        ..keyed("a", "Deposit", "6", "k")
    });
    let event = &second.events[0];
    assert_eq!((event.version, event.kind.as_str(), event.payload.as_slice()), (2, "Deposited", &b"6"[..]));
    assert_eq!(second.position, [(("accounts".to_owned(), event.partition), event.offset + 1)].into());
    account.stop();
    let records = site.read("accounts");
    let (headers, payload) = &records[1];
    let header = |name: &str| headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str());
    assert_eq!(payload, "6");
    let check = |name: &str, value: &str| assert_eq!(header(name), Some(value), "{name}");
    check("ce_specversion", "1.0");
    check("ce_id", "a/2");
    check("ce_type", "Deposited");
    check("ce_source", "lantern/account");
    check("ce_subject", "a");
    check("content-type", "application/json");
    check("ce_aggregateversion", "2");
    check("ce_correlationid", "order-7");
    check("ce_causationid", "event-3");
    check("ce_commandkey", "k");
    assert_eq!(header("ce_commanddigest").map(str::len), Some(64));
    assert!(header("ce_time").is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok()));
    // Where nothing was said, it begins with itself.
    let first: Vec<_> = records[0].0.iter().filter(|(name, _)| name == "ce_correlationid").collect();
    assert_eq!(first[0].1, "a/1");
}

// The store is derived from the log: without it, everything is as it was.
#[test]
fn a_store_that_is_lost_is_filled_again_from_the_log() {
    let site = Site::new();
    let account = site.start("one");
    account.accepted(keyed("a", "Deposit", "5", "k1"));
    account.accepted(command("a", "Split", ""));
    account.rejected(keyed("b", "Withdraw", "1", "k2"));
    account.accepted(keyed("a", "Look", "", "k3"));
    let state = account.state("a");
    assert_eq!(state.as_deref(), Some("{\"v1\":8}"));
    account.stop();

    let account = site.start("another");
    assert_eq!(account.state("a"), state);
    let events = account.handler.reader().unwrap().events("a", &Default::default()).unwrap();
    assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(events[0].event_id, "a/1");
    let first = account.accepted(keyed("a", "Deposit", "5", "k1"));
    assert_eq!((first.version, first.is_repeated), (1, true));
    let refused = account.rejected(keyed("b", "Withdraw", "1", "k2"));
    assert_eq!((refused.code.as_str(), refused.is_repeated), ("overdraft", true));
    assert_eq!(refused.detail.as_deref(), Some("{\"cents\":0}"));
    let looked = account.accepted(keyed("a", "Look", "", "k3"));
    assert_eq!((looked.version, looked.is_repeated, looked.events.len()), (4, true, 0));
    assert_eq!(account.accepted(command("a", "Withdraw", "8")).version, 5);
    account.stop();
}

// Group commit must not change what commands see of each other.
#[test]
fn commands_that_come_together_are_decided_one_after_the_other() {
    let site = Site::new();
    let account = site.start("one");
    account.accepted(command("a", "Deposit", "10"));
    let answers = account.submit_all(vec![command("a", "Withdraw", "1"); 50]);
    let accepted = answers.iter().filter(|answer| matches!(answer, Ok(Answer::Accepted(_)))).count();
    let rejected = answers.iter().filter(|answer| matches!(answer, Ok(Answer::Rejected(_)))).count();
    assert_eq!((accepted, rejected), (10, 40), "{answers:?}");
    account.wait_until("51 commands, 11 events, 40 rejected, 1 aggregate", |status| {
        (status.commands, status.events, status.rejected, status.aggregates) == (51, 11, 40, 1)
    });
    assert_eq!(account.state("a").as_deref(), Some("{\"v1\":0}"));
    account.stop();
}

#[test]
fn an_expected_version_that_is_not_the_actual_one_is_refused() {
    let site = Site::new();
    let account = site.start("one");
    let expecting = |expected| Command { expected: Some(expected), ..command("a", "Deposit", "1") };
    assert_eq!(account.submit(expecting(1)), Err(Error::WrongVersion { expected: 1, actual: 0 }));
    assert_eq!(account.accepted(expecting(0)).version, 1);
    assert_eq!(account.submit(expecting(0)), Err(Error::WrongVersion { expected: 0, actual: 1 }));
    // Of those that race, one wins.
    let answers = account.submit_all(vec![expecting(1); 20]);
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    let lost = Err(Error::WrongVersion { expected: 1, actual: 2 });
    assert_eq!((won, answers.iter().filter(|answer| **answer == lost).count()), (1, 19), "{answers:?}");
    account.stop();
}

// Events of other programs in the topic must not stop the handler, nor be lost when they are well-formed.
#[test]
fn what_others_appended_is_taken_when_it_is_the_next_version() {
    let site = Site::new();
    let client = log::Client::new(&log::Options::new(&site.servers)).unwrap();
    client.create_topic("accounts", 1).unwrap();
    let producer = log::Producer::new(&log::Options::new(&site.servers)).unwrap();
    let send = |id: &str, version: &str| {
        let headers: [(&str, &[u8]); 3] = [
            ("ce_type", b"Deposited"),
            ("ce_subject", id.as_bytes()),
            ("ce_aggregateversion", version.as_bytes()),
        ];
        let headers = &headers[..if version.is_empty() { 2 } else { 3 }];
        producer.send("accounts", Some(id.as_bytes()), Some(b"7"), headers, Some(0), None).unwrap();
    };
    [("a", "1"), ("a", "2"), ("a", "2"), ("a", "9"), ("b", "")]
        .iter()
        .for_each(|(id, version)| send(id, version));
    producer.flush(PATIENCE).unwrap();
    let account = site.start("one");
    assert_eq!(account.state("a").as_deref(), Some("{\"v1\":14}"));
    assert_eq!(account.state("b"), None);
    assert_eq!(account.accepted(command("a", "Deposit", "1")).version, 3);
    account.stop();
}

// The log is the truth, whoever appended to it: a store that grew with it and one that was filled from it are the same.
#[test]
fn what_others_append_beside_a_live_handler_is_noticed_and_never_takes_the_place_of_its_own() {
    let site = Site::new();
    let client = log::Client::new(&log::Options::new(&site.servers)).unwrap();
    client.create_topic("accounts", 1).unwrap();
    let producer = log::Producer::new(&log::Options::new(&site.servers)).unwrap();
    let send = |topic: &str, id: &str, kind: &str, version: &str| {
        let headers: [(&str, &[u8]); 5] = [
            ("ce_type", kind.as_bytes()),
            ("ce_subject", id.as_bytes()),
            ("ce_aggregateversion", version.as_bytes()),
            ("ce_commandkey", b"forged"),
            ("ce_commanddigest", b"forged"),
        ];
        producer.send(topic, Some(id.as_bytes()), Some(b"7"), &headers, Some(0), None).unwrap();
        producer.flush(PATIENCE).unwrap();
    };
    let await_state = |account: &Account<'_>, id: &str, state: &str| {
        let deadline = std::time::Instant::now() + PATIENCE;
        // It is away while it reads what others appended.
        while site
            .runtime
            .block_on(account.handler.show(id))
            .ok()
            .flatten()
            .and_then(|it| it.state)
            .as_deref()
            != Some(state.as_bytes())
        {
            assert!(std::time::Instant::now() < deadline, "{id} has not become {state}");
        }
    };
    let account = site.start("one");
    send("accounts", "e", "Deposited", "1");
    account.accepted(command("a", "Deposit", "1"));
    await_state(&account, "e", "{\"v1\":7}");
    send("accounts", "a", "Deposited", "2");
    send("accounts", "c", "Deposited", "1");
    send("accounts", "c", "Deposited", "2");
    send("accounts.decisions", "d", "lantern.unchanged", "0");
    // It is not known to it yet; what it appends stands.
    assert_eq!(account.accepted(command("c", "Deposit", "1")).version, 1);
    await_state(&account, "a", "{\"v1\":8}");
    await_state(&account, "c", "{\"v1\":1}");
    assert_eq!(account.accepted(command("c", "Deposit", "1")).version, 2);
    assert_eq!(account.accepted(command("a", "Deposit", "1")).version, 3);
    account.stop();

    let account = site.start("another");
    assert_eq!(account.state("a").as_deref(), Some("{\"v1\":9}"));
    assert_eq!(account.state("c").as_deref(), Some("{\"v1\":2}"));
    // What others say was decided was not.
    for id in ["a", "c", "d"] {
        assert!(!account.accepted(keyed(id, "Deposit", "1", "forged")).is_repeated);
    }
    account.stop();
}
