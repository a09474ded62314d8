//! Writes few rows over and over and never reads them: its writes coalesce within a batch, and
//! its next batch may run while the last one is being written.

use lantern_sdk::{Db, Envelope, Event, Manifest, Projection, Result, Table};

/// Name and topics. A word with a colon is a label: `state:2` is the state version, `version:7` only makes
/// another file, `drop:KEY` and `double:KEY` make other rows of that key. The tests write other words over these.
static WORDS: &str = concat!(
    "lantern-tests-guest:",
    "tally tally                                       ",
    "                                                  ",
    "                                                  ",
    "                                                  ",
);

static PARTITIONS: Table =
    Table::new("partitions", &["topic", "partition"], &["events", "bytes", "last_offset"]);
static LATEST: Table = Table::new("latest", &["key"], &["events", "value", "state"]);

/// What its words say; made anew for every batch.
struct Tally {
    state: u32,
    dropped: Option<&'static str>,
    doubled: Option<&'static str>,
}

impl Default for Tally {
    fn default() -> Self {
        let state = label("state:").and_then(|state| state.parse().ok()).unwrap_or(1);
        Tally { state, dropped: label("drop:"), doubled: label("double:") }
    }
}

impl Projection for Tally {
    fn manifest() -> Manifest {
        let mut words = words();
        let name = words.next().unwrap_or_default();
        words
            .filter(|word| !word.contains(':'))
            .fold(Manifest::new(name), Manifest::topic)
            .state_version(Tally::default().state)
            .description("The newest value of each key, and how many there were")
            .envelope(Envelope::Topic { event_type: None })
            .schema(
                r#"CREATE TABLE partitions (topic TEXT, "partition" INTEGER, events INTEGER,
                                            bytes INTEGER, last_offset INTEGER,
                                            PRIMARY KEY (topic, "partition"))"#,
            )
            .schema(
                r#"CREATE TABLE latest ("key" BLOB PRIMARY KEY, events INTEGER, value BLOB, state INTEGER)"#,
            )
    }

    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        let bytes = event.payload().map_or(0, <[u8]>::len);
        db.upsert(&PARTITIONS, (event.topic(), event.partition()))
            .add("events", 1)
            .add("bytes", i64::try_from(bytes)?)
            .set("last_offset", event.offset());
        if let Some(key) = event.key() {
            let is = |label: Option<&str>| label.is_some_and(|label| label.as_bytes() == key);
            if !is(self.dropped) {
                db.upsert(&LATEST, key)
                    .add("events", if is(self.doubled) { 2 } else { 1 })
                    .set("value", event.payload())
                    .set("state", i64::from(self.state));
            }
        }
        Ok(())
    }
}

lantern_sdk::projection!(Tally);

fn words() -> impl Iterator<Item = &'static str> {
    // Unknown to the compiler, so that it keeps the literal in one piece.
    let words = std::hint::black_box(WORDS);
    words.split_once(':').map_or("", |(_, words)| words).split_whitespace()
}

fn label(label: &str) -> Option<&'static str> {
    words().find_map(|word| word.strip_prefix(label))
}
