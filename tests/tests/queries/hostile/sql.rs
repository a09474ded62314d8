//! SQL and its parameters.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{ENDLESS, check, with_host};
use crate::query;

/// Joined with itself it takes no memory, and for ever.
const LONG: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000)";

// SQL of strangers must not be able to do more than to read, nor take more than its share.
#[test]
fn sql_neither_writes_nor_escapes_nor_hangs_nor_floods() -> Result<()> {
    let many = |part: &str, times: usize| part.repeat(times);
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let big = "printf('%.*c', 1000000, 'a')";
    // Another one in each row: what is random may take longer to make than a query may run.
    let other = "i || printf('%.*c', 100000, 'a')";
    let cases: Vec<(String, &str)> = vec![
        // Writes.
        ("DELETE FROM entries".into(), "400 query-refused only"),
        ("INSERT INTO entries (seq) VALUES (2)".into(), "400 query-refused"),
        ("UPDATE entries SET seq = 2 RETURNING seq".into(), "400 query-refused"),
        ("WITH x AS (SELECT 1) DELETE FROM entries RETURNING 1".into(), "400 query-refused"),
        ("DROP TABLE entries".into(), "400 query-refused"),
        ("CREATE TABLE other (x)".into(), "400 query-refused"),
        ("CREATE TEMP TABLE other AS SELECT 1".into(), "400 query-refused"),
        ("UPDATE sqlite_schema SET sql = ''".into(), "400 query-refused"),
        ("UPDATE _lantern_checkpoints SET next_offset = 0".into(), "400 query-refused"),
        ("EXPLAIN DELETE FROM entries".into(), "400 query-refused"),
        ("REINDEX".into(), "400 query-refused"),
        ("ANALYZE".into(), "400 query-refused"),
        ("VACUUM".into(), "400 query-refused"),
        ("BEGIN EXCLUSIVE".into(), "400 query-refused"),
        ("BEGIN".into(), "400 query-refused"),
        ("ROLLBACK".into(), "400 query-refused"),
        ("COMMIT".into(), "400 query-refused"),
        ("SAVEPOINT s".into(), "400 query-refused"),
        // Escapes.
        ("ATTACH '/etc/passwd' AS x".into(), "400 query-refused ATTACH"),
        ("ATTACH ':memory:' AS x".into(), "400 query-refused ATTACH"),
        ("DETACH main".into(), "400 query-refused"),
        ("VACUUM INTO '/tmp/lantern-escaped.db'".into(), "400 query-refused"),
        ("PRAGMA query_only = OFF".into(), "400 query-refused PRAGMA"),
        ("PRAGMA journal_mode = DELETE".into(), "400 query-refused PRAGMA"),
        ("PRAGMA hard_heap_limit = 1".into(), "400 query-refused PRAGMA"),
        ("SELECT * FROM pragma_database_list".into(), "400 query-refused"),
        ("SELECT * FROM pragma_query_only".into(), "400 query-refused"),
        ("SELECT load_extension('/tmp/x.so')".into(), "400 query-refused load_extension"),
        ("SELECT readfile('/etc/passwd')".into(), "400 query-refused"),
        ("SELECT writefile('/tmp/x', 'x')".into(), "400 query-refused"),
        ("SELECT fts3_tokenizer('simple', x'0000000000000000')".into(), "400 query-refused"),
        ("SELECT * FROM dbstat".into(), "400 query-refused dbstat"),
        ("SELECT 1; DELETE FROM entries".into(), "400 query-refused Multiple"),
        ("SELECT 1\0; DELETE FROM entries".into(), "400 query-refused NUL"),
        (String::new(), "400 query-refused statement"),
        ("-- nothing".into(), "400 query-refused statement"),
        // Ends of the stack.
        (many("SELECT 1;", 25_000), "400 query-refused Multiple"),
        (many(";", 200_000), "400 query-refused"),
        (format!("SELECT {}", nested("(", "1", ")", 100_000)), "400 query-refused"),
        (format!("SELECT {}1", many("-", 1) + &many("+-", 50_000)), "400 query-refused"),
        (format!("SELECT 1{}", many("+1", 50_000)), "400 query-refused"),
        (format!("SELECT * FROM {}", nested("(SELECT * FROM ", "entries", ")", 10_000)), "400 query-refused"),
        (format!("SELECT 1{}", many(" UNION ALL SELECT 1", 10_000)), "400 query-refused"),
        (format!("SELECT json(replace({big}, 'a', '['))"), "400 query-refused"),
        // Hangs.
        (format!("{ENDLESS} SELECT count(*) FROM n"), "400 query-refused longer"),
        (format!("{ENDLESS} SELECT i FROM n WHERE i < 0"), "400 query-refused longer"),
        (format!("{LONG} SELECT max(a.i) FROM n a, n b, n c"), "400 query-refused longer"),
        (format!("SELECT instr({big}, substr({big}, 1, 500000) || 'b')"), "200"),
        (format!("SELECT length(replace({big}, substr({big}, 1, 500000) || 'b', 'c'))"), "200"),
        (format!("SELECT length(trim({big} || 'b', {big}))"), "200"),
        (format!("SELECT {big} LIKE '%' || substr({big}, 1, 40000) || 'b'"), "400 query-refused"),
        (format!("SELECT {big} GLOB '*' || substr({big}, 1, 40000) || 'b'"), "400 query-refused"),
        ("SELECT json_patch('{}', '{}')".into(), "400 query-refused json_patch"),
        (format!("SELECT unhex({big}, {big})"), "400 query-refused unhex"),
        // Floods.
        (format!("{ENDLESS} SELECT i FROM n"), "422 too-much 10000 LIMIT"),
        (format!("{ENDLESS} SELECT {big} FROM n"), "422 too-much query_bytes_max"),
        ("SELECT zeroblob(2000000000)".into(), "422 too-much query_value_bytes_max"),
        ("SELECT randomblob(1500000)".into(), "422 too-much query_value_bytes_max"),
        ("SELECT length(printf('%2000000s', 'x'))".into(), "422 too-much"),
        ("SELECT length(printf('%.*f', 1999999999, 1.5))".into(), "422 too-much"),
        (format!("SELECT length(replace({big}, 'a', {big}))"), "400 query-refused big"),
        (format!("{ENDLESS} SELECT length(group_concat(i)) FROM n"), "400 query-refused longer"),
        (format!("{ENDLESS} SELECT {other} AS x FROM n ORDER BY x"), "422 too-much query_memory_bytes_max"),
        (format!("{ENDLESS} SELECT count(*) FROM (SELECT DISTINCT {other} FROM n)"), "422 too-much"),
        (format!("SELECT {} 1", many("randomblob(1000000), ", 1_500)), "422 too-much"),
        (format!("SELECT {} 1", many("1, ", 40_000)), "400 query-refused"),
    ];
    assert!(cases.len() >= 40, "{} ways by SQL alone", cases.len());
    with_host(|site, _| {
        for (sql, expected) in &cases {
            let what: String = sql.chars().take(120).collect();
            check(site, &what, expected, || query(site, "", &json!({ "sql": sql })))?;
        }
        ensure!(!std::path::Path::new("/tmp/lantern-escaped.db").exists());
        Ok(())
    })
}

#[test]
fn parameters_are_values_and_nothing_else() -> Result<()> {
    let cases = [
        // What is right, first: exact whatever JSON's readers make of numbers.
        (json!({ "sql": "SELECT ?1, ?2", "params": ["'; DROP TABLE entries; --", null] }), "200"),
        (json!({ "sql": "SELECT :a + @b", "params": { "a": 1, "@b": true } }), "200 [[2]]"),
        (
            json!({ "sql": "SELECT ?, ?, ?", "params": [9_223_372_036_854_775_807_i64, { "hex": "00ff" }, 9_007_199_254_740_991_i64] }),
            r#"200  [[{"integer":"9223372036854775807"},{"hex":"00ff"},9007199254740991]]"#,
        ),
        (
            json!({ "sql": "SELECT 9e999, -?", "params": [{ "integer": "9007199254740993" }] }),
            r#"200  [[{"real":"Infinity"},{"integer":"-9007199254740993"}]]"#,
        ),
        (
            json!({ "sql": "SELECT typeof(?), typeof(?), typeof(?)", "params": [1.0, 1, "1"] }),
            r#"200  [["real","integer","text"]]"#,
        ),
        // What is not.
        (json!({ "sql": "SELECT ?1" }), "400 query-refused parameters"),
        (json!({ "sql": "SELECT 1", "params": [1] }), "400 query-refused parameters"),
        (json!({ "sql": "SELECT :a", "params": { "b": 1 } }), "400 query-refused :a"),
        (json!({ "sql": "SELECT ?", "params": { "a": 1 } }), "400 query-refused"),
        (json!({ "sql": "SELECT * FROM ?", "params": ["entries"] }), "400 query-refused"),
        (json!({ "sql": "SELECT ?", "params": [[1]] }), "400 bad-request"),
        (json!({ "sql": "SELECT ?", "params": [{ "hex": "0g" }] }), "400 bad-request"),
        (json!({ "sql": "SELECT ?", "params": [{ "integer": "1e3" }] }), "400 bad-request"),
        (json!({ "sql": "SELECT ?", "params": [18_446_744_073_709_551_615_u64] }), "400 bad-request"),
        (json!({ "sql": "SELECT ?", "params": "x" }), "400 bad-request"),
        (json!({ "sql": "SELECT ?2000", "params": vec![1; 2_000] }), "400 query-refused"),
        (json!({ "sql": "SELECT ?", "params": vec![1; 60_000] }), "400 query-refused"),
        (json!({ "sql": ["SELECT 1"] }), "400 bad-request"),
        (json!({ "sql": "SELECT 1", "sqll": "x" }), "400 bad-request sqll"),
        (json!({ "sql": "SELECT 1", "timeout_ms": 86_400_000 }), "400 bad-request wait_ms_max"),
        (json!({ "sql": "SELECT 1", "timeout_ms": -1 }), "400 bad-request"),
        (json!({ "sql": "SELECT 1", "wait_for": "soon" }), "400 bad-request soon"),
        (json!({ "sql": "SELECT 1", "wait_for": "a/0@-1" }), "400 bad-request"),
        (json!({ "sql": "SELECT 1", "wait_for": "a/0@99999999999999999999" }), "400 bad-request"),
        (json!({ "sql": "SELECT 1", "wait_for": "a/0@1,a/0@2" }), "400 bad-request"),
    ];
    with_host(|site, _| {
        for (body, expected) in &cases {
            let what: String = body.to_string().chars().take(160).collect();
            match expected.split_once(' ') {
                Some(("200", rows)) => check(site, &what, "200", || {
                    let raw = query(site, "", body)?;
                    ensure!(raw.body.contains(rows.trim()), "{what}: {raw:?} lacks {rows}");
                    Ok(raw)
                })?,
                _ => check(site, &what, expected, || query(site, "", body))?,
            }
        }
        Ok(())
    })
}
