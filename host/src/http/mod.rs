//! HTTP: deployments, commands and queries for programs of this machine.
//!
//! # Layout
//!
//! * [`Options`]: what a user may set; an address that other machines reach is refused.
//! * [`bind`], [`serve`]: from the address to the drained server.
//! * [`App`]: what is served: `plugins`, `read_models`, `aggregates` and `commands` have the routes.
//! * [`ShownEvent`]: an event of an aggregate, as it is answered.
//! * `guard`: keeps web pages out.
//! * [`Problem`]: every error, as problem+json.

mod aggregates;
mod commands;
mod guard;
mod options;
mod plugins;
mod problem;
mod read_models;
mod server;
#[cfg(test)]
mod tests;

pub use aggregates::ShownEvent;
pub use options::{DEFAULT_ADDRESS, Listen, Options};
pub use problem::Problem;
pub use server::{Error, bind, serve};

use crate::data_dir::DataDir;
use crate::deployment::{Action, Deployments};
use axum::body::HttpBody as _;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::IntoResponse as _;
use axum::routing::{MethodRouter, get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The most bytes of a body that is not a plugin.
const BODY_BYTES_MAX: usize = 256 << 10;
/// Plugins that are being received at a time: each is in memory.
const UPLOADS_MAX: usize = 4;
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
}

impl App {
    /// Serves these deployments and the read models of this data folder.
    pub fn new(deployments: Deployments, data: DataDir, options: Options) -> Self {
        App {
            deployments,
            data: Arc::new(data),
            options: Arc::new(options),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
            queries: Arc::new(Semaphore::new(QUERIES_MAX)),
        }
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
            .route("/v1/read-models/{name}/query", bounded(post(read_models::query), BODY_BYTES_MAX));
        router = router
            .route("/v1/aggregates", get(aggregates::types))
            .route("/v1/aggregates/{type}", get(aggregates::list))
            .route("/v1/aggregates/{type}/{id}", get(aggregates::show))
            .route("/v1/aggregates/{type}/{id}/events", get(aggregates::events))
            .route(
                "/v1/aggregates/{type}/{id}/commands",
                bounded(post(commands::submit), commands::BYTES_MAX),
            );
        for (word, action) in ACTIONS {
            router = router.route(&format!("/v1/plugins/{{name}}/{word}"), plugins::act(action));
        }
        router
            .fallback(nothing_here)
            .method_not_allowed_fallback(other_method)
            .layer(middleware::from_fn(guard::guard))
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
