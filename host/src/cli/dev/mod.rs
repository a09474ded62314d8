//! `lantern dev`

mod rows;
mod sources;

use super::build::Source;
use super::running::follow::{Ended, follow};
use super::running::{Running, show};
use super::signals::Signals;
use super::{Context, output};
use crate::deployment::report::{Done, Outcome, Plugin};
use crate::host::{Host, Place};
use crate::projection::State;
use anyhow::{Context as _, bail};
use sources::Sources;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long rows are waited for before they are shown as they are.
const CATCH_UP_MAX: Duration = Duration::from_secs(3);
/// How often the host is asked meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Develop a plugin: build it on every save, deploy it, and see its rows.
///
/// Watches the plugin's source and that of the local crates it uses. A version that compiles is deployed: swapped in,
/// or its read model is built anew beside the live one. One that does not compile, or is rejected, changes
/// nothing. Deploys to the host that runs on the data folder; without one it starts its own, with the embedded
/// broker unless another is configured.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  lantern dev examples/orders\n  lantern dev . --once      build, deploy, show the rows, leave"
)]
pub struct Dev {
    /// The folder of the plugin's source.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Build and deploy once, wait until what the log holds now is applied, show the rows and leave.
    #[arg(long)]
    once: bool,
}

impl Dev {
    /// Builds and deploys until Ctrl-C or SIGTERM.
    pub fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let ended = context.wait(self.serve(&context));
        // A build or a wait for the host that was asked to end goes on, and nobody waits for it.
        context.leave();
        ended
    }

    async fn serve(&self, context: &Context) -> anyhow::Result<ExitCode> {
        // May fetch a compiler, which a signal ends.
        let source = Source::open(&self.dir)?;
        // Taken before anything starts, so that no signal finds us half-way.
        let mut signals = Signals::watch()?;
        // Both may lie in the project, and change with every deployment.
        let others = [context.config.data_dir.as_path(), &context.config.plugins_dir];
        let mut sources = Sources::watch(source.folders(), &others);
        if context.data.holder().is_some() {
            return self.rounds(source, Running::find(context, "dev")?, &mut sources, &mut signals).await;
        }
        let mut host = Host::start(&context.config, "lantern dev", false).await?;
        let done = match prepare(&mut host, context).await {
            Ok(running) => self.rounds(source, running, &mut sources, &mut signals).await,
            Err(error) => Err(error),
        };
        host.shutdown().await?;
        done
    }

    async fn rounds(
        &self,
        source: Source,
        running: Running,
        sources: &mut Sources,
        signals: &mut Signals,
    ) -> anyhow::Result<ExitCode> {
        let round = Arc::new(Round { source, running, once: self.once });
        loop {
            let this = Arc::clone(&round);
            let mut work = tokio::task::spawn_blocking(move || this.run());
            let done = tokio::select! {
                done = &mut work => done.context("the build ended early")?,
                _ = signals.next() => return Ok(ExitCode::SUCCESS),
            };
            if self.once {
                return done.map(|()| ExitCode::SUCCESS);
            }
            if let Err(error) = done {
                output::error(&error);
            }
            output::remark(&format!("\nwatching {} ...", self.dir.display()));
            tokio::select! {
                changed = sources.changed() => output::remark(&format!("{} saved", names(&changed, &self.dir))),
                _ = signals.next() => return Ok(ExitCode::SUCCESS),
            }
        }
    }
}

/// Has a host of our own do as `lantern run` does, except that nobody watches the plugins folder.
async fn prepare(host: &mut Host, context: &Context) -> anyhow::Result<Running> {
    let embedded = if *host.log().place() == Place::Here { " (embedded)" } else { "" };
    output::remark(&format!(
        "log at {}{embedded}, data in {}",
        host.log().address(),
        host.data().root().display()
    ));
    host.deployments().resume(&super::run::wasm_files(&context.config.plugins_dir)?).await?;
    host.serve_http(&context.config.http).await?;
    Ok(Running::find(context, "dev")?)
}

/// What is done on every save.
struct Round {
    source: Source,
    running: Running,
    once: bool,
}

impl Round {
    fn run(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let (component, _) = self.source.compile()?;
        let built = format!("built in {}", seconds(begun.elapsed()));
        let begun = Instant::now();
        let done = self.deploy(&component, begun);
        let (outcome, deployed) = match done {
            Ok(done) => done,
            Err(error) => bail!("{built}, and not deployed: {error:#}"),
        };
        output::remark(&format!("{built}, {deployed}"));
        let name = outcome.name.clone();
        if outcome.is_of_handler() {
            return output::line(&format!("{name} takes commands: `lantern command {name} ID COMMAND JSON`"));
        }
        let plugin = self.catch_up(&name)?;
        output::line(&rows::first(&self.running, &name)?)?;
        match plugin.status.error {
            Some(error) if self.once => bail!("{name} is {}: {error}", plugin.status.state),
            Some(error) => output::remark(&format!("{name} is {}: {error}", plugin.status.state)),
            None => {}
        }
        Ok(())
    }

    /// Deploys it; answers what became of it, and that in words.
    fn deploy(&self, component: &[u8], begun: Instant) -> anyhow::Result<(Outcome, String)> {
        let outcome = self.running.deploy(component, false)?;
        let taken = begun.elapsed();
        let Outcome { result, pause_us, .. } = outcome;
        let Ended::Done(outcome) = follow(&self.running, outcome, false)? else {
            bail!("the host answers a preview that nobody asked for");
        };
        let what = if outcome.is_of_handler() { "commands" } else { "events" };
        let pause = pause_us.map(|us| format!(" ({} ms without {what})", show::milliseconds(us)));
        let words = match result {
            Done::Swapped => format!("swapped in {} ms{}", taken.as_millis(), pause.unwrap_or_default()),
            Done::Rebuilding => {
                let plugin = self.running.plugin(&outcome.name)?;
                let offsets: i64 = plugin.status.checkpoint.values().sum();
                format!("rebuilt up to {offsets} events in {}", seconds(begun.elapsed()))
            }
            Done::Started => format!("started in {} ms", taken.as_millis()),
            _ => format!("{result}"),
        };
        Ok((outcome, words))
    }

    /// Waits until what the log holds is applied; once for as long as that takes.
    fn catch_up(&self, name: &str) -> anyhow::Result<Plugin> {
        let since = Instant::now();
        loop {
            let plugin = self.running.plugin(name)?;
            let is_there = plugin.status.state == State::Live && plugin.status.lag == 0;
            let is_stuck = matches!(plugin.status.state, State::Paused | State::Halted | State::Stopped);
            if is_there || is_stuck || (!self.once && since.elapsed() > CATCH_UP_MAX) {
                return Ok(plugin);
            }
            std::thread::sleep(ASK_EVERY);
        }
    }
}

/// The files that were saved, as people call them.
fn names(changed: &[PathBuf], dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let first: Vec<String> = changed
        .iter()
        .take(3)
        .map(|path| path.strip_prefix(&dir).unwrap_or(path).display().to_string())
        .collect();
    let more = if changed.len() > 3 { format!(" and {} more", changed.len() - 3) } else { String::new() };
    format!("{}{more}", first.join(", "))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
