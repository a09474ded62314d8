//! What a user may set for HTTP.

use serde::Deserialize;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// Where it listens unless told otherwise.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7070);

/// `[http]`: where programs ask, and what one query may cost.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The address; without one [`DEFAULT_ADDRESS`], or a free port where that is taken.
    pub listen: Option<Listen>,
    /// How long a query may run, in milliseconds.
    pub query_ms_max: u64,
    /// The most rows that a query may answer.
    pub query_rows_max: usize,
    /// The most bytes that a query may answer.
    pub query_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { listen: None, query_ms_max: 10_000, query_rows_max: 10_000, query_bytes_max: 8 << 20 }
    }
}

impl Options {
    /// [`Options::query_ms_max`] as a duration.
    pub fn query_time_max(&self) -> Duration {
        Duration::from_millis(self.query_ms_max)
    }
}

/// An address that only programs of this machine reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
        if !address.ip().is_loopback() {
            return Err(format!(
                "{address} is reached from other machines, and nothing tells yet who may deploy there: access \
                 tokens are still to come. Listen on a loopback address such as {DEFAULT_ADDRESS}; from elsewhere \
                 it is reached through an SSH tunnel"
            ));
        }
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

    // Whoever can deploy runs code and deletes read models; until there are tokens that is who has an
    // account on the machine.
    #[test]
    fn only_loopback_addresses_are_listened_on() {
        let check = |text: &str, expected: Result<&str, &str>| match (text.parse::<Listen>(), expected) {
            (Ok(listen), Ok(address)) => assert_eq!(listen.to_string(), address),
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
            (got, expected) => panic!("{text}: {got:?} instead of {expected:?}"),
        };
        check("127.0.0.1:7070", Ok("127.0.0.1:7070"));
        check("127.9.9.9:0", Ok("127.9.9.9:0"));
        check("[::1]:80", Ok("[::1]:80"));
        check("localhost:81", Ok("127.0.0.1:81"));
        check("0.0.0.0:7070", Err("tokens"));
        check("192.168.0.7:7070", Err("SSH tunnel"));
        check("[::]:7070", Err("loopback"));
        check("[::ffff:10.0.0.1]:7070", Err("loopback"));
        check("7070", Err("127.0.0.1:7070"));
        check("example.org:7070", Err("no address"));
    }
}
