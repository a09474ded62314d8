//! A record as it is printed.

use super::json_text::laid_out;
use crate::event::Record;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use std::io::{self, Write};

/// How records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Coordinates, headers and value, over several lines.
    People,
    /// The same, with the value on one line.
    Compact,
    /// One JSON object a line.
    Json,
    /// The values alone.
    Values,
}

/// A record as JSON.
#[derive(Serialize)]
struct Line<'r> {
    topic: &'r str,
    partition: i32,
    offset: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hex: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Header<'r>>,
    #[serde(flatten)]
    value: Value<'r>,
}

#[derive(Serialize)]
struct Header<'r> {
    name: &'r str,
    #[serde(flatten)]
    value: Value<'r>,
}

/// What bytes are: the name of the field says it.
#[derive(Default, Serialize)]
struct Value<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

/// Prints a record.
///
/// # Errors
/// When nobody reads any more.
pub fn record(out: &mut impl Write, record: &Record<'_>, form: Form) -> io::Result<()> {
    match form {
        Form::Json => {
            serde_json::to_writer(&mut *out, &line(record))?;
            writeln!(out)
        }
        Form::Values => match record.payload {
            Some(bytes) => writeln!(out, "{}", shown(bytes, false)),
            None => Ok(()),
        },
        Form::People | Form::Compact => people(out, record, form == Form::People),
    }
}

fn people(out: &mut impl Write, record: &Record<'_>, indented: bool) -> io::Result<()> {
    write!(out, "{}/{}@{}", record.topic, record.partition, record.offset)?;
    if let Some(time) = time(record.timestamp_ms) {
        write!(out, "  {time}")?;
    }
    if let Some(key) = record.key {
        write!(out, "  key {}", text(key).map_or_else(|| hex(key), str::to_owned))?;
    }
    writeln!(out)?;
    for (name, value) in record.headers.iter() {
        match value {
            Some(bytes) => writeln!(
                out,
                "  {}: {}",
                printable(name),
                text(bytes).map_or_else(|| hex(bytes), str::to_owned)
            )?,
            None => writeln!(out, "  {}", printable(name))?,
        }
    }
    match record.payload {
        Some(bytes) => writeln!(out, "{}", shown(bytes, indented)),
        None => writeln!(out, "(tombstone)"),
    }
}

fn line<'r>(record: &'r Record<'_>) -> Line<'r> {
    let key = record.key.map(|key| std::str::from_utf8(key).map_err(|_| hex(key)));
    Line {
        topic: record.topic,
        partition: record.partition,
        offset: record.offset,
        time: time(record.timestamp_ms),
        key: key.as_ref().and_then(|key| key.as_ref().ok().copied()),
        key_hex: key.and_then(Result::err),
        headers: record
            .headers
            .iter()
            .map(|(name, value)| Header { name, value: value.map(plain).unwrap_or_default() })
            .collect(),
        value: record.payload.map(value).unwrap_or_default(),
    }
}

fn value(bytes: &[u8]) -> Value<'_> {
    match laid_out(bytes, false).and_then(|json| RawValue::from_string(json).ok()) {
        Some(json) => Value { value: Some(json), ..Value::default() },
        None => plain(bytes),
    }
}

/// Text or bytes: a header that looks like a number is none.
fn plain(bytes: &[u8]) -> Value<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value { text: Some(text), ..Value::default() },
        Err(_) => Value { hex: Some(hex(bytes)), ..Value::default() },
    }
}

fn shown(bytes: &[u8], indented: bool) -> String {
    laid_out(bytes, indented).or_else(|| text(bytes).map(str::to_owned)).unwrap_or_else(|| hex(bytes))
}

/// Text that a terminal prints and does not obey.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    text.chars().all(is_plain).then_some(text)
}

fn printable(name: &str) -> String {
    text(name.as_bytes()).map_or_else(|| hex(name.as_bytes()), str::to_owned)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn time(timestamp_ms: i64) -> Option<String> {
    let time = Timestamp::from_millisecond(timestamp_ms).ok().filter(|_| timestamp_ms >= 0)?;
    Some(format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Headers;

    fn check(payload: Option<&[u8]>, form: Form, expected: &str) {
        let headers = [("ce_type", Some(b"paid".as_slice())), ("raw", Some(&[0xff]))];
        let it = Record {
            topic: "orders",
            partition: 1,
            offset: 12,
            timestamp_ms: 1_700_000_000_123,
            key: Some(b"o-7"),
            payload,
            headers: Headers::list(&headers),
        };
        let mut out = Vec::new();
        record(&mut out, &it, form).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    // People and programs read the same record: nothing of it may be lost or obeyed by a terminal.
    #[test]
    fn a_record_is_printed_as_what_it_is() {
        let head = "orders/1@12  2023-11-14T22:13:20.123Z  key o-7\n  ce_type: paid\n  raw: ff\n";
        check(Some(br#"{"a":1.0}"#), Form::People, &format!("{head}{{\n  \"a\": 1.0\n}}\n"));
        check(Some(br#"{"a": 1.0}"#), Form::Compact, &format!("{head}{{\"a\":1.0}}\n"));
        check(Some(b"plain\ntext"), Form::People, &format!("{head}plain\ntext\n"));
        check(Some(b"\x1b[2J"), Form::People, &format!("{head}1b5b324a\n"));
        check(None, Form::People, &format!("{head}(tombstone)\n"));
        let head = r#"{"topic":"orders","partition":1,"offset":12,"time":"2023-11-14T22:13:20.123Z","key":"o-7","headers":[{"name":"ce_type","text":"paid"},{"name":"raw","hex":"ff"}]"#;
        check(Some(br#"{"a": 1.0}"#), Form::Json, &format!("{head},\"value\":{{\"a\":1.0}}}}\n"));
        check(Some(b"hello"), Form::Json, &format!("{head},\"text\":\"hello\"}}\n"));
        check(Some(&[0, 0xff]), Form::Json, &format!("{head},\"hex\":\"00ff\"}}\n"));
        check(None, Form::Json, &format!("{head}}}\n"));
        check(Some(br#"{"a": 1.0}"#), Form::Values, "{\"a\":1.0}\n");
        check(None, Form::Values, "");
    }

    // An excerpt of a log is what a case is given: whatever is in a record, its line says all of it.
    #[test]
    fn a_test_reads_the_record_that_was_printed() {
        let headers = [("ce_type", Some(b"paid".as_slice())), ("raw", Some(&[0xff])), ("none", None)];
        let parts: [Option<&[u8]>; 7] = [
            Some(b"{\"a\":1.0}"),
            Some(b"null"),
            Some(b"x \n\xc3\xa9"),
            Some(b""),
            Some(&[0, 0xff]),
            Some(b"7"),
            None,
        ];
        let folder = tempfile::tempdir().unwrap();
        for (payload, key) in parts.iter().flat_map(|payload| parts.map(|key| (*payload, key))) {
            let it = Record {
                topic: "orders",
                partition: 1,
                offset: 12,
                timestamp_ms: 1_700_000_000_123,
                key,
                payload,
                headers: Headers::list(&headers),
            };
            let mut out = Vec::new();
            record(&mut out, &it, Form::Json).unwrap();
            std::fs::write(folder.path().join("log.jsonl"), &out).unwrap();
            let case = "- case: a\n  given_file: log.jsonl\n  then: { rows: { t: [] } }";
            let given = crate::given::read(case, folder.path()).unwrap().remove(0).given.remove(0);
            assert_eq!(
                (given.topic.as_deref(), given.partition, given.offset),
                (Some("orders"), 1, Some(12))
            );
            assert_eq!((given.time_ms, given.kind), (Some(1_700_000_000_123), None));
            assert_eq!((given.key.as_deref(), given.payload.as_deref()), (key, payload));
            let read: Vec<_> =
                given.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
            assert_eq!(read, headers);
        }
    }
}
