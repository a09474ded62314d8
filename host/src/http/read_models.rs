//! Queries of read models, read only, and their wait for a position.

use super::readers::{Open, Readers};
use super::{App, Options, POSITION, Problem};
use crate::deployment::Deployments;
use crate::projection::{Applied, position};
use crate::read_model::{Checkpoints, Error, Params, Question, ReaderLimits};
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// What the first try of a query may take, on the thread that has read the request: a query by a key takes less than the
/// way to another thread. What takes more is tried anew on a thread of its own.
const FIRST_TRY: (u64, Duration, usize) = (2_000, Duration::from_millis(2), 16 << 10);
/// A position of more bytes is in the answer's body alone: clients bound what they take as a header.
const HEADER_BYTES_MAX: usize = 4 << 10;

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    sql: String,
    #[serde(default, deserialize_with = "params")]
    params: Params,
    #[serde(default)]
    wait_for: Option<String>,
    #[serde(default)]
    timeout_ms: Option<u64>,
}

/// Takes parameters as JSON has them.
struct Given;

impl<'de> Visitor<'de> for Given {
    type Value = Params;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("params: a list of values, or an object of values by the parameters' names")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Params, E> {
        Ok(Params::None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Params, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Params::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, named: A) -> Result<Params, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(named)).map(Params::Named)
    }
}

fn params<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Params, D::Error> {
    deserializer.deserialize_any(Given)
}

/// A query on its way.
struct Query {
    name: String,
    sql: String,
    params: Params,
    /// What the read model must have applied.
    position: Checkpoints,
    deadline: Instant,
}

/// What became of one try.
enum Tried {
    Answered(Response),
    /// So far is the read model.
    Behind(Checkpoints),
}

/// Runs one statement on the generation that is live now, once that is where the request wants it.
pub(super) async fn query(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Response, Problem> {
    let Path(name) = name?;
    let Json(Body { sql, params, wait_for, timeout_ms }) = body?;
    let position = wanted(&headers, wait_for.as_deref())?;
    let (most, usual) = (app.options.wait_ms_max.max(app.options.query_ms_max), app.options.query_ms_max);
    let timeout_ms = timeout_ms.unwrap_or(usual);
    if timeout_ms > most {
        return Err(Problem::bad_request(format!("timeout_ms may be {most} at most (http.wait_ms_max)")));
    }
    let deadline = Instant::now() + Duration::from_millis(timeout_ms);
    let query = Arc::new(Query { name, sql, params, position, deadline });
    if query.position.is_empty() {
        return match app.answer(&query, &BTreeSet::new()).await? {
            Tried::Answered(response) => Ok(response),
            Tried::Behind(_) => Err(Problem::internal("nothing was waited for: this is a fault of Lantern")),
        };
    }
    let mut progress = app.deployments.progress(&query.name);
    loop {
        // What is committed from here on wakes the wait below; only the read model itself says what it has.
        let topics = progress.as_mut().map(|it| it.borrow_and_update().topics.clone());
        let topics =
            topics.unwrap_or_else(|| query.position.keys().map(|(topic, _)| topic.clone()).collect());
        match app.answer(&query, &topics).await? {
            Tried::Answered(response) => return Ok(response),
            Tried::Behind(applied) => {
                let Some(progress) = &mut progress else {
                    return Err(behind(&app.deployments, &query, &topics, &applied));
                };
                if timeout_at(deadline, arrival(progress, &query.position)).await.is_err() {
                    return Err(behind(&app.deployments, &query, &topics, &applied));
                }
            }
        }
    }
}

/// Waits until something was committed, and a position with it.
async fn arrival(progress: &mut watch::Receiver<Applied>, wanted: &Checkpoints) {
    let is_there = |it: &Applied| position::missing(wanted, &it.topics, &it.checkpoints).is_empty();
    // The plugin's place outlives the server: this does not end early.
    if progress.changed().await.is_ok() {
        let _ = progress.wait_for(is_there).await;
    }
}

/// The position that the headers and the body name, together.
fn wanted(headers: &HeaderMap, wait_for: Option<&str>) -> Result<Checkpoints, Problem> {
    let mut wanted = Checkpoints::new();
    let texts =
        headers.get_all(&POSITION).iter().map(|value| value.to_str().unwrap_or("text that is not ASCII"));
    for text in texts.chain(wait_for) {
        position::join(
            &mut wanted,
            position::parse(text).map_err(|error| Problem::bad_request(error.to_string()))?,
        );
    }
    Ok(wanted)
}

fn behind(
    deployments: &Deployments,
    query: &Query,
    topics: &BTreeSet<String>,
    applied: &Checkpoints,
) -> Problem {
    let missing = position::show(&position::missing(&query.position, topics, applied));
    let applied = position::show(applied);
    let state = match deployments.status(&query.name) {
        Some(status) => {
            let why = status.error.map(|error| format!(": {error}")).unwrap_or_default();
            format!("it is {}{why}", status.state)
        }
        None => "no plugin of this name writes it".into(),
    };
    let is_at = if applied.is_empty() { "nowhere yet".to_owned() } else { format!("at {applied}") };
    Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "behind",
        "The read model has not got there in time",
        format!("{} is {is_at}, and has not applied all before {missing}; {state}", query.name),
    )
    .with("position", applied)
    .with("missing", missing)
}

impl App {
    /// Tries a query on the generation that is live now: at once, then on a thread of its own.
    async fn answer(&self, query: &Arc<Query>, topics: &BTreeSet<String>) -> Result<Tried, Problem> {
        let kept = match self.readers.take(&query.name) {
            Some(mut open) => {
                let (steps_max, time_max, value_bytes_max) = FIRST_TRY;
                let limits = limits(&self.options);
                let value_bytes_max = value_bytes_max.min(limits.value_bytes_max);
                let limits = ReaderLimits { steps_max, time_max, value_bytes_max, ..limits };
                match attempt(&mut open, query, topics, limits, Duration::ZERO) {
                    Err(Error::Unfinished) => Some(open),
                    // Not necessarily its own fault: tried on another connection.
                    Err(error) if is_connections(&error) => None,
                    done => return self.finish(open, done),
                }
            }
            None => None,
        };
        let waited = timeout_at(query.deadline, self.queries.clone().acquire_owned()).await;
        let Ok(Ok(place)) = waited else {
            return Err(Problem::busy("as many queries run as may at a time: try again"));
        };
        let (app, query, topics) = (self.clone(), Arc::clone(query), topics.clone());
        let run = tokio::task::spawn_blocking(move || {
            let _place = place;
            let mut open = match kept {
                Some(open) => open,
                None => app.readers.open(&query.name)?,
            };
            let limits = limits(&app.options);
            let left = query.deadline.saturating_duration_since(Instant::now());
            let limits = ReaderLimits { time_max: limits.time_max.min(left), ..limits };
            let done = attempt(&mut open, &query, &topics, limits, limits.time_max);
            app.finish(open, done)
        });
        run.await.map_err(|_| Problem::internal("the query panicked: this is a fault of Lantern"))?
    }

    /// Keeps the connection, unless it may be what failed.
    fn finish(&self, open: Open, done: Result<Tried, Error>) -> Result<Tried, Problem> {
        if !done.as_ref().is_err_and(is_connections) {
            Readers::put(&self.readers, open);
        }
        Ok(done?)
    }
}

/// Whether it may be the connection that failed, and not the query.
fn is_connections(error: &Error) -> bool {
    matches!(error, Error::Storage { .. } | Error::Open { .. }) || error.is_transient()
}

fn limits(options: &Options) -> ReaderLimits {
    ReaderLimits {
        time_max: options.query_time_max(),
        steps_max: u64::MAX,
        value_bytes_max: options.query_value_bytes_max,
        memory_bytes_max: options.query_memory_bytes_max,
        rows_max: options.query_rows_max,
        bytes_max: options.query_bytes_max,
    }
}

/// Runs a query at one moment of the read model, which must not be before its position.
fn attempt(
    open: &mut Open,
    query: &Query,
    topics: &BTreeSet<String>,
    limits: ReaderLimits,
    locked_max: Duration,
) -> Result<Tried, Error> {
    let generation = open.generation;
    let reader = &mut open.reader;
    reader.wait_for_locks(locked_max)?;
    let applied = reader.enter()?;
    if !position::missing(&query.position, topics, &applied).is_empty() {
        reader.leave();
        return Ok(Tried::Behind(applied));
    }
    let answer = reader.answer(Question { sql: &query.sql, params: &query.params }, limits);
    reader.leave();
    let answer = answer?;
    let position = position::show(&applied);
    let mut body = Vec::with_capacity(answer.rows.len() + answer.columns.len() + position.len() + 80);
    body.extend_from_slice(b"{\"columns\":");
    body.extend_from_slice(answer.columns.as_bytes());
    body.extend_from_slice(b",\"rows\":[");
    body.extend_from_slice(&answer.rows);
    // Names of topics need nothing escaped.
    body.extend_from_slice(format!("],\"generation\":{generation},\"position\":\"{position}\"}}").as_bytes());
    let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    tell_position(response.headers_mut(), &position);
    Ok(Tried::Answered(response))
}

/// Puts a position into an answer's head, if it fits there.
pub(super) fn tell_position(headers: &mut HeaderMap, position: &str) {
    if !position.is_empty()
        && position.len() <= HEADER_BYTES_MAX
        && let Ok(value) = HeaderValue::try_from(position)
    {
        headers.insert(POSITION, value);
    }
}
