//! What a handler was doing when its aggregates were read: one that is not live may not have read all of the log.

use super::Problem;
use super::read_models::tell_position;
use crate::aggregate_store::Position;
use crate::command::{State, Status};
use crate::projection::position;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponseParts, ResponseParts};
use std::convert::Infallible;
use std::time::Duration;

/// What the handler is doing: an item of a structured field (RFC 9651), such as `catching-up;behind=12`.
const HANDLER: HeaderName = HeaderName::from_static("lantern-handler");

/// What a handler was doing just before its aggregates were read.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    status: Status,
    /// How far the log was read, where that is not to its end.
    position: Position,
}

impl Moment {
    pub(super) fn new(status: Status) -> Self {
        Moment { status, position: Position::new() }
    }

    /// Whether all that was answered for these aggregates is in what is read.
    pub(super) fn is_live(&self) -> bool {
        self.status.state == State::Live
    }

    /// Says how far the log was read at least.
    pub(super) fn read_until(&mut self, position: Position) {
        self.position = position;
    }

    /// There is no such aggregate, or nothing is kept of any: for good only where the handler is live.
    pub(super) fn nothing(&self, id: Option<&str>) -> Problem {
        let Status { name, state, lag, error, .. } = &self.status;
        let what = id.map_or_else(|| format!("aggregate {name:?}"), |id| format!("{name} {id:?}"));
        if self.is_live() {
            let detail = format!("there is no {what}: no event was appended for it yet");
            return Problem::new(
                StatusCode::NOT_FOUND,
                "unknown-aggregate",
                "There is no such aggregate",
                detail,
            );
        }
        let (kind, title, after_s, next) = match state {
            State::Starting | State::CatchingUp | State::Live => {
                ("catching-up", "The handler reads the log", 1, "ask again in a moment")
            }
            State::Fenced => ("fenced", "Another process decides now", 30, "ask that process"),
            State::Paused => ("unavailable", "The handler takes no commands", 2, "ask again when it is live"),
            State::Halted | State::Stopped => {
                ("unavailable", "The handler takes no commands", 30, "ask again when it is live")
            }
        };
        let behind = if *lag > 0 { format!(", {lag} records to go") } else { String::new() };
        let why = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let detail = format!(
            "no {what} is known here, but the handler is {state}{behind}{why}. It may be in what was not read yet: {next}"
        );
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, detail)
            .after(Some(Duration::from_secs(after_s)))
    }

    fn shown(&self) -> String {
        let state = self.status.state.to_string().replace(' ', "-");
        match self.status.state {
            State::CatchingUp => format!("{state};behind={}", self.status.lag),
            _ => state,
        }
    }
}

/// Says it in an answer's head.
impl IntoResponseParts for Moment {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        let headers = parts.headers_mut();
        // Letters, digits and signs may stand in a header.
        if let Ok(shown) = HeaderValue::try_from(self.shown()) {
            headers.insert(HANDLER, shown);
        }
        tell_position(headers, &position::show(&self.position));
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse as _;

    // "There is none" makes somebody open a second account: it may be said only by who knows.
    #[test]
    fn only_a_live_handler_knows_that_there_is_nothing() {
        let check = |state: State, status: u16, kind: &str, header: &str, words: &[&str]| {
            let error = (state == State::Paused).then(|| "the log is away".to_owned());
            let status_of = Status { state, error, lag: 12, ..Status::starting("account", "d") };
            let mut moment = Moment::new(status_of);
            moment.read_until(Position::from([(("accounts".to_owned(), 1), 7)]));
            let problem = moment.nothing(Some("ada"));
            assert_eq!((problem.status, &*problem.kind), (status, &*format!("urn:lantern:{kind}")));
            assert_eq!(problem.retry_after_s.is_some(), status == 503);
            for word in words {
                assert!(problem.detail.contains(word), "{problem} lacks {word}");
            }
            let response = (moment, "").into_response();
            assert_eq!(response.headers()["lantern-handler"], header);
            assert_eq!(response.headers()["lantern-position"], "accounts/1@7");
        };
        check(State::Live, 404, "unknown-aggregate", "live", &["no account \"ada\"", "no event"]);
        check(State::Starting, 503, "catching-up", "starting", &["no account \"ada\" is known here"]);
        check(State::CatchingUp, 503, "catching-up", "catching-up;behind=12", &["12 records to go"]);
        check(State::Fenced, 503, "fenced", "fenced", &["ask that process"]);
        check(State::Paused, 503, "unavailable", "paused", &["the log is away"]);
        check(State::Halted, 503, "unavailable", "halted", &[]);
        check(State::Stopped, 503, "unavailable", "stopped", &[]);
    }
}
