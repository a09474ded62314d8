//! What is kept is what was given.

use super::*;
use tempfile::TempDir;

fn scratch() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("account.db");
    (folder, path)
}

fn event(version: u64) -> Event {
    Event {
        version,
        kind: "Deposited".into(),
        time_ms: 1_000 * version as i64,
        partition: 2,
        offset: 10 * version as i64,
        payload: b"{}".to_vec(),
        event_id: format!("a/{version}"),
        correlation: Some("c".into()),
        causation: None,
    }
}

// A gap or a repetition in what the log gives must be noticed before it becomes a state.
#[test]
fn only_the_next_version_is_appended() {
    let (_folder, path) = scratch();
    let mut store = Store::open(&path, "account", "accounts").unwrap();
    let transaction = store.begin().unwrap();
    let check = |version: u64, is_next: bool| {
        assert_eq!(transaction.append("a", &event(version)).unwrap(), is_next, "{version}");
    };
    check(2, false);
    check(1, true);
    check(1, false);
    check(3, false);
    check(2, true);
    transaction.commit().unwrap();
    assert_eq!(store.aggregate("a").unwrap().unwrap().version, 2);
    assert_eq!(store.events_after("a", 1, 10).unwrap(), [event(2)]);
}

// Everything that an answer is made of survives a restart, or a retry would be decided anew.
#[test]
fn decisions_states_and_positions_are_kept() {
    let (_folder, path) = scratch();
    let appended = |first, last| Decision { digest: "d".into(), outcome: Outcome::Appended { first, last } };
    let rejected = Decision {
        digest: "e".into(),
        outcome: Outcome::Rejected {
            version: 2,
            code: "overdraft".into(),
            message: "no".into(),
            detail: Some("{}".into()),
        },
    };
    let unchanged = Decision { digest: "f".into(), outcome: Outcome::Unchanged { version: 2 } };
    {
        let mut store = Store::open(&path, "account", "accounts").unwrap();
        let transaction = store.begin().unwrap();
        for version in 1..=2 {
            assert!(transaction.append("a", &event(version)).unwrap());
            transaction.keep_decision("a", "k", &appended(version, version)).unwrap();
        }
        transaction.keep_decision("a", "r", &rejected).unwrap();
        transaction.keep_decision("a", "u", &unchanged).unwrap();
        transaction.keep_state("a", b"{\"cents\":1}", 2, 7).unwrap();
        transaction.keep_position("accounts", 2, 21).unwrap();
        transaction.commit().unwrap();
        // What is not committed is not kept.
        let transaction = store.begin().unwrap();
        transaction.keep_position("accounts", 2, 99).unwrap();
    }
    let store = Store::open(&path, "account", "accounts").unwrap();
    assert_eq!(store.decision("a", "k").unwrap(), Some(appended(1, 2)));
    assert_eq!(store.decision("a", "r").unwrap(), Some(rejected));
    assert_eq!(store.decision("a", "u").unwrap(), Some(unchanged));
    assert_eq!(store.decision("b", "k").unwrap(), None);
    assert_eq!(store.position().unwrap(), Position::from([(("accounts".to_owned(), 2), 21)]));
    let aggregate = store.aggregate("a").unwrap().unwrap();
    assert!(aggregate.is_current(7) && !aggregate.is_current(8));
    assert_eq!(store.stale(7, "", 10).unwrap(), [""; 0]);
    assert_eq!(store.stale(8, "", 10).unwrap(), ["a"]);
    assert_eq!(store.count().unwrap(), 1);
}

#[test]
fn events_are_read_by_version_and_time() {
    let (_folder, path) = scratch();
    let mut store = Store::open(&path, "account", "accounts").unwrap();
    let transaction = store.begin().unwrap();
    (1..=9).for_each(|version| assert!(transaction.append("a", &event(version)).unwrap()));
    transaction.commit().unwrap();
    let reader = Reader::open(&path).unwrap();
    let check = |filter: Filter, expected: std::ops::RangeInclusive<u64>| {
        let found: Vec<u64> =
            reader.events("a", &filter).unwrap().into_iter().map(|event| event.version).collect();
        assert_eq!(found, expected.collect::<Vec<_>>(), "{filter:?}");
    };
    check(Filter::default(), 1..=9);
    check(Filter { from_version: 3, to_version: 5, ..Filter::default() }, 3..=5);
    check(Filter { since_ms: 4_000, until_ms: 7_000, ..Filter::default() }, 4..=6);
    check(Filter { limit: 2, ..Filter::default() }, 1..=2);
    assert_eq!(reader.list(None, 10).unwrap(), [("a".to_owned(), 9)]);
    assert!(reader.list(Some("a"), 10).unwrap().is_empty());
    assert_eq!((reader.version("a").unwrap(), reader.version("b").unwrap()), (Some(9), None));
}

// Who asks while a host starts must be told that, not that a table is missing.
#[test]
fn a_store_that_is_not_made_yet_is_none() {
    let (_folder, path) = scratch();
    assert!(Reader::open_if_made(&path).unwrap().is_none());
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode = WAL").unwrap();
    assert!(Reader::open_if_made(&path).unwrap().is_none());
    drop(Store::open(&path, "account", "accounts").unwrap());
    assert!(Reader::open_if_made(&path).unwrap().is_some());
}

// A file of another aggregate type would answer with other people's accounts.
#[test]
fn a_file_of_something_else_is_refused() {
    let (_folder, path) = scratch();
    drop(Store::open(&path, "account", "accounts").unwrap());
    for (name, topic) in [("order", "accounts"), ("account", "orders")] {
        let error = Store::open(&path, name, topic).unwrap_err();
        assert!(matches!(error, Error::Foreign { .. }) && !error.is_transient(), "{error}");
    }
    let (_folder, path) = scratch();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    assert!(matches!(Store::open(&path, "account", "accounts"), Err(Error::Foreign { .. })));
}

// Moved twice, a checkpoint would pass over events; moved in part, an event would lie elsewhere than its place says.
#[test]
fn a_store_is_moved_whole_and_once() {
    let (_folder, path) = scratch();
    {
        let mut store = Store::open(&path, "account", "accounts").unwrap();
        let transaction = store.begin().unwrap();
        assert!(transaction.append("a", &event(1)).unwrap() && transaction.append("a", &event(2)).unwrap());
        transaction.keep_position("accounts", 2, 21).unwrap();
        transaction.keep_position("accounts.decisions", 0, 7).unwrap();
        transaction.commit().unwrap();
    }
    let check = |topic: &str, dry: bool, uncovered: Option<i64>, expected: (i64, i64)| {
        let to = |at: &str, _: i32, offset: i64| (at == "accounts" || at == topic).then_some(offset + 100);
        let found = relocate(&path, "new", &to, dry).unwrap();
        assert_eq!(found.map(|(_, _, offset)| offset), uncovered);
        let store = Store::open(&path, "account", "accounts").unwrap();
        let offset = store.events_after("a", 1, 1).unwrap()[0].offset;
        assert_eq!((store.position().unwrap()[&("accounts".into(), 2)], offset), expected, "{topic}, {dry}");
    };
    check("", false, Some(7), (21, 20));
    check("accounts.decisions", true, None, (21, 20));
    check("accounts.decisions", false, None, (121, 120));
    check("accounts.decisions", false, None, (121, 120));
}
