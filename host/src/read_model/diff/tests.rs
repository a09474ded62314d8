//! What a comparison of two read models must find, and show.

use super::super::tests::{Scratch, blueprint};
use super::super::{Durability, Fingerprint, Writer};
use super::*;

/// A read model of some SQL.
fn model(sql: &str) -> (Scratch, Snapshot) {
    let scratch = Scratch::new();
    drop(Writer::open(&scratch.path(), &blueprint(&[]), Durability::Normal).unwrap());
    Connection::open(scratch.path()).unwrap().execute_batch(sql).unwrap();
    let snapshot = Snapshot::of(&scratch.path()).unwrap();
    (scratch, snapshot)
}

/// `+`, `-` and `~` with the rows, one table after the other.
fn shown(diff: &Diff) -> Vec<String> {
    let row = |cells: &Option<Vec<Cell>>| serde_json::to_string(&cells.as_ref().unwrap()).unwrap();
    let mut lines: Vec<String> = diff.tables_added.iter().map(|table| format!("+ table {table}")).collect();
    lines.extend(diff.tables_removed.iter().map(|table| format!("- table {table}")));
    for (name, table) in &diff.tables {
        lines.extend(table.columns_added.iter().map(|column| format!("+ {name}.{column}")));
        lines.extend(table.columns_removed.iter().map(|column| format!("- {name}.{column}")));
        lines.extend(table.examples.iter().map(|change| match change {
            Change { before: None, after } => format!("+ {}", row(after)),
            Change { before, after: None } => format!("- {}", row(before)),
            Change { before, after } => format!("~ {} {}", row(before), row(after)),
        }));
        assert_eq!(table.examples.len() as u64, table.added + table.removed + table.changed);
    }
    lines
}

// A difference that is not found is a wrong read model that is promoted, or called equal to its log.
#[test]
fn every_difference_is_found_and_nothing_else() {
    let check = |before: &str, after: &str, expected: &[&str]| {
        let ((_a, before_model), (_b, after_model)) = (model(before), model(after));
        let found = diff(&before_model, &after_model, 100).unwrap();
        assert_eq!(shown(&found), expected, "{before}\n{after}");
        assert_eq!(found.is_empty(), expected.is_empty());
        let (one, other) = (before_model.fingerprint().unwrap(), after_model.fingerprint().unwrap());
        assert_eq!(one.hash == other.hash, expected.is_empty(), "the hash says otherwise: {before}\n{after}");
        // The other way around, what was added is removed.
        let back = diff(&after_model, &before_model, 100).unwrap();
        let count = |diff: &Diff| {
            let tables = diff.tables.values();
            tables.fold((0, 0, 0), |(a, r, c), t| (a + t.added, r + t.removed, c + t.changed))
        };
        let ((added, removed, changed), (a, r, c)) = (count(&found), count(&back));
        assert_eq!((added, removed, changed), (r, a, c));
    };
    let keyed =
        |rows: &str| format!("CREATE TABLE t (k INTEGER PRIMARY KEY, x); INSERT INTO t VALUES {rows}");
    check(&keyed("(1, 'a'), (2, 'b')"), &keyed("(2, 'b'), (1, 'a')"), &[]);
    check(&keyed("(1, 'a'), (2, 'b')"), &keyed("(1, 'a'), (2, 'c')"), &[r#"~ [2,"b"] [2,"c"]"#]);
    check(&keyed("(1, 'a'), (2, 'b')"), &keyed("(2, 'b')"), &[r#"- [1,"a"]"#]);
    check(&keyed("(2, 'b')"), &keyed("(1, 'a'), (2, 'b'), (3, NULL)"), &[r#"+ [1,"a"]"#, "+ [3,null]"]);
    check(&keyed("(1, 1)"), &keyed("(1, 1.0)"), &["~ [1,1] [1,1.0]"]);
    check(&keyed("(1, 'a')"), &keyed("(1, x'61')"), &[r#"~ [1,"a"] [1,{"hex":"61"}]"#]);
    // Keys of several columns and kinds, and a collation that takes different texts for equal.
    let wide = |rows: &str| {
        format!(
            "CREATE TABLE t (n, a TEXT COLLATE NOCASE, b, PRIMARY KEY (b, a)); INSERT INTO t VALUES {rows}"
        )
    };
    check(
        &wide("(1, 'x', 2), (2, 'X', 1), (3, 'y', x'00'), (4, 'z', 9007199254740993)"),
        &wide("(1, 'x', 2.5), (2, 'X', 1), (5, 'y', x'00'), (4, 'z', 9007199254740992.0)"),
        &[
            r#"- [2,"x",1]"#,
            r#"+ [2.5,"x",1]"#,
            r#"+ [9007199254740992.0,"z",4]"#,
            r#"- [{"integer":"9007199254740993"},"z",4]"#,
            r#"~ [{"hex":"00"},"y",3] [{"hex":"00"},"y",5]"#,
        ],
    );
    check(&wide("(1, 'x', 1)"), &wide("(1, 'X', 1)"), &[r#"+ [1,"X",1]"#, r#"- [1,"x",1]"#]);
    // Without a key a table is a bag of rows.
    let bag = |rows: &str| format!("CREATE TABLE t (x, y COLLATE NOCASE); INSERT INTO t VALUES {rows}");
    check(&bag("(1, 'a'), (1, 'A'), (1.0, 'a')"), &bag("(1.0, 'a'), (1, 'A'), (1, 'a')"), &[]);
    check(
        &bag("(1, 'a'), (1, 'a'), (2, 'b')"),
        &bag("(1, 'a'), (2, 'b'), (3, 'c')"),
        &[r#"- [1,"a"]"#, r#"+ [3,"c"]"#],
    );
    // SQLite lets keys be NULL, and then they are not unique.
    let null = |rows: &str| format!("CREATE TABLE t (k TEXT PRIMARY KEY, x); INSERT INTO t VALUES {rows}");
    check(&null("(NULL, 2), (NULL, 1)"), &null("(NULL, 1), (NULL, 2)"), &[]);
    check(&null("(NULL, 2), (NULL, 1)"), &null("(NULL, 1)"), &["- [null,2]"]);
    // Tables and columns.
    check("", &keyed("(1, 'a')"), &["+ table t"]);
    check(&keyed("(1, 'a')"), "CREATE TABLE u (x)", &["+ table u", "- table t"]);
    check(
        &keyed("(1, 'a')"),
        "CREATE TABLE t (k INTEGER PRIMARY KEY, y); INSERT INTO t VALUES (1, 'a')",
        &["+ t.y", "- t.x"],
    );
    check(
        "CREATE VIRTUAL TABLE w USING fts5(x); INSERT INTO w VALUES ('one')",
        "CREATE VIRTUAL TABLE w USING fts5(x); INSERT INTO w VALUES ('two')",
        &[r#"- ["one"]"#, r#"+ ["two"]"#],
    );
}

// The order in which SQLite sorts is the one that rows are merged in: else everything would seem to differ.
#[test]
fn values_are_compared_as_sqlite_sorts_them() {
    let (_scratch, model) = model(
        "CREATE TABLE t (x);
         INSERT INTO t VALUES (NULL), (-9223372036854775808), (-9.3e18), (-1), (-0.5), (0), (0.5), (1), (1.0), (1.5),
             (9007199254740992), (9007199254740993), (9007199254740992.0), (9007199254740994.0),
             (9223372036854775807), (9223372036854775808.0), (1e300), (-1e300), (9e999), (-9e999),
             (''), ('A'), ('a'), ('é'), (x''), (x'00'), (x'ff')",
    );
    let sql = format!("SELECT x FROM t ORDER BY {}", order(&["x"]));
    let mut statement = model.connection().prepare(&sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut sorted: Vec<rusqlite::types::Value> = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        sorted.push(row.get(0).unwrap());
    }
    assert_eq!(sorted.len(), 27);
    for (index, a) in sorted.iter().enumerate() {
        for (other, b) in sorted.iter().enumerate() {
            let found = compare_values(a.into(), b.into());
            assert_eq!(found, index.cmp(&other), "{a:?} and {b:?}");
        }
    }
}

// Somebody compares tables of millions of rows; the report must stay small, and right.
#[test]
fn examples_are_bounded_and_counts_are_not() {
    let many = "CREATE TABLE t (k INTEGER PRIMARY KEY, x);
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
                INSERT INTO t SELECT i, i % 7 FROM n;";
    let ((_a, before), (_b, after)) = (model(many), model(&format!("{many} UPDATE t SET x = x + 1")));
    let found = diff(&before, &after, 3).unwrap();
    let table = &found.tables["t"];
    assert_eq!((table.added, table.removed, table.changed, table.examples.len()), (0, 0, 10_000, 3));
    assert_eq!(table.key, ["k"]);
    assert_ne!(Fingerprint::of(before.path()).unwrap(), Fingerprint::of(after.path()).unwrap());
}
