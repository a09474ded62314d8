//! Lantern as it comes: the host that `lantern run` starts, with its default limits.

use super::{Job, Stop};
use crate::meter::{Meter, Usage};
use anyhow::{Context as _, Result, bail};
use lantern::config::Config;
use lantern::data_dir::DataDir;
use lantern::host::Host;
use lantern::plugin::{self, Plugin};
use lantern::projection::{Options, State};
use lantern::wasm::Engine;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the status is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The read model of a plugin in a data folder.
pub fn database(folder: &Path, name: &str) -> PathBuf {
    DataDir::new(folder).read_model(name)
}

/// Compiles the plugin into the cache of a data folder: a host compiles a plugin once in its life.
///
/// # Errors
/// When it is not a plugin.
pub fn warm_up(folder: &Path, path: &Path) -> Result<()> {
    let config = Config::default();
    let data = DataDir::new(folder);
    data.create(&data.cache())?;
    let engine = Engine::with_limits(Some(data.cache()), &config.limits)?;
    Plugin::load(&engine, &plugin::read(path)?, &path.display().to_string(), &config.limits)?;
    Ok(())
}

/// Applies the topic's events until it is done.
pub fn run(job: &Job, stop: &Stop) -> Result<Usage> {
    let mut meter = Meter::start()?;
    let mut config = Config { data_dir: job.folder.clone(), ..Config::default() };
    config.kafka.set("bootstrap.servers", job.servers.as_str());
    let options = Options { topics: Some(vec![job.topic.clone()]), ..Options::default() };
    config.projections.insert(job.name.clone(), options);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let host = Host::start(&config, "lantern-bench", job.events.is_some()).await?;
        host.deployments().file(&job.plugin).await?;
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            let status = host.deployments().statuses().pop().context("the projection is gone")?;
            meter.committed(status.events);
            match status.state {
                State::Halted => bail!("halted: {}", status.error.unwrap_or_default()),
                State::Stopped => break,
                _ if job.events.is_none() && stop.is_done(status.events) => break,
                _ => {}
            }
        }
        for status in host.shutdown().await? {
            meter.committed(status.events);
        }
        meter.finish()
    })
}
