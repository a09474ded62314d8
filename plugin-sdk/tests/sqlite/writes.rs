//! `execute`, `query` and events.

use crate::host::{Given, ReadModel};
use lantern_sdk::{Db, Error, Event, Fault, Manifest, Projection, Result};
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Deserialize)]
enum Thing<'a> {
    Named {
        id: u64,
        name: &'a str,
    },
    #[serde(borrow)]
    Noted(Note<'a>),
    Pair(i64, f64),
    Counted,
    Swallowed,
    Bad,
}

#[derive(Deserialize)]
struct Note<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

#[derive(Default)]
struct Things {
    in_batch: i64,
}

impl Projection for Things {
    fn manifest() -> Manifest {
        Manifest::new("things")
            .topic("things")
            .headers(["trace"])
            .schema("CREATE TABLE named (id INTEGER PRIMARY KEY, name TEXT NOT NULL CHECK (name <> 'evil'))")
            .schema("CREATE TABLE notes (text, at, kind, trace, missing, n, x)")
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        self.in_batch += 1;
        match event.decode()? {
            Thing::Named { id, name } => db.execute(
                "INSERT INTO named VALUES (?, ?) ON CONFLICT DO UPDATE SET name = excluded.name",
                (id, name),
            ),
            Thing::Noted(note) => db.execute(
                "INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    &note.text,
                    event.offset(),
                    event.kind(),
                    event.header("trace"),
                    event.header("missing"),
                    None::<i64>,
                    f64::NAN,
                ),
            ),
            Thing::Pair(n, x) => {
                db.execute("INSERT INTO notes (text, n, x) VALUES (?, ?, ?)", (event.key_str()?, n, x))
            }
            Thing::Counted => {
                let count: i64 = db.query_value("SELECT count(*) FROM named", ())?.unwrap_or(0);
                let first: Option<String> =
                    db.query_value("SELECT name FROM named WHERE id >= ? ORDER BY id", 1)?;
                db.execute("INSERT INTO notes (text, n, x) VALUES (?, ?, ?)", (first, count, self.in_batch))
            }
            Thing::Swallowed => {
                let _ = db.query("SELECT count(*) FROM named", ());
                Ok(())
            }
            Thing::Bad => db.execute("INSERT INTO nowhere VALUES (1)", ()),
        }
    }
}

fn check(batches: &[&[Given<'_>]], sql: &str, expected: &[&str]) {
    let mut model = ReadModel::new::<Things>();
    for batch in batches {
        model.apply::<Things>(batch).unwrap();
    }
    assert_eq!(model.rows(sql), expected);
}

/// The last batch fails with this fault, message and event, and leaves nothing behind: the next one applies cleanly.
fn check_failure(batch: &[Given<'_>], fault: Fault, message: &str, index: Option<u32>) {
    let mut model = ReadModel::new::<Things>();
    let failure = model.apply::<Things>(batch).unwrap_err();
    assert_eq!((failure.fault, failure.message.as_str(), failure.index), (fault, message, index));
    let writes = model.apply::<Things>(&[("Named", r#"{"id":7,"name":"after"}"#)]).unwrap();
    assert_eq!(writes, 1, "a failed batch left writes behind");
    assert_eq!(model.rows("SELECT * FROM named"), ["7|after"]);
}

/// The event's type picks the variant, and every form of variant reads its content from the data.
#[test]
fn events_decode_to_the_variant_of_their_type() {
    check(
        &[&[
            ("Named", r#"{"id":1,"name":"one","unknown":[1,2]}"#),
            ("Named", r#"{"id":1,"name":"uno"}"#),
            ("Noted", r#"{"text":"caf\u00e9 \"au lait\""}"#),
            ("Pair", "[-5, 0.5]"),
        ]],
        "SELECT * FROM notes",
        &["café \"au lait\"|102|Noted|[74, 2d, 31]|null|null|null", "key|null|null|null|null|-5|0.5"],
    );
}

/// A query sees what was written before it, in this batch and in earlier ones; a projection's own fields last for a
/// batch.
#[test]
fn a_query_sees_every_earlier_write() {
    check(
        &[
            &[("Named", r#"{"id":1,"name":"one"}"#)],
            &[("Named", r#"{"id":2,"name":"two"}"#), ("Counted", "{}"), ("Counted", "")],
        ],
        "SELECT text, n, x FROM notes",
        &["one|2|2", "one|2|3"],
    );
}

/// Whoever reads an error must find the event and the place in its data.
#[test]
fn errors_name_the_event_at_fault_and_leave_nothing_behind() {
    let fine = ("Named", r#"{"id":1,"name":"one"}"#);
    check_failure(
        &[fine, ("Named", r#"{"id":1}"#)],
        Fault::BadInput,
        "things/3@101 (Named): missing field `name` at line 1 column 8",
        Some(1),
    );
    check_failure(
        &[("Renamed", "{}")],
        Fault::BadInput,
        "things/3@100 (Renamed): unknown variant `Renamed`, expected one of `Named`, `Noted`, `Pair`, `Counted`, \
         `Swallowed`, `Bad`",
        Some(0),
    );
    check_failure(
        &[fine, fine, ("Pair", "[1, 2.0] ]")],
        Fault::BadInput,
        "things/3@102 (Pair): trailing characters at line 1 column 10",
        Some(2),
    );
    check_failure(
        &[fine, ("Named", r#"{"id":9223372036854775808,"name":"n"}"#)],
        Fault::BadInput,
        "9223372036854775808 is above the largest integer that SQLite holds, 9223372036854775807: write it as text",
        Some(1),
    );
    check_failure(&[fine, ("Bad", "{}")], Fault::Sql, "no such table: nowhere", Some(1));
    check_failure(
        &[fine, ("Named", "{\"id\":1,\"name\":\"\\u0041\"}")],
        Fault::BadInput,
        "things/3@101 (Named): invalid type: string \"A\", expected a borrowed string at line 1 column 23",
        Some(1),
    );
}

/// A write that SQLite refuses while a query is under way is lost, so the batch must fail even where the
/// projection passes over the query's error.
#[test]
fn a_refused_write_fails_the_batch_even_if_its_error_is_passed_over() {
    check_failure(
        &[("Named", r#"{"id":1,"name":"evil"}"#), ("Swallowed", "{}"), ("Named", r#"{"id":2,"name":"two"}"#)],
        Fault::Sql,
        "CHECK constraint failed: name <> 'evil'",
        Some(0),
    );
}

/// Any error of the standard library becomes one by `?`.
#[test]
fn foreign_errors_become_errors() {
    fn parse(text: &str) -> Result<i64> {
        Ok(text.parse::<i64>()?)
    }
    let error: Error = parse("x").unwrap_err();
    assert_eq!((error.fault(), error.message()), (Fault::Other, "invalid digit found in string"));
}
