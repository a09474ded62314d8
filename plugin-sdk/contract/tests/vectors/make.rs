//! The vectors: frames that the writers give, and mutilations of them.

use super::{read, to_hex};
use lantern_contract::frame::events::{self, NewEvent};
use lantern_contract::frame::value::Value;
use lantern_contract::frame::{HEADER_BYTES, NONE, ops, rows};
use serde_json::{Value as Json, json};

/// All vectors of a kind.
pub fn vectors(kind: &'static str) -> Vec<Json> {
    let mut made = Made { kind, vectors: Vec::new() };
    match kind {
        "events" => events_vectors(&mut made),
        "ops" => ops_vectors(&mut made),
        _ => rows_vectors(&mut made),
    }
    made.vectors
}

struct Made {
    kind: &'static str,
    vectors: Vec<Json>,
}

impl Made {
    fn written(&mut self, name: &str, frame: &[u8]) {
        let meaning = read::frame(self.kind, frame).unwrap();
        self.vectors
            .push(json!({ "name": name, "frame": to_hex(frame), "meaning": meaning, "written": true }));
    }

    fn read(&mut self, name: &str, frame: &[u8]) {
        let meaning = read::frame(self.kind, frame).unwrap();
        self.vectors.push(json!({ "name": name, "frame": to_hex(frame), "meaning": meaning }));
    }

    fn refused(&mut self, name: &str, frame: &[u8], error: &str) {
        let found = read::frame(self.kind, frame).expect_err(name);
        assert_eq!(read::name(&found), error, "{name}: {found}");
        self.vectors.push(json!({ "name": name, "frame": to_hex(frame), "error": error }));
    }

    /// What every kind refuses of a frame, `sample`, that has items.
    fn refused_headers(&mut self, sample: &[u8]) {
        let stride = u32_at(sample, 12);
        self.refused("no bytes at all", &[], "short");
        self.refused("a header cut short", &sample[..HEADER_BYTES - 1], "short");
        self.refused("another magic", &with(sample, 0, b"lTRN"), "magic");
        self.refused("layout version 0", &with(sample, 4, &[0, 0]), "version");
        self.refused("a newer layout version", &with(sample, 4, &[2, 0]), "version");
        self.refused("kind 0", &with(sample, 6, &[0, 0]), "kind");
        self.refused("an unknown kind", &with(sample, 6, &[9, 0]), "kind");
        self.refused("a stride that is too small", &with_u32(sample, 12, stride - 1), "stride");
        self.refused("a stride of 0", &with_u32(sample, 12, 0), "stride");
        self.refused("a byte too few", &sample[..sample.len() - 1], "length");
        self.refused("a byte too many", &[sample, &[0]].concat(), "length");
        self.refused("more items than bytes", &with_u32(sample, 8, NONE), "length");
        self.refused("a larger dictionary than the frame", &with_u32(sample, 16, NONE), "length");
        self.refused("a larger arena than the frame", &with_u32(sample, 20, NONE), "length");
        let largest = [8, 12, 16, 20].iter().fold(sample.to_vec(), |frame, &at| with_u32(&frame, at, NONE));
        self.refused("every length the largest", &largest, "length");
    }
}

fn u32_at(frame: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(frame[at..at + 4].try_into().unwrap())
}

/// The frame with other bytes at a place.
fn with(frame: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

fn with_u32(frame: &[u8], at: usize, value: u32) -> Vec<u8> {
    with(frame, at, &value.to_le_bytes())
}

/// Where a part of a frame begins.
fn index_at(frame: &[u8]) -> usize {
    HEADER_BYTES + u32_at(frame, 16) as usize * 8
}

fn arena_at(frame: &[u8]) -> usize {
    frame.len() - u32_at(frame, 20) as usize
}

/// The frame with a stride that is larger by eight, as a later writer may have it.
fn widened(frame: &[u8]) -> Vec<u8> {
    let stride = u32_at(frame, 12);
    let (index, arena) = (index_at(frame), arena_at(frame));
    let mut wide = with_u32(&frame[..index], 12, stride + 8);
    for item in frame[index..arena].chunks(stride as usize) {
        wide.extend_from_slice(item);
        wide.extend_from_slice(b"later on");
    }
    wide.extend_from_slice(&frame[arena..]);
    wide
}

const PLACED: NewEvent<'_> = NewEvent {
    kind: "OrderPlaced",
    topic: "shop",
    partition: 3,
    offset: 42,
    timestamp_ms: 1_767_225_600_000,
    key: Some(b"o-17"),
    payload: Some(br#"{"order_id":"o-17"}"#),
};

/// Where an item has the position of its headers; behind it, how many there are.
const HEADERS: usize = 44;

/// Where an event's item is, where its headers are in the frame, and how many bytes they have; events without headers are left out.
fn header_blocks(frame: &[u8]) -> Vec<(usize, usize, usize)> {
    (0..u32_at(frame, 8) as usize)
        .map(|nth| index_at(frame) + nth * events::STRIDE as usize)
        .map(|item| {
            (item, u32_at(frame, item + HEADERS) as usize, u32_at(frame, item + HEADERS + 4) as usize * 12)
        })
        .filter(|(.., bytes)| *bytes > 0)
        .map(|(item, pos, bytes)| (item, arena_at(frame) + pos, bytes))
        .collect()
}

/// The frame with its headers copied to where no word begins, and more behind them.
fn moved_headers(frame: &[u8]) -> Vec<u8> {
    let (arena, mut moved) = (arena_at(frame), frame.to_vec());
    for (item, at, bytes) in header_blocks(frame) {
        moved.push(0xee);
        let pos = (moved.len() - arena) as u32;
        moved.extend_from_slice(&frame[at..at + bytes]);
        moved = with_u32(&moved, item + HEADERS, pos);
    }
    moved.extend_from_slice(b"more");
    let arena_bytes = (moved.len() - arena) as u32;
    with_u32(&moved, 20, arena_bytes)
}

/// The frame with the headers of its first and its last event, which are as many, in each other's places.
fn swapped_headers(frame: &[u8]) -> Vec<u8> {
    let blocks = header_blocks(frame);
    let ((first, first_at, bytes), (last, last_at, last_bytes)) = (blocks[0], blocks[blocks.len() - 1]);
    assert_eq!(bytes, last_bytes);
    let swapped = with(frame, first_at, &frame[last_at..last_at + bytes]);
    let swapped = with(&swapped, last_at, &frame[first_at..first_at + bytes]);
    let (first_pos, last_pos) = (u32_at(frame, first + HEADERS), u32_at(frame, last + HEADERS));
    with_u32(&with_u32(&swapped, first + HEADERS, last_pos), last + HEADERS, first_pos)
}

/// A header's name and value.
type Header<'a> = (&'a str, Option<&'a [u8]>);

fn events_vectors(made: &mut Made) {
    let frame = |events: &[(NewEvent<'_>, &[Header<'_>])]| {
        let mut writer = events::Writer::new();
        for (event, headers) in events {
            writer.push(*event, headers.iter().copied());
        }
        let mut frame = Vec::new();
        writer.finish(&mut frame);
        frame
    };
    let one = frame(&[(PLACED, &[])]);
    let headers: &[Header<'_>] =
        &[("ce_id", Some(b"1")), ("trace", Some(b"")), ("trace", None), ("ce_id", Some(&[0xff, 0]))];
    let with_headers = frame(&[(PLACED, headers)]);

    made.written("no events", &frame(&[]));
    made.written("one event", &one);
    made.written("headers repeat, are empty, have no value, are not text", &with_headers);
    let tombstone = NewEvent { payload: None, ..PLACED };
    let bare = NewEvent { key: None, payload: Some(b""), ..PLACED };
    let empty = NewEvent { kind: "", topic: "", key: Some(b""), ..PLACED };
    made.written(
        "a tombstone, no key and no bytes, empty texts",
        &frame(&[(tombstone, &[]), (bare, &[]), (empty, &[])]),
    );
    let least = NewEvent { partition: i32::MIN, offset: i64::MIN, timestamp_ms: -1, ..PLACED };
    let largest = NewEvent { partition: i32::MAX, offset: i64::MAX, timestamp_ms: i64::MAX, ..PLACED };
    let exact = NewEvent { offset: (1 << 53) + 1, ..PLACED };
    made.written(
        "the least and the largest numbers, and one above 2^53",
        &frame(&[(least, &[]), (largest, &[]), (exact, &[])]),
    );
    let other = NewEvent { kind: "Größe geändert \u{1f4e6}", topic: "other.topic-1", ..PLACED };
    made.written(
        "several topics and types, beyond ASCII",
        &frame(&[(PLACED, &[]), (other, headers), (PLACED, headers)]),
    );
    made.read(
        "a later writer's wider items are skipped over",
        &widened(&frame(&[(PLACED, headers), (bare, &[])])),
    );
    let others: &[Header<'_>] =
        &[("ce_id", Some(b"2")), ("other", Some(b"text")), ("trace", None), ("trace", Some(b""))];
    let several = frame(&[(PLACED, headers), (tombstone, &[]), (other, others)]);
    made.read("headers that are neither at the end nor aligned", &moved_headers(&several));
    made.read("headers in another order than their events", &swapped_headers(&several));
    let headers_pos = u32_at(&several, index_at(&several) + HEADERS);
    made.read(
        "a payload that reaches into headers",
        &with_u32(&with_u32(&several, index_at(&several) + 36, headers_pos - 3), index_at(&several) + 40, 7),
    );
    made.read("reserved bytes are not read", &with(&with_u32(&one, index_at(&one) + 52, 7), 24, b"reserved"));

    made.refused_headers(&one);
    let (item, dictionary, arena) = (index_at(&one), HEADER_BYTES, arena_at(&one));
    made.refused("a text outside of the arena", &with_u32(&one, dictionary, 9_999), "bounds");
    made.refused(
        "a text whose end overflows",
        &with_u32(&with_u32(&one, dictionary, 8), dictionary + 4, NONE),
        "bounds",
    );
    made.refused("a text that is not UTF-8", &with(&one, arena, &[0xff]), "utf8");
    let shared = [0, 8].iter().fold(one.clone(), |frame, at| {
        let whole = u32_at(&frame, 20);
        with_u32(&with_u32(&frame, dictionary + at, 0), dictionary + at + 4, whole)
    });
    made.refused("texts that share bytes", &shared, "bounds");
    made.refused("an unknown topic", &with_u32(&one, item + 16, 2), "bounds");
    made.refused("an unknown type", &with_u32(&one, item + 24, NONE), "bounds");
    made.refused("a key outside of the arena", &with_u32(&one, item + 28, 9_999), "bounds");
    made.refused("a key whose end overflows", &with_u32(&one, item + 32, NONE - 1), "bounds");
    made.refused("a payload outside of the arena", &with_u32(&one, item + 36, 9_999), "bounds");
    made.refused("headers outside of the arena", &with_u32(&one, item + 48, 1), "bounds");
    let (with_item, headers_at, _) = header_blocks(&with_headers)[0];
    made.refused(
        "headers at the last position",
        &with_u32(&with_headers, with_item + HEADERS, NONE),
        "bounds",
    );
    made.refused("more headers than a position can count", &with_u32(&one, item + 48, NONE), "bounds");
    made.refused("a header's name that is unknown", &with_u32(&with_headers, headers_at, 99), "bounds");
    made.refused("a header outside of the arena", &with_u32(&with_headers, headers_at + 4, 9_999), "bounds");
    let two = frame(&[(PLACED, &[]), (PLACED, &[])]);
    let whole = u32_at(&two, 20);
    let both = [0, 56].iter().fold(two.clone(), |frame, at| {
        let payload = index_at(&two) + at + 36;
        with_u32(&with_u32(&frame, payload, 0), payload + 4, whole)
    });
    made.refused("events that share bytes", &both, "bounds");
}

fn ops_vectors(made: &mut Made) {
    let frame = |ops: &[(u32, Option<u32>, &[Value<'_>])]| {
        let mut writer = ops::Writer::new();
        for (statement, event, values) in ops {
            writer.push(*statement, *event, values.iter().copied());
        }
        let mut frame = Vec::new();
        writer.finish(&mut frame);
        frame
    };
    let one = frame(&[(7, Some(0), &[Value::Text("o-17"), Value::Integer(900)])]);
    let two = frame(&[(0, Some(0), &[Value::Text("ab")]), (1, Some(1), &[Value::Integer(1), Value::Null])]);
    let (item, arena) = (index_at(&one), arena_at(&one));

    made.written("no writes", &frame(&[]));
    made.written("one write", &one);
    made.written("no values, no event", &frame(&[(0, None, &[]), (NONE - 1, Some(NONE - 1), &[])]));
    made.written("every kind of value, at its borders", &frame(&[(1, Some(2), &borders())]));
    made.written(
        "writes keep their order",
        &frame(&[(2, Some(0), &[Value::Null]), (1, Some(0), &[]), (2, Some(1), &[])]),
    );
    made.read("a later writer's wider items are skipped over", &widened(&two));
    let gap = with_u32(&two, index_at(&two) + 16 + 8, u32_at(&two, index_at(&two) + 16 + 8) + 9);
    made.read("bytes between values that nothing names", &with_u32(&gap, index_at(&two) + 16 + 12, 1));

    made.refused_headers(&one);
    made.refused("values outside of the arena", &with_u32(&one, item + 8, 9_999), "bounds");
    made.refused("more values than bytes", &with_u32(&one, item + 12, NONE), "bounds");
    made.refused("more values than there are", &with_u32(&one, item + 12, 3), "bounds");
    made.refused("an unknown tag", &with(&one, arena, &[5]), "tag");
    made.refused("a text that is not UTF-8", &with(&one, arena + 5, &[0xff]), "utf8");
    made.refused("a text that is longer than the arena", &with_u32(&one, arena + 1, 99), "bounds");
    made.refused("a text whose end overflows", &with_u32(&one, arena + 1, NONE), "bounds");
    made.refused("an integer cut short", &frame_cut(&one), "bounds");
    made.refused(
        "values that end behind where the next begin",
        &with_u32(&two, index_at(&two) + 12, 2),
        "bounds",
    );
    made.refused("values that are not in the items' order", &with_u32(&two, index_at(&two) + 8, 9), "bounds");
    made.refused(
        "values of two items that share bytes",
        &with_u32(&two, index_at(&two) + 16 + 8, 0),
        "bounds",
    );
}

/// The frame without the arena's last byte, its header told so.
fn frame_cut(frame: &[u8]) -> Vec<u8> {
    with_u32(&frame[..frame.len() - 1], 20, u32_at(frame, 20) - 1)
}

fn borders() -> [Value<'static>; 18] {
    [
        Value::Null,
        Value::Integer(0),
        Value::Integer(-1),
        Value::Integer(i64::MIN),
        Value::Integer(i64::MAX),
        Value::Integer((1 << 53) + 1),
        Value::Real(0.0),
        Value::Real(-0.0),
        Value::Real(0.1),
        Value::Real(f64::MAX),
        Value::Real(f64::MIN_POSITIVE / 2.0),
        Value::Real(f64::NEG_INFINITY),
        Value::Text(""),
        Value::Text("a\0b"),
        Value::Text("Größe \u{1f4e6} \u{10ffff}"),
        Value::Blob(&[]),
        Value::Blob(&[0]),
        Value::Blob(&[0xff, 0xfe, 0x80]),
    ]
}

fn rows_vectors(made: &mut Made) {
    let frame = |columns: &[&str], rows: &[&[Value<'_>]]| {
        let mut writer = rows::Writer::new();
        for column in columns {
            writer.column(column);
        }
        for row in rows {
            writer.push(row.iter().copied());
        }
        let mut frame = Vec::new();
        writer.finish(&mut frame);
        frame
    };
    let one = frame(&["id", "name"], &[&[Value::Integer(1), Value::Text("Ada")]]);

    made.written("no rows and no columns", &frame(&[], &[]));
    made.written("columns without rows", &frame(&["id", "name"], &[]));
    made.written(
        "parameters: a row without names",
        &frame(&[], &[&[Value::Text("o-17"), Value::Integer(-1)]]),
    );
    made.written("no parameters", &frame(&[], &[&[]]));
    made.written(
        "two rows",
        &frame(&["id", "name"], &[&[Value::Integer(1), Value::Null], &[Value::Integer(2), Value::Text("b")]]),
    );
    made.written(
        "columns of one name",
        &frame(&["n", "n", "n"], &[&[Value::Null, Value::Null, Value::Null]]),
    );
    made.written("every kind of value, at its borders", &frame(&[], &[&borders()]));
    made.read("a later writer's wider items are skipped over", &widened(&one));

    made.refused_headers(&one);
    let item = index_at(&one);
    made.refused("a column's name that is not UTF-8", &with(&one, arena_at(&one), &[0xff]), "utf8");
    made.refused("a column's name outside of the arena", &with_u32(&one, HEADER_BYTES, 9_999), "bounds");
    made.refused("values outside of the arena", &with_u32(&one, item, 9_999), "bounds");
    made.refused("more values than there are", &with_u32(&one, item + 4, 3), "bounds");
    made.refused("an unknown tag", &with(&one, arena_at(&one) + 6, &[0xff]), "tag");
}
