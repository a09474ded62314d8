//! The embedded broker in a process of its own, for hosts that share a log.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::site;

/// A running broker. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct OwnBroker {
    process: Child,
    address: String,
    _dir: TempDir,
}

impl OwnBroker {
    /// Starts it on a free port.
    ///
    /// # Errors
    ///
    /// Where it cannot be built or does not start.
    pub fn start() -> Result<Self> {
        let dir = TempDir::with_prefix("lantern-broker-")?;
        let mut process = Command::new(site::built("lantern-broker")?)
            .arg("--dir")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = process.stdout.take().context("its output is piped")?;
        let mut address = String::new();
        BufReader::new(said).read_line(&mut address)?;
        Ok(OwnBroker { process, address: address.trim().to_owned(), _dir: dir })
    }

    /// What a client is given as `bootstrap.servers`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        // It may have ended already, and the test is over.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
