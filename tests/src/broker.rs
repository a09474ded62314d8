//! The embedded broker in a process of its own, for hosts that share a log.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

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
        Self::start_with(&[])
    }

    /// The same, with further arguments.
    ///
    /// # Errors
    ///
    /// Where it cannot be built or does not start.
    pub fn start_with(arguments: &[&str]) -> Result<Self> {
        let dir = TempDir::with_prefix("lantern-broker-")?;
        let mut process = Command::new(binary()?)
            .arg("--dir")
            .arg(dir.path())
            .args(arguments)
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

/// The broker's binary, built by the first test that asks: tests that run side by side start the same file.
fn binary() -> Result<PathBuf> {
    static BINARY: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut binary = BINARY.lock().unwrap_or_else(PoisonError::into_inner);
    match &*binary {
        Some(binary) => Ok(binary.clone()),
        None => Ok(binary.insert(site::built("lantern-broker")?).clone()),
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        // It may have ended already, and the test is over.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
