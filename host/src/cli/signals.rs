//! SIGTERM and Ctrl-C: how every command that stays is told to end.

use anyhow::Context as _;
use std::fmt;
use tokio::signal::unix::{self, SignalKind, signal};

/// Watches for both. From when it is made no signal ends the process by itself, so it is made before anything starts that
/// has to be ended well.
pub(super) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Terminate,
    Interrupt,
}

impl Signals {
    /// Begins to watch, on the runtime that this is called on.
    ///
    /// # Errors
    /// When the system does not let signals be watched.
    pub fn watch() -> anyhow::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?,
        })
    }

    /// Waits for the next. It can be dropped and called again, and misses none.
    pub async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Terminate,
            _ = self.interrupt.recv() => Told::Interrupt,
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Told::Terminate => "SIGTERM",
            Told::Interrupt => "interrupted",
        })
    }
}
