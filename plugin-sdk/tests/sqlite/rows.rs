//! Rows that are gathered over a batch: fewer writes, the same tables.

use crate::host::{Given, ReadModel};
use lantern_sdk::{Db, Event, Fault, Manifest, Projection, Result, RowMut, Table};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

static CELLS: Table = Table::new("cells", &["x", "y"], &["any", "sum", "high", "low"]);
static LABELS: Table = Table::new("labels", &["name"], &[]);

/// A write to a row, as a test asks for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Write {
    Put((i64, String), Scalar, Option<i64>, Option<i64>, Option<i64>),
    Upsert((i64, String), Vec<Change>),
    Update((i64, String), Vec<Change>),
    Delete((i64, String)),
    /// Reads one row and writes what it has to another.
    Copy((i64, String), (i64, String)),
    /// Writes by SQL what rows hold.
    Double(i64),
    Label(String),
    Unlabel(String),
    Typo,
    Short,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Change {
    Any(Scalar),
    Sum(i32),
    SetSum(Option<i64>),
    High(i64),
    Low(i64),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Null(()),
    Integer(i64),
    Real(f64),
    Text(String),
}

#[derive(Default)]
struct Cells;

impl Projection for Cells {
    fn manifest() -> Manifest {
        Manifest::new("cells")
            .topic("things")
            .schema("CREATE TABLE cells (x INTEGER, y TEXT, any, sum, high, low, PRIMARY KEY (x, y))")
            .schema("CREATE TABLE labels (name TEXT PRIMARY KEY)")
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        match event.json()? {
            Write::Put((x, y), any, sum, high, low) => match any {
                Scalar::Null(()) => db.put(&CELLS, (x, y), (None::<i64>, sum, high, low)),
                Scalar::Integer(any) => db.put(&CELLS, (x, y), (any, sum, high, low)),
                Scalar::Real(any) => db.put(&CELLS, (x, y), (any, sum, high, low)),
                Scalar::Text(any) => db.put(&CELLS, (x, y), (any, sum, high, low)),
            },
            Write::Upsert(key, changes) => change(db.upsert(&CELLS, key), changes),
            Write::Update(key, changes) => change(db.update(&CELLS, key), changes),
            Write::Delete(key) => db.delete(&CELLS, key),
            Write::Copy(from, to) => {
                let found = match db.get(&CELLS, from)? {
                    Some(row) => Some((row.get::<Option<i64>>("sum")?, row.get::<Option<i64>>("high")?)),
                    None => None,
                };
                match found {
                    Some((sum, high)) => {
                        db.upsert(&CELLS, to).set("any", "copied").set("sum", sum).set("high", high);
                    }
                    None => db.delete(&CELLS, to),
                }
            }
            Write::Double(x) => {
                db.execute("UPDATE cells SET sum = sum * 2 WHERE x = ? AND abs(sum) < 1e9", x)?
            }
            Write::Label(name) => {
                db.upsert(&LABELS, name);
            }
            Write::Unlabel(name) => db.delete(&LABELS, name),
            Write::Typo => {
                db.update(&CELLS, (1, "a")).set("summ", 1);
            }
            Write::Short => db.put(&CELLS, (1, "a"), (1, 2)),
        }
        Ok(())
    }
}

fn change(mut row: RowMut<'_>, changes: Vec<Change>) {
    for change in changes {
        row = match change {
            Change::Any(Scalar::Null(())) => row.set("any", None::<i64>),
            Change::Any(Scalar::Integer(value)) => row.set("any", value),
            Change::Any(Scalar::Real(value)) => row.set("any", value),
            Change::Any(Scalar::Text(value)) => row.set("any", value),
            Change::Sum(n) => row.add("sum", n),
            Change::SetSum(value) => row.set("sum", value),
            Change::High(n) => row.max("high", n),
            Change::Low(n) => row.min("low", n),
        };
    }
}

const CELL_ROWS: &str = "SELECT x, y, any, typeof(any), sum, high, low FROM cells ORDER BY x, y";

/// The tables after these batches.
fn tables(batches: &[&[Write]]) -> Vec<String> {
    let mut model = ReadModel::new::<Cells>();
    for batch in batches {
        let data: Vec<String> = batch.iter().map(|write| serde_json::to_string(write).unwrap()).collect();
        let given: Vec<Given<'_>> = data.iter().map(|data| ("Write", data.as_str())).collect();
        model.apply::<Cells>(&given).unwrap();
    }
    let mut rows = model.rows(CELL_ROWS);
    rows.extend(model.rows("SELECT name FROM labels ORDER BY name"));
    rows
}

fn key() -> impl Strategy<Value = (i64, String)> {
    (0..3i64, prop_oneof!["a", "b"])
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        Just(Scalar::Null(())),
        any::<i64>().prop_map(Scalar::Integer),
        Just(Scalar::Real(0.5)),
        "[a-z]{0,9}".prop_map(Scalar::Text),
    ]
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        scalar().prop_map(Change::Any),
        any::<i32>().prop_map(Change::Sum),
        proptest::option::of(-9..9i64).prop_map(Change::SetSum),
        any::<i64>().prop_map(Change::High),
        any::<i64>().prop_map(Change::Low),
    ];
    proptest::collection::vec(change, 0..4)
}

fn write() -> impl Strategy<Value = Write> {
    let number = || proptest::option::of(-99..99i64);
    prop_oneof![
        2 => (key(), scalar(), number(), number(), number())
            .prop_map(|(key, any, sum, high, low)| Write::Put(key, any, sum, high, low)),
        4 => (key(), changes()).prop_map(|(key, changes)| Write::Upsert(key, changes)),
        4 => (key(), changes()).prop_map(|(key, changes)| Write::Update(key, changes)),
        2 => key().prop_map(Write::Delete),
        1 => (key(), key()).prop_map(|(from, to)| Write::Copy(from, to)),
        1 => (0..3i64).prop_map(Write::Double),
        1 => "[ab]".prop_map(Write::Label),
        1 => "[ab]".prop_map(Write::Unlabel),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Where a batch ends is chance. So gathering rows must never show in the tables: one batch, some batches, and a
    /// batch per event all end the same.
    #[test]
    fn where_batches_end_does_not_show_in_the_tables(
        writes in proptest::collection::vec(write(), 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let singles: Vec<&[Write]> = writes.chunks(1).collect();
        let expected = tables(&singles);
        prop_assert_eq!(&tables(&[&writes]), &expected);
        let (head, tail) = writes.split_at(cut.index(writes.len() + 1));
        prop_assert_eq!(&tables(&[head, tail]), &expected);
    }
}

/// What the writes mean, said by hand: the property above only says that they mean the same everywhere.
#[test]
fn rows_are_put_changed_and_deleted_by_key() {
    let key = |x: i64| (x, "k".to_owned());
    let put = |x, sum| Write::Put(key(x), Scalar::Text("put".into()), Some(sum), None, Some(5));
    let batch = [
        put(1, 10),
        Write::Update(key(1), vec![Change::Sum(5), Change::High(7), Change::Low(9)]),
        Write::Update(key(2), vec![Change::Sum(5)]),
        Write::Upsert(key(3), vec![Change::Sum(5), Change::Any(Scalar::Real(1.5))]),
        Write::Upsert(key(3), vec![Change::Sum(6), Change::High(1), Change::High(2)]),
        put(4, 1),
        Write::Delete(key(4)),
        put(5, 1),
        Write::Delete(key(5)),
        Write::Upsert(key(5), vec![Change::Low(3)]),
        Write::Copy(key(1), key(6)),
        Write::Label("new".into()),
    ];
    let expected = [
        "1|k|put|text|15|7|5",
        "3|k|1.5|real|11|2|null",
        "5|k|null|null|null|null|3",
        "6|k|copied|text|15|7|null",
        "new",
    ];
    assert_eq!(tables(&[&batch]), expected);
}

/// This is why rows are gathered: many changes of a row are one write, and the host is not called before the batch ends.
#[test]
fn a_row_is_written_once_per_batch_without_reading() {
    let mut model = ReadModel::new::<Cells>();
    let data: Vec<String> = (0..1000)
        .map(|n| {
            let key = (n % 10, "k".to_owned());
            let write = if n < 10 {
                Write::Put(key, Scalar::Integer(n), Some(0), None, None)
            } else {
                Write::Update(key, vec![Change::Sum(1), Change::Any(Scalar::Integer(n))])
            };
            serde_json::to_string(&write).unwrap()
        })
        .collect();
    let given: Vec<Given<'_>> = data.iter().map(|data| ("Write", data.as_str())).collect();
    assert_eq!(model.apply::<Cells>(&given).unwrap(), 10);
    assert_eq!(model.calls(), 0);
    // The next batch finds the rows stored, and updates them.
    assert_eq!(model.apply::<Cells>(&given[500..]).unwrap(), 10);
    assert_eq!(model.rows("SELECT sum(sum), max(any) FROM cells"), ["1490|999"]);
    assert_eq!(
        model.statements(),
        [
            "INSERT INTO \"cells\" (\"x\", \"y\", \"any\", \"sum\", \"high\", \"low\") VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (\"x\", \"y\") DO UPDATE SET \"any\" = excluded.\"any\", \"sum\" = excluded.\"sum\", \
             \"high\" = excluded.\"high\", \"low\" = excluded.\"low\"",
            "UPDATE \"cells\" SET \"any\" = ?3, \"sum\" = ifnull(\"cells\".\"sum\", 0) + ?4 \
             WHERE \"cells\".\"x\" = ?1 AND \"cells\".\"y\" = ?2",
        ]
    );
}

/// A mistake in a row cannot be answered where it is made, but must not be lost either.
#[test]
fn mistakes_in_rows_fail_the_event() {
    let check = |mistake: &Write, message: &str| {
        let mut model = ReadModel::new::<Cells>();
        let data = [&Write::Label("fine".into()), mistake].map(|write| serde_json::to_string(write).unwrap());
        let failure = model.apply::<Cells>(&[("Write", &data[0]), ("Write", &data[1])]).unwrap_err();
        assert_eq!((failure.fault, failure.message.as_str()), (Fault::Other, message));
        assert_eq!(failure.index, Some(1));
        assert_eq!(model.apply::<Cells>(&[]).unwrap(), 0);
    };
    check(&Write::Typo, r#"table `cells` declares no column `summ`, only ["any", "sum", "high", "low"]"#);
    check(
        &Write::Short,
        r#"2 values were put into `cells`, which declares 4 columns: ["any", "sum", "high", "low"]"#,
    );
}

/// A batch may write more than fits in memory: then some of it is handed over before the batch ends.
#[test]
fn a_large_batch_is_handed_over_in_parts() {
    let mut model = ReadModel::new::<Cells>();
    let text = "x".repeat(1024 * 1024);
    let data: Vec<String> = (0..40)
        .map(|x| {
            let write = Write::Put((x, "k".into()), Scalar::Text(text.clone()), Some(1), None, None);
            serde_json::to_string(&write).unwrap()
        })
        .collect();
    let given: Vec<Given<'_>> = data.iter().map(|data| ("Write", data.as_str())).collect();
    let returned = model.apply::<Cells>(&given).unwrap();
    assert!(returned < 40, "{returned}");
    assert!(model.calls() > 1, "{}", model.calls());
    assert_eq!(model.rows("SELECT count(*), sum(sum) FROM cells"), ["40|40"]);
}
