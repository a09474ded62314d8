//! What a read model must hold whatever a plugin does to it.

use super::*;
use lantern_contract::frame::value::Value;
use lantern_contract::frame::{ops, rows};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) fn blueprint(schema: &[&str]) -> Blueprint {
    Blueprint {
        plugin: "t".into(),
        digest: "d".into(),
        schema: schema.iter().map(|sql| (*sql).to_owned()).collect(),
        state_version: 1,
        sends: Vec::new(),
        upcasters: Vec::new(),
        upcast_version: String::new(),
    }
}

pub(super) const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, x)";

pub(super) struct Scratch {
    pub folder: tempfile::TempDir,
}

impl Scratch {
    pub fn new() -> Self {
        Scratch { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("t.db")
    }

    pub fn open(&self, schema: &[&str]) -> Result<Writer, Error> {
        Writer::open(&self.path(), &blueprint(schema), Durability::Normal)
    }
}

pub(super) fn frame(statement: u32, values: &[Value<'_>]) -> Vec<u8> {
    let mut writer = ops::Writer::new();
    writer.push(statement, Some(7), values.iter().copied());
    let mut frame = Vec::new();
    writer.finish(&mut frame);
    frame
}

/// Runs one statement as a plugin does; answers the refusal's text.
fn run(writer: &mut Writer, sql: &str) -> Result<(), Refusal> {
    writer.begin().unwrap();
    let done = writer.prepare(sql).and_then(|id| writer.apply(&frame(id, &[])).map(drop));
    writer.rollback();
    done
}

pub(super) fn advance(from: i64, to: i64) -> Advance {
    Advance { topic: "a".into(), partition: 0, from, to, events: (to - from) as u64 }
}

/// A plugin that could see or change Lantern's tables, leave its file, or end the transaction could break
/// exactly-once; one with a clock or chance could not be replayed.
#[test]
fn sql_that_a_plugin_may_not_use_is_refused_with_the_reason() {
    let scratch = Scratch::new();
    let mut writer = scratch.open(&[TABLE]).unwrap();
    let mut check = |sql: &str, reason: &str| {
        let refusal = run(&mut writer, sql).expect_err(sql);
        assert!(refusal.message.contains(reason), "{sql}\n  said: {}\n  lacks: {reason}", refusal.message);
        assert_eq!(refusal.fault, Fault::Sql, "{sql}");
    };
    check("DELETE FROM _lantern_checkpoints", "Lantern's own");
    check("INSERT INTO t SELECT 1, next_offset FROM _lantern_checkpoints", "Lantern's own");
    check("UPDATE \"_LANTERN_META\" SET value = ''", "Lantern's own");
    check("INSERT INTO t SELECT rowid, sql FROM sqlite_master", "SQLite's own");
    check("COMMIT", "belong to the engine");
    check("ROLLBACK", "belong to the engine");
    check("BEGIN IMMEDIATE", "belong to the engine");
    check("SAVEPOINT s", "belong to the engine");
    check("ATTACH '/tmp/other.db' AS o", "ATTACH");
    check("DETACH main", "ATTACH");
    check("VACUUM", "cannot VACUUM");
    check("PRAGMA journal_mode = DELETE", "PRAGMA journal_mode");
    check("PRAGMA user_version = 9", "PRAGMA user_version");
    check("CREATE TABLE u (x)", "schema");
    check("DROP TABLE t", "schema");
    check("ALTER TABLE t ADD COLUMN y", "schema");
    check("CREATE TEMP TABLE u (x)", "temporary");
    check("SELECT load_extension('x')", "load_extension");
    check("INSERT INTO t VALUES (1, random())", "every replay");
    check("INSERT INTO t VALUES (1, hex(randomblob(4)))", "every replay");
    check("INSERT INTO t VALUES (1, datetime('now'))", "clock");
    check("INSERT INTO t VALUES (1, datetime('NOW '))", "clock");
    check("INSERT INTO t VALUES (1, date())", "clock");
    check("INSERT INTO t VALUES (1, strftime('%s'))", "clock");
    check("INSERT INTO t VALUES (1, unixepoch('2026-01-01', 'localtime'))", "clock");
    check("INSERT INTO t VALUES (1, CURRENT_TIMESTAMP)", "clock");
    check("", "empty statement");
    check("-- nothing", "empty statement");
    check("INSERT INTO t VALUES (1, 1); DELETE FROM t", "Multiple statements");
    check(&"SELECT 1;".repeat(7_000), "Multiple statements");
    check("SELEC 1", "syntax error");
    check("INSERT INTO u VALUES (1)", "no such table");
    check("INSERT INTO t VALUES (?1, ?2)", "2 parameters, 0 values");
}

/// What is pure stays available: people group by day and month.
#[test]
fn dates_of_given_times_are_computed() {
    let scratch = Scratch::new();
    let mut writer = scratch.open(&[TABLE]).unwrap();
    writer.begin().unwrap();
    let id = writer.prepare("SELECT strftime('%Y-%m', ?1, 'unixepoch')").unwrap();
    let mut params = rows::Writer::new();
    params.push([Value::Integer(1_767_225_600)]);
    let mut bytes = Vec::new();
    params.finish(&mut bytes);
    let answer = writer.query(id, &bytes, 10).unwrap();
    let found = rows::Rows::parse(&answer).unwrap().iter().next().unwrap().unwrap().next().unwrap().unwrap();
    assert_eq!(found, Value::Text("2026-01"));
}

/// A second process on the same file would apply events twice; the checkpoint is where it is noticed.
#[test]
fn a_checkpoint_that_somebody_else_moved_stops_the_commit() {
    let scratch = Scratch::new();
    let mut first = scratch.open(&[TABLE]).unwrap();
    first.begin_partition("a", 0, 0).unwrap();
    let mut second = scratch.open(&[TABLE]).unwrap();
    let insert = first.prepare("INSERT INTO t VALUES (NULL, ?1)").unwrap();
    first.begin().unwrap();
    first.apply(&frame(insert, &[Value::Integer(1)])).unwrap();
    first.commit(&[advance(0, 5)]).unwrap();

    let insert = second.prepare("INSERT INTO t VALUES (NULL, ?1)").unwrap();
    second.begin().unwrap();
    second.apply(&frame(insert, &[Value::Integer(2)])).unwrap();
    let error = second.commit(&[advance(0, 5)]).unwrap_err();
    assert!(matches!(&error, Error::Checkpoint { expected: 0, found: Some(5), .. }), "{error}");
    assert!(!error.is_transient(), "trying again cannot help");
    assert_eq!(count(&scratch.path()), 1, "its rows are rolled back");
    assert_eq!(second.checkpoints().unwrap()[&("a".into(), 0)], 5);
}

fn count(path: &Path) -> i64 {
    let mut found = 0;
    let limits = ReaderLimits::time(Duration::from_secs(5));
    let each = |row: Vec<Cell>| {
        if let Some(Cell::Integer(count)) = row.first() {
            found = *count;
        }
        ControlFlow::Continue(())
    };
    Reader::open(path).unwrap().query(Question::new("SELECT count(*) FROM t"), limits, |_| {}, each).unwrap();
    found
}

/// ON CONFLICT ROLLBACK ends the transaction under us: what comes after it must not be committed alone.
#[test]
fn a_statement_that_ends_the_transaction_fails_the_batch() {
    let scratch = Scratch::new();
    let mut writer = scratch.open(&[TABLE]).unwrap();
    writer.begin_partition("a", 0, 0).unwrap();
    let insert = writer.prepare("INSERT OR ROLLBACK INTO t VALUES (1, ?1)").unwrap();
    writer.begin().unwrap();
    writer.apply(&frame(insert, &[Value::Integer(1)])).unwrap();
    let refusal = writer.apply(&frame(insert, &[Value::Integer(2)])).unwrap_err();
    assert_eq!((refusal.fault, refusal.event), (Fault::Conflict, Some(7)));
    assert!(
        writer.apply(&frame(insert, &[Value::Integer(3)])).is_err(),
        "the plugin may have caught the first"
    );
    assert!(writer.commit(&[advance(0, 1)]).is_err());
    assert_eq!(count(&scratch.path()), 0);
}

/// A read model of other tables cannot be continued; nor may another database be overwritten.
#[test]
fn a_database_that_does_not_fit_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    drop(scratch.open(&[TABLE]).unwrap());
    let error = scratch.open(&["CREATE TABLE t (id INTEGER PRIMARY KEY)"]).unwrap_err().to_string();
    assert!(error.contains("was built with state version 1"), "{error}");
    let raised = Blueprint { state_version: 2, ..blueprint(&[TABLE]) };
    let error = Writer::open(&scratch.path(), &raised, Durability::Normal).unwrap_err().to_string();
    assert!(error.contains("the plugin now has state version 2"), "{error}");
    let other = Blueprint { plugin: "u".into(), ..blueprint(&[TABLE]) };
    let error = Writer::open(&scratch.path(), &other, Durability::Normal).unwrap_err().to_string();
    assert!(error.contains("belongs to the plugin \"t\""), "{error}");

    let foreign = scratch.folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    let error = Writer::open(&foreign, &blueprint(&[TABLE]), Durability::Normal).unwrap_err().to_string();
    assert!(error.contains("is not a read model"), "{error}");
    let text = scratch.folder.path().join("text.db");
    std::fs::write(&text, "not a database, but long enough to be looked at as one".repeat(100)).unwrap();
    assert!(Writer::open(&text, &blueprint(&[TABLE]), Durability::Normal).is_err());
}

/// A schema is the plugin's, and as little trusted as its statements.
#[test]
fn a_schema_that_is_wrong_or_reaches_out_is_refused_with_its_statement() {
    let check = |sql: &str, reason: &str| {
        let scratch = Scratch::new();
        let error = scratch.open(&[TABLE, sql]).expect_err(sql).to_string();
        assert!(error.contains("schema statement 2") && error.contains(reason), "{sql}\n  said: {error}");
        scratch.open(&[TABLE]).expect("nothing of the refused schema is left");
    };
    check("CREATE TABLE _lantern_mine (x)", "Lantern's own");
    check("CREATE TABLE u (x", "incomplete input");
    check("ATTACH '/tmp/x.db' AS x", "ATTACH");
    check("COMMIT", "belong to the engine");
    check("PRAGMA synchronous = OFF", "PRAGMA synchronous");
    check("DROP TABLE _lantern_checkpoints", "Lantern's own");
}

/// SQLite looks into a trigger when a statement would run it, not when it is made.
#[test]
fn a_trigger_reaches_no_further_than_the_plugin() {
    let scratch = Scratch::new();
    let trigger = "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM _lantern_journal; END";
    let mut writer = scratch.open(&[TABLE, trigger]).unwrap();
    let refusal = run(&mut writer, "INSERT INTO t VALUES (1, 1)").unwrap_err();
    assert!(refusal.message.contains("Lantern's own"), "{refusal}");
}

/// Full text search is a virtual table with shadow tables, which SQLite asks the authorizer about too.
#[test]
fn full_text_tables_views_and_triggers_work() {
    let scratch = Scratch::new();
    let mut writer = scratch
        .open(&[
            TABLE,
            "CREATE VIRTUAL TABLE words USING fts5(x)",
            "CREATE VIEW v AS SELECT count(*) AS n FROM t",
            "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO words (x) VALUES (new.x); END",
        ])
        .unwrap();
    writer.begin_partition("a", 0, 0).unwrap();
    let insert = writer.prepare("INSERT INTO t VALUES (NULL, ?1)").unwrap();
    for round in 0..3 {
        writer.begin().unwrap();
        writer.apply(&frame(insert, &[Value::Text("a lantern in the dark")])).unwrap();
        writer.commit(&[advance(round, round + 1)]).unwrap();
    }
    writer.begin().unwrap();
    let find = writer.prepare("SELECT count(*) FROM words WHERE words MATCH 'lantern'").unwrap();
    let mut empty = Vec::new();
    rows::Writer::new().finish(&mut empty);
    let answer = writer.query(find, &empty, 1).unwrap();
    let found = rows::Rows::parse(&answer).unwrap().iter().next().unwrap().unwrap().next().unwrap().unwrap();
    assert_eq!(found, Value::Integer(3));
}

/// Epochs do not stop SQLite: it has to look at the clock itself.
#[test]
fn a_statement_that_never_ends_is_stopped_at_the_deadline() {
    let scratch = Scratch::new();
    let mut writer = scratch.open(&[TABLE]).unwrap();
    writer.begin().unwrap();
    let endless = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT NULL, i FROM n \
                   WHERE i < 0";
    let id = writer.prepare(endless).unwrap();
    writer.set_deadline(Some(Instant::now() + Duration::from_millis(50)));
    let refusal = writer.apply(&frame(id, &[])).unwrap_err();
    assert!(refusal.message.contains("call_ms_max"), "{refusal}");
}

/// The hash is what "equal to its log" means: it sees every value and its kind, and nothing else.
#[test]
fn a_fingerprint_sees_every_row_and_nothing_else() {
    let of = |rows: &[(i64, Value<'_>)]| {
        let scratch = Scratch::new();
        let mut writer = scratch.open(&[TABLE]).unwrap();
        let insert = writer.prepare("INSERT INTO t VALUES (?1, ?2)").unwrap();
        writer.begin().unwrap();
        for (id, value) in rows {
            writer.apply(&frame(insert, &[Value::Integer(*id), *value])).unwrap();
        }
        writer.commit(&[]).unwrap();
        Fingerprint::of(&scratch.path()).unwrap().hash
    };
    let one = [(1, Value::Integer(1)), (2, Value::Null)];
    assert_eq!(of(&one), of(&[one[1], one[0]]), "the order of writing does not count");
    for other in [
        vec![one[0]],
        vec![one[0], one[1], (3, Value::Null)],
        vec![(1, Value::Real(1.0)), one[1]],
        vec![(1, Value::Text("1")), one[1]],
        vec![(1, Value::Blob(b"1")), one[1]],
        vec![one[0], (2, Value::Text(""))],
    ] {
        assert_ne!(of(&one), of(&other), "{other:?}");
    }
}

/// People's queries come from anywhere: they read, one statement at a time, for a bounded time.
#[test]
fn readers_only_read() {
    let scratch = Scratch::new();
    drop(scratch.open(&[TABLE]).unwrap());
    let mut reader = Reader::open(&scratch.path()).unwrap();
    let limits = ReaderLimits::time(Duration::from_millis(100));
    let mut check = |sql: &str, reason: &str| {
        let error = reader
            .query(Question::new(sql), limits, |_| {}, |_| ControlFlow::Continue(()))
            .expect_err(sql)
            .to_string();
        assert!(error.contains(reason), "{sql}\n  said: {error}");
    };
    check("DELETE FROM t", "only reads");
    check("CREATE TABLE u (x)", "only reads");
    check("ATTACH '/tmp/x.db' AS x", "ATTACH");
    check("PRAGMA query_only = OFF", "PRAGMA");
    check("SELECT load_extension('x')", "load_extension");
    check("SELECT 1; SELECT 2", "Multiple statements");
    check("SELECT x FROM nowhere", "no such table");
    check("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", "100 ms");
    let limits = ReaderLimits::time(Duration::from_secs(5));
    reader
        .query(
            Question::new("SELECT * FROM _lantern_checkpoints"),
            limits,
            |_| {},
            |_| ControlFlow::Continue(()),
        )
        .unwrap();
}

/// Whoever asks cannot mend a file, and must not look for the mistake in the query.
#[test]
fn a_file_that_is_no_database_is_not_the_querys_fault() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path(), "this is no database ".repeat(1_000)).unwrap();
    let limits = ReaderLimits::time(Duration::from_secs(5));
    let mut reader = Reader::open(&scratch.path()).unwrap();
    let asked = reader.query(Question::new("SELECT 1 FROM t"), limits, |_| {}, |_| ControlFlow::Continue(()));
    let error = asked.unwrap_err();
    assert!(matches!(error, Error::Storage { .. }) && !error.is_transient(), "{error}");
    let file = scratch.path().display().to_string();
    assert!(error.to_string().contains(&file) && error.to_string().contains("damaged"), "{error}");
}
