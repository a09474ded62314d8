//! HTTP: deployments and queries for programs of this machine.
//!
//! # Layout
//!
//! * [`Options`]: what a user may set; an address that other machines reach is refused.
//! * [`bind`], [`serve`]: from the address to the drained server.
//! * [`App`]: what is served: `plugins` and `read_models` have the routes.
//! * `guard`: keeps web pages out.
//! * [`Problem`]: every error, as problem+json.

mod guard;
mod options;
mod plugins;
mod problem;
mod read_models;
mod server;
#[cfg(test)]
mod tests;

pub use options::{DEFAULT_ADDRESS, Listen, Options};
pub use problem::Problem;
pub use server::{Error, bind, serve};

use crate::data_dir::DataDir;
use crate::deployment::{Action, Deployments};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{get, post, put};
use axum::{Json, Router, middleware};
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
        let plugin_file = DefaultBodyLimit::max(plugins::BYTES_MAX);
        let mut router = Router::new()
            .route("/v1/plugins", get(plugins::list).merge(post(plugins::deploy).layer(plugin_file)))
            .route(
                "/v1/plugins/{name}",
                get(plugins::show)
                    .delete(plugins::remove)
                    .merge(put(plugins::deploy_named).layer(plugin_file)),
            )
            .route("/v1/plugins/{name}/history", get(plugins::history_of))
            .route("/v1/history", get(plugins::history))
            .route("/v1/status", get(status))
            .route("/v1/read-models/{name}/query", post(read_models::query));
        for (word, action) in ACTIONS {
            router = router.route(&format!("/v1/plugins/{{name}}/{word}"), plugins::act(action));
        }
        router
            .fallback(nothing_here)
            .method_not_allowed_fallback(other_method)
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(middleware::from_fn(guard::guard))
            .with_state(self)
    }
}

/// The process, its log, its plugins.
async fn status(State(app): State<App>) -> Json<Value> {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "host": app.data.holder(),
        "plugins": app.deployments.plugins(),
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
