//! Events appended to topics, for people and programs without a client of Kafka.
//!
//! What is taken is CloudEvents as its [HTTP binding](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md)
//! has it: structured, batched, or binary with `ce-` headers; for people the type may be in the address instead. What
//! is appended is CloudEvents in Kafka's binary mode.

use super::read_models::tell_position;
use super::{App, Problem};
use crate::event::{self, Envelope, Headers, Record};
use crate::log::{self, Client, NewRecord, NotAppended};
use crate::projection::position;
use crate::read_model::Checkpoints;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The most bytes of a request.
pub(super) const BYTES_MAX: usize = 8 << 20;
/// The most events of a request.
const EVENTS_MAX: usize = 10_000;
/// The most partitions that a topic is created with here.
const PARTITIONS_MAX: i32 = 1_000;
/// The longest name that Kafka takes.
const TOPIC_CHARS_MAX: usize = 249;
/// The most topics that are remembered to exist.
const KNOWN_MAX: usize = 1_000;
/// The attribute that is the record's key, of the partitioning extension of CloudEvents.
const KEY: &str = "ce_partitionkey";

/// What is said in the address.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct How {
    /// The event's type, of one that is no CloudEvent itself.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The record's key.
    key: Option<String>,
    /// Whether the topic is created when it is missing.
    create: bool,
    /// With how many partitions.
    partitions: Option<i32>,
}

/// What appends, and what it need not ask again.
#[derive(Clone)]
pub(super) struct Topics {
    options: Arc<log::Options>,
    appender: Arc<log::Appender>,
    known: Arc<Mutex<BTreeSet<String>>>,
}

impl Topics {
    pub(super) fn new(options: &log::Options) -> Self {
        Topics {
            options: Arc::new(options.clone()),
            appender: Arc::new(log::Appender::new(options)),
            known: Arc::default(),
        }
    }

    /// Sees to it that a topic is there: to send to one that is not would create it on many brokers.
    async fn ensure(&self, topic: &str, how: &How) -> Result<(), Problem> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(topic) {
            return Ok(());
        }
        let (options, name) = (self.options.clone(), topic.to_owned());
        let create = how.create.then(|| how.partitions.unwrap_or(1));
        let asked = tokio::task::spawn_blocking(move || {
            let client = Client::new(&options)?;
            match (client.partitions(&name), create) {
                (Err(log::Error::TopicMissing { .. }), Some(partitions)) => {
                    client.create_topic(&name, partitions).map(drop)
                }
                (found, _) => found.map(drop),
            }
        });
        asked
            .await
            .map_err(|_| Problem::internal("asking the log panicked: this is a fault of Lantern"))??;
        let mut known = known();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(topic.to_owned());
        Ok(())
    }

    fn forget(&self, topic: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }
}

/// Appends the events of a request; answers where each is.
pub(super) async fn append(
    State(app): State<App>,
    topic: Result<Path<String>, PathRejection>,
    how: Result<Query<How>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let (Path(topic), Query(how), body) = (topic?, how?, body?);
    check_topic(&topic)?;
    if how.partitions.is_some_and(|it| !(1..=PARTITIONS_MAX).contains(&it)) {
        return Err(Problem::bad_request(format!("partitions is 1 to {PARTITIONS_MAX}")));
    }
    if let Some(owner) = owner(&app, &topic) {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "owned-topic",
            "The topic has one writer",
            format!("{topic} holds the events of {owner}, whose handler alone appends to it: send commands"),
        ));
    }
    let records = records(&topic, &how, &headers, &body)?;
    app.topics.ensure(&topic, &how).await?;
    // To its end, also when who sent it has gone meanwhile.
    let (topics, name) = (app.topics.clone(), topic.clone());
    let appended = tokio::spawn(async move { topics.appender.append(&name, &records).await });
    let appended =
        appended.await.map_err(|_| Problem::internal("appending panicked: this is a fault of Lantern"))?;
    let places = appended.map_err(|error| {
        app.topics.forget(&topic);
        not_appended(error)
    })?;
    let mut position = Checkpoints::new();
    for place in &places {
        let next = Checkpoints::from([((topic.clone(), place.partition), place.offset + 1)]);
        position::join(&mut position, next);
    }
    let position = position::show(&position);
    let events: Vec<_> =
        places.iter().map(|place| json!({ "partition": place.partition, "offset": place.offset })).collect();
    let mut response = Json(json!({ "events": events, "position": position })).into_response();
    tell_position(response.headers_mut(), &position);
    Ok(response)
}

/// The aggregate type whose handler alone appends to a topic, if there is one.
fn owner(app: &App, topic: &str) -> Option<String> {
    let is_own = |own: &str| topic.strip_prefix(own).is_some_and(|rest| matches!(rest, "" | ".decisions"));
    let handlers = app.deployments.handlers().into_iter().map(|handler| handler.status);
    handlers
        .into_iter()
        .find(|status| !status.topic.is_empty() && is_own(&status.topic))
        .map(|status| status.name)
}

fn check_topic(topic: &str) -> Result<(), Problem> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_name = (1..=TOPIC_CHARS_MAX).contains(&topic.len()) && topic.chars().all(is_plain);
    if !is_name || matches!(topic, "." | "..") {
        return Err(Problem::bad_request(format!(
            "{:?} is no topic's name: it has 1 to {TOPIC_CHARS_MAX} letters, digits, dots, dashes and underscores",
            topic.chars().take(40).collect::<String>()
        )));
    }
    if topic.starts_with("__") {
        return Err(Problem::bad_request(format!("{topic} is a topic of Kafka's own")));
    }
    Ok(())
}

/// The records that a request's events become. All are checked before one is appended.
fn records(topic: &str, how: &How, headers: &HeaderMap, body: &Bytes) -> Result<Vec<NewRecord>, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let now = Timestamp::now();
    match essence.as_str() {
        "application/cloudevents+json" => Ok(vec![structured(topic, how, body, now)?]),
        "application/cloudevents-batch+json" => {
            let events: Vec<&RawValue> = serde_json::from_slice(body)
                .map_err(|error| Problem::bad_request(format!("the batch is no JSON array: {error}")))?;
            if events.is_empty() || events.len() > EVENTS_MAX {
                return Err(Problem::bad_request(format!(
                    "a batch has 1 to {EVENTS_MAX} events, this one {}",
                    events.len()
                )));
            }
            let record = |(at, event): (usize, &&RawValue)| {
                structured(topic, how, event.get().as_bytes(), now)
                    .map_err(|problem| Problem::bad_request(format!("event {}: {}", at + 1, problem.detail)))
            };
            events.iter().enumerate().map(record).collect()
        }
        "" => Err(unsupported("the request has no Content-Type")),
        other if other.starts_with("application/cloudevents") => {
            Err(unsupported(&format!("{other} is not read here")))
        }
        _ => Ok(vec![binary(how, headers, content_type, body, now)?]),
    }
}

fn unsupported(reason: &str) -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "The request's body is of another type",
        format!(
            "{reason}: send application/cloudevents+json, application/cloudevents-batch+json, or any other type with \
             the event's type as ?type=… or as the header ce-type"
        ),
    )
}

/// An event that is JSON as a whole.
fn structured(topic: &str, how: &How, event: &[u8], now: Timestamp) -> Result<NewRecord, Problem> {
    if how.kind.is_some() {
        return Err(Problem::bad_request("a CloudEvent has its type in itself: leave ?type= out"));
    }
    let content_type = [("content-type", Some(&b"application/cloudevents+json"[..]))];
    let record = Record {
        topic,
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        key: None,
        payload: Some(event),
        headers: Headers::list(&content_type),
    };
    // As a projection would read it.
    let opened = event::open(&Envelope::CloudEvents, &record)
        .map_err(|error| Problem::bad_request(error.problem.to_string()))?;
    let headers: Vec<(String, Vec<u8>)> =
        opened.headers.iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_vec()))).collect();
    record_of(headers, opened.payload.map(|payload| payload.into_owned()), how, now)
}

/// An event whose attributes are headers, or in the address.
fn binary(
    how: &How,
    headers: &HeaderMap,
    content_type: &str,
    body: &Bytes,
    now: Timestamp,
) -> Result<NewRecord, Problem> {
    let mut attributes = vec![("content-type".to_owned(), content_type.as_bytes().to_vec())];
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix("ce-") {
            attributes.push((format!("ce_{name}"), value.as_bytes().to_vec()));
        }
    }
    let has = |attributes: &[(String, Vec<u8>)], name: &str| attributes.iter().any(|(it, _)| it == name);
    match (&how.kind, has(&attributes, "ce_type")) {
        (Some(_), true) => {
            return Err(Problem::bad_request(
                "the type is in the address and in the header ce-type: send one",
            ));
        }
        (Some(kind), false) => attributes.push(("ce_type".into(), kind.clone().into_bytes())),
        (None, true) => {}
        (None, false) => {
            return Err(Problem::bad_request(
                "the event has no type: say it as ?type=… or as the header ce-type",
            ));
        }
    }
    let mut set = |name: &str, value: String| {
        if !has(&attributes, name) {
            attributes.push((name.to_owned(), value.into_bytes()));
        }
    };
    set("ce_specversion", "1.0".into());
    set("ce_id", unique_id());
    set("ce_source", "lantern/http".into());
    set("ce_time", now.to_string());
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if (essence.ends_with("/json") || essence.ends_with("+json"))
        && let Err(error) = serde_json::from_slice::<&RawValue>(body)
    {
        return Err(Problem::bad_request(format!("the body is no JSON: {error}")));
    }
    record_of(attributes, Some(body.to_vec()), how, now)
}

/// A record with these attributes, which are checked as CloudEvents wants them.
fn record_of(
    headers: Vec<(String, Vec<u8>)>,
    payload: Option<Vec<u8>>,
    how: &How,
    now: Timestamp,
) -> Result<NewRecord, Problem> {
    let find = |name: &str| headers.iter().find(|(it, _)| it == name).map(|(_, value)| value);
    for (name, value) in &headers {
        let attribute = name.strip_prefix("ce_").unwrap_or("contenttype");
        let is_name = (1..=64).contains(&attribute.len())
            && attribute.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !is_name {
            return Err(Problem::bad_request(format!(
                "{:?} is no attribute's name: it has lower-case letters and digits",
                attribute.chars().take(40).collect::<String>()
            )));
        }
        if std::str::from_utf8(value).is_err() {
            return Err(Problem::bad_request(format!("the attribute {attribute} is not UTF-8")));
        }
    }
    for name in ["specversion", "id", "source", "type"] {
        if find(&format!("ce_{name}")).is_none_or(|value| value.is_empty()) {
            return Err(Problem::bad_request(format!("the event has no {name}, which every CloudEvent has")));
        }
    }
    if find("ce_specversion").is_some_and(|version| !version.starts_with(b"1.")) {
        return Err(Problem::bad_request("only CloudEvents of specversion 1.x are taken"));
    }
    let key = match (&how.key, find(KEY)) {
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request("the key is in the address and in partitionkey: send one"));
        }
        (Some(key), None) => Some(key.clone().into_bytes()),
        (None, key) => key.cloned(),
    };
    Ok(NewRecord { key, payload, timestamp_ms: now.as_millisecond(), headers })
}

fn not_appended(error: NotAppended) -> Problem {
    let NotAppended { appended, source } = error;
    let mut problem = Problem::from(source);
    if appended == 0 {
        return problem;
    }
    problem.detail = format!("{} are in the log all the same: {}", events(appended), problem.detail);
    problem.with("appended", appended)
}

fn events(number: usize) -> String {
    format!("{number} event{}", if number == 1 { "" } else { "s" })
}

impl From<log::Error> for Problem {
    fn from(error: log::Error) -> Self {
        let detail = error.to_string();
        match error {
            log::Error::TopicMissing { .. } => Problem::new(
                StatusCode::NOT_FOUND,
                "unknown-topic",
                "There is no such topic",
                format!("{detail}; with ?create=true it is created"),
            ),
            log::Error::Delivery { reason, .. }
                if reason.contains("too large") || reason.contains("TooLarge") =>
            {
                Problem::too_large(detail)
            }
            log::Error::Forbidden { .. } => {
                Problem::new(StatusCode::FORBIDDEN, "forbidden", "The log does not allow this", detail)
            }
            error if error.is_transient() => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "log-away",
                "The log does not answer",
                format!(
                    "{detail}. Whether the events are in the log is not known: sent again, they may be there twice"
                ),
            ),
            _ => Problem::internal(detail),
        }
    }
}

/// A random UUID (RFC 9562, version 4).
fn unique_id() -> String {
    let random: u128 = rand::random();
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
