//! The log that a promise is tested on: every promise holds on both brokers.

use std::io::{self, Write};
use std::panic::resume_unwind;

use anyhow::{Result, bail};

use crate::kafka::{self, Kafka};

/// Where events come from.
#[derive(Debug, Clone, Copy)]
pub enum Log<'k> {
    /// Lantern's own broker, in the process under test: it dies with it.
    Embedded,
    /// Apache Kafka, in a process of its own.
    Kafka(&'k Kafka),
}

impl Log<'_> {
    /// What tests say of it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Log::Embedded => "the embedded broker",
            Log::Kafka(_) => "Apache Kafka",
        }
    }
}

/// Runs a test on the embedded broker and, at the same time, on the shared Apache Kafka, if that can run here:
/// tests wait more than they compute. Which of them it fails on tells where to look.
///
/// # Errors
///
/// The test's own.
pub fn each_log(test: impl Fn(&Log<'_>) -> Result<()> + Sync) -> Result<()> {
    let (embedded, kafka) = std::thread::scope(|scope| {
        let embedded = scope.spawn(|| on(&Log::Embedded, &test));
        let kafka = kafka::shared().map_or(Ok(()), |kafka| on(&Log::Kafka(kafka), &test));
        (embedded.join().unwrap_or_else(|panic| resume_unwind(panic)), kafka)
    });
    match (embedded, kafka) {
        (Err(embedded), Err(kafka)) => bail!("{embedded:#}\n\nand also {kafka:#}"),
        (embedded, kafka) => embedded.and(kafka),
    }
}

/// Runs a test on one log, and names the log where the test fails.
///
/// # Errors
///
/// The test's own.
pub fn on(log: &Log<'_>, test: impl Fn(&Log<'_>) -> Result<()>) -> Result<()> {
    let named = Named(log.name());
    let result = test(log).map_err(|error| error.context(format!("on {}", log.name())));
    drop(named);
    result
}

/// Says on which log an assertion failed: a panic carries no context.
struct Named(&'static str);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A closed stderr is no reason to panic again.
            let _ = writeln!(io::stderr(), "it failed on {}", self.0);
        }
    }
}
