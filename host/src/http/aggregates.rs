//! Aggregates: their state, their events, and which there are. What is read is what has been committed.

use super::{App, Problem};
use crate::aggregate_store::{self, Aggregate, Event, Filter, Reader};
use crate::command;
use crate::deployment::Error;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Events or aggregates of an answer, where nothing else is asked for.
const PAGE: usize = 100;
/// The most that can be asked for.
const PAGE_MAX: usize = 1_000;
/// Events that are read at a time, until the answer is large enough.
const CHUNK: usize = 64;
/// Bytes of data after which an answer takes no more events; the next page goes on.
const PAGE_BYTES_MAX: usize = 4 << 20;

type Names = Result<Path<(String, String)>, PathRejection>;

/// Which events of an aggregate.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Which {
    from_version: Option<u64>,
    to_version: Option<u64>,
    since: Option<jiff::Timestamp>,
    until: Option<jiff::Timestamp>,
    limit: Option<usize>,
}

/// Which aggregates of a type.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// An event, as it is answered.
#[derive(Serialize)]
pub struct ShownEvent {
    version: u64,
    #[serde(rename = "type")]
    kind: String,
    time: Option<jiff::Timestamp>,
    id: String,
    partition: i32,
    offset: i64,
    correlation: Option<String>,
    causation: Option<String>,
    data: Box<RawValue>,
}

/// The types of aggregates.
pub(super) async fn types(State(app): State<App>) -> Json<Value> {
    let types: Vec<Value> = app
        .deployments
        .handlers()
        .into_iter()
        .map(|handler| {
            let command::Status { name, topic, state, error, aggregates, state_version, lag, .. } =
                handler.status;
            json!({
                "type": name, "topic": topic, "state": state, "error": error, "aggregates": aggregates,
                "state_version": state_version, "lag": lag,
            })
        })
        .collect();
    Json(json!({ "types": types }))
}

/// The aggregates of a type, in the order of their ids.
pub(super) async fn list(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let (Path(name), Query(Page { after, limit })) = (name?, page?);
    let limit = limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let store = app.deployments.aggregates(&name)?;
    let mut found = read(&app, store, move |reader| reader.list(after.as_deref(), limit + 1)).await?;
    let is_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| is_more).map(|last| last.id.clone());
    let found: Vec<Value> =
        found.into_iter().map(|found| json!({ "id": found.id, "version": found.version })).collect();
    Ok(Json(json!({ "type": name, "aggregates": found, "next": next })))
}

/// The state of an aggregate.
pub(super) async fn show(
    State(app): State<App>,
    names: Names,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path((name, id)) = names?;
    let aggregate = current(&app, &name, &id).await?;
    let state = data(aggregate.state.unwrap_or_default());
    let etag = etag(aggregate.version);
    if headers.get_all(header::IF_NONE_MATCH).iter().any(|known| *known == etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let body = json!({
        "aggregate": name, "id": id, "version": aggregate.version,
        "state": state, "state_version": aggregate.state_version,
    });
    Ok(([(header::ETAG, etag)], Json(body)).into_response())
}

/// An aggregate, with a state that is as the handler that runs folds it.
async fn current(app: &App, name: &str, id: &str) -> Result<Aggregate, Problem> {
    let store = app.deployments.aggregates(name)?;
    let (key, unknown) = (id.to_owned(), unknown(name, id));
    let stored = read(app, store, move |reader| reader.show(&key)).await?;
    let Some(stored) = stored else { return Err(unknown) };
    let handler = app.deployments.handler(name);
    let wanted = handler.as_ref().map_or(stored.state_version, |it| it.status().borrow().state_version);
    if stored.is_current(wanted) {
        return Ok(stored);
    }
    handler?.show(id).await?.ok_or(unknown)
}

/// The events of an aggregate, oldest first.
pub(super) async fn events(
    State(app): State<App>,
    names: Names,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let (Path((name, id)), Query(which)) = (names?, which?);
    let limit = which.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let filter = Filter {
        from_version: which.from_version.unwrap_or(0),
        to_version: which.to_version.unwrap_or(u64::MAX),
        since_ms: which.since.map_or(i64::MIN, jiff::Timestamp::as_millisecond),
        until_ms: which.until.map_or(i64::MAX, jiff::Timestamp::as_millisecond),
        limit,
    };
    let store = app.deployments.aggregates(&name)?;
    let (key, unknown) = (id.clone(), unknown(&name, &id));
    let found = read(&app, store, move |reader| match reader.show(&key)? {
        Some(_) => page(reader, &key, filter, limit).map(Some),
        None => Ok(None),
    });
    let Some((events, next)) = found.await? else { return Err(unknown) };
    let events: Vec<ShownEvent> = events.into_iter().map(ShownEvent::from).collect();
    Ok(Json(json!({ "aggregate": name, "id": id, "events": events, "next": next })))
}

/// A page of events, and the version that the next one begins with, if there is one.
fn page(
    reader: &mut Reader,
    id: &str,
    mut filter: Filter,
    limit: usize,
) -> Result<(Vec<Event>, Option<u64>), aggregate_store::Error> {
    let mut found: Vec<Event> = Vec::new();
    let mut bytes = 0;
    loop {
        // One more than fits tells whether there is a next page.
        filter.limit = (limit + 1 - found.len()).min(CHUNK);
        let chunk = reader.events(id, &filter)?;
        let is_last = chunk.len() < filter.limit;
        for event in chunk {
            if found.len() == limit || bytes > PAGE_BYTES_MAX {
                return Ok((found, Some(event.version)));
            }
            bytes += event.payload.len();
            filter.from_version = event.version + 1;
            found.push(event);
        }
        if is_last {
            return Ok((found, None));
        }
    }
}

/// Reads what is kept of aggregates, on a thread for such things.
async fn read<T: Send + 'static>(
    app: &App,
    store: PathBuf,
    with: impl FnOnce(&mut Reader) -> Result<T, aggregate_store::Error> + Send + 'static,
) -> Result<T, Problem> {
    let place = app.queries.clone().acquire_owned().await;
    let place = place.map_err(|_| Problem::from(Error::Stopping))?;
    let reading = tokio::task::spawn_blocking(move || {
        let _place = place;
        with(&mut Reader::open(&store)?)
    });
    let read =
        reading.await.map_err(|_| Problem::internal("the read panicked: this is a fault of Lantern"))?;
    Ok(read?)
}

impl ShownEvent {
    /// Version, time, type and data, as people read them.
    pub fn row(&self) -> [String; 4] {
        let time = self.time.map_or_else(String::new, |time| time.to_string());
        [self.version.to_string(), time, self.kind.clone(), self.data.get().to_owned()]
    }
}

impl From<Event> for ShownEvent {
    fn from(event: Event) -> Self {
        let Event { version, kind, time_ms, partition, offset, payload, event_id, correlation, causation } =
            event;
        let time = jiff::Timestamp::from_millisecond(time_ms).ok();
        let data = data(payload);
        ShownEvent { version, kind, time, id: event_id, partition, offset, correlation, causation, data }
    }
}

/// Data as JSON: as it is, and what is no JSON as hex.
pub(super) fn data(bytes: Vec<u8>) -> Box<RawValue> {
    let json = String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes);
    let raw = json.and_then(|text| {
        serde_json::from_str::<&RawValue>(&text).map(ToOwned::to_owned).map_err(|_| text.into_bytes())
    });
    raw.unwrap_or_else(|bytes| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // A text always has a JSON form.
        serde_json::value::to_raw_value(&json!({ "hex": hex })).unwrap_or_default()
    })
}

/// A version as the tag of an aggregate.
pub(super) fn etag(version: u64) -> HeaderValue {
    // Digits and quotes may stand in a header.
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

fn unknown(name: &str, id: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-aggregate",
        "There is no such aggregate",
        format!("there is no {name} {id:?}: no event was appended for it yet"),
    )
}

impl From<aggregate_store::Error> for Problem {
    fn from(error: aggregate_store::Error) -> Self {
        let detail = error.to_string();
        if error.is_transient() { Problem::busy(detail) } else { Problem::internal(detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A client must be able to parse every answer, whatever a handler made its events of.
    #[test]
    fn data_is_json_whatever_it_is() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(data(bytes.to_vec()).get(), expected);
        check(
            br#"{"cents": 1.10, "big":12345678901234567890}"#,
            r#"{"cents": 1.10, "big":12345678901234567890}"#,
        );
        check(b"null", "null");
        check(b"", r#"{"hex":""}"#);
        check(b"{\"a\":", r#"{"hex":"7b2261223a"}"#);
        check(b"\xff\xfe", r#"{"hex":"fffe"}"#);
    }

    #[test]
    fn a_version_is_a_strong_tag() {
        assert_eq!(etag(0), "\"0\"");
        assert_eq!(etag(u64::MAX), "\"18446744073709551615\"");
    }
}
