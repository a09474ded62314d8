//! Keeps web pages out. A browser on this machine reaches a loopback address for whoever wrote the page
//! that it shows; what tells such requests apart are headers that a page cannot set.

use super::Problem;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// Lets a request through that no foreign web page can have caused.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    match check(request.uri().authority(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(reason) => {
            Problem::new(StatusCode::FORBIDDEN, "foreign-origin", "Web pages are not served", reason)
                .into_response()
        }
    }
}

fn check(target: Option<&Authority>, headers: &HeaderMap) -> Result<(), String> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
    if hosts.next().is_some() {
        return Err("the request has two Host headers: send one".into());
    }
    // By DNS rebinding a page is of a foreign name that leads here.
    for name in [Some(host), target.map(Authority::as_str)].into_iter().flatten() {
        if !is_loopback(name) {
            return Err(format!(
                "the request is for the host {name:?}; this one answers to 127.0.0.1, [::1] and localhost"
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
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let host = authority.host();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || literal.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    // A page that somebody happens to look at must neither deploy a plugin nor read a table.
    #[test]
    fn requests_of_foreign_web_pages_are_refused() {
        let check = |headers: &[(&'static str, &str)], is_let_through: bool| {
            let map: HeaderMap =
                headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            assert_eq!(super::check(None, &map).is_ok(), is_let_through, "{headers:?}");
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
}
