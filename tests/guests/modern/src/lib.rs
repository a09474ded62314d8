//! Marks old events, so that it shows in the rows what went through which upcaster.

use lantern_sdk::{Envelope, Event, Manifest, Result, Upcast, Upcaster};
use serde::{Deserialize, Serialize};

/// Name and topics. A word with a colon is a label: `of:x` is an old type, without any they are the topics' names; `to:x` is
/// the new type, `today` without it; `mark:x` is put before the data; `state:2` is the state version, `version:7` only
/// makes another file. `odd:fails` and `odd:traps` say what it does at data that ends with `odd`. With `times:100` it is
/// for CloudEvents of accounts instead, and multiplies deposits. The tests write other words over these.
static WORDS: &str = concat!(
    "lantern-tests-guest:",
    "modern modern                                     ",
    "                                                  ",
    "                                                  ",
    "                                                  ",
);

/// An account's events, as they were written.
#[derive(Deserialize)]
enum Old {
    Deposited { cents: i64, by: String },
}

/// The same as they are today.
#[derive(Serialize)]
enum New {
    Deposited { cents: i64, by: String },
}

struct Modern;

impl Upcaster for Modern {
    type Old = Old;
    type New = New;

    fn manifest() -> Manifest {
        let mut all = words();
        let name = all.next().unwrap_or_default();
        let topics: Vec<&str> = all.filter(|word| !word.contains(':')).collect();
        let old: Vec<&str> = labels("of:").collect();
        let state = labels("state:").find_map(|version| version.parse().ok()).unwrap_or(1);
        let manifest = topics.iter().fold(Manifest::new(name), |manifest, topic| manifest.topic(*topic));
        let manifest = manifest.types(if old.is_empty() { topics } else { old }).state_version(state);
        match times() {
            Some(_) => manifest,
            None => manifest.envelope(Envelope::Topic { event_type: None }),
        }
    }

    fn upcast(old: Old, _: &Event<'_>) -> Result<New> {
        let Old::Deposited { cents, by } = old;
        Ok(New::Deposited { cents: cents * times().unwrap_or(1), by })
    }

    #[allow(clippy::panic, reason = "how a trap arrives is what it is for")]
    fn upcast_raw(event: &Event<'_>) -> Result<Upcast> {
        if times().is_some() {
            return Upcast::of(&Self::upcast(event.decode()?, event)?);
        }
        let kind = labels("to:").next().unwrap_or("today");
        let Some(data) = event.payload() else { return Ok(Upcast::tombstone(kind)) };
        if data.ends_with(b"odd") {
            match labels("odd:").next() {
                Some("fails") => return Err(event.bad_input("it is too odd")),
                Some("traps") => panic!("it is too odd"),
                _ => {}
            }
        }
        let mark = labels("mark:").next().unwrap_or_default().as_bytes();
        Ok(Upcast::new(kind, [mark, data].concat()))
    }
}

lantern_sdk::upcaster!(Modern);

fn words() -> impl Iterator<Item = &'static str> {
    // Unknown to the compiler, so that it keeps the literal in one piece.
    let words = std::hint::black_box(WORDS);
    words.split_once(':').map_or("", |(_, words)| words).split_whitespace()
}

fn labels(name: &str) -> impl Iterator<Item = &'static str> {
    words().filter_map(move |word| word.strip_prefix(name))
}

fn times() -> Option<i64> {
    labels("times:").find_map(|times| times.parse().ok())
}
