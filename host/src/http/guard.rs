//! Who may do what. A request is somebody's who has a token, or anonymous; anonymous ones are taken of this machine alone,
//! and of no web page.
//!
//! A browser on this machine reaches a loopback address for whoever wrote the page that it shows; what tells such
//! requests apart are headers that a page cannot set. A page cannot know a token either.

use super::server::Peer;
use super::{App, Problem};
use crate::catalog::Scope;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};

/// Headers by which proxies tell for whom they ask: such a request is not of this machine.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "via"];

/// Lets a request through that whoever sent it may send.
pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    match admit(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn admit(app: &App, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let needed = needed(request.method(), request.uri().path());
    if headers.contains_key(header::AUTHORIZATION) {
        let Some(token) = bearer(headers) else {
            return Err(unauthorized("the header Authorization is to be `Bearer` and one token"));
        };
        let catalog = app.deployments.catalog();
        return match catalog.check_token(token).map_err(|error| Problem::internal(error.to_string()))? {
            Some(scope) if scope >= needed => Ok(()),
            Some(scope) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "The token does not allow this",
                format!(
                    "the token allows to {scope}, and this needs {needed}: `lantern token create --scope {needed}`"
                ),
            )),
            None => Err(unauthorized("there is no such token: it was revoked, or is written otherwise")),
        };
    }
    let peer = request.extensions().get::<Peer>().map(|Peer(peer)| *peer);
    if !app.options.allow_anonymous {
        let is_local =
            peer.is_some_and(is_local) && !FORWARDED.iter().any(|name| headers.contains_key(*name));
        if !is_local || app.options.token_on_loopback {
            return Err(unauthorized(
                "send a token, as `Authorization: Bearer …`; `lantern token create` makes one",
            ));
        }
    }
    let is_own = |ip: IpAddr| app.options.allow_anonymous || ip.is_loopback();
    foreign(request.uri().authority(), headers, is_own).map_err(|reason| {
        Problem::new(StatusCode::FORBIDDEN, "foreign-origin", "Web pages are not served", reason)
    })
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "A token is needed", detail)
}

/// What a token must allow for a request. What is not known here is for those who may do everything.
fn needed(method: &Method, path: &str) -> Scope {
    match *method {
        Method::GET | Method::HEAD => Scope::Read,
        Method::POST if path.starts_with("/v1/read-models/") && path.ends_with("/query") => Scope::Read,
        Method::POST if path.starts_with("/v1/topics/") || path.starts_with("/v1/aggregates/") => {
            Scope::Write
        }
        _ => Scope::Admin,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (scheme, token) = all.next()?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (all.next().is_none() && scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn is_local(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

/// Why an anonymous request may be of a foreign web page. `is_own` says which addresses are ours when the request names
/// one.
fn foreign(
    target: Option<&Authority>,
    headers: &HeaderMap,
    is_own: impl Fn(IpAddr) -> bool,
) -> Result<(), String> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
    if hosts.next().is_some() {
        return Err("the request has two Host headers: send one".into());
    }
    // By DNS rebinding a page is of a foreign name that leads here. A number is nobody else's.
    for name in [Some(host), target.map(Authority::as_str)].into_iter().flatten() {
        if !names_us(name, &is_own) {
            return Err(format!(
                "the request is for the host {name:?}; without a token this one answers to 127.0.0.1, [::1] and localhost"
            ));
        }
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let own = format!("http://{host}");
        if !origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()) {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            return Err(format!("the request comes from a web page of {origin}; use a program instead"));
        }
    }
    match headers.get("sec-fetch-site").map(|site| site.as_bytes()) {
        None | Some(b"none" | b"same-origin") => Ok(()),
        Some(_) => Err("the request comes from a web page of another site; use a program instead".into()),
    }
}

/// Whether a host, with or without a port, can only be this machine.
fn names_us(host: &str, is_own: impl Fn(IpAddr) -> bool) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let host = authority.host();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || literal.parse().is_ok_and(is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: Option<&Authority>, headers: &HeaderMap) -> Result<(), String> {
        foreign(target, headers, |ip| ip.is_loopback())
    }

    // A page that somebody happens to look at must neither deploy a plugin nor read a table.
    #[test]
    fn requests_of_foreign_web_pages_are_refused() {
        let check = |headers: &[(&'static str, &str)], is_let_through: bool| {
            let map: HeaderMap =
                headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            assert_eq!(check(None, &map).is_ok(), is_let_through, "{headers:?}");
        };
        for host in ["127.0.0.1:7070", "127.0.0.1", "localhost:80", "LocalHost", "[::1]:7070", "127.1.2.3:1"]
        {
            check(&[("host", host)], true);
        }
        let foreign =
            ["", "evil.example:7070", "localhost.evil.example", "127.0.0.1.nip.io", "10.0.0.1:7070", "a b"];
        for host in foreign {
            check(&[("host", host)], false);
        }
        check(&[], false);
        check(&[("host", "localhost:1"), ("origin", "http://localhost:1")], true);
        for origin in ["null", "http://evil.example", "https://localhost:1", "http://localhost:3000"] {
            check(&[("host", "localhost:1"), ("origin", origin)], false);
        }
        check(&[("host", "localhost:1"), ("sec-fetch-site", "same-origin")], true);
        check(&[("host", "localhost:1"), ("sec-fetch-site", "none")], true);
        check(&[("host", "localhost:1"), ("sec-fetch-site", "cross-site")], false);
        check(&[("host", "localhost:1"), ("sec-fetch-site", "same-site")], false);
    }

    #[test]
    fn the_target_of_a_request_counts_as_its_host_does() {
        let headers = HeaderMap::from_iter([(header::HOST, "localhost:1".parse().unwrap())]);
        assert!(check(Some(&"localhost:1".parse().unwrap()), &headers).is_ok());
        assert!(check(Some(&"evil.example".parse().unwrap()), &headers).is_err());
    }

    #[test]
    fn a_request_has_one_host() {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, "localhost:1".parse().unwrap());
        headers.append(header::HOST, "evil.example".parse().unwrap());
        assert!(check(None, &headers).is_err());
    }

    // What is forgotten here must be what nobody may, not what everybody may.
    #[test]
    fn a_request_needs_the_least_that_allows_it() {
        let check = |method: Method, path: &str, expected: Scope| {
            assert_eq!(needed(&method, path), expected, "{method} {path}");
        };
        check(Method::GET, "/v1/status", Scope::Read);
        check(Method::POST, "/v1/read-models/orders/query", Scope::Read);
        check(Method::POST, "/v1/topics/orders/events", Scope::Write);
        check(Method::POST, "/v1/aggregates/account/a/commands", Scope::Write);
        check(Method::POST, "/v1/plugins", Scope::Admin);
        check(Method::PUT, "/v1/plugins/orders", Scope::Admin);
        check(Method::POST, "/v1/plugins/query/query", Scope::Admin);
        check(Method::DELETE, "/v1/topics/orders/events", Scope::Admin);
        check(Method::PATCH, "/v1/read-models/orders/query", Scope::Admin);
        check(Method::POST, "//v1/topics/orders/events", Scope::Admin);
    }
}
