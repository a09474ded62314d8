//! The host that runs on the data folder, asked by HTTP.
//!
//! # Layout
//!
//! * [`Running`]: finds it by the data folder's lock file, and asks.
//! * [`Target`]: what the commands have in common that name one plugin.
//! * [`aggregates`]: commands, and what they are sent to.
//! * [`follow`]: waits for a rebuild, and shows how far it is.
//! * [`show`]: what became of a request, for people.

pub mod aggregates;
pub mod follow;
pub mod show;
mod target;

pub use target::{Consent, Target};

use super::Context;
use crate::data_dir::Holder;
use crate::deployment::report::{Deployed, Entry, Outcome, Plugin};
use crate::http::Problem;
use crate::projection::position;
use crate::read_model::{Cell, Checkpoints};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use ureq::http::header::{AUTHORIZATION, HeaderValue};
use ureq::http::{Request, Response};
use ureq::middleware::MiddlewareNext;
use ureq::{Agent, Body, SendBody};

/// How long a connection on this machine may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a host that has just taken the data folder may take to answer HTTP: it loads its plugins before.
const START_MAX: Duration = Duration::from_secs(60);
/// What answers HTTP, once it has started.
const HOSTS: [&str; 2] = ["lantern run", "lantern dev"];
/// The variable that has the token to send; on this machine none is needed unless the host says so.
const TOKEN_VARIABLE: &str = "LANTERN_TOKEN";
/// How often it is looked for meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Why the host did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("nothing runs on the data folder {}: start it with `lantern run`", root.display())]
    Nothing {
        /// The data folder.
        root: PathBuf,
    },
    /// Something else has the data folder.
    #[error("`{}` (process {}) uses the data folder and takes no requests: stop it, and start `lantern run`", holder.command, holder.pid)]
    Other {
        /// What it is.
        holder: Box<Holder>,
    },
    /// It does not answer.
    #[error("the host at {address} does not answer: {source}. See what it logs, or stop and start it")]
    Silent {
        /// Its address.
        address: String,
        /// What went wrong.
        source: Box<ureq::Error>,
    },
    /// It answers something else.
    #[error(
        "{address} answers {status} with something unknown: {reason}. Is it of another version of Lantern?"
    )]
    Odd {
        /// Its address.
        address: String,
        /// The status.
        status: u16,
        /// What is odd.
        reason: String,
    },
    /// It refuses, and says why.
    #[error(transparent)]
    Refused(#[from] Problem),
}

/// What a query answers.
#[derive(Debug, Deserialize)]
pub struct Rows {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
}

/// A host that runs.
pub struct Running {
    agent: Agent,
    address: String,
}

impl Running {
    /// The host on the data folder. `command` is told to it, for the history.
    ///
    /// # Errors
    /// When none runs there.
    pub fn find(context: &Context, command: &str) -> Result<Running, Error> {
        let since = Instant::now();
        loop {
            let Some(holder) = context.data.holder() else {
                return Err(Error::Nothing { root: context.data.root().to_owned() });
            };
            if let Some(address) = &holder.http {
                return Ok(Running::at(address, command));
            }
            if !HOSTS.contains(&&*holder.command) || since.elapsed() > START_MAX {
                return Err(Error::Other { holder: Box::new(holder) });
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The host at an address.
    pub fn at(address: &str, command: &str) -> Running {
        let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
        let agent = Agent::config_builder()
            .middleware(move |mut request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
                if let Some(Ok(value)) =
                    token.as_ref().map(|it| HeaderValue::try_from(format!("Bearer {it}")))
                {
                    request.headers_mut().insert(AUTHORIZATION, value);
                }
                next.handle(request)
            })
            .http_status_as_error(false)
            // A proxy of the environment leads elsewhere.
            .proxy(None)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_MAX))
            .user_agent(format!("lantern {}{}", printable(command), by_whom()))
            .build();
        Running { agent: agent.into(), address: reached_at(address) }
    }

    /// Deploys an artifact.
    ///
    /// # Errors
    /// When it is refused, or the host does not answer.
    pub fn deploy(&self, artifact: &[u8], preview: bool) -> Result<Outcome, Error> {
        let uri = self.uri(if preview { "/v1/plugins?preview=true" } else { "/v1/plugins" });
        self.read(self.agent.post(uri).content_type("application/wasm").send(artifact))
    }

    /// Does something to a plugin: a word of the HTTP address.
    ///
    /// # Errors
    /// When it is refused, or the host does not answer.
    pub fn act(&self, name: &str, word: &str) -> Result<Outcome, Error> {
        self.read(self.agent.post(self.uri(&format!("/v1/plugins/{}/{word}", escaped(name)))).send_empty())
    }

    /// Removes a plugin.
    ///
    /// # Errors
    /// When it is refused, or the host does not answer.
    pub fn remove(&self, name: &str, purge: bool) -> Result<Outcome, Error> {
        self.read(self.agent.delete(self.uri(&format!("/v1/plugins/{}?purge={purge}", escaped(name)))).call())
    }

    /// One projection's plugin.
    ///
    /// # Errors
    /// When there is none of this name, or the host does not answer.
    pub fn plugin(&self, name: &str) -> Result<Plugin, Error> {
        self.get(&format!("/v1/plugins/{}", escaped(name)))
    }

    /// All projections' plugins.
    ///
    /// # Errors
    /// When the host does not answer.
    pub fn plugins(&self) -> Result<Vec<Plugin>, Error> {
        let projection = |deployed| match deployed {
            Deployed::Projection(plugin) => Some(plugin),
            Deployed::Commands(_) | Deployed::Upcaster(_) => None,
        };
        Ok(self.deployed()?.into_iter().filter_map(projection).collect())
    }

    /// The history of one plugin, or of all, newest last.
    ///
    /// # Errors
    /// When there is none of this name, or the host does not answer.
    pub fn history(&self, name: Option<&str>) -> Result<Vec<Entry>, Error> {
        #[derive(Deserialize)]
        struct History {
            history: Vec<Entry>,
        }
        let path =
            name.map_or_else(|| "/v1/history".into(), |it| format!("/v1/plugins/{}/history", escaped(it)));
        self.get(&path).map(|History { history }| history)
    }

    /// Rows of a read model.
    ///
    /// # Errors
    /// When the query is refused, or the host does not answer.
    pub fn query(&self, name: &str, sql: &str) -> Result<Rows, Error> {
        let uri = self.uri(&format!("/v1/read-models/{}/query", escaped(name)));
        // A text always has a JSON form.
        let question = serde_json::json!({ "sql": sql }).to_string();
        self.read(self.agent.post(uri).content_type("application/json").send(question))
    }

    /// Waits until a read model has applied everything before a position.
    ///
    /// # Errors
    /// When it has not in time, or the host does not answer.
    pub fn await_position(&self, name: &str, position: &Checkpoints, time: Duration) -> Result<(), Error> {
        let uri = self.uri(&format!("/v1/read-models/{}/query", escaped(name)));
        let question = serde_json::json!({
            "sql": "SELECT 1",
            "wait_for": position::show(position),
            "timeout_ms": u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        });
        let answer = self.agent.post(uri).content_type("application/json").send(question.to_string());
        self.read::<Rows>(answer).map(drop)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.read(self.agent.get(self.uri(path)).call())
    }

    fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn read<T: DeserializeOwned>(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<T, Error> {
        let silent = |source| Error::Silent { address: self.address.clone(), source: Box::new(source) };
        let mut answer = answer.map_err(silent)?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(silent)?;
        let odd = |reason| Error::Odd { address: self.address.clone(), status: status.as_u16(), reason };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| odd(error.to_string()));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(problem.into()),
            Err(_) => Err(odd(String::from_utf8_lossy(&body).chars().take(200).collect())),
        }
    }
}

/// Where an address is reached from this machine: one that stands for all is that of the machine itself.
fn reached_at(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(all) if all.ip().is_unspecified() && all.is_ipv4() => format!("127.0.0.1:{}", all.port()),
        Ok(all) if all.ip().is_unspecified() => format!("[::1]:{}", all.port()),
        _ => address.to_owned(),
    }
}

/// A name as a segment of an address. Names of plugins need nothing escaped; what people type may.
fn escaped(name: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    name.bytes()
        .map(|it| if is_plain(&it) { char::from(it).to_string() } else { format!("%{it:02X}") })
        .collect()
}

/// The user, as the history shows them; nothing where the system does not say.
fn by_whom() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    if user.is_empty() { user } else { format!(" by {}", printable(&user)) }
}

/// What may stand in a header, and not too much of it.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).take(80).collect()
}
