//! `lantern run`

use super::signals::Signals;
use super::{Context, output};
use crate::command;
use crate::deployment::report::{Deployed, Handler, Plugin};
use crate::host::folder::Folder;
use crate::host::{self, Host, Place, ready_made};
use crate::projection::State;
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Run plugins: apply events to read models as they arrive and take commands, until told to stop.
///
/// Runs the plugins that are named, those in the plugins folder, the ready-made ones of the configuration, and what was deployed
/// before. A plugin that is saved in
/// the plugins folder meanwhile is swapped in, or its read model is rebuilt beside the live one; `lantern deploy` does the
/// same. Without a broker in the configuration the embedded one is started, and its address is printed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  lantern run plugins/orders.wasm\n  LANTERN_KAFKA_BOOTSTRAP_SERVERS=kafka:9092 lantern run"
)]
pub struct Run {
    /// Plugins to run beside those in the plugins folder.
    #[arg(value_name = "PLUGIN.wasm")]
    plugins: Vec<PathBuf>,
    /// Leave when everything that the log holds now is applied.
    #[arg(long)]
    once: bool,
}

impl Run {
    /// Runs until a signal, or with `--once` until everything is applied.
    pub fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let Run { plugins, once } = self;
        let plugins = plugins.into_iter().map(absolute).collect();
        context.wait(serve(&context, plugins, once))
    }
}

async fn serve(context: &Context, mut plugins: Vec<PathBuf>, once: bool) -> anyhow::Result<ExitCode> {
    // Taken before anything starts, so that no signal finds us half-way.
    let mut signals = Signals::watch()?;
    let plugins_dir = &context.config.plugins_dir;
    if once {
        plugins.extend(wasm_files(plugins_dir)?);
        if plugins.is_empty() && context.config.plugins.is_empty() {
            bail!(
                "there is no plugin to run: name one, as in `lantern run my.wasm`, or put one into {}",
                plugins_dir.display()
            );
        }
    }
    let command = if once { "lantern run --once" } else { "lantern run" };
    let mut host = Host::start(&context.config, command, once).await?;
    plugins.extend(ready_made::write(&context.config, host.data()).map_err(host::Error::from)?);
    let embedded = if *host.log().place() == Place::Here { " (embedded)" } else { "" };
    tracing::info!("log at {}{embedded}, data in {}", host.log().address(), host.data().root().display());
    let watched = if once {
        None
    } else {
        match Folder::watch(plugins_dir) {
            Ok(mut folder) => {
                plugins.extend(folder.first().await);
                Some(folder)
            }
            // Where there can be no folder there are no files in it; one that cannot be read has some.
            Err(error) if !plugins_dir.exists() => {
                tracing::warn!("{error}");
                None
            }
            Err(error) => return Err(host::Error::from(error).into()),
        }
    };
    // One plugin that is broken keeps no other from running; the log and the history say why.
    let refused = host.deployments().resume(&plugins).await?;
    if once && refused.len() == plugins.len() && host.deployments().deployed().is_empty() {
        host.shutdown().await?;
        bail!("no plugin could be run; each one's error is above");
    }
    if let Some(mut folder) = watched {
        let may_pass = refused.iter().filter(|(_, error)| error.is_transient());
        may_pass.for_each(|(path, _)| folder.again(path));
        host.follow(folder);
    }
    if !once {
        host.serve_http(&context.config.http).await?;
        if host.deployments().deployed().is_empty() {
            tracing::info!(
                "no plugin runs yet: save one in {}, or deploy one with `lantern deploy my.wasm`",
                plugins_dir.display()
            );
        }
    }
    tokio::select! {
        told = signals.next() => tracing::info!("{told}: stopping"),
        () = host.deployments().over(), if once => {}
    }
    let mut halted: BTreeMap<_, _> = host.deployments().deployed().into_iter().filter_map(halted).collect();
    let last = host.shutdown().await?.into_iter();
    halted.extend(last.filter(|last| last.state == State::Halted).map(|last| (last.name, last.error)));
    for (name, error) in &halted {
        output::remark(&format!("{name}: halted: {}", error.as_deref().unwrap_or_default()));
    }
    let bad = once && (!refused.is_empty() || !halted.is_empty());
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The name of what applies no events or takes no commands before somebody has looked at it, and why.
fn halted(deployed: Deployed) -> Option<(String, Option<String>)> {
    match deployed {
        Deployed::Projection(Plugin { status, .. }) if status.state == State::Halted => {
            Some((status.name, status.error))
        }
        Deployed::Commands(Handler { status, .. }) if status.state == command::State::Halted => {
            Some((status.name, status.error))
        }
        _ => None,
    }
}

/// A path as the history has it, wherever the next start is.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The plugins of a folder, in the order of their names; none when there is no such folder.
pub(super) fn wasm_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            files.push(path);
        }
    }
    let mut files: Vec<PathBuf> = files.into_iter().map(absolute).collect();
    files.sort();
    Ok(files)
}
