//! Aggregates: their state, their events, and which there are. What is read is what has been committed, as far as this
//! process has read the log; where it may be behind, the answer says so.

use super::moment::Moment;
use super::{App, Problem};
use crate::aggregate_store::{self, Aggregate, Event, Filter, Reader};
use crate::command;
use crate::deployment::Error;
use crate::plugin::Digest;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

/// Events or aggregates of an answer, where nothing else is asked for.
const PAGE: usize = 100;
/// The most that can be asked for.
const PAGE_MAX: usize = 1_000;
/// Events that are read at a time, until the answer is large enough.
const CHUNK: usize = 64;
/// Bytes of data after which an answer takes no more events; the next page goes on.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Versions that are looked through at a time, so that a page ends in time however few events are of the time asked for.
const SPAN: u64 = 10_000;
/// Digits of a state's digest in its tag.
const TAG_DIGITS: usize = 16;

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
) -> Result<Response, Problem> {
    let (Path(name), Query(Page { after, limit })) = (name?, page?);
    let limit = limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let (moment, found) = read(&app, &name, move |reader| reader.list(after.as_deref(), limit + 1)).await?;
    let mut found = found.ok_or_else(|| moment.nothing(None))?;
    let is_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| is_more).map(|(id, _)| id.clone());
    let found: Vec<Value> =
        found.into_iter().map(|(id, version)| json!({ "id": id, "version": version })).collect();
    Ok((moment, Json(json!({ "type": name, "aggregates": found, "next": next }))).into_response())
}

/// The state of an aggregate.
pub(super) async fn show(
    State(app): State<App>,
    names: Names,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path((name, id)) = names?;
    let (moment, aggregate) = current(&app, &name, &id).await?;
    let state = aggregate.state.unwrap_or_default();
    let tag = tag(aggregate.version, aggregate.state_version, &state);
    let is_known = headers.get_all(header::IF_NONE_MATCH).iter().any(|known| is_among(&tag, known));
    let etag = [(header::ETAG, tag)];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, etag, moment, ()).into_response());
    }
    let body = json!({
        "aggregate": name, "id": id, "version": aggregate.version,
        "state": data(state), "state_version": aggregate.state_version,
    });
    Ok((etag, moment, Json(body)).into_response())
}

/// An aggregate, with a state that is as the handler that runs folds it.
async fn current(app: &App, name: &str, id: &str) -> Result<(Moment, Aggregate), Problem> {
    let key = id.to_owned();
    let (moment, stored) = read(app, name, move |reader| reader.show(&key)).await?;
    let Some(stored) = stored.flatten() else { return Err(moment.nothing(Some(id))) };
    let handler = app.deployments.handler(name);
    let wanted = handler.as_ref().map_or(stored.state_version, |it| it.status().borrow().state_version);
    if stored.is_current(wanted) {
        return Ok((moment, stored));
    }
    let folded = handler?.show(id).await?;
    folded.map_or_else(|| Err(moment.nothing(Some(id))), |folded| Ok((moment.clone(), folded)))
}

/// The events of an aggregate, oldest first.
pub(super) async fn events(
    State(app): State<App>,
    names: Names,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, Problem> {
    let (Path((name, id)), Query(which)) = (names?, which?);
    let limit = which.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let filter = Filter {
        from_version: which.from_version.unwrap_or(0),
        to_version: which.to_version.unwrap_or(u64::MAX),
        since_ms: which.since.map_or(i64::MIN, jiff::Timestamp::as_millisecond),
        until_ms: which.until.map_or(i64::MAX, jiff::Timestamp::as_millisecond),
        limit,
    };
    let (key, deadline) = (id.clone(), deadline(&app));
    let (moment, found) = read(&app, &name, move |reader| match reader.version(&key)? {
        Some(version) => {
            let filter = Filter { to_version: filter.to_version.min(version), ..filter };
            page(reader, &key, filter, limit, deadline).map(Some)
        }
        None => Ok(None),
    })
    .await?;
    let Some((events, next)) = found.flatten() else { return Err(moment.nothing(Some(&id))) };
    let events: Vec<ShownEvent> = events.into_iter().map(ShownEvent::from).collect();
    let body = json!({ "aggregate": name, "id": id, "events": events, "next": next });
    Ok((moment, Json(body)).into_response())
}

/// A page of events, and the version that the next one begins with, if there may be one: a page ends at its deadline, with
/// whatever was found until then.
fn page(
    reader: &mut Reader,
    id: &str,
    mut filter: Filter,
    limit: usize,
    deadline: Instant,
) -> Result<(Vec<Event>, Option<u64>), aggregate_store::Error> {
    let last = filter.to_version;
    let mut found: Vec<Event> = Vec::new();
    let mut bytes = 0;
    while filter.from_version <= last {
        filter.to_version = filter.from_version.saturating_add(SPAN - 1).min(last);
        // One more than fits tells whether there is a next page.
        filter.limit = (limit + 1 - found.len()).min(CHUNK);
        let chunk = reader.events(id, &filter)?;
        let is_whole_span = chunk.len() < filter.limit;
        for event in chunk {
            if found.len() == limit || bytes > PAGE_BYTES_MAX {
                return Ok((found, Some(event.version)));
            }
            bytes += event.payload.len();
            filter.from_version = event.version + 1;
            found.push(event);
        }
        if is_whole_span {
            filter.from_version = filter.to_version.saturating_add(1);
        }
        // What was looked through is not looked through again, so that every page is a step.
        if filter.from_version <= last && Instant::now() >= deadline {
            return Ok((found, Some(filter.from_version)));
        }
    }
    Ok((found, None))
}

/// Until when a read that begins now has its answer, or says why not.
fn deadline(app: &App) -> Instant {
    Instant::now() + app.options.query_time_max()
}

/// Reads what is kept of a type's aggregates, on a thread for such things; `None` while nothing is kept yet. Answers also
/// what the handler was doing just before.
async fn read<T: Send + 'static>(
    app: &App,
    name: &str,
    with: impl FnOnce(&mut Reader) -> Result<T, aggregate_store::Error> + Send + 'static,
) -> Result<(Moment, Option<T>), Problem> {
    let Ok(place) = timeout_at(deadline(app), app.queries.clone().acquire_owned()).await else {
        return Err(Problem::busy("as many queries run as may at a time: try again"));
    };
    let place = place.map_err(|_| Problem::from(Error::Stopping))?;
    // Before the read: what a live handler has answered by now is in what is read.
    let (store, status) = app.deployments.aggregates(name)?;
    let mut moment = Moment::new(status);
    let reading = tokio::task::spawn_blocking(move || {
        let _place = place;
        let Some(mut reader) = Reader::open_if_made(&store)? else { return Ok((moment, None)) };
        if !moment.is_live() {
            moment.read_until(reader.position()?);
        }
        let read = with(&mut reader)?;
        Ok::<_, aggregate_store::Error>((moment, Some(read)))
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

/// The tag of a state: another handler or another upcaster makes another state of the same version. The version stands
/// first, which is all that `If-Match` looks at.
fn tag(version: u64, state_version: u32, state: &[u8]) -> HeaderValue {
    let digest = Digest::of(state).to_string();
    let tag = format!("\"{version}-{state_version}-{}\"", &digest[..TAG_DIGITS]);
    // Digits and quotes may stand in a header.
    HeaderValue::from_str(&tag).unwrap_or_else(|_| etag(version))
}

/// Whether a tag is one of those of an `If-None-Match`, by the weak comparison of RFC 9110.
fn is_among(tag: &HeaderValue, known: &HeaderValue) -> bool {
    let known = known.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    known.map(|each| each.strip_prefix(b"W/").unwrap_or(each)).any(|each| each == b"*" || each == tag)
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

    // Who keeps a body by its tag must not keep that of another state.
    #[test]
    fn a_tag_is_of_the_version_and_of_the_state() {
        assert_eq!(etag(0), "\"0\"");
        assert_eq!(etag(u64::MAX), "\"18446744073709551615\"");
        let first = tag(4, 1, b"{\"cents\":1}");
        assert!(first.to_str().unwrap().starts_with("\"4-1-"), "{first:?}");
        assert_eq!(first, tag(4, 1, b"{\"cents\":1}"));
        for other in [tag(5, 1, b"{\"cents\":1}"), tag(4, 2, b"{\"cents\":1}"), tag(4, 1, b"{\"cents\":2}")] {
            assert_ne!(first, other);
        }
        let first = first.to_str().unwrap();
        let check = |known: &str, expected: bool| {
            let (tag, known) = (first.parse().unwrap(), known.parse().unwrap());
            assert_eq!(is_among(&tag, &known), expected, "{known:?}");
        };
        check(first, true);
        check("*", true);
        check(&format!("W/{first}"), true);
        check(&format!("\"1\" ,\t{first}"), true);
        check("\"4\"", false);
        check("", false);
        check(&first[1..first.len() - 1], false);
    }

    // An audit of one day in a long history must neither hang the host nor miss an event.
    #[test]
    fn a_page_ends_in_time_and_the_next_one_goes_on() {
        const EVENTS: u64 = 2 * SPAN + 5_000;
        let wanted = [7, SPAN, SPAN + 1, EVENTS];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("account.db");
        let mut store = aggregate_store::Store::open(&path, "account", "accounts").unwrap();
        let transaction = store.begin().unwrap();
        for version in 1..=EVENTS {
            let time_ms = i64::from(wanted.contains(&version));
            assert!(transaction.append("a", &Event { version, time_ms, ..Event::default() }).unwrap());
        }
        transaction.commit().unwrap();
        let mut reader = Reader::open(&path).unwrap();
        let mut read = |filter: &Filter, limit: usize, deadline: Instant| {
            let (mut versions, mut pages) = (Vec::new(), 0);
            let mut filter = filter.clone();
            loop {
                let (events, next) = page(&mut reader, "a", filter.clone(), limit, deadline).unwrap();
                pages += 1;
                versions.extend(events.into_iter().map(|event| event.version));
                let Some(next) = next else { return (versions, pages) };
                assert!(next > filter.from_version, "{next}");
                filter.from_version = next;
            }
        };
        let (now, later) = (Instant::now(), Instant::now() + std::time::Duration::from_secs(600));
        let filter = Filter { to_version: EVENTS, since_ms: 1, ..Filter::default() };
        assert_eq!(read(&filter, 100, later), (wanted.to_vec(), 1));
        assert_eq!(read(&filter, 100, now), (wanted.to_vec(), 3));
        assert_eq!(read(&filter, 2, later), (wanted.to_vec(), 2));
        let part = Filter { from_version: 8, to_version: SPAN, ..filter };
        assert_eq!(read(&part, 100, now), (vec![SPAN], 1));
        let all = Filter { to_version: EVENTS, ..Filter::default() };
        assert_eq!(read(&all, 1_000, later).0, (1..=EVENTS).collect::<Vec<_>>());
    }
}
