//! The events of a case as records of a log, as the plugin's envelope wants them.

use super::Error;
use super::case::{Event, NamedBytes};
use crate::event::{Header, Headers, Record};
use lantern_contract::manifest::{Envelope, Manifest};
use std::collections::BTreeMap;

/// The time of events that have none, until one has: 2026-01-01T00:00:00Z.
pub const TIME_MS: i64 = 1_767_225_600_000;

/// A record, and the line of the test that it stands in.
pub struct Written {
    pub line: usize,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: NamedBytes,
}

impl Written {
    /// The headers, as a record refers to them.
    pub fn headers(&self) -> Vec<Header<'_>> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect()
    }

    /// The record.
    pub fn record<'a>(&'a self, headers: &'a [Header<'a>]) -> Record<'a> {
        Record {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
            headers: Headers::list(headers),
        }
    }
}

/// A log that is being written.
pub struct Log<'m> {
    manifest: &'m Manifest,
    /// The next offset of each partition.
    next: BTreeMap<(String, i32), i64>,
    /// The first one.
    pub beginnings: BTreeMap<(String, i32), i64>,
    time_ms: i64,
    written: u64,
}

impl<'m> Log<'m> {
    /// An empty log of the topics that a plugin reads.
    pub fn new(manifest: &'m Manifest) -> Self {
        Log { manifest, next: BTreeMap::new(), beginnings: BTreeMap::new(), time_ms: TIME_MS, written: 0 }
    }

    /// Appends an event.
    pub fn append(&mut self, event: &Event) -> Result<Written, Error> {
        let topic = self.topic(event)?;
        let place = (topic.clone(), event.partition);
        let next = self.next.entry(place.clone()).or_insert(event.offset.unwrap_or(0));
        let offset = event.offset.unwrap_or(*next);
        if offset < *next {
            let reason =
                format!("offset {offset} of {topic}/{} was passed: the next one is {next}", event.partition);
            return Err(Error::new(event.line, reason));
        }
        *next = offset + 1;
        self.beginnings.entry(place).or_insert(offset);
        self.time_ms = event.time_ms.unwrap_or(self.time_ms);
        self.written += 1;
        let mut written = Written {
            line: event.line,
            topic,
            partition: event.partition,
            offset,
            timestamp_ms: self.time_ms,
            key: event.key.clone(),
            payload: event.payload.clone(),
            headers: Vec::new(),
        };
        self.wrap(event, &mut written)?;
        for (name, value) in &event.headers {
            written.headers.retain(|(known, _)| known != name);
            written.headers.push((name.clone(), value.clone()));
        }
        Ok(written)
    }

    fn topic(&self, event: &Event) -> Result<String, Error> {
        let topics = &self.manifest.topics;
        let wrong = |reason| Err(Error::new(event.line, reason));
        match (&event.topic, topics.as_slice()) {
            (Some(topic), _) if topics.contains(topic) => Ok(topic.clone()),
            (Some(topic), _) => {
                wrong(format!("the plugin does not read the topic {topic}: it reads {}", topics.join(", ")))
            }
            (None, [topic]) => Ok(topic.clone()),
            (None, _) => wrong(format!("the plugin reads {}: say the event's `topic`", topics.join(", "))),
        }
    }

    /// Puts the type where the plugin's envelope has it.
    fn wrap(&self, event: &Event, written: &mut Written) -> Result<(), Error> {
        let text = |text: &str| Some(text.as_bytes().to_vec());
        let missing = |place: &str| {
            Error::new(event.line, format!("the event needs a `type`, which the plugin finds in {place}"))
        };
        let has = |name: &str| event.headers.iter().any(|(header, _)| header == name);
        let is_tombstone = event.payload.is_none();
        match (&self.manifest.envelope, &event.kind) {
            (Envelope::CloudEvents, None) if has("ce_type") || has("content-type") || is_tombstone => {}
            (Envelope::CloudEvents, None) => return Err(missing("the header ce_type")),
            (Envelope::CloudEvents, Some(kind)) => {
                let time = jiff::Timestamp::from_millisecond(written.timestamp_ms);
                let headers = [
                    ("content-type", text("application/json")),
                    ("ce_specversion", text("1.0")),
                    ("ce_id", text(&format!("event-{}", self.written))),
                    ("ce_source", text("lantern/test")),
                    ("ce_type", text(kind)),
                    ("ce_time", time.ok().map(|time| time.to_string().into_bytes())),
                ];
                written.headers.extend(headers.map(|(name, value)| (name.to_owned(), value)));
            }
            (Envelope::Header { name }, None) if has(name) || is_tombstone => {}
            (Envelope::Header { name }, None) => return Err(missing(&format!("the header {name}"))),
            (Envelope::Header { name }, Some(kind)) => written.headers.push((name.clone(), text(kind))),
            (Envelope::JsonField { .. } | Envelope::Topic { .. }, None) => {}
            (Envelope::JsonField { field }, Some(kind)) => {
                if let Some(payload) = &mut written.payload {
                    put(payload, field, kind, event.line)?;
                }
            }
            (Envelope::Topic { event_type }, Some(kind)) => {
                let expected = event_type.as_ref().unwrap_or(&written.topic);
                if kind != expected {
                    let reason = format!("every event of {} is of the type {expected}", written.topic);
                    return Err(Error::new(event.line, reason));
                }
            }
        }
        Ok(())
    }
}

/// Puts a type into a field of JSON data that does not have it yet.
fn put(payload: &mut Vec<u8>, field: &str, kind: &str, line: usize) -> Result<(), Error> {
    let wrong = |reason: String| Error::new(line, reason);
    let json: serde_json::Value = match serde_json::from_slice(payload) {
        Ok(json) => json,
        Err(_) => return Ok(()),
    };
    let found = field.split('.').try_fold(&json, |value, name| value.get(name));
    match found.map(|found| found.as_str()) {
        Some(Some(found)) if found == kind => Ok(()),
        Some(_) => Err(wrong(format!("its data says another type in `{field}`: leave one of them out"))),
        None if field.contains('.') || !json.is_object() => {
            Err(wrong(format!("the plugin finds the type in the data's `{field}`: write it there")))
        }
        None => {
            // By text, so that numbers stay as they are written.
            let rest = payload.trim_ascii_start().strip_prefix(b"{").unwrap_or_default().to_vec();
            let comma = if rest.trim_ascii_start().starts_with(b"}") { "" } else { "," };
            let (field, kind) = (serde_json::Value::from(field), serde_json::Value::from(kind));
            *payload = format!("{{{field}:{kind}{comma}").into_bytes();
            payload.extend_from_slice(&rest);
            Ok(())
        }
    }
}
