//! Events and decisions as records of the log: CloudEvents in binary mode.

use super::{Command, Options};
use crate::aggregate_store::{Decision, Event, Outcome};
use crate::event::Record;
use crate::log::{TransactionError, TransactionRecord, TransactionalProducer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The type of a decision that the domain refused.
pub(super) const REJECTED: &str = "lantern.rejected";
/// The type of a decision by which nothing had to change.
pub(super) const UNCHANGED: &str = "lantern.unchanged";

/// What the names of topics of decisions end in.
pub(super) const DECISIONS: &str = ".decisions";
/// What the names of topics of commands end in.
pub(super) const COMMANDS: &str = ".commands";

/// The topic of decisions that appended no event, which only commands with an idempotency key have.
pub(super) fn decisions_topic(topic: &str) -> String {
    format!("{topic}{DECISIONS}")
}

/// The topic that commands are read from, where that is wanted.
pub(super) fn commands_topic(topic: &str) -> String {
    format!("{topic}{COMMANDS}")
}

/// The `ce_source` of what Lantern appends for an aggregate type.
pub(super) fn source(name: &str) -> String {
    format!("lantern/{name}")
}

/// Settings of a topic whose records are never deleted by age: they are the truth.
pub(super) const SETTINGS: [(&str, &str); 3] =
    [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];

/// Whether a topic's partitions have to be made, and how many.
pub(super) fn partitions(options: &Options) -> i32 {
    options.partitions.max(1)
}

/// A command's idempotency key, and the digest of what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub key: String,
    pub digest: String,
}

/// What a decision's record holds.
#[derive(Serialize, Deserialize)]
struct Body {
    command: String,
    key: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    code: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<Box<RawValue>>,
}

/// What every record has in its headers.
pub(super) struct Place<'a> {
    pub topic: &'a str,
    pub source: &'a str,
    pub id: &'a str,
    pub partition: i32,
}

/// Sends an event of an aggregate.
pub(super) fn send_event(
    producer: &TransactionalProducer,
    place: &Place<'_>,
    event: &Event,
    key: Option<&Key>,
) -> Result<usize, TransactionError> {
    let attributes = Attributes {
        event_id: &event.event_id,
        kind: &event.kind,
        version: Some(event.version),
        time_ms: event.time_ms,
        correlation: event.correlation.as_deref(),
        causation: event.causation.as_deref(),
        key,
    };
    attributes.send(producer, place, &event.payload)
}

/// Sends a decision that appended no event.
pub(super) fn send_decision(
    producer: &TransactionalProducer,
    place: &Place<'_>,
    command: &str,
    key: &Key,
    outcome: &Outcome,
    time_ms: i64,
    correlation: Option<&str>,
) -> Result<usize, TransactionError> {
    let mut body = Body {
        command: command.to_owned(),
        key: key.key.clone(),
        code: String::new(),
        message: String::new(),
        detail: None,
    };
    let (kind, version) = match outcome {
        Outcome::Rejected { version, code, message, detail } => {
            body.code.clone_from(code);
            body.message.clone_from(message);
            body.detail = detail.clone().map(raw);
            (REJECTED, *version)
        }
        Outcome::Unchanged { version } | Outcome::Appended { last: version, .. } => (UNCHANGED, *version),
    };
    // Texts and JSON always have a JSON form.
    let payload = serde_json::to_vec(&body).unwrap_or_default();
    let event_id = format!("{}/{}", place.id, key.key);
    let attributes = Attributes {
        event_id: &event_id,
        kind,
        version: Some(version),
        time_ms,
        correlation,
        causation: Some(&key.key),
        key: Some(key),
    };
    attributes.send(producer, place, &payload)
}

/// What a command that came by the log is answered, where its sender asked for it.
#[derive(Default, Serialize)]
pub(super) struct Reply {
    #[serde(skip)]
    pub kind: &'static str,
    pub command: String,
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Named>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<RawValue>>,
}

/// An event, by what an answer says of it.
#[derive(Serialize)]
pub(super) struct Named {
    pub version: u64,
    #[serde(rename = "type")]
    pub kind: String,
}

/// Sends the answer to a command that came by the log.
pub(super) fn send_reply(
    producer: &TransactionalProducer,
    place: &Place<'_>,
    event_id: &str,
    command: &Command,
    reply: &Reply,
    time_ms: i64,
) -> Result<usize, TransactionError> {
    // Texts, numbers and JSON always have a JSON form.
    let payload = serde_json::to_vec(reply).unwrap_or_default();
    let attributes = Attributes {
        event_id,
        kind: reply.kind,
        version: None,
        time_ms,
        correlation: command.correlation.as_deref(),
        causation: command.causation.as_deref(),
        key: None,
    };
    attributes.send(producer, place, &payload)
}

/// JSON as it is; what is none becomes a text.
pub(super) fn raw(detail: String) -> Box<RawValue> {
    let text = serde_json::Value::String(detail.clone()).to_string();
    RawValue::from_string(detail)
        .or_else(|_| RawValue::from_string(text))
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The attributes of a CloudEvent.
struct Attributes<'a> {
    event_id: &'a str,
    kind: &'a str,
    version: Option<u64>,
    time_ms: i64,
    correlation: Option<&'a str>,
    causation: Option<&'a str>,
    key: Option<&'a Key>,
}

impl Attributes<'_> {
    fn send(
        &self,
        producer: &TransactionalProducer,
        place: &Place<'_>,
        payload: &[u8],
    ) -> Result<usize, TransactionError> {
        let time = jiff::Timestamp::from_millisecond(self.time_ms).unwrap_or_default().to_string();
        let version = self.version.map(|version| version.to_string());
        let fixed: [(&str, &str); 7] = [
            ("ce_specversion", "1.0"),
            ("ce_id", self.event_id),
            ("ce_type", self.kind),
            ("ce_source", place.source),
            ("ce_subject", place.id),
            ("ce_time", &time),
            ("content-type", "application/json"),
        ];
        let optional = [
            ("ce_aggregateversion", version.as_deref()),
            ("ce_correlationid", self.correlation),
            ("ce_causationid", self.causation),
            ("ce_commandkey", self.key.map(|key| key.key.as_str())),
            ("ce_commanddigest", self.key.map(|key| key.digest.as_str())),
        ];
        let optional = optional.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        let headers: Vec<(&str, &[u8])> =
            fixed.into_iter().chain(optional).map(|(name, value)| (name, value.as_bytes())).collect();
        producer.send(TransactionRecord {
            topic: place.topic,
            partition: place.partition,
            key: place.id.as_bytes(),
            payload,
            headers: &headers,
            timestamp_ms: self.time_ms,
        })
    }
}

/// What was read of a record of an aggregate's topic or of its decisions.
pub(super) struct Read {
    pub id: String,
    pub event: Event,
    pub key: Option<Key>,
    /// Whether Lantern appended it for this aggregate type.
    pub is_own: bool,
}

/// Reads a record; `None` when it says no aggregate, type and version.
pub(super) fn read(record: &Record<'_>, source: &str) -> Option<Read> {
    let mut event = Event {
        partition: record.partition,
        offset: record.offset,
        payload: record.payload.unwrap_or_default().to_vec(),
        time_ms: record.timestamp_ms,
        ..Event::default()
    };
    let (mut id, mut key, mut digest, mut is_own) = (None, None, None, false);
    for (name, value) in record.headers.iter() {
        let Some(text) = value.and_then(|value| std::str::from_utf8(value).ok()) else { continue };
        match name {
            "ce_type" => event.kind = text.to_owned(),
            "ce_id" => event.event_id = text.to_owned(),
            "ce_subject" => id = Some(text.to_owned()),
            "ce_source" => is_own = text == source,
            "ce_aggregateversion" => event.version = text.parse().ok()?,
            "ce_correlationid" => event.correlation = Some(text.to_owned()),
            "ce_causationid" => event.causation = Some(text.to_owned()),
            "ce_commandkey" => key = Some(text.to_owned()),
            "ce_commanddigest" => digest = Some(text.to_owned()),
            _ => {}
        }
    }
    let of_key = || record.key.and_then(|key| std::str::from_utf8(key).ok()).map(str::to_owned);
    let id = id.or_else(of_key)?;
    let key = key.zip(digest).map(|(key, digest)| Key { key, digest });
    let is_event = !event.kind.is_empty() && (event.version > 0 || is_decision(&event.kind));
    is_event.then_some(Read { id, event, key, is_own })
}

fn is_decision(kind: &str) -> bool {
    kind == REJECTED || kind == UNCHANGED
}

/// The decision that a record of the decisions' topic holds, by its key.
pub(super) fn decision(read: &Read) -> Option<(&str, Decision)> {
    let key = read.key.as_ref()?;
    let version = read.event.version;
    let outcome = match read.event.kind.as_str() {
        UNCHANGED => Outcome::Unchanged { version },
        REJECTED => {
            let body: Body = serde_json::from_slice(&read.event.payload).ok()?;
            let detail = body.detail.map(|detail| detail.get().to_owned());
            Outcome::Rejected { version, code: body.code, message: body.message, detail }
        }
        _ => return None,
    };
    Some((&key.key, Decision { digest: key.digest.clone(), outcome }))
}
