//! What a user may set for HTTP.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// Where it listens unless told otherwise.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7070);

/// `[http]`: where programs ask, who may, and what one request may cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The address; without one [`DEFAULT_ADDRESS`], or a free port where that is taken.
    pub listen: Option<Listen>,
    /// Whether whoever reaches the address may do everything, also from other machines.
    pub allow_anonymous: bool,
    /// Whether requests of this machine need a token too, as they do behind a proxy.
    pub token_on_loopback: bool,
    /// Connections at a time; more wait.
    pub connections_max: usize,
    /// How long a client may take for a request's head, or keep a connection without one, in milliseconds.
    pub head_ms_max: u64,
    /// How long it may take for a body that is not a plugin, in milliseconds.
    pub body_ms_max: u64,
    /// How long it may take nothing of its answer, in milliseconds.
    pub write_ms_max: u64,
    /// How long a query may run, in milliseconds.
    pub query_ms_max: u64,
    /// How long a query may wait for its read model to get to a position, in milliseconds.
    pub wait_ms_max: u64,
    /// The most rows that a query may answer.
    pub query_rows_max: usize,
    /// The most bytes that a query may answer.
    pub query_bytes_max: usize,
    /// The most bytes of one value that a query reads or makes.
    pub query_value_bytes_max: usize,
    /// By how many bytes SQLite's memory may grow while a query runs.
    pub query_memory_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: None,
            allow_anonymous: false,
            token_on_loopback: false,
            connections_max: 256,
            head_ms_max: 30_000,
            body_ms_max: 30_000,
            write_ms_max: 30_000,
            query_ms_max: 10_000,
            wait_ms_max: 60_000,
            query_rows_max: 10_000,
            query_bytes_max: 8 << 20,
            query_value_bytes_max: 1 << 20,
            query_memory_bytes_max: 256 << 20,
        }
    }
}

impl Options {
    /// [`Options::query_ms_max`] as a duration.
    pub fn query_time_max(&self) -> Duration {
        Duration::from_millis(self.query_ms_max)
    }
}

/// An address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Listen(SocketAddr);

impl Listen {
    /// The address.
    pub fn address(self) -> SocketAddr {
        self.0
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let literal = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let Ok(address) = literal.as_deref().unwrap_or(text).parse::<SocketAddr>() else {
            return Err(format!("{text:?} is no address with a port: write it as {DEFAULT_ADDRESS}"));
        };
        Ok(Listen(address))
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port() {
        let check = |text: &str, expected: Result<&str, &str>| match (text.parse::<Listen>(), expected) {
            (Ok(listen), Ok(address)) => assert_eq!(listen.to_string(), address),
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
            (got, expected) => panic!("{text}: {got:?} instead of {expected:?}"),
        };
        check("127.0.0.1:7070", Ok("127.0.0.1:7070"));
        check("[::1]:80", Ok("[::1]:80"));
        check("localhost:81", Ok("127.0.0.1:81"));
        check("0.0.0.0:7070", Ok("0.0.0.0:7070"));
        check("7070", Err("127.0.0.1:7070"));
        check("example.org:7070", Err("no address"));
    }
}
