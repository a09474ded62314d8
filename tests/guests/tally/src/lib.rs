//! Writes few rows over and over and never reads them: its writes coalesce within a batch, and
//! its next batch may run while the last one is being written.

use lantern_sdk::{Db, Envelope, Event, Manifest, Projection, Result, Table};

/// Name and topics. The tests write other words over these.
static WORDS: &str = concat!(
    "lantern-tests-guest:",
    "tally tally                                       ",
    "                                                  ",
    "                                                  ",
    "                                                  ",
);

static PARTITIONS: Table =
    Table::new("partitions", &["topic", "partition"], &["events", "bytes", "last_offset"]);
static LATEST: Table = Table::new("latest", &["key"], &["events", "value"]);

#[derive(Default)]
struct Tally;

impl Projection for Tally {
    fn manifest() -> Manifest {
        // Unknown to the compiler, so that it keeps the literal in one piece.
        let words = std::hint::black_box(WORDS).split_once(':').map_or("", |(_, words)| words);
        let mut words = words.split_whitespace();
        let name = words.next().unwrap_or_default();
        words
            .fold(Manifest::new(name), Manifest::topic)
            .description("The newest value of each key, and how many there were")
            .envelope(Envelope::Topic { event_type: None })
            .schema(
                r#"CREATE TABLE partitions (topic TEXT, "partition" INTEGER, events INTEGER,
                                            bytes INTEGER, last_offset INTEGER,
                                            PRIMARY KEY (topic, "partition"))"#,
            )
            .schema(r#"CREATE TABLE latest ("key" BLOB PRIMARY KEY, events INTEGER, value BLOB)"#)
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        let bytes = event.payload().map_or(0, <[u8]>::len);
        db.upsert(&PARTITIONS, (event.topic(), event.partition()))
            .add("events", 1)
            .add("bytes", i64::try_from(bytes)?)
            .set("last_offset", event.offset());
        if let Some(key) = event.key() {
            db.upsert(&LATEST, key).add("events", 1).set("value", event.payload());
        }
        Ok(())
    }
}

lantern_sdk::projection!(Tally);
