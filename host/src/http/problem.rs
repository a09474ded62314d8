//! Errors as [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) has them: `application/problem+json`.

use crate::deployment;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// Why a request was not carried out, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// `urn:lantern:` and the kind of problem: what programs branch on.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words, the same for every problem of it.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What happened here, and what to do.
    pub detail: String,
    /// What else programs may want of it.
    #[serde(flatten, default)]
    pub members: Map<String, Value>,
    /// When the same may work, in seconds; a header of the answer.
    #[serde(skip)]
    pub(super) retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem of a kind.
    pub(super) fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Problem {
            kind: format!("urn:lantern:{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            members: Map::new(),
            retry_after_s: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        }
    }

    /// With a member of its own beside those that every problem has.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Says when the same may work; never, if it never does.
    pub(super) fn after(self, time: Option<Duration>) -> Self {
        let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
        Problem { retry_after_s: time.map(|time| seconds(time).max(1)), ..self }
    }

    /// The request is not of the form that it must have.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, "bad-request", "The request is not understood", detail)
    }

    /// A fault of Lantern's own.
    pub(super) fn internal(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Lantern failed", detail)
    }

    /// Something else takes all there is; the same works later.
    pub(super) fn busy(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "The host is busy", detail)
    }

    /// More bytes than are taken.
    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request's body is too large", detail)
    }

    /// A body that does not come.
    pub(super) fn late(time_max: Duration) -> Self {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "The request took too long",
            format!("the body was not here after {} ms: send it again", time_max.as_millis()),
        )
    }

    /// What an extractor of axum refused, with the status that it gives it.
    fn refused(status: StatusCode, detail: String) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(detail),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(
                status,
                "unsupported-media-type",
                "The request's body is of another type",
                format!("{detail}: send JSON with `Content-Type: application/json`"),
            ),
            _ => Problem::bad_request(detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Strings and a number always have a JSON form.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<deployment::Error> for Problem {
    fn from(error: deployment::Error) -> Self {
        use deployment::Error;
        let detail = error.to_string();
        match error {
            Error::Rejected { .. } | Error::Plugin(_) => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "rejected", "The plugin is refused", detail)
            }
            Error::Unknown { .. } => {
                Problem::new(StatusCode::NOT_FOUND, "unknown-plugin", "There is no such plugin", detail)
            }
            Error::UnknownAggregate { .. } => Problem::new(
                StatusCode::NOT_FOUND,
                "unknown-aggregate-type",
                "There is no such type of aggregate",
                detail,
            ),
            Error::TakesNoCommands { .. } => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The handler takes no commands",
                detail,
            ),
            Error::Refold { source, .. } => Problem { detail, ..source.into() },
            Error::NotNow { .. } | Error::Twice { .. } | Error::OtherKind { .. } => {
                Problem::new(StatusCode::CONFLICT, "not-now", "It cannot be done as things are", detail)
            }
            Error::Stopping => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "The host is going down", detail)
            }
            Error::ReadModel(error) if error.is_transient() => Problem::busy(detail),
            Error::ReadModel(_) | Error::DataDir(_) | Error::Catalog(_) | Error::Thread { .. } => {
                Problem::internal(detail)
            }
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Problem::refused(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Problem::refused(rejection.status(), rejection.body_text())
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Problem::refused(rejection.status(), rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Problem::refused(rejection.status(), rejection.body_text())
    }
}
