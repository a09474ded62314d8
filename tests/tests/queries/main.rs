//! Queries over HTTP: who asks sees what they wrote, and neither writes, escapes, hangs nor floods the host; who may ask
//! from elsewhere has a token.

mod hostile;
mod own_writes;
mod tokens;

use anyhow::{Context, Result, ensure};
use lantern_tests::http::{self, Raw};
use lantern_tests::site::Site;
use serde_json::Value;

const JSON: &str = "Content-Type: application/json\r\n";

/// Asks the read model `ledger`.
fn query(site: &Site, headers: &str, body: &Value) -> Result<Raw> {
    let headers = format!("{JSON}{headers}");
    let body = body.to_string();
    http::send(
        site.http_address(),
        &http::request("POST", "/v1/read-models/ledger/query", &headers, body.as_bytes()),
    )
}

/// Appends one event to a topic; answers the position behind it.
fn append(site: &Site, topic: &str, key: &str, payload: &str) -> Result<String> {
    let target = format!("/v1/topics/{topic}/events?type=noted&key={key}");
    let raw = http::send(site.http_address(), &http::request("POST", &target, JSON, payload.as_bytes()))?;
    ensure!(raw.status == 200, "{raw:?}");
    let position = raw.header("lantern-position").context("an answer without its position")?;
    ensure!(raw.json()?["position"] == position, "{raw:?}");
    Ok(position.to_owned())
}
