//! HTTP: deployments, commands, queries and new events, for programs of this machine and for who has a token.
//!
//! # Layout
//!
//! * [`Options`]: what a user may set.
//! * [`bind`], [`serve`]: from the address to the drained server.
//! * [`App`]: what is served: `plugins`, `read_models`, `topics`, `aggregates` and `commands` have the routes.
//! * [`ShownEvent`]: an event of an aggregate, as it is answered.
//! * `moment`: whether the handler of what was read is live.
//! * `readers`: connections to read models that stay open.
//! * `guard`: who may do what.
//! * [`Problem`]: every error, as problem+json.

mod aggregates;
mod commands;
mod guard;
mod moment;
mod options;
mod plugins;
mod problem;
mod read_models;
mod readers;
mod server;
#[cfg(test)]
mod tests;
mod topics;

pub use aggregates::ShownEvent;
pub use options::{DEFAULT_ADDRESS, Listen, Options};
pub use problem::Problem;
pub use server::{Error, bind, serve};

use crate::data_dir::DataDir;
use crate::deployment::{Action, Deployments};
use crate::log;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::{HeaderName, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post, put};
use axum::{Json, Router};
use readers::Readers;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use topics::Topics;

/// The header of a position, in requests and in answers.
pub const POSITION: HeaderName = HeaderName::from_static("lantern-position");
/// The most bytes of a body that is neither a plugin nor events.
const BODY_BYTES_MAX: usize = 256 << 10;
/// Plugins that are being received at a time: each is in memory.
const UPLOADS_MAX: usize = 4;
/// Other bodies that are in memory at a time, in KiB.
const BODIES_KIB_MAX: usize = 128 << 10;
/// Queries at a time; each has a thread.
const QUERIES_MAX: usize = 16;

/// What is done to a plugin by a request to its address and this word.
const ACTIONS: [(&str, Action); 7] = [
    ("rollback", Action::Rollback),
    ("promote", Action::Promote),
    ("discard", Action::Discard),
    ("rebuild", Action::Rebuild),
    ("reset", Action::Reset),
    ("pause", Action::Pause),
    ("resume", Action::Resume),
];

/// What is served. Cheap to clone.
#[derive(Clone)]
pub struct App {
    deployments: Deployments,
    data: Arc<DataDir>,
    options: Arc<Options>,
    uploads: Arc<Semaphore>,
    queries: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    readers: Readers,
    topics: Topics,
}

impl App {
    /// Serves these deployments, the read models of this data folder, and this log.
    pub fn new(deployments: Deployments, data: DataDir, options: Options, log: &log::Options) -> Self {
        let data = Arc::new(data);
        App {
            deployments,
            readers: Readers::new(Arc::clone(&data), options.query_value_bytes_max),
            topics: Topics::new(log),
            data,
            options: Arc::new(options),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
            queries: Arc::new(Semaphore::new(QUERIES_MAX)),
            bodies: Arc::new(Semaphore::new(BODIES_KIB_MAX)),
        }
    }

    /// Has these routes be given whole bodies: none that is larger, or comes too slowly.
    fn received(&self, routes: MethodRouter<App>, bytes_max: usize) -> MethodRouter<App> {
        let app = self.clone();
        let receive = move |request: Request, next: Next| receive(app.clone(), bytes_max, request, next);
        let routes: MethodRouter<App> = routes.layer(middleware::from_fn(receive));
        routes.layer(DefaultBodyLimit::max(bytes_max))
    }

    fn router(self) -> Router {
        let plugin_file = |routes| bounded(routes, plugins::BYTES_MAX);
        let mut router = Router::new()
            .route("/v1/plugins", get(plugins::list).merge(plugin_file(post(plugins::deploy))))
            .route(
                "/v1/plugins/{name}",
                get(plugins::show).delete(plugins::remove).merge(plugin_file(put(plugins::deploy_named))),
            )
            .route("/v1/plugins/{name}/history", get(plugins::history_of))
            .route("/v1/history", get(plugins::history))
            .route("/v1/status", get(status))
            .route("/v1/read-models/{name}/query", self.received(post(read_models::query), BODY_BYTES_MAX))
            .route("/v1/topics/{topic}/events", self.received(post(topics::append), topics::BYTES_MAX));
        router = router
            .route("/v1/aggregates", get(aggregates::types))
            .route("/v1/aggregates/{type}", get(aggregates::list))
            .route("/v1/aggregates/{type}/{id}", get(aggregates::show))
            .route("/v1/aggregates/{type}/{id}/events", get(aggregates::events))
            .route(
                "/v1/aggregates/{type}/{id}/commands",
                self.received(post(commands::submit), commands::BYTES_MAX),
            );
        for (word, action) in ACTIONS {
            router = router.route(&format!("/v1/plugins/{{name}}/{word}"), plugins::act(action));
        }
        router
            .fallback(nothing_here)
            .method_not_allowed_fallback(other_method)
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard))
            .with_state(self)
    }
}

/// Has these routes take no body that is larger; one that says so itself is refused unread.
fn bounded(routes: MethodRouter<App>, bytes_max: usize) -> MethodRouter<App> {
    routes.layer(DefaultBodyLimit::max(bytes_max)).layer(middleware::from_fn(
        move |request: Request, next: Next| async move {
            if request.body().size_hint().lower() > bytes_max as u64 {
                return Problem::too_large(format!("the body may have {bytes_max} bytes")).into_response();
            }
            next.run(request).await
        },
    ))
}

/// Takes a request's body into memory, of which all bodies have a part.
async fn receive(app: App, bytes_max: usize, request: Request, next: Next) -> Response {
    let size = request.body().size_hint();
    if size.lower() > bytes_max as u64 {
        return Problem::too_large(format!("the body may have {bytes_max} bytes")).into_response();
    }
    let bytes =
        size.upper().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(bytes_max).min(bytes_max);
    let kib = u32::try_from(bytes / 1_024 + 1).unwrap_or(u32::MAX);
    let Ok(_place) = app.bodies.clone().try_acquire_many_owned(kib) else {
        return Problem::busy("as many requests are received as memory allows: try again").into_response();
    };
    let (parts, body) = request.into_parts();
    // The limit of the route is among the extensions.
    let mut incoming = Request::new(body);
    *incoming.extensions_mut() = parts.extensions.clone();
    let time_max = Duration::from_millis(app.options.body_ms_max);
    match tokio::time::timeout(time_max, Bytes::from_request(incoming, &())).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(rejection)) => Problem::from(rejection).into_response(),
        Err(_) => Problem::late(time_max).into_response(),
    }
}

/// The process, its log, its plugins.
async fn status(State(app): State<App>) -> Json<Value> {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "host": app.data.holder(),
        "plugins": app.deployments.deployed(),
    }))
}

async fn nothing_here(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "There is nothing at this address",
        format!("there is nothing at {}; docs/http.md has what there is, such as /v1/status", uri.path()),
    )
}

async fn other_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "The address takes other methods",
        format!("{} does not take {method}; the header Allow has what it takes", uri.path()),
    )
}
