//! What the host is asked about aggregates.

use super::{Error, Running, escaped};
use crate::deployment::report::{Deployed, Handler};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::{Duration, Instant};

/// How long a handler that has just started may read the log before it takes a command.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);
/// How often it is asked meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A command, as it is sent.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The type of the aggregate.
    pub aggregate: &'a str,
    /// Which one.
    pub id: &'a str,
    /// What is asked for.
    pub name: &'a str,
    /// With which data.
    pub data: Option<&'a RawValue>,
    /// However often it is sent with the same key, it is decided once.
    pub key: Option<&'a str>,
    /// The version that the aggregate must have.
    pub expected: Option<u64>,
    /// What it belongs to.
    pub correlation: Option<&'a str>,
}

/// What was decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Decided {
    /// The type of the aggregate.
    pub aggregate: String,
    /// Which one.
    pub id: String,
    /// Its version after the command.
    pub version: u64,
    /// What was appended.
    pub events: Vec<Appended>,
    /// Where to read on behind it.
    pub position: String,
    /// Whether it was decided before, under the same key.
    pub repeated: bool,
}

/// An event that was appended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Appended {
    /// The aggregate's version after it.
    pub version: u64,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its data.
    pub data: Box<RawValue>,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

impl Running {
    /// Sends a command. One that comes while the handler still reads the log is sent again.
    ///
    /// # Errors
    /// When it is rejected or refused, or the host does not answer.
    pub fn command(&self, request: &Request<'_>) -> Result<Decided, Error> {
        let since = Instant::now();
        loop {
            match self.send(request) {
                Err(Error::Refused(problem))
                    if problem.kind == "urn:lantern:catching-up" && since.elapsed() < CATCH_UP_MAX =>
                {
                    std::thread::sleep(ASK_EVERY);
                }
                other => return other,
            }
        }
    }

    fn send(&self, request: &Request<'_>) -> Result<Decided, Error> {
        let Request { aggregate, id, name, data, key, expected, correlation } = *request;
        let uri = self.uri(&format!("/v1/aggregates/{}/{}/commands", escaped(aggregate), escaped(id)));
        let mut post = self.agent.post(uri).content_type("application/json");
        if let Some(key) = key {
            post = post.header("Idempotency-Key", key);
        }
        if let Some(expected) = expected {
            post = post.header("If-Match", format!("\"{expected}\""));
        }
        if let Some(correlation) = correlation {
            post = post.header("X-Correlation-Id", correlation);
        }
        // A text always has a JSON form; the data goes as it was written.
        let name = serde_json::to_string(name).unwrap_or_default();
        let data = data.map_or("{}", RawValue::get);
        self.read(post.send(format!("{{\"type\":{name},\"data\":{data}}}")))
    }

    /// The state of an aggregate, as the host answers it.
    ///
    /// # Errors
    /// When there is none, or the host does not answer.
    pub fn aggregate(&self, aggregate: &str, id: &str) -> Result<Value, Error> {
        self.get(&format!("/v1/aggregates/{}/{}", escaped(aggregate), escaped(id)))
    }

    /// One command handler.
    ///
    /// # Errors
    /// When there is none of this name, or the host does not answer.
    pub fn handler(&self, name: &str) -> Result<Handler, Error> {
        self.get(&format!("/v1/plugins/{}", escaped(name)))
    }

    /// All plugins, of every kind.
    ///
    /// # Errors
    /// When the host does not answer.
    pub fn deployed(&self) -> Result<Vec<Deployed>, Error> {
        #[derive(Deserialize)]
        struct Plugins {
            plugins: Vec<Deployed>,
        }
        self.get("/v1/plugins").map(|Plugins { plugins }| plugins)
    }
}
