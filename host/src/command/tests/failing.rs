//! What fails, fails alone and clearly.

use super::*;

// One bad command among good ones in a group commit: the others must not notice.
#[test]
fn a_handler_that_fails_at_one_command_harms_no_other() {
    let site = Site::new();
    let account = site.start("one");
    let check = |name: &str, is_plugins: bool| {
        let mut commands = vec![command("a", "Deposit", "1"); 10];
        commands.insert(5, command("x", name, ""));
        let answers = account.submit_all(commands);
        let failed: Vec<_> = answers.iter().filter(|answer| answer.is_err()).collect();
        match failed[..] {
            [Err(Error::Plugin { .. })] if is_plugins => {}
            [Err(Error::BadCommand { .. })] if !is_plugins => {}
            _ => panic!("{name}: {answers:?}"),
        }
        assert_eq!(account.state("x"), None, "{name}");
    };
    check("Trap", true);
    check("Fail", true);
    check("Garbage", true);
    check("Large", true);
    check("Kind", true);
    check("Code", true);
    check("Message", true);
    check("Detail", true);
    check("Poison", true);
    check("Nonsense", false);
    check("Deposit", false);
    assert_eq!(account.state("a").as_deref(), Some("{\"v1\":110}"));
    assert_eq!(account.handler.status().borrow().state, State::Live);
    // After a trap the instance is another.
    assert!(site.made.load(Ordering::Relaxed) >= 3);
    // What may be, fits into a record.
    account.rejected(keyed("x", "Long", "", "k"));
    account.stop();
    assert_eq!(site.read("accounts").len(), 110);
}

// Nothing looks as healthy as a thread that is gone: commands would be sent to it for ever, and told to come again.
#[test]
fn a_handler_whose_thread_panics_is_halted_and_says_so() {
    let site = Site::new();
    let account = site.start("one");
    account.accepted(command("a", "Deposit", "1"));
    let answer = account.submit(command("a", "Panic", ""));
    assert!(answer.is_err(), "{answer:?}");
    account.wait(State::Halted);
    let later = account.submit(command("a", "Deposit", "1")).unwrap_err();
    assert!(matches!(later, Error::Halted { .. }), "{later}");
    for words in ["panicked: slot 7 is empty", "fault of Lantern", "restart the host"] {
        assert!(later.to_string().contains(words), "{later}");
    }
    site.runtime.block_on(account.handler.stop());
    // Nothing of it is left but what was answered.
    let account = site.start("one");
    assert_eq!(account.accepted(command("a", "Deposit", "1")).version, 2);
    account.stop();
}

// A record that never gets into the log must not be tried for ever, nor take those with it that came at the same time.
#[test]
fn a_record_that_the_log_refuses_fails_its_command_and_no_other() {
    let check = |settings: &[(&str, &str)], bytes: &str| {
        let site = Site::new();
        let client = log::Client::new(&log::Options::new(&site.servers)).unwrap();
        client.create_topic_with("accounts", 1, settings).unwrap();
        let options = Options { event_bytes_max: 4 << 20, ..Options::default() };
        let account = site.start_as("one", 1, options);
        for round in 1..=2 {
            let mut commands: Vec<_> =
                (0..30).map(|number| keyed("a", "Deposit", "1", &format!("{round}/{number}"))).collect();
            commands.insert(7, keyed("x", "Pad", bytes, "k"));
            commands.insert(21, command("x", "Pad", bytes));
            let answers = account.submit_all(commands);
            let failed: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
            assert_eq!(failed.len(), 2, "{answers:?}");
            for error in failed {
                assert!(matches!(error, Error::Plugin { .. }), "{error}");
                assert!(error.to_string().contains("`max.message.bytes`"), "{error}");
            }
            assert_eq!(account.handler.status().borrow().state, State::Live);
        }
        assert_eq!(account.state("a").as_deref(), Some("{\"v1\":60}"));
        assert_eq!(account.state("x"), None);
        account.accepted(keyed("x", "Deposit", "1", "k"));
        account.stop();
        // What was taken back is not in the log: whoever fills a store from it finds the same.
        let account = site.start("another");
        assert_eq!(account.state("a").as_deref(), Some("{\"v1\":60}"));
        account.stop();
    };
    // By the broker, which refuses the topic's records of that size; by the client, which refuses all of that size.
    check(&[("max.message.bytes", "20000")], "30000");
    check(&[], "1500000");
}

#[test]
fn what_cannot_be_a_record_is_refused() {
    let site = Site::new();
    let account = site.start("one");
    let check = |command: Command| {
        let answer = account.submit(command.clone());
        assert!(matches!(answer, Err(Error::BadCommand { .. })), "{command:?}: {answer:?}");
    };
    check(command("", "Deposit", "1"));
    check(command("a", "", "1"));
    check(command("a\n", "Deposit", "1"));
    check(command(&"a".repeat(2_000), "Deposit", "1"));
    check(keyed("a", "Deposit", "1", ""));
    check(keyed("a", "Deposit", "1", "k\0"));
    account.stop();
}

// A queue without an end is memory without an end.
#[test]
fn more_commands_than_may_wait_are_refused_at_once() {
    let site = Site::new();
    let account = site.start_as("one", 1, Options { queue_max: 5, ..Options::default() });
    let answers = account.submit_all(vec![command("a", "Deposit", "1"); 500]);
    let refused = answers.iter().filter(|answer| **answer == Err(Error::TooMany)).count();
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(refused > 0 && accepted >= 5 && refused + accepted == 500, "{refused} {accepted}");
    assert!(Error::TooMany.retry_after().is_some());
    account.stop();
    let account = site.start_as("one", 1, Options { queue_bytes_max: 100, ..Options::default() });
    assert_eq!(account.submit(command("a", "Deposit", &"1".repeat(200))), Err(Error::TooMany));
    assert_eq!(account.accepted(command("b", "Deposit", "1")).version, 1);
    account.stop();
}

// Two writers of one aggregate would both be right: only the younger may append.
#[test]
fn a_writer_that_was_taken_over_appends_nothing_more_and_says_so() {
    let site = Site::new();
    let old = site.start("old");
    old.accepted(command("a", "Deposit", "1"));
    let new = site.start("new");
    assert_eq!(new.accepted(command("a", "Deposit", "1")).version, 2);
    let answer = old.submit(command("a", "Deposit", "1"));
    assert!(matches!(answer, Err(Error::Fenced { .. })), "{answer:?}");
    old.wait(State::Fenced);
    let later = old.submit(command("a", "Deposit", "1")).unwrap_err();
    assert!(matches!(later, Error::Fenced { .. }) && later.retry_after().is_some(), "{later}");
    assert_eq!(new.accepted(command("a", "Deposit", "1")).version, 3);
    new.stop();
    assert_eq!(site.read("accounts").len(), 3);
}

// A broker that is away is nobody's fault: commands are refused until it is back, and then go on.
#[test]
fn without_a_broker_commands_are_refused_until_it_is_back() {
    let mut site = Site::new();
    let options = Options { append_ms_max: 500, ..Options::default() };
    let handler = {
        let account = site.start_as("one", 1, options);
        account.accepted(keyed("a", "Deposit", "1", "k1"));
        account.handler.clone()
    };
    let broker = site.broker.take().unwrap();
    let address = broker.address();
    site.runtime.block_on(broker.shutdown()).unwrap();
    {
        let account = Account { site: &site, handler: handler.clone() };
        // That a key was used says nothing when what used it is not appended.
        let commands = ["2", "3"].map(|amount| keyed("b", "Deposit", amount, "k")).to_vec();
        for answer in account.submit_all(commands) {
            let answer = answer.unwrap_err();
            assert!(matches!(answer, Error::Unavailable { .. } | Error::Uncertain { .. }), "{answer:?}");
            assert!(answer.retry_after().is_some());
        }
    }
    let dir = site.folder.path().join("log");
    let options = lantern_broker::Options { dir, listen: address, ..Default::default() };
    site.broker = Some(site.runtime.block_on(Broker::start(options)).unwrap());
    let account = Account { site: &site, handler };
    // As a client does: the same, until there is an answer.
    let deadline = std::time::Instant::now() + PATIENCE;
    let second = loop {
        match account.submit(keyed("a", "Deposit", "2", "k2")) {
            Ok(Answer::Accepted(accepted)) => break accepted,
            other => assert!(std::time::Instant::now() < deadline, "{other:?}"),
        }
        account.wait(State::Live);
    };
    assert_eq!(second.version, 2);
    assert!(account.accepted(keyed("a", "Deposit", "1", "k1")).is_repeated);
    account.stop();
    assert_eq!(site.read("accounts").len(), 2);
}

// A log that lost events cannot be gone on with: to guess a state would be worse than to stop.
#[test]
fn a_gap_in_an_aggregates_versions_halts_with_its_place() {
    let site = Site::new();
    let client = log::Client::new(&log::Options::new(&site.servers)).unwrap();
    client.create_topic("accounts", 1).unwrap();
    let producer = log::Producer::new(&log::Options::new(&site.servers)).unwrap();
    for version in ["1", "3"] {
        let headers: [(&str, &[u8]); 4] = [
            ("ce_type", b"Deposited"),
            ("ce_subject", b"a"),
            ("ce_source", b"lantern/account"),
            ("ce_aggregateversion", version.as_bytes()),
        ];
        producer.send("accounts", Some(b"a"), Some(b"7"), &headers, Some(0), None).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let handler = site.spawn("one", 1, Options::default());
    let account = Account { site: &site, handler };
    account.wait(State::Halted);
    let error = account.submit(command("a", "Deposit", "1")).unwrap_err().to_string();
    assert!(error.contains("topic accounts, partition 0, offset 1: version 3 of `a`"), "{error}");
}

// What is kept is derived: a damaged file is thrown away, not waited for.
#[test]
fn a_damaged_store_halts_and_says_what_to_do() {
    let site = Site::new();
    std::fs::write(site.store("one"), "no database, and longer than the header of one".repeat(100)).unwrap();
    let account = Account { site: &site, handler: site.spawn("one", 1, Options::default()) };
    account.wait(State::Halted);
    let error = account.submit(command("a", "Deposit", "1")).unwrap_err().to_string();
    assert!(error.contains("one.db") && error.contains("move it away"), "{error}");
}
