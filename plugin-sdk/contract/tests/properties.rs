//! What is written is what is read, and whatever is read never panics and never takes long.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests: a helper that fails fails the test")]

use lantern_contract::frame::events::{self, Events, NewEvent};
use lantern_contract::frame::ops::{self, Ops};
use lantern_contract::frame::rows::{self, Rows};
use lantern_contract::frame::value::Value;
use lantern_contract::frame::{Error, HEADER_BYTES};
use lantern_contract::manifest::{Envelope, Manifest, Query};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl Owned {
    fn borrow(&self) -> Value<'_> {
        match self {
            Owned::Null => Value::Null,
            Owned::Integer(value) => Value::Integer(*value),
            Owned::Real(value) => Value::Real(*value),
            Owned::Text(value) => Value::Text(value),
            Owned::Blob(value) => Value::Blob(value),
        }
    }
}

fn value() -> impl Strategy<Value = Owned> {
    prop_oneof![
        Just(Owned::Null),
        any::<i64>().prop_map(Owned::Integer),
        proptest::num::f64::ANY
            .prop_filter("NaN is not equal to itself", |x| !x.is_nan())
            .prop_map(Owned::Real),
        any::<String>().prop_map(Owned::Text),
        vec(any::<u8>(), 0..40).prop_map(Owned::Blob),
    ]
}

#[derive(Clone, Debug)]
struct OwnedEvent {
    kind: String,
    topic: String,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl OwnedEvent {
    fn borrow(&self) -> NewEvent<'_> {
        NewEvent {
            kind: &self.kind,
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
        }
    }

    fn headers(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }
}

fn event() -> impl Strategy<Value = OwnedEvent> {
    let bytes = || option::of(vec(any::<u8>(), 0..40));
    // Few names, so that they repeat and the dictionary is used.
    let name = || prop_oneof!["[ab]", any::<String>()];
    (name(), name(), any::<i32>(), any::<i64>(), any::<i64>(), bytes(), bytes(), vec((name(), bytes()), 0..4))
        .prop_map(|(kind, topic, partition, offset, timestamp_ms, key, payload, headers)| OwnedEvent {
            kind,
            topic,
            partition,
            offset,
            timestamp_ms,
            key,
            payload,
            headers,
        })
}

fn write_events(given: &[OwnedEvent]) -> Vec<u8> {
    let mut writer = events::Writer::new();
    for event in given {
        writer.push(event.borrow(), event.headers());
    }
    finished(writer.size_bytes(), |frame| writer.finish(frame))
}

fn write_ops(given: &[(u32, Option<u32>, Vec<Owned>)]) -> Vec<u8> {
    let mut writer = ops::Writer::new();
    for (statement, event, values) in given {
        writer.push(*statement, *event, values.iter().map(Owned::borrow));
    }
    finished(writer.size_bytes(), |frame| writer.finish(frame))
}

fn write_rows(columns: &[String], given: &[Vec<Owned>]) -> Vec<u8> {
    let mut writer = rows::Writer::new();
    for column in columns {
        writer.column(column);
    }
    for row in given {
        writer.push(row.iter().map(Owned::borrow));
    }
    finished(writer.size_bytes(), |frame| writer.finish(frame))
}

/// Finishes a frame, which must have the size that its writer said: batches are bounded by it.
fn finished(size_bytes: usize, finish: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = b"what was there before".to_vec();
    finish(&mut frame);
    assert_eq!(frame.len(), size_bytes);
    frame
}

/// Reads all that a frame may hold, as whichever kind it is; answers how many bytes and items were gone through.
fn drain(frame: &[u8]) -> Result<usize, Error> {
    let mut work = 0;
    if let Ok(events) = Events::parse(frame) {
        for event in events.iter() {
            let event = event?;
            work += 1 + event.key.map_or(0, <[u8]>::len) + event.payload.map_or(0, <[u8]>::len);
            for header in event.headers() {
                work += 1 + header?.1.map_or(0, <[u8]>::len);
            }
        }
    }
    let mut drain_values = |values: lantern_contract::frame::value::Values<'_>| {
        for value in values {
            work += match value? {
                Value::Text(text) => 1 + text.len(),
                Value::Blob(blob) => 1 + blob.len(),
                Value::Null | Value::Integer(_) | Value::Real(_) => 1,
            };
        }
        Ok(())
    };
    if let Ok(ops) = Ops::parse(frame) {
        for op in ops.iter() {
            drain_values(op?.values)?;
        }
    }
    if let Ok(rows) = Rows::parse(frame) {
        for row in rows.iter() {
            drain_values(row?)?;
        }
    }
    Ok(work)
}

/// A frame as it is, with some of its bytes changed, and cut or lengthened.
fn mutated(frame: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()];
    // Most of what can go wrong is in the first hundred bytes: header, dictionary, first items.
    let place = prop_oneof![
        any::<Index>().prop_map(|at| at.index(128)),
        any::<Index>().prop_map(|at| at.index(4096))
    ];
    let cut = option::weighted(0.2, any::<Index>());
    (vec((place, byte), 0..6), cut).prop_map(move |(changes, cut)| {
        let mut frame = frame.clone();
        if let Some(cut) = cut {
            frame.truncate(cut.index(frame.len() + 1));
        }
        let len = frame.len();
        for (at, byte) in changes {
            if len > 0 {
                frame[at % len] = byte;
            }
        }
        frame
    })
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(event(), 0..5).prop_map(|given| write_events(&given)),
        vec((any::<u32>(), option::of(0..9u32), vec(value(), 0..4)), 0..5)
            .prop_map(|given| write_ops(&given)),
        (vec("[ab]", 0..3), vec(vec(value(), 0..4), 0..5))
            .prop_map(|(columns, given)| write_rows(&columns, &given)),
    ]
}

proptest! {
    /// Whatever a record holds must reach the plugin as it was.
    #[test]
    fn events_are_read_as_they_were_written(given in vec(event(), 0..20)) {
        let frame = write_events(&given);
        let read = Events::parse(&frame).unwrap();
        prop_assert_eq!(read.len(), given.len());
        for (index, (event, given)) in read.iter().zip(&given).enumerate() {
            let event = event.unwrap();
            prop_assert_eq!(event.index() as usize, index);
            let found = NewEvent {
                kind: event.kind,
                topic: event.topic,
                partition: event.partition,
                offset: event.offset,
                timestamp_ms: event.timestamp_ms,
                key: event.key,
                payload: event.payload,
            };
            prop_assert_eq!(found, given.borrow());
            prop_assert!(event.headers().map(Result::unwrap).eq(given.headers()));
        }
    }

    /// Whatever a plugin writes must reach the database as it was.
    #[test]
    fn writes_are_read_as_they_were_written(
        given in vec((any::<u32>(), option::of(0..u32::MAX), vec(value(), 0..6)), 0..20),
    ) {
        let frame = write_ops(&given);
        let read: Vec<_> = Ops::parse(&frame).unwrap().iter().map(Result::unwrap).collect();
        prop_assert_eq!(read.len(), given.len());
        for (op, (statement, event, values)) in read.into_iter().zip(&given) {
            prop_assert_eq!((op.statement, op.event), (*statement, *event));
            prop_assert_eq!(op.values.len(), values.len());
            prop_assert!(op.values.map(Result::unwrap).eq(values.iter().map(Owned::borrow)));
        }
    }

    /// Whatever the database holds must reach the plugin as it was.
    #[test]
    fn rows_are_read_as_they_were_written(
        columns in vec("[a-c]", 0..5),
        given in vec(vec(value(), 0..6), 0..20),
    ) {
        let frame = write_rows(&columns, &given);
        let read = Rows::parse(&frame).unwrap();
        let names: Vec<_> = read.columns().map(Result::unwrap).collect();
        prop_assert_eq!(names.len(), columns.len());
        prop_assert!(names.iter().zip(&columns).all(|(name, column)| name.split(':').next() == Some(column)));
        let rows: Vec<_> = read.iter().map(Result::unwrap).collect();
        prop_assert_eq!(rows.len(), given.len());
        for (row, given) in rows.into_iter().zip(&given) {
            prop_assert!(row.map(Result::unwrap).eq(given.iter().map(Owned::borrow)));
        }
    }

    /// A plugin can send anything. The host must not panic on it, and must not do more work than its length warrants.
    #[test]
    fn mutated_frames_are_refused_or_read_in_proportion_to_their_length(
        frame in frames().prop_flat_map(mutated),
    ) {
        if let Ok(work) = drain(&frame) {
            prop_assert!(work <= frame.len(), "{} of {}", work, frame.len());
        }
    }

    /// The same for bytes that were never a frame, behind a header that gets them through the first checks.
    #[test]
    fn arbitrary_bytes_are_refused_or_read_in_proportion_to_their_length(
        kind in 0..5u8,
        lengths in [0..9u32, 0..70u32, 0..9u32, 0..300u32],
        rest in vec(prop_oneof![0..9u8, any::<u8>()], 0..600),
    ) {
        let mut frame = [*b"LTRN", [1, 0, kind, 0]].concat();
        for length in lengths {
            frame.extend_from_slice(&length.to_le_bytes());
        }
        frame.extend_from_slice(&[0; 8]);
        prop_assert_eq!(frame.len(), HEADER_BYTES);
        frame.extend_from_slice(&rest);
        // Half of the cases have a length that fits, or nearly all would end there.
        let stated = HEADER_BYTES + (lengths[2] * 8 + lengths[0] * lengths[1] + lengths[3]) as usize;
        if rest.first().is_some_and(|byte| byte % 2 == 0) {
            frame.resize(stated, 3);
        }
        if let Ok(work) = drain(&frame) {
            prop_assert!(work <= frame.len(), "{} of {}", work, frame.len());
        }
    }

    /// A writer is used again and again: nothing of an earlier frame may be in a later one.
    #[test]
    fn a_writer_starts_over_after_each_frame(first in vec(event(), 0..9), second in vec(event(), 0..9)) {
        let mut writer = events::Writer::new();
        let mut frame = Vec::new();
        for given in [&first, &second] {
            for event in given {
                writer.push(event.borrow(), event.headers());
            }
            writer.finish(&mut frame);
            prop_assert_eq!(&frame, &write_events(given));
        }
    }

    /// A manifest is written by an SDK and read by the host.
    #[test]
    fn a_manifest_is_read_as_it_was_written(
        name in "[a-z][a-z0-9_-]{0,63}",
        texts in [any::<String>(), any::<String>()],
        topics in proptest::collection::btree_set("[a-z]{1,9}", 1..4),
        types in vec(any::<String>(), 0..4),
        headers in option::of(vec(any::<String>(), 0..4)),
        envelope in prop_oneof![
            Just(Envelope::CloudEvents),
            "[a-z]{1,9}".prop_map(|name| Envelope::Header { name }),
            "[a-z]{1,9}".prop_map(|field| Envelope::JsonField { field }),
            option::of(any::<String>()).prop_map(|event_type| Envelope::Topic { event_type }),
        ],
        schema in vec(any::<String>(), 0..4),
        state_version in 1..u32::MAX,
        queries in btree_map(any::<String>(), any::<String>(), 0..3),
        sends in proptest::collection::btree_set("[a-z]{1,9}", 0..3),
    ) {
        let [version, description] = texts;
        let queries = queries
            .into_iter()
            .map(|(name, sql)| (name, Query { description: sql.clone(), sql }))
            .collect();
        let topics = topics.into_iter().collect();
        let sends = sends.into_iter().collect();
        let manifest =
            Manifest { name, version, description, topics, types, headers, envelope, schema, state_version, queries, sends };
        prop_assert_eq!(Manifest::parse(&manifest.to_json()).unwrap(), manifest);
    }

    /// What `describe` answers is a plugin's own text.
    #[test]
    fn no_text_makes_the_manifest_panic(text in any::<String>()) {
        let _ = Manifest::parse(&text);
    }
}

/// An error must say what is wrong in words, and what would be right.
#[test]
fn a_manifest_that_cannot_be_is_refused_by_the_name_of_its_field() {
    let check = |json: &str, expected: &str| {
        let error = Manifest::parse(json).unwrap_err().to_string();
        assert_eq!(error, expected);
    };
    check(
        r#"{"name":"Orders","topics":["shop"]}"#,
        "the manifest's `name` is \"Orders\": use lower-case letters, digits, '-' and '_', starting with a letter, \
         at most 64",
    );
    check(r#"{"name":"o","topics":[]}"#, "the manifest's `topics` is empty: name at least one topic to read");
    check(
        r#"{"name":"o","topics":["a","a"]}"#,
        "the manifest's `topics` has \"a\" twice or empty: name each topic once",
    );
    check(
        r#"{"name":"o","topics":["a"],"state_version":0}"#,
        "the manifest's `state_version` is 0: versions start at 1",
    );
    check(
        r#"{"name":"o","topics":["a"],"envelope":{"kind":"json-field","field":"a..b"}}"#,
        "the manifest's `envelope` names an empty header or field: say where the type stands",
    );
    check(
        r#"{"name":"o","topics":["a"],"tpyes":[]}"#,
        "the manifest is not as expected: unknown field `tpyes`, expected one of `name`, `version`, `description`, \
         `topics`, `types`, `headers`, `envelope`, `schema`, `state_version`, `queries`, `sends` at line 1 column 34",
    );
    check(
        r#"{"name":"o","topics":["a"],"sends":["account","account"]}"#,
        "the manifest's `sends` has \"account\": name each type of aggregate once",
    );
}

/// A command handler's manifest has a field that would be passed over: its author is told.
#[test]
fn a_command_handler_that_asks_for_a_projections_things_is_refused() {
    let parse = |json: &str| Manifest::parse(json).unwrap().check_handler();
    parse(r#"{"name":"account","topics":["accounts"]}"#).unwrap();
    parse(r#"{"name":"account","topics":["accounts"],"headers":[],"state_version":3}"#).unwrap();
    let check = |more: &str, field: &str| {
        let error = parse(&format!(r#"{{"name":"account",{more}}}"#)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the manifest's `{field}` ")), "{error}");
    };
    let one = r#""topics":["accounts"]"#;
    check(r#""topics":["a","b"]"#, "topics");
    check(r#""topics":["accounts.decisions"]"#, "topics");
    check(&format!(r#""topics":["{}"]"#, "a".repeat(240)), "topics");
    check(&format!(r#"{one},"schema":["CREATE TABLE t (x)"]"#), "schema");
    check(&format!(r#"{one},"queries":{{"q":{{"sql":"SELECT 1"}}}}"#), "queries");
    check(&format!(r#"{one},"types":["A"]"#), "types");
    check(&format!(r#"{one},"headers":["h"]"#), "headers");
    check(&format!(r#"{one},"sends":["other"]"#), "sends");
    check(&format!(r#"{one},"envelope":{{"kind":"topic"}}"#), "envelope");
}
