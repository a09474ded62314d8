//! Commands: what is asked of an aggregate, and what became of it.

use super::aggregates::{data, etag};
use super::{App, POSITION, Problem};
use crate::command::{Accepted, Answer, Command, Error, Rejected};
use crate::projection::position;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The most bytes of a command.
pub(super) const BYTES_MAX: usize = 1 << 20;
/// The most bytes of an id, and of a header that is kept.
const TEXT_BYTES_MAX: usize = 255;

/// Tells a command from all others; sent again with it, it is not decided again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// What the command belongs to; written into its events.
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(rename = "type")]
    name: String,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

/// Has a command decided, and answers when its events are in the log.
pub(super) async fn submit(
    State(app): State<App>,
    names: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let Path((name, id)) = names?;
    let command = command(id.clone(), &headers, &body?)?;
    let handler = app.deployments.handler(&name)?;
    match handler.submit(command).await? {
        Answer::Accepted(accepted) => Ok(shown(&name, &id, accepted)),
        Answer::Rejected(rejected) => Err(refusal(&name, &id, rejected)),
    }
}

fn command(id: String, headers: &HeaderMap, body: &[u8]) -> Result<Command, Problem> {
    let is_json = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or_default();
        value.split(';').next().is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json"))
    };
    if !headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The request's body is of another type",
            "send the command as JSON with `Content-Type: application/json`",
        ));
    }
    if id.is_empty() || id.len() > TEXT_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!(
            "the aggregate's id {id:?} cannot be: it has 1 to {TEXT_BYTES_MAX} bytes and no control characters"
        )));
    }
    let question: Question = serde_json::from_slice(body).map_err(|error| {
        Problem::bad_request(format!(
            "the body is no command: {error}. Send {{\"type\": \"...\", \"data\": {{...}}}}"
        ))
    })?;
    let payload = question.data.map_or_else(|| b"{}".to_vec(), |data| data.get().as_bytes().to_vec());
    Ok(Command {
        id,
        name: question.name,
        payload,
        key: text(headers, &IDEMPOTENCY_KEY)?,
        expected: expected(headers)?,
        correlation: text(headers, &CORRELATION_ID)?,
        causation: None,
    })
}

/// The one value of a header, with or without the quotes of a structured field.
fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Problem> {
    let Some(value) = one(headers, name)? else { return Ok(None) };
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    if bare.is_empty() || bare.len() > TEXT_BYTES_MAX {
        return Err(Problem::bad_request(format!("{name} has {} bytes: 1 to {TEXT_BYTES_MAX}", bare.len())));
    }
    Ok(Some(bare.to_owned()))
}

/// The version that the aggregate must have: `If-Match: "3"` or the tag of a state of that version, or `If-None-Match: *`
/// for one that must not exist yet.
fn expected(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let version = |value: &str| {
        let tag = value.strip_prefix('"')?.strip_suffix('"')?;
        let (digits, of_state) = tag.split_once('-').unwrap_or((tag, ""));
        if !of_state.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '-') {
            return None;
        }
        digits.parse::<u64>().ok().filter(|version| version.to_string() == digits)
    };
    match (one(headers, &header::IF_MATCH)?, one(headers, &header::IF_NONE_MATCH)?) {
        (None, None) => Ok(None),
        (Some(value), None) => version(value).map(Some).ok_or_else(|| {
            Problem::bad_request(format!(
                "If-Match is {value:?}: it takes one version in quotes, such as \"3\""
            ))
        }),
        (None, Some("*")) => Ok(Some(0)),
        (None, Some(value)) => Err(Problem::bad_request(format!(
            "If-None-Match is {value:?}: a command takes `If-None-Match: *`, for an aggregate that must not exist yet"
        ))),
        (Some(_), Some(_)) => Err(Problem::bad_request("send If-Match or If-None-Match, not both")),
    }
}

fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Problem::bad_request(format!("the request has two {name} headers: send one")));
    }
    let plain = |value: &'h HeaderValue| {
        value.to_str().map_err(|_| Problem::bad_request(format!("{name} may have visible ASCII only")))
    };
    first.map(plain).transpose()
}

fn shown(name: &str, id: &str, accepted: Accepted) -> Response {
    let Accepted { version, events, position, is_repeated } = accepted;
    let position = position::show(&position);
    let events: Vec<Value> = events
        .into_iter()
        .map(|event| {
            json!({
                "version": event.version, "type": event.kind, "data": data(event.payload),
                "partition": event.partition, "offset": event.offset,
            })
        })
        .collect();
    let body = json!({
        "aggregate": name, "id": id, "version": version, "events": events, "position": position,
        "repeated": is_repeated,
    });
    let mut response = ([(header::ETAG, etag(version))], Json(body)).into_response();
    // Names of topics and digits may stand in a header. A command that appended nothing is nowhere.
    if let Some(position) = HeaderValue::from_str(&position).ok().filter(|position| !position.is_empty()) {
        response.headers_mut().insert(POSITION, position);
    }
    response
}

fn refusal(name: &str, id: &str, rejected: Rejected) -> Problem {
    let Rejected { code, message, detail, version, is_repeated } = rejected;
    let message = if message.is_empty() { format!("the {name} rejects it: {code}") } else { message };
    let problem = Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "command-rejected",
        "The aggregate rejects the command",
        message,
    );
    let data: Value = detail.and_then(|detail| serde_json::from_str(&detail).ok()).unwrap_or_default();
    problem
        .with("code", code)
        .with("data", data)
        .with("aggregate", name)
        .with("id", id)
        .with("version", version)
        .with("repeated", is_repeated)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (detail, retry_after) = (error.to_string(), error.retry_after());
        let later = |kind: &str, title: &str, detail: String| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, detail).after(retry_after)
        };
        match error {
            Error::BadCommand { .. } => {
                Problem::new(StatusCode::BAD_REQUEST, "bad-command", "The command is not understood", detail)
            }
            Error::WrongVersion { actual, .. } => Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "wrong-version",
                "The aggregate has another version",
                detail,
            )
            .with("version", actual),
            Error::KeyReused => Problem::new(
                StatusCode::CONFLICT,
                "key-reused",
                "The Idempotency-Key stands for another command",
                detail,
            ),
            Error::Plugin { .. } => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "handler-failed",
                "The command handler failed",
                detail,
            ),
            Error::CatchingUp { .. } => later("catching-up", "The handler reads the log", detail),
            Error::Uncertain { .. } => {
                later("uncertain", "It is not known whether the command was carried out", detail)
            }
            Error::Fenced { .. } => later("fenced", "Another process decides now", detail),
            Error::Stopping => later("stopping", "The host is going down", detail),
            Error::TooMany => later("busy", "The host is busy", detail),
            Error::Unavailable { .. } | Error::Halted { .. } => {
                later("unavailable", "The handler takes no commands", detail)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(headers: &[(&'static str, &str)], body: &str) -> Result<Command, Problem> {
        let mut map = HeaderMap::from_iter([(header::CONTENT_TYPE, "application/json".parse().unwrap())]);
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        command("a-1".into(), &map, body.as_bytes())
    }

    // A header that is passed over is a check that somebody believes in.
    #[test]
    fn headers_are_understood_or_refused() {
        let check = |headers: &[(&'static str, &str)],
                     expected: Result<(Option<&str>, Option<u64>), &str>| {
            match (parsed(headers, r#"{"type":"Open"}"#), expected) {
                (Ok(got), Ok(wanted)) => {
                    assert_eq!((got.key.as_deref(), got.expected), wanted, "{headers:?}");
                }
                (Err(problem), Err(word)) => {
                    assert_eq!(problem.status, 400, "{headers:?}");
                    assert!(problem.detail.contains(word), "{headers:?}: {problem}");
                }
                (got, expected) => panic!("{headers:?}: {got:?} instead of {expected:?}"),
            }
        };
        check(&[], Ok((None, None)));
        check(&[("idempotency-key", "k-1")], Ok((Some("k-1"), None)));
        check(&[("idempotency-key", "\"k 1\"")], Ok((Some("k 1"), None)));
        check(&[("idempotency-key", "\"\"")], Err("idempotency-key has 0 bytes"));
        check(&[("idempotency-key", &"k".repeat(256))], Err("256 bytes"));
        check(&[("idempotency-key", "a"), ("idempotency-key", "b")], Err("two idempotency-key"));
        check(&[("idempotency-key", "ä")], Err("ASCII"));
        check(&[("if-match", "\"0\"")], Ok((None, Some(0))));
        check(&[("if-match", "\"17\"")], Ok((None, Some(17))));
        // The tag of a state begins with the version.
        check(&[("if-match", "\"17-1-0f9a\"")], Ok((None, Some(17))));
        check(&[("if-none-match", "*")], Ok((None, Some(0))));
        for wrong in [
            "17",
            "\"017\"",
            "\"-1\"",
            "\"+1\"",
            "\"1-a\", \"2-b\"",
            "*",
            "W/\"1\"",
            "\"1\", \"2\"",
            "\"18446744073709551616\"",
        ] {
            check(&[("if-match", wrong)], Err("If-Match"));
        }
        check(&[("if-none-match", "\"1\"")], Err("If-None-Match: *"));
        check(&[("if-match", "\"1\""), ("if-none-match", "*")], Err("not both"));
    }

    // What a handler is given is what was sent, to the last digit.
    #[test]
    fn the_data_of_a_command_is_not_changed() {
        let check = |body: &str, expected: Option<&str>| {
            let payload = parsed(&[], body).ok().map(|it| String::from_utf8(it.payload).unwrap());
            assert_eq!(payload.as_deref(), expected, "{body}");
        };
        check(r#"{"type":"Open"}"#, Some("{}"));
        check(r#"{"type":"Open","data":null}"#, Some("{}"));
        check(r#"{"type":"Open","data":{"cents": 1.10}}"#, Some(r#"{"cents": 1.10}"#));
        check(r#"{"data":12345678901234567890,"type":"Open"}"#, Some("12345678901234567890"));
        check(r#"{"data":{}}"#, None);
        check(r#"{"type":"Open","dta":{}}"#, None);
        check(r#"{"type":"Open"} x"#, None);
        check("", None);
    }
}
