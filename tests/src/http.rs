//! A client of HTTP that shares no code with the one under test: a request and its answer, no more.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::wait::WAIT_MS_MAX;

/// What was answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP's status.
    pub status: u16,
    /// The headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The JSON of the body; null where it is empty.
    pub body: Value,
}

/// Sends a request and reads its answer; answers the status and the JSON of the body.
///
/// # Errors
///
/// Where nobody answers, or something that is not HTTP with JSON.
pub fn ask(address: &str, method: &str, target: &str, body: &[u8]) -> Result<(u16, Value)> {
    let Reply { status, body, .. } = exchange(address, method, target, &[], body)?;
    Ok((status, body))
}

/// The same, with headers of its own, and all of the answer.
///
/// # Errors
///
/// Where nobody answers, or something that is not HTTP with JSON.
pub fn exchange(
    address: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Reply> {
    let mut own: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        own.push_str("Content-Type: application/json\r\n");
    }
    let raw = send(address, &request(method, target, &format!("User-Agent: raw\r\n{own}"), body))?;
    let headers = raw.head.lines().filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let body = if raw.body.is_empty() { Value::Null } else { raw.json()? };
    Ok(Reply { status: raw.status, headers, body })
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Raw {
    /// HTTP's status.
    pub status: u16,
    /// The lines before the body.
    pub head: String,
    /// The rest.
    pub body: String,
}

impl Raw {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// The body, which is JSON.
    ///
    /// # Errors
    ///
    /// Where it is not.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{self:?}"))
    }
}

/// The bytes of a request, after whose answer the connection is closed. `headers` are whole lines.
#[must_use]
pub fn request(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Sends bytes, whatever they are, and reads what is answered until the connection is closed.
///
/// # Errors
///
/// Where nobody answers, or something that is not HTTP.
pub fn send(address: &str, bytes: &[u8]) -> Result<Raw> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(WAIT_MS_MAX)))?;
    stream.set_write_timeout(Some(Duration::from_millis(WAIT_MS_MAX)))?;
    // Who refuses a request may close before it is whole.
    let _ = stream.write_all(bytes);
    receive(&mut stream)
}

/// Reads an answer until the connection is closed.
///
/// # Errors
///
/// Where it is not HTTP.
pub fn receive(stream: &mut TcpStream) -> Result<Raw> {
    let mut answer = Vec::new();
    // A connection that is reset has said before what it had to say.
    if let Err(error) = stream.read_to_end(&mut answer) {
        ensure!(!answer.is_empty(), "no answer: {error}");
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| answer.clone())?;
    Ok(Raw { status, head: head.to_owned(), body: body.to_owned() })
}
