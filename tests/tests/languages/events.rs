//! The events that every language is given.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

/// A record; its offset is its place.
#[derive(Clone, Debug)]
pub struct Record {
    pub kind: &'static str,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    /// Headers beside the type's; one may have no value.
    pub headers: Vec<(&'static str, Option<Vec<u8>>)>,
    pub timestamp_ms: i64,
}

/// Nearly as large as a record may be where nobody has said otherwise.
const HUGE_BYTES: usize = 900_000;
/// Of a text in JSON, with escapes, that is as large.
const HUGE_TEXTS: usize = 25_000;
/// Which of the events with values has it.
const HUGE_AT: usize = 40;
const ROW_EVENTS: usize = 3_000;

pub fn record(kind: &'static str, payload: Option<Vec<u8>>) -> Record {
    Record { kind, key: None, payload, headers: Vec::new(), timestamp_ms: 1_700_000_000_000 }
}

pub fn json(kind: &'static str, data: &str) -> Record {
    record(kind, Some(data.as_bytes().to_vec()))
}

/// Every event that is to be applied, in order.
pub fn all(seed: u64) -> Vec<Record> {
    let mut all = records();
    all.extend(values());
    all.extend(counts());
    let mut random = StdRng::seed_from_u64(seed);
    all.extend((0..ROW_EVENTS).map(|_| row(&mut random)));
    all.extend(statements());
    all.extend(words());
    all.extend(sent());
    all.push(json("Log", r#"{"text":"logged 𝄞\n%s {}"}"#));
    // What no plugin knows is passed over, whatever it holds.
    all.extend([json("Unknown", "{not JSON"), record("Unknown", None)]);
    all
}

fn records() -> Vec<Record> {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let payloads = [
        None,
        Some(Vec::new()),
        Some(all_bytes.clone()),
        Some(vec![0]),
        Some("zażółć 𝄞 👩‍🚀".as_bytes().to_vec()),
        Some((0..HUGE_BYTES).map(|at| (at * 31 % 251) as u8).collect()),
    ];
    let keys =
        [None, Some(Vec::new()), Some(b"key".to_vec()), Some(all_bytes.clone()), Some(vec![0xff, 0xfe])];
    let traces = [None, Some(None), Some(Some(Vec::new())), Some(Some(all_bytes))];
    // 0 would be the moment of sending: so librdkafka has it.
    let times = [2, 1, 1_700_000_000_123, 253_402_300_799_999];
    (0..30)
        .map(|at| Record {
            kind: "Record",
            key: keys[at % keys.len()].clone(),
            payload: payloads[at % payloads.len()].clone(),
            headers: traces[at % traces.len()].iter().map(|trace| ("trace", trace.clone())).collect(),
            timestamp_ms: times[at % times.len()],
        })
        .collect()
}

fn values() -> Vec<Record> {
    let integers = [
        "0",
        "-1",
        "9007199254740991",
        "9007199254740993",
        "-9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "null",
    ];
    let reals = [
        "0",
        "1",
        "-0.0",
        "0.1",
        "-1.5",
        "1e21",
        "5e-324",
        "2.2250738585072011e-308",
        "1.7976931348623157e308",
        "123456789012345680",
        "0.30000000000000004",
        "1E-7",
        "null",
    ];
    let bits = [
        "0000000000000000",
        "8000000000000000",
        "7ff0000000000000",
        "fff0000000000000",
        "0000000000000001",
        "000fffffffffffff",
        "7fefffffffffffff",
        "7ff8000000000000",
        "fff8000000000001",
        "3FF0000000000000",
    ];
    let texts = [
        r#""""#,
        r#""plain""#,
        r#""zażółć""#,
        r#""𝄞 👩‍🚀""#,
        r#""\ud834\udd1e \u00e9 \/ \\ \" \b\f\n\r\t""#,
        r#""NFC é, NFD é""#,
        r#""﻿BOM and \u2028""#,
        "null",
    ];
    let huge = format!("\"{}\"", r#"zażółć 𝄞 \n\u00e9 \""#.repeat(HUGE_TEXTS));
    let blobs = [r#""""#, r#""00""#, r#""00ff7F80""#, r#""deadBEEF""#, "null"];
    (0..80)
        .map(|at| {
            let data = format!(
                r#" {{ "unknown": [1, {{"deep": null}}, true], "id": "v-{at}", "i": {}, "r": {}, "bits": {}, "t": {}, "b": {} }} "#,
                integers[at % integers.len()],
                reals[at % reals.len()],
                if at % 11 == 10 { "null".to_owned() } else { format!("\"{}\"", bits[at % bits.len()]) },
                if at == HUGE_AT { &huge } else { texts[at % texts.len()] },
                blobs[at % blobs.len()],
            );
            json("Values", &data)
        })
        .collect()
}

fn counts() -> Vec<Record> {
    let mut all: Vec<Record> = (0..200)
        .map(|at: i64| {
            json("Count", &json!({ "account": format!("a-{}", at % 7), "n": at * at - 5_000 }).to_string())
        })
        .collect();
    for n in ["9223372036854775807", "-9223372036854775808", "9007199254740993", "-1", "0"] {
        all.push(json("Count", &format!(r#"{{"account":"extremes","n":{n}}}"#)));
    }
    all.push(json("Count", r#"{"account":"𝄞'\";--","n":1}"#));
    all
}

/// Operations on few rows, so that what is gathered of one is changed again and again.
fn row(random: &mut StdRng) -> Record {
    let count = random.random_range(1..8);
    let ops: Vec<String> = (0..count).map(|_| operation(random)).collect();
    let id = ["r", "s", "t", "ü 𝄞"][random.random_range(0..4)];
    json("Row", &json!({ "id": id, "ops": ops.join(";") }).to_string())
}

fn operation(random: &mut StdRng) -> String {
    let n = match random.random_range(0..8) {
        0 => random.random_range(-4_611_686_018_427_387_904..4_611_686_018_427_387_904_i64) / 4_000,
        _ => random.random_range(-9..10),
    };
    match random.random_range(0..15) {
        0 => format!("put {n}"),
        1 | 2 => format!("add {n}"),
        3 => format!("max {n}"),
        4 => format!("min {n}"),
        5 => format!("set {n}"),
        6 => "null".to_owned(),
        7 => format!("note text {n}"),
        8 => "touch".to_owned(),
        9 => format!("uset {n}"),
        10 => format!("uadd {n}"),
        11 | 12 => "delete".to_owned(),
        _ => "get".to_owned(),
    }
}

fn statements() -> Vec<Record> {
    let mut all = Vec::new();
    for (id, n) in [("s-1", 5), ("s-2", -3), ("s-1", 4_000_000_000_000_000_i64), ("ß", 5), ("", 0)] {
        all.push(json("Sql", &json!({ "id": id, "n": n }).to_string()));
    }
    for which in ["missing", "overflow", "pragma", "missing"] {
        all.push(json("Caught", &json!({ "which": which }).to_string()));
    }
    all
}

fn words() -> Vec<Record> {
    let texts =
        ["", "one", "b a b c a b", "zz ü z 𝄞 ä ü  z", "the quick brown fox jumps over the lazy dog the end"];
    texts
        .iter()
        .enumerate()
        .map(|(at, text)| json("Words", &json!({ "id": format!("w-{at}"), "text": text }).to_string()))
        .collect()
}

/// Commands that stay in the outbox, since nobody handles them, or are taken back; with all that says what they are caused by.
fn sent() -> Vec<Record> {
    let causes = [None, Some("e-1".as_bytes()), Some(b"".as_slice()), Some([0xff].as_slice())];
    let correlations = [None, Some("flow ü".as_bytes()), Some(b"".as_slice()), Some([0xc3].as_slice())];
    let dues = ["null", "0", "1", "253402300799999", "-1"];
    let numbers = ["0", "-1", "9223372036854775807", "-9223372036854775808", "9007199254740993", "7"];
    let mut all = Vec::new();
    for at in 0..40 {
        // From the thirtieth on what was sent is replaced.
        let id = |at: usize| format!(r#"s-{}ü\""#, at % 30);
        let (n, due) = (numbers[at % numbers.len()], dues[at % dues.len()]);
        let mut event = json("Send", &format!(r#"{{"id":"{}","n":{n},"due":{due}}}"#, id(at)));
        let said = [("ce_id", causes[at % 4]), ("ce_correlationid", correlations[at / 4 % 4])];
        event.headers =
            said.iter().filter_map(|(name, value)| Some((*name, Some(value.as_ref()?.to_vec())))).collect();
        all.push(event);
        if at % 5 == 4 {
            all.push(json("Cancel", &format!(r#"{{"id":"{}"}}"#, id(at - 1))));
        }
    }
    all
}
