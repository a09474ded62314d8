//! Writes every event down in the order of application, and folds what it reads back.
//!
//! What it leaves shows an event that was lost, applied twice, or out of order. It keeps no
//! constraint that could hide one: an event applied twice is two rows.

mod fault;

use lantern_sdk::{Db, Envelope, Event, Manifest, Projection, Result};
use std::collections::HashSet;

/// Name, topics, and what is odd about this one: `faulty` if events may order a fault, `forgetful` if it counts in its
/// memory instead of its tables, `hashed` if it takes the types in the order of a hash map, `marking` if it marks the types. A word with a colon is a label: `state:2` is the
/// state version, `reads:x` a type that it reads, without any it reads all, `version:7` only makes another file. The tests write other words over these.
static WORDS: &str = concat!(
    "lantern-tests-guest:",
    "ledger ledger                                     ",
    "                                                  ",
    "                                                  ",
    "                                                  ",
);

/// The prime that folds are taken modulo, small enough that no product overflows.
const PRIME: i64 = 1_000_000_007;

#[derive(Default)]
struct Ledger {
    /// How many events this instance was given: gone with it.
    remembered: i64,
    /// Some types, in whatever order.
    hashed: HashSet<&'static str>,
}

const TYPES: [&str; 8] = ["one", "two", "three", "four", "five", "six", "seven", "eight"];

impl Projection for Ledger {
    fn manifest() -> Manifest {
        let mut words = words();
        let name = words.next().unwrap_or_default();
        words
            .filter(|word| {
                !["faulty", "forgetful", "hashed", "marking"].contains(word) && !word.contains(':')
            })
            .fold(Manifest::new(name), Manifest::topic)
            .state_version(state_version())
            .types(self::words().filter_map(|word| word.strip_prefix("reads:")))
            .description("Every event in the order of application")
            .envelope(Envelope::Topic { event_type: None })
            .schema(
                r#"CREATE TABLE entries (seq INTEGER, topic TEXT, "partition" INTEGER, "offset" INTEGER,
                                         type TEXT, "key" BLOB, value BLOB)"#,
            )
            .schema(r#"CREATE TABLE accounts ("key" BLOB PRIMARY KEY, events INTEGER, fold INTEGER)"#)
            .schema(
                "CREATE TABLE total (one INTEGER PRIMARY KEY, events INTEGER, fold INTEGER, state INTEGER)",
            )
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        if is("faulty") {
            fault::ordered_by(event, db)?;
        }
        self.remembered += 1;
        if is("hashed") {
            self.hashed.extend(TYPES);
        }
        let first = self.hashed.iter().next().copied();
        let digest = digest(event.payload().unwrap_or_default());
        let (events, fold) = next(db.query("SELECT events, fold FROM total", ())?.first(), digest)?;
        db.execute(
            "INSERT INTO total VALUES (1, ?, ?, ?)
             ON CONFLICT DO UPDATE SET events = excluded.events, fold = excluded.fold, state = excluded.state",
            (events, fold, i64::from(state_version())),
        )?;
        db.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                if is("forgetful") { self.remembered } else { events },
                event.topic(),
                event.partition(),
                event.offset(),
                if is("marking") { "marked" } else { first.unwrap_or(event.kind()) },
                event.key(),
                event.payload(),
            ),
        )?;
        if let Some(key) = event.key() {
            let account = db.query(r#"SELECT events, fold FROM accounts WHERE "key" = ?"#, (key,))?;
            let (events, fold) = next(account.first(), digest)?;
            db.execute(
                "INSERT INTO accounts VALUES (?, ?, ?)
                 ON CONFLICT DO UPDATE SET events = excluded.events, fold = excluded.fold",
                (key, events, fold),
            )?;
        }
        Ok(())
    }
}

lantern_sdk::projection!(Ledger);

fn words() -> impl Iterator<Item = &'static str> {
    // Unknown to the compiler, so that it keeps the literal in one piece.
    let words = std::hint::black_box(WORDS);
    words.split_once(':').map_or("", |(_, words)| words).split_whitespace()
}

fn is(odd: &str) -> bool {
    words().any(|word| word == odd)
}

/// Stands in a row, so that a reader can tell which generation the row is of.
fn state_version() -> u32 {
    words().find_map(|word| word.strip_prefix("state:")?.parse().ok()).unwrap_or(1)
}

/// The count and fold after one more event.
fn next(row: Option<lantern_sdk::Row<'_>>, digest: u32) -> Result<(i64, i64)> {
    let (events, fold) = match row {
        Some(row) => (row.get::<i64>(0)?, row.get::<i64>(1)?),
        None => (0, 0),
    };
    Ok((events + 1, (fold * 31 + i64::from(digest)) % PRIME))
}

/// FNV-1a, 32 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn digest(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |digest, byte| (digest ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
