//! A client of HTTP that shares no code with the one under test: a request and its answer, no more.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::wait::WAIT_MS_MAX;

/// Sends a request and reads its answer; answers the status and the JSON of the body.
///
/// # Errors
///
/// Where nobody answers, or something that is not HTTP with JSON.
pub fn ask(address: &str, method: &str, target: &str, body: &[u8]) -> Result<(u16, Value)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(WAIT_MS_MAX)))?;
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nUser-Agent: raw\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| answer.clone())?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| answer.clone())?;
    Ok((status, serde_json::from_str(body).with_context(|| answer.clone())?))
}
