//! Given events from a file of JSON lines: events as `lantern produce` takes them, or records as `lantern consume --json` prints them.

use super::Error;
use super::case::{Event, NamedBytes};
use super::fields::{Fields, text};
use super::values::unhex;
use super::yaml::Node;
use crate::event::fields;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::path::Path;

const FILE: [&str; 6] = ["path", "topic", "partition", "type_field", "key_field", "time_field"];
/// What a printed record may say. An event that has other fields besides is no record.
const RECORD: [&str; 10] =
    ["topic", "partition", "offset", "time", "key", "key_hex", "headers", "value", "text", "hex"];
/// What each printed record says.
const COORDINATES: [&str; 3] = ["topic", "partition", "offset"];

/// Which file, and what a case says of its events.
struct File {
    path: String,
    topic: Option<String>,
    partition: Option<i32>,
    type_field: Option<String>,
    key_field: Option<String>,
    time_field: Option<String>,
}

/// A record as `lantern consume --json` prints it.
#[derive(Deserialize)]
struct Record<'l> {
    topic: String,
    partition: i32,
    offset: i64,
    time: Option<Timestamp>,
    key: Option<String>,
    key_hex: Option<String>,
    #[serde(default)]
    headers: Vec<Header>,
    // JSON's null is a value too, where a tombstone has none.
    #[serde(borrow, default, deserialize_with = "some")]
    value: Option<&'l RawValue>,
    text: Option<String>,
    hex: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: String,
    text: Option<String>,
    hex: Option<String>,
}

fn some<'de, D: Deserializer<'de>>(json: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(json).map(Some)
}

/// The events of a file that lies in `folder`.
///
/// # Errors
/// When there is no such file, or one of its lines is no event; the error names that line.
pub fn read(node: &Node, folder: &Path) -> Result<Vec<Event>, Error> {
    let file = file(node)?;
    let at = |reason: String| Error::new(node.line, format!("{}: {reason}", file.path));
    let content = std::fs::read_to_string(folder.join(&file.path)).map_err(|error| at(error.to_string()))?;
    let mut events = Vec::new();
    for (number, line) in content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let event = file.event(line.trim());
        let event = event.map_err(|reason| at(format!("line {}: {reason}", number + 1)))?;
        events.push(Event { line: node.line, ..event });
    }
    Ok(events)
}

fn file(node: &Node) -> Result<File, Error> {
    if let Some(path) = node.text() {
        let path = path.to_owned();
        return Ok(File {
            path,
            topic: None,
            partition: None,
            type_field: None,
            key_field: None,
            time_field: None,
        });
    }
    let fields = Fields::of(node, "`given_file`", &FILE)?;
    Ok(File {
        path: text(fields.need("path")?, "path")?,
        topic: fields.text("topic")?,
        partition: fields.integer("partition")?,
        type_field: fields.text("type_field")?,
        key_field: fields.text("key_field")?,
        time_field: fields.text("time_field")?,
    })
}

impl File {
    fn event(&self, line: &str) -> Result<Event, String> {
        let json: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| format!("this is not a JSON object: {error}"))?;
        let is_record = COORDINATES.iter().all(|name| json.contains_key(*name))
            && json.keys().all(|name| RECORD.contains(&name.as_str()));
        if is_record { self.record(line) } else { self.plain(&json, line) }
    }

    /// An event whose type, key and time are fields of it.
    fn plain(&self, json: &Map<String, Value>, line: &str) -> Result<Event, String> {
        let key = self.key_field.as_ref().map(|field| fields::key(json, field)).transpose()?;
        let kind = self.type_field.as_ref().map(|field| fields::kind(json, field)).transpose()?;
        let time = self.time_field.as_ref().map(|field| fields::time(json, field)).transpose()?;
        Ok(Event {
            // Where nothing else is said, and the envelope does not say it either.
            kind: kind.or_else(|| json.get("type").and_then(|kind| kind.as_str())).map(str::to_owned),
            topic: self.topic.clone(),
            partition: self.partition.unwrap_or_default(),
            time_ms: time.map(Timestamp::as_millisecond),
            key: key.map(|key| key.as_bytes().to_vec()),
            payload: Some(line.as_bytes().to_vec()),
            ..Event::default()
        })
    }

    /// A record of a log. Its type is where the plugin's envelope looks for it: in a header or in the payload.
    fn record(&self, line: &str) -> Result<Event, String> {
        if self.type_field.is_some() || self.key_field.is_some() || self.time_field.is_some() {
            let reason = "this is a record as `lantern consume --json` prints it, which has its type, key and time: \
                          leave out `type_field`, `key_field` and `time_field`";
            return Err(reason.to_owned());
        }
        let record: Record<'_> = serde_json::from_str(line)
            .map_err(|error| format!("this is no record as `lantern consume --json` prints it: {error}"))?;
        let payload = match record.value {
            Some(json) => Some(json.get().as_bytes().to_vec()),
            None => bytes(record.text, record.hex)?,
        };
        let mut headers = NamedBytes::new();
        for header in record.headers {
            headers.push((header.name, bytes(header.text, header.hex)?));
        }
        Ok(Event {
            // A copy of the log may have another topic than the plugin reads.
            topic: Some(self.topic.clone().unwrap_or(record.topic)),
            partition: self.partition.unwrap_or(record.partition),
            offset: Some(record.offset),
            time_ms: record.time.map(Timestamp::as_millisecond),
            key: bytes(record.key, record.key_hex)?,
            payload,
            headers,
            ..Event::default()
        })
    }
}

fn bytes(text: Option<String>, hex: Option<String>) -> Result<Option<Vec<u8>>, String> {
    match (text, hex) {
        (Some(text), _) => Ok(Some(text.into_bytes())),
        (None, Some(hex)) => match unhex(&hex) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(format!("{hex} is no hex: two digits for each byte")),
        },
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use crate::given;

    fn read(lines: &str, said: &str) -> Result<Vec<given::case::Event>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("log.jsonl"), lines).unwrap();
        let case =
            format!("- case: a\n  given_file: {{ path: log.jsonl{said} }}\n  then: {{ rows: {{ t: [] }} }}");
        let mut cases = given::read(&case, folder.path()).map_err(|error| error.to_string())?;
        Ok(cases.remove(0).given)
    }

    // What is taken for a record loses its other fields, and what is not is an event as a whole.
    #[test]
    fn a_line_is_a_record_when_it_says_nothing_else() {
        let of = |line: &str| read(line, "").unwrap().remove(0);
        let record = of(r#"{"topic":"t","partition":2,"offset":7,"value":{"type":"A","n":1.0}}"#);
        assert_eq!((record.topic.as_deref(), record.partition, record.offset), (Some("t"), 2, Some(7)));
        assert_eq!(record.payload.as_deref(), Some(br#"{"type":"A","n":1.0}"#.as_slice()));
        assert_eq!(record.kind, None);
        let json = r#"{"topic":"t","partition":2,"offset":7,"value":1,"type":"Moved"}"#;
        let event = of(json);
        assert_eq!((event.topic, event.offset, event.kind.as_deref()), (None, None, Some("Moved")));
        assert_eq!(event.payload.as_deref(), Some(json.as_bytes()));
        assert_eq!(of(r#"{"topic":"t","partition":0,"offset":0,"value":null}"#).payload.unwrap(), b"null");
        assert_eq!(of(r#"{"topic":"t","partition":0,"offset":0}"#).payload, None);
    }

    #[test]
    fn what_a_case_says_of_a_file_fits_it_or_is_refused_with_its_line() {
        let record = "\n{\"topic\":\"t\",\"partition\":2,\"offset\":7}\n";
        let moved = read(record, ", topic: u, partition: 0").unwrap().remove(0);
        assert_eq!((moved.topic.as_deref(), moved.partition, moved.offset), (Some("u"), 0, Some(7)));
        let refused = |lines: &str, said: &str, words: &str| {
            let error = read(lines, said).unwrap_err();
            assert!(error.contains("log.jsonl: line 2: ") && error.contains(words), "{error}");
        };
        refused(record, ", type_field: type", "leave out `type_field`");
        refused("\n[1]", "", "not a JSON object");
        refused("\n{\"topic\":\"t\",\"partition\":\"2\",\"offset\":7}", "", "invalid type");
        refused("\n{\"topic\":\"t\",\"partition\":2,\"offset\":7,\"hex\":\"0\"}", "", "no hex");
    }
}
