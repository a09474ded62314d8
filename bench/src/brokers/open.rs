//! How long a start takes with a log that is there.

use super::server::{Jars, Server};
use super::{Contender, Parameters, load};
use crate::report;
use anyhow::{Result, ensure};
use serde::Serialize;
use std::fs;
use std::path::Path;
use std::time::Instant;

const TOPIC: &str = "large";

/// One start.
#[derive(Clone, Debug, Serialize)]
pub struct Opening {
    /// Of whom.
    pub contender: Contender,
    /// How it had ended.
    pub after: &'static str,
    /// Until it told where each partition ends, in milliseconds.
    pub ms: f64,
}

/// Fills a log, and starts the broker after each way to end.
///
/// # Errors
/// When it does not start, or something is missing then.
pub fn measure(
    folder: &Path,
    contender: Contender,
    jars: &Jars,
    parameters: &Parameters,
) -> Result<Vec<Opening>> {
    let (server, _) = Server::start(contender, jars, folder)?;
    let bytes = parameters.broker_message_bytes;
    let messages = parameters.broker_open_mb * 1_000_000 / u64::try_from(bytes)?;
    report::progress(&format!("{}: filling a log of {} MB", contender.name(), parameters.broker_open_mb));
    load::produce(server.address(), TOPIC, messages, bytes)?;
    let ends = load::ends(server.address(), TOPIC)?;

    let mut openings = Vec::new();
    let mut start = |after| -> Result<Server> {
        let started = Instant::now();
        let (server, _) = Server::start(contender, jars, folder)?;
        ensure!(load::ends(server.address(), TOPIC)? == ends, "messages are lost");
        let ms = started.elapsed().as_secs_f64() * 1e3;
        report::progress(&format!("{}: {ms:.0} ms after {after}", contender.name()));
        openings.push(Opening { contender, after, ms });
        Ok(server)
    };
    server.kill()?;
    let server = start(KILLED)?;
    server.stop()?;
    let server = start(STOPPED)?;
    if contender != Contender::Kafka {
        server.stop()?;
        remove_checkpoints(folder)?;
        start(WITHOUT_CHECKPOINTS)?.stop()?;
    } else {
        server.stop()?;
    }
    Ok(openings)
}

/// Ways to end.
pub const KILLED: &str = "SIGKILL";
pub const STOPPED: &str = "a clean end";
pub const WITHOUT_CHECKPOINTS: &str = "a clean end, checkpoints deleted";

fn remove_checkpoints(folder: &Path) -> Result<()> {
    for partition in fs::read_dir(folder.join("topics").join(TOPIC))? {
        fs::remove_file(partition?.path().join("checkpoint"))?;
    }
    Ok(())
}
