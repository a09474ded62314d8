//! The projection of `tests/conformance/README.md`, which says what each event does.

mod rows;

use lantern_sdk::{Command, Db, Envelope, Error, Event, Fault, Manifest, Projection, Result, Table};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

static RECORDS: Table = Table::new(
    "records",
    &["topic", "partition", "position"],
    &["type", "timestamp_ms", "key", "payload", "trace"],
);
static KEYS: Table = Table::new("keys", &["key"], &["records", "last"]);
static VALS: Table = Table::new("vals", &["id"], &["i", "r", "bits", "t", "b"]);
static COUNTERS: Table =
    Table::new("counters", &["account"], &["events", "sum", "largest", "smallest", "last"]);
static TOTALS: Table = Table::new("totals", &["id"], &["rows", "sum", "list", "own"]);
static CAUGHT: Table = Table::new("caught", &["position"], &["kind", "message"]);
static WORDS: Table = Table::new("words", &["id"], &["list", "still"]);

const SCHEMA: [&str; 11] = [
    "CREATE TABLE records (topic TEXT, partition INTEGER, position INTEGER, type TEXT NOT NULL, timestamp_ms INTEGER NOT NULL, key BLOB, payload BLOB, trace BLOB, PRIMARY KEY (topic, partition, position))",
    "CREATE TABLE keys (key BLOB PRIMARY KEY, records INTEGER NOT NULL, last INTEGER)",
    "CREATE TABLE vals (id PRIMARY KEY, i, r, bits, t, b)",
    "CREATE TABLE counters (account TEXT PRIMARY KEY, events INTEGER, sum INTEGER, largest INTEGER, smallest INTEGER, last INTEGER)",
    "CREATE TABLE rows (id TEXT PRIMARY KEY, n INTEGER, note TEXT DEFAULT 'none')",
    "CREATE TABLE reads (partition INTEGER, position INTEGER, step INTEGER, found INTEGER NOT NULL, n INTEGER, note TEXT, PRIMARY KEY (partition, position, step))",
    "CREATE TABLE sums (id TEXT PRIMARY KEY, n INTEGER NOT NULL)",
    "CREATE TABLE totals (id TEXT PRIMARY KEY, rows INTEGER, sum INTEGER, list TEXT, own INTEGER)",
    "CREATE TABLE caught (position INTEGER PRIMARY KEY, kind TEXT, message TEXT)",
    "CREATE TABLE words (id TEXT PRIMARY KEY, list TEXT, still INTEGER)",
    "CREATE TABLE ones (n INTEGER NOT NULL CHECK (n = 1))",
];

/// A field may be null, and must be there.
#[derive(Deserialize)]
struct Values {
    id: String,
    #[serde(deserialize_with = "Option::deserialize")]
    i: Option<i64>,
    #[serde(deserialize_with = "Option::deserialize")]
    r: Option<f64>,
    #[serde(deserialize_with = "Option::deserialize")]
    bits: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    t: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    b: Option<String>,
}

#[derive(Deserialize)]
struct Count {
    account: String,
    n: i64,
}

#[derive(Deserialize)]
struct Sql {
    id: String,
    n: i64,
}

#[derive(Deserialize)]
struct Caught {
    which: String,
}

#[derive(Deserialize)]
struct Words {
    id: String,
    text: String,
}

#[derive(Deserialize)]
struct Send {
    id: String,
    n: i64,
    #[serde(deserialize_with = "Option::deserialize")]
    due: Option<i64>,
}

/// The data of the command that is sent.
#[derive(Serialize)]
struct Add {
    n: i64,
}

#[derive(Deserialize)]
struct Cancel {
    id: String,
}

#[derive(Deserialize)]
struct Log {
    text: String,
}

#[derive(Deserialize)]
struct Fail {
    how: String,
}

#[derive(Default)]
struct Conformance;

impl Projection for Conformance {
    fn manifest() -> Manifest {
        let manifest = Manifest::new("conformance-rust")
            .version("1.0.0")
            .description("What every SDK must do the same")
            .topic("conformance")
            .all_headers()
            .envelope(Envelope::Header { name: "type".into() })
            .sends(["counter"])
            .query("counter", "SELECT * FROM counters WHERE account = :account", "One counter");
        SCHEMA.into_iter().fold(manifest, Manifest::schema)
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        match event.kind() {
            "Record" => record(event, db),
            "Values" => values(event, db)?,
            "Count" => count(event, db)?,
            "Row" => rows::row(event, db)?,
            "Sql" => sql(event, db)?,
            "Caught" => caught(event, db)?,
            "Words" => words(event, db)?,
            "Send" => send(event, db)?,
            "Cancel" => {
                let Cancel { id } = event.json()?;
                db.cancel(&format!("send/{id}"));
            }
            "Log" => {
                let Log { text } = event.json()?;
                lantern_sdk::log::warn(text);
            }
            "Fail" => fail(event, db)?,
            _ => {}
        }
        Ok(())
    }
}

lantern_sdk::projection!(Conformance);

fn record(event: &Event<'_>, db: &mut Db) {
    db.put(
        &RECORDS,
        (event.topic(), event.partition(), event.offset()),
        (event.kind(), event.timestamp_ms(), event.key(), event.payload(), event.header("trace")),
    );
    if let Some(key) = event.key() {
        db.upsert(&KEYS, key).add("records", 1).set("last", event.offset());
    }
}

fn values(event: &Event<'_>, db: &mut Db) -> Result<()> {
    let Values { id, i, r, bits, t, b } = event.json()?;
    let bits = match bits {
        Some(bits) => {
            Some(f64::from_bits(u64::from_str_radix(&bits, 16).map_err(|error| event.bad_input(error))?))
        }
        None => None,
    };
    let b = match b {
        Some(hex) => Some(blob(&hex).ok_or_else(|| event.bad_input("`b` is not made of hex digits"))?),
        None => None,
    };
    db.put(&VALS, id, (i, r, bits, t, b));
    Ok(())
}

/// The bytes of hex digits.
fn blob(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = hex.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |pair: &[u32; 2]| u8::try_from(pair[0] * 16 + pair[1]).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

fn count(event: &Event<'_>, db: &mut Db) -> Result<()> {
    let Count { account, n } = event.json()?;
    db.upsert(&COUNTERS, account)
        .add("events", 1)
        .add("sum", n)
        .max("largest", n)
        .min("smallest", n)
        .set("last", n);
    Ok(())
}

fn sql(event: &Event<'_>, db: &mut Db) -> Result<()> {
    let Sql { id, n } = event.json()?;
    db.upsert(&COUNTERS, &id).add("sum", n);
    db.execute(
        "INSERT INTO sums (id, n) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET n = n + excluded.n",
        (&id, n),
    )?;
    let (mut sum, mut list) = (0i64, Vec::new());
    let rows = db.query("SELECT id, n FROM sums ORDER BY n DESC, id", ())?;
    for row in rows.iter() {
        let (id, n): (&str, i64) = (row.get(0)?, row.get(1)?);
        sum += n;
        list.push(format!("{id}={n}"));
    }
    let own: Option<Option<i64>> = db.query_value("SELECT sum FROM counters WHERE account = ?1", &id)?;
    db.put(&TOTALS, "all", (rows.len(), sum, list.join(","), own.flatten()));
    Ok(())
}

fn caught(event: &Event<'_>, db: &mut Db) -> Result<()> {
    let Caught { which } = event.json()?;
    let answer = match which.as_str() {
        "missing" => db.query("SELECT n FROM missing", ()),
        "overflow" => db.query("SELECT abs(?1)", i64::MIN),
        "pragma" => db.query("PRAGMA user_version = 2", ()),
        other => return Err(event.bad_input(format_args!("{other:?} is none of the statements"))),
    };
    let Err(error) = answer else { return Err(Error::new(Fault::Other, "SQLite has not refused it")) };
    let kind = match error.fault() {
        Fault::BadInput => "bad-input",
        Fault::Sql => "sql",
        Fault::Conflict => "conflict",
        Fault::Unsupported => "unsupported",
        Fault::Other => "other",
    };
    db.put(&CAUGHT, event.offset(), (kind, error.message()));
    Ok(())
}

fn words(event: &Event<'_>, db: &mut Db) -> Result<()> {
    let Words { id, text } = event.json()?;
    let mut counts = HashMap::new();
    for word in text.split(' ') {
        *counts.entry(word).or_insert(0) += 1;
    }
    let mut counts: Vec<(&str, i64)> = counts.into_iter().collect();
    counts.sort_unstable();
    let list: Vec<String> = counts.iter().map(|(word, count)| format!("{word}={count}")).collect();
    // This target has no clock: asking it would be a panic.
    db.put(&WORDS, id, (list.join(","), 1));
    Ok(())
}

fn send(event: &Event<'_>, db: &mut Db) -> Result<()> {
    let Send { id, n, due } = event.json()?;
    let mut command = Command::new("counter", &id, "Add", &Add { n })?;
    if let Some(due) = due {
        command = command.due_ms(due);
    }
    db.send(event, &format!("send/{id}"), command);
    Ok(())
}

fn fail(event: &Event<'_>, db: &mut Db) -> Result<()> {
    let Fail { how } = event.json()?;
    db.upsert(&COUNTERS, "failed").add("events", 1);
    let violate = |db: &mut Db| db.execute("INSERT INTO ones (n) VALUES (?1)", 2);
    match how.as_str() {
        "bad-input" => Err(event.bad_input("refused by the domain")),
        "other" => Err(std::io::Error::other("an ordinary error").into()),
        "unknown" => db.execute("INSERT INTO missing (n) VALUES (1)", ()),
        "late" => violate(db),
        "query" => {
            violate(db)?;
            db.query("SELECT count(*) FROM ones", ()).map(|_| ())
        }
        "crash" => crash(),
        "recursion" => Err(event.bad_input(recurse(0))),
        // This target has none.
        "random" => Err(event.bad_input("random:")),
        other => Err(event.bad_input(format_args!("{other:?} is no way to fail"))),
    }
}

#[allow(clippy::panic, reason = "how a crash arrives is what it is for")]
fn crash() -> Result<()> {
    panic!("boom")
}

#[allow(unconditional_recursion, reason = "what becomes of it is what it is for")]
fn recurse(depth: usize) -> usize {
    depth.to_string().len() + recurse(depth + 1)
}
