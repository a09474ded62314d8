//! Plugins: deployed, looked at, acted on.

use super::server::Peer;
use super::{App, Problem};
use crate::deployment::report::{Done, Outcome};
use crate::deployment::{Action, Artifact, Error};
use crate::plugin;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, FromRequest as _, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use serde::Deserialize;
use serde_json::{Value, json};
use std::future::Future;
use std::time::Duration;

/// The most bytes of a plugin. On a machine of 32 bits the limit does not fit, and what fits is the limit.
pub(super) const BYTES_MAX: usize =
    if plugin::FILE_BYTES_MAX > usize::MAX as u64 { usize::MAX } else { plugin::FILE_BYTES_MAX as usize };
/// How long a plugin may take to come.
const UPLOAD_MAX: Duration = Duration::from_secs(120);
/// The most characters of a program's name that are kept.
const AGENT_CHARS_MAX: usize = 120;

/// How a plugin is to be deployed.
// A misspelt `preview` must not deploy at once.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Deploy {
    preview: bool,
}

/// How a plugin is to be removed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Remove {
    purge: bool,
}

type PathName = Result<Path<String>, PathRejection>;

/// All plugins.
pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    Json(json!({ "plugins": app.deployments.deployed() }))
}

/// One plugin.
pub(super) async fn show(State(app): State<App>, name: PathName) -> Result<Response, Problem> {
    let Path(name) = name?;
    let plugin = app.deployments.deployed().into_iter().find(|plugin| plugin.name() == name);
    plugin.map(|plugin| Json(plugin).into_response()).ok_or_else(|| Error::Unknown { name }.into())
}

/// Takes an artifact, whatever its plugin is named.
pub(super) async fn deploy(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    how: Result<Query<Deploy>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    take(app, peer, how?.0, None, request).await
}

/// Takes an artifact, whose plugin must have the name of the address.
pub(super) async fn deploy_named(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    name: PathName,
    how: Result<Query<Deploy>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    take(app, peer, how?.0, Some(name?.0), request).await
}

async fn take(
    app: App,
    peer: Peer,
    how: Deploy,
    name: Option<String>,
    request: Request,
) -> Result<Response, Problem> {
    let origin = who(peer, request.headers());
    // Held until it is deployed: so long are the bytes in memory.
    let place = app.uploads.clone().acquire_owned().await;
    let place = place.map_err(|_| Problem::from(Error::Stopping))?;
    let bytes = tokio::time::timeout(UPLOAD_MAX, Bytes::from_request(request, &app)).await;
    let bytes = bytes.map_err(|_| Problem::late(UPLOAD_MAX))??;
    if bytes.is_empty() {
        return Err(Problem::bad_request("the body is empty: send the .wasm file as the request's body"));
    }
    let artifact = Artifact { bytes: bytes.into(), origin };
    whole(async move {
        let _place = place;
        app.deployments.deploy(artifact, name.as_deref(), how.preview).await
    })
    .await
}

/// Stops a plugin.
pub(super) async fn remove(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    name: PathName,
    how: Result<Query<Remove>, QueryRejection>,
) -> Result<Response, Problem> {
    let action = Action::Remove { purge: how?.0.purge };
    carry_out(app, peer, headers, name, action).await
}

/// What takes requests for an action.
pub(super) fn act(action: Action) -> MethodRouter<App> {
    post(
        move |State(app): State<App>,
              Extension(peer): Extension<Peer>,
              headers: HeaderMap,
              name: PathName| { carry_out(app, peer, headers, name, action) },
    )
}

async fn carry_out(
    app: App,
    peer: Peer,
    headers: HeaderMap,
    name: PathName,
    action: Action,
) -> Result<Response, Problem> {
    let Path(name) = name?;
    let by = who(peer, &headers);
    whole(async move { app.deployments.act(&name, action, &by).await }).await
}

/// Carries a request out to its end, also when who sent it has gone meanwhile.
async fn whole(
    work: impl Future<Output = Result<Outcome, Error>> + Send + 'static,
) -> Result<Response, Problem> {
    let done = tokio::spawn(work).await;
    let outcome =
        done.map_err(|_| Problem::internal("the request panicked: this is a fault of Lantern"))??;
    let status = match outcome.result {
        // It is on its way; the plugin's own address says how far it is.
        Done::Rebuilding | Done::Previewing => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    Ok((status, Json(outcome)).into_response())
}

/// Everything that happened.
pub(super) async fn history(State(app): State<App>) -> Result<Json<Value>, Problem> {
    read_history(app, None).await
}

/// What happened to one plugin.
pub(super) async fn history_of(State(app): State<App>, name: PathName) -> Result<Json<Value>, Problem> {
    let Path(name) = name?;
    read_history(app, Some(name)).await
}

async fn read_history(app: App, name: Option<String>) -> Result<Json<Value>, Problem> {
    let read = tokio::task::spawn_blocking(move || {
        let entries = app.deployments.history(name.as_deref())?;
        match name {
            Some(name)
                if entries.is_empty() && !app.deployments.deployed().iter().any(|it| it.name() == name) =>
            {
                Err(Error::Unknown { name })
            }
            _ => Ok(entries),
        }
    });
    let read = read
        .await
        .map_err(|_| Problem::internal("reading the history panicked: this is a fault of Lantern"))?;
    Ok(Json(json!({ "history": read? })))
}

/// Who asks, for the history and for messages.
fn who(Peer(peer): Peer, headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let agent: String = agent.chars().filter(|c| !c.is_control()).take(AGENT_CHARS_MAX).collect();
    if agent.is_empty() { peer.ip().to_string() } else { format!("{agent} from {}", peer.ip()) }
}
