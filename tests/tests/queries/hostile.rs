//! Ways to write, escape, hang or flood through SQL, parameters, paths, headers, bodies and slow clients: each is refused or
//! bounded, and afterwards the host answers as before.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lantern_tests::client;
use lantern_tests::guest::{plugin, unique_topic};
use lantern_tests::http::{self, Raw, request};
use lantern_tests::log::{Log, on};
use lantern_tests::site::Site;
use serde_json::{Value, json};

use crate::{JSON, append, query};

/// Bounds that are hit within a test's time.
const SETTINGS: &str = "head_ms_max = 700\nbody_ms_max = 700\nwrite_ms_max = 700\nconnections_max = 48\n\
    query_ms_max = 1500\nwait_ms_max = 3000\nquery_memory_bytes_max = 67108864\n";
/// How long a request may take that is refused or cut off: a debug build on a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// What the process may hold at most: its engine, its broker, and what queries may take, more than once.
const RESIDENT_KIB_MAX: u64 = 1 << 20;

/// An endless table of numbers.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";

/// A host with one event in its read model.
fn with_host(test: impl Fn(&Site, &str) -> Result<()>) -> Result<()> {
    on(&Log::Embedded, |log| {
        let topic = unique_topic("hostile");
        let mut site = Site::new(log)?.with_settings(SETTINGS)?;
        site.deploy(&plugin("ledger", "ledger", &[&topic])?)?;
        let mut host = site.start()?;
        host.await_broker()?;
        client::create_topic(site.address(), &topic, 1)?;
        host.await_http()?;
        let position = append(&site, &topic, "a", "{}")?;
        let raw = query(&site, "", &json!({ "sql": "SELECT count(*) FROM entries", "wait_for": position }))?;
        ensure!(raw.status == 200, "{raw:?}");
        test(&site, &topic)?;
        let pid = site.json(["status"])?["host"]["pid"].as_u64().context("a pid")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak: u64 = peak.and_then(|it| it.split_whitespace().next()?.parse().ok()).context("a peak")?;
        ensure!(peak < RESIDENT_KIB_MAX, "the process took {peak} KiB");
        ensure!(host.terminate()?.success(), "it ends as always");
        Ok(())
    })
}

/// Checks that an answer is this refusal, in time, and that nothing has changed and others are answered.
fn check(site: &Site, what: &str, expected: &str, ask: impl FnOnce() -> Result<Raw>) -> Result<()> {
    let since = Instant::now();
    let raw = ask().with_context(|| what.to_owned())?;
    let took = since.elapsed();
    let shown = || {
        let body: String = raw.body.chars().take(400).collect();
        format!("{what}\n  was answered {}: {body}\n  instead of {expected}, after {took:?}", raw.status)
    };
    ensure!(took < ANSWER_MAX, "{}", shown());
    let mut words = expected.split_whitespace();
    ensure!(words.next() == Some(&raw.status.to_string()), "{}", shown());
    let kind = words.next().unwrap_or_default();
    // Some are refused by what parses the request, before there is anybody to say why.
    ensure!(kind.is_empty() || raw.json()?["type"] == format!("urn:lantern:{kind}"), "{}", shown());
    for word in words {
        ensure!(raw.body.contains(word), "{}", shown());
    }
    let still = patient(site, "SELECT count(*), max(seq) FROM entries")?;
    ensure!(still.status == 200 && still.json()?["rows"] == json!([[1, 1]]), "after {what}: {still:?}");
    Ok(())
}

/// Asks as a good client does: again, when the host says that it is busy.
fn patient(site: &Site, sql: &str) -> Result<Raw> {
    let since = Instant::now();
    loop {
        let raw = query(site, "", &json!({ "sql": sql }))?;
        if raw.status != 503 || since.elapsed() > ANSWER_MAX {
            return Ok(raw);
        }
    }
}

// SQL of strangers must not be able to do more than to read, nor take more than its share.
#[test]
fn sql_neither_writes_nor_escapes_nor_hangs_nor_floods() -> Result<()> {
    let many = |part: &str, times: usize| part.repeat(times);
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let big = "printf('%.*c', 1000000, 'a')";
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
        (format!("{ENDLESS} SELECT max(a.i) FROM n a, n b, n c LIMIT 1"), "400 query-refused longer"),
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
        (
            format!("{ENDLESS} SELECT randomblob(100000) AS x FROM n ORDER BY x"),
            "422 too-much query_memory_bytes_max",
        ),
        (
            format!("{ENDLESS} SELECT count(*) FROM (SELECT DISTINCT randomblob(100000) FROM n)"),
            "422 too-much",
        ),
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

// The parts of a request that are not its meaning are where parsers differ.
#[test]
fn paths_headers_and_bodies_are_refused_or_bounded() -> Result<()> {
    let ask = |target: &str, headers: &str, body: &str| {
        request("POST", target, &format!("{JSON}{headers}"), body.as_bytes())
    };
    let one = r#"{"sql":"SELECT 1"}"#;
    let model = "/v1/read-models/ledger/query";
    let events = |content_type: &str, body: &str| {
        request(
            "POST",
            "/v1/topics/TOPIC/events",
            &format!("Content-Type: {content_type}\r\n"),
            body.as_bytes(),
        )
    };
    let cloud = "application/cloudevents+json";
    let batch = "application/cloudevents-batch+json";
    let event = |extra: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t"{extra}}}"#);
    let raw = |text: &str| text.replace('\n', "\r\n").into_bytes();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a path that climbs", ask("/v1/read-models/..%2f..%2flantern/query", "", one), "404 unknown-read-model"),
        ("a path of dots", ask("/v1/read-models/../../query", "", one), "404"),
        ("a name with a NUL", ask("/v1/read-models/%00/query", "", one), "404 unknown-read-model"),
        ("a name that is no UTF-8", ask("/v1/read-models/%ff/query", "", one), "400"),
        ("a name of the catalog", ask("/v1/read-models/lantern/query", "", one), "404 unknown-read-model"),
        ("a long name", ask(&format!("/v1/read-models/{}/query", "a".repeat(20_000)), "", one), "404"),
        ("an address that is too long", ask(&format!("/{}", "a".repeat(70_000)), "", one), "414"),
        ("a target of another host", ask(&format!("http://evil.example{model}"), "", one), "403 foreign-origin"),
        ("two hosts", ask(model, "Host: localhost\r\n", one), "403 foreign-origin"),
        ("a page's origin", ask(model, "Origin: http://evil.example\r\n", one), "403 foreign-origin"),
        ("a proxy's request", ask(model, "X-Forwarded-For: 10.0.0.1\r\n", one), "401 unauthorized"),
        ("a head that is too large", ask(model, &format!("X: {}\r\n", "x".repeat(200_000)), one), "431"),
        ("too many headers", ask(model, &"X: x\r\n".repeat(500), one), "431"),
        ("a position that is none", ask(model, "Lantern-Position: x\r\n", one), "400 bad-request"),
        ("a position that is not ASCII", ask(model, "Lantern-Position: \u{fc}/0@1\r\n", one), "400 bad-request"),
        ("a long position", ask(model, &format!("Lantern-Position: {}\r\n", "x".repeat(30_000)), one), "400 bad-request"),
        ("a NUL in a header", ask(model, "X: a\0b\r\n", one), "400"),
        ("a method that is none", raw("PO ST /v1/status HTTP/1.1\nHost: localhost\n\n"), "400"),
        ("another protocol", raw("GET / HTTP/3.7\nHost: localhost\n\n"), "400"),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), "400"),
        (
            "two lengths",
            raw(&format!("POST {model} HTTP/1.1\nHost: localhost\nContent-Length: 18\nContent-Length: 2\nConnection: close\n\n{one}")),
            "400",
        ),
        (
            "a length that is none",
            raw(&format!("POST {model} HTTP/1.1\nHost: localhost\nContent-Length: -1\nConnection: close\n\n{one}")),
            "400",
        ),
        (
            "a chunk of a size that is none",
            raw(&format!("POST {model} HTTP/1.1\nHost: localhost\nContent-Type: application/json\nTransfer-Encoding: chunked\nConnection: close\n\nffffffffffffffffff\n{one}")),
            "400",
        ),
        (
            "a body without an end",
            [raw(&format!("POST {model} HTTP/1.1\nHost: localhost\nContent-Type: application/json\nTransfer-Encoding: chunked\nConnection: close\n\n")), format!("10000\r\n{}\r\n", "x".repeat(1 << 16)).repeat(40).into_bytes()].concat(),
            "413 too-large",
        ),
        ("a body that is too large", ask(model, "", &" ".repeat(300 << 10)), "413 too-large"),
        ("a body that is no JSON", ask(model, "", "{"), "400 bad-request"),
        ("a deep body", ask(model, "", &"[".repeat(200_000)), "400 bad-request"),
        ("a deep parameter", ask(model, "", &format!(r#"{{"sql":"SELECT ?","params":{}"#, "[".repeat(200_000))), "400 bad-request"),
        ("a body of another type", request("POST", model, "Content-Type: text/plain\r\n", one.as_bytes()), "415 unsupported-media-type"),
        ("a topic that climbs", ask("/v1/topics/..%2fx/events?type=t", "", "{}"), "400 bad-request"),
        ("a topic of two dots", ask("/v1/topics/%2e%2e/events?type=t", "", "{}"), "400 bad-request"),
        ("a topic with a line break", ask("/v1/topics/a%0d%0ab/events?type=t", "", "{}"), "400 bad-request"),
        ("Kafka's own topic", ask("/v1/topics/__consumer_offsets/events?type=t", "", "{}"), "400 bad-request own"),
        ("a long topic", ask(&format!("/v1/topics/{}/events?type=t&create=true", "a".repeat(250)), "", "{}"), "400 bad-request"),
        ("a topic that is missing", ask("/v1/topics/nowhere-to-be-found/events?type=t", "", "{}"), "404 unknown-topic"),
        ("many partitions", ask("/v1/topics/many/events?type=t&create=true&partitions=1000000", "", "{}"), "400 bad-request"),
        ("an event without a type", ask("/v1/topics/TOPIC/events", "", "{}"), "400 bad-request ce-type"),
        ("an event that is no JSON", ask("/v1/topics/TOPIC/events?type=t", "", "{"), "400 bad-request"),
        ("an event with two types", ask("/v1/topics/TOPIC/events?type=t", "ce-type: u\r\n", "{}"), "400 bad-request"),
        ("an attribute that is no name", ask("/v1/topics/TOPIC/events?type=t", "ce-a_b: u\r\n", "{}"), "400 bad-request"),
        ("a CloudEvent without an id", events(cloud, r#"{"specversion":"1.0","source":"s","type":"t"}"#), "400 bad-request"),
        ("a CloudEvent of another version", events(cloud, r#"{"specversion":"0.3","id":"1","source":"s","type":"t"}"#), "400 bad-request"),
        ("a CloudEvent with an attribute of its own", events(cloud, &event(r#","A-b":"x""#)), "400 bad-request"),
        ("a CloudEvent with two data", events(cloud, &event(r#","data":1,"data_base64":"AA==""#)), "400 bad-request"),
        ("a deep CloudEvent", events(cloud, &event(&format!(r#","data":{}"#, "[".repeat(100_000)))), "400 bad-request"),
        ("a batch with a wrong event", events(batch, &format!("[{},{{}}]", event(""))), "400 bad-request event"),
        ("an empty batch", events(batch, "[]"), "400 bad-request"),
        ("a batch of too many", events(batch, &format!("[{}]", vec![event(""); 10_001].join(","))), "400 bad-request 10000"),
        ("another batch", events("application/cloudevents-batch+avro", "x"), "415 unsupported-media-type"),
        ("an event that the log does not take", events(cloud, &event(&format!(r#","data":"{}""#, "x".repeat(3 << 20)))), "413 too-large"),
        ("more events than a request has", events(cloud, &" ".repeat(9 << 20)), "413 too-large"),
    ];
    with_host(|site, topic| {
        for (what, bytes, expected) in &cases {
            // The topic's name is as long as another that stands for it: nothing else of the request changes.
            let bytes = replaced(bytes, b"TOPIC", topic.as_bytes());
            check(site, what, expected, || http::send(site.http_address(), &bytes))?;
        }
        Ok(())
    })
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match bytes.windows(from.len()).position(|window| window == from) {
        Some(at) => [&bytes[..at], to, &bytes[at + from.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

// One client that does nothing costs nothing: neither a thread nor a connection for good.
#[test]
fn slow_clients_and_many_of_them_are_cut_off() -> Result<()> {
    with_host(|site, topic| {
        let open = || -> Result<TcpStream> {
            let stream = TcpStream::connect(site.http_address())?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            Ok(stream)
        };
        let head = format!(
            "POST /v1/read-models/ledger/query HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{JSON}"
        );
        // Says nothing, or half of a head.
        for said in ["", "GET /v1/sta", head.as_str()] {
            let mut stream = open()?;
            stream.write_all(said.as_bytes())?;
            let mut rest = Vec::new();
            let since = Instant::now();
            // A reset is an end too.
            let _ = stream.read_to_end(&mut rest);
            ensure!(since.elapsed() < ANSWER_MAX, "{said:?} was waited for");
            ensure!(
                rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"),
                "{}",
                String::from_utf8_lossy(&rest)
            );
        }
        // Promises a body, and sends it a byte at a time, or none.
        for every in [None, Some(Duration::from_millis(100))] {
            check(site, "a slow body", "408 timeout", || {
                let mut stream = open()?;
                stream.write_all(format!("{head}Content-Length: 1000\r\n\r\n").as_bytes())?;
                while let Some(every) = every
                    && stream.write_all(b" ").is_ok()
                    && stream.set_read_timeout(Some(every)).is_ok()
                    && stream.peek(&mut [0]).is_err()
                {}
                stream.set_read_timeout(Some(ANSWER_MAX))?;
                http::receive(&mut stream)
            })?;
        }
        // Asks for much, many times, and takes nothing of it.
        let much = json!({ "sql": "SELECT printf('%.*c', 900000, 'x') FROM (VALUES (1),(2),(3),(4),(5),(6),(7),(8))" }).to_string();
        let asks = format!(
            "POST /v1/read-models/ledger/query HTTP/1.1\r\nHost: localhost\r\n{JSON}Content-Length: {}\r\n\r\n{much}",
            much.len()
        );
        let mut stuck = Vec::new();
        for _ in 0..20 {
            let mut stream = open()?;
            stream.write_all(asks.repeat(20).as_bytes())?;
            stuck.push(stream);
        }
        check(site, "others, while answers are not taken", "200", || patient(site, "SELECT 1"))?;
        for stream in &mut stuck {
            std::thread::sleep(Duration::from_millis(100));
            let mut taken = 0;
            let mut buffer = vec![0; 1 << 20];
            while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
                taken += bytes;
                ensure!(
                    taken < asks.len() * 20 + 20 * 8_000_000,
                    "all of it was kept for who did not take it"
                );
            }
        }
        drop(stuck);
        // More than there may be, which wait for what does not come: the others are answered, and so are they.
        let wait = |number: usize| {
            let body = json!({ "sql": "SELECT 1", "wait_for": format!("{topic}/0@{}", 1_000 + number), "timeout_ms": 1_000 });
            query(site, "", &body)
        };
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..40).map(|number| scope.spawn(move || wait(number))).collect();
            check(site, "others, while many wait", "200", || patient(site, "SELECT 1"))?;
            for each in waiting {
                let Ok(raw) = each.join() else { bail!("a client panicked") };
                let raw = raw?;
                ensure!(raw.status == 504, "{raw:?}");
            }
            anyhow::Ok(())
        })?;
        let idle: Vec<TcpStream> = (0..200).map(|_| open()).collect::<Result<_>>()?;
        check(site, "others, while idle ones have every connection", "200", || patient(site, "SELECT 1"))?;
        drop(idle);
        // Long queries take places, not all of them for long.
        let endless = json!({ "sql": format!("{ENDLESS} SELECT count(*) FROM n") });
        std::thread::scope(|scope| {
            let long: Vec<_> = (0..30).map(|_| scope.spawn(|| query(site, "", &endless))).collect();
            check(site, "a point query, while many run long", "200", || patient(site, "SELECT 1"))?;
            for each in long {
                let Ok(raw) = each.join() else { bail!("a client panicked") };
                let raw: Raw = raw?;
                ensure!(matches!(raw.status, 400 | 503), "{raw:?}");
                let _: Value = raw.json()?;
            }
            anyhow::Ok(())
        })
    })
}
