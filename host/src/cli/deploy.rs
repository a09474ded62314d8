//! `lantern deploy`

use super::running::follow::{Ended, follow};
use super::running::{Error, Running, show};
use super::{Context, output};
use crate::deployment::report::{Done, Rebuild};
use crate::plugin;
use anyhow::Context as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Deploy a plugin to the host that runs.
///
/// Starts it, swaps it in between two batches, or, when its tables or its state version are others, builds its read model anew
/// beside the live one and promotes it. Reading never stops. Leaves with 1 when the plugin is rejected, is put back, or its
/// rebuild fails: what ran before runs on then.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  lantern deploy target/orders.wasm\n  lantern deploy orders.wasm --preview    what would change; promote or discard it then"
)]
pub struct Deploy {
    /// The plugin.
    #[arg(value_name = "PLUGIN.wasm")]
    file: PathBuf,
    /// Build its read model beside the live one, and show what would change.
    #[arg(long)]
    preview: bool,
    /// Leave when the host has taken it, and do not wait for a rebuild.
    #[arg(long)]
    no_wait: bool,
    /// Print JSON: what was done, and with --preview what would change.
    #[arg(long)]
    json: bool,
}

impl Deploy {
    /// Sends the plugin, waits, and says what was done.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let artifact = plugin::read(&self.file)?;
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let running = match Running::find(context, &format!("deploy {name}")) {
            Err(error @ Error::Nothing { .. }) => {
                return Err(error).with_context(|| {
                    format!(
                        "{} is not deployed. Put it into {}, where the next `lantern run` takes it up, or start one first",
                        self.file.display(),
                        context.config.plugins_dir.display()
                    )
                });
            }
            other => other?,
        };
        let outcome = running.deploy(&artifact, self.preview)?;
        let ended = if self.no_wait {
            Ended::Done(outcome)
        } else {
            if !self.json && matches!(outcome.result, Done::Rebuilding | Done::Previewing) && !context.quiet {
                output::remark(&show::outcome(&outcome));
            }
            follow(&running, outcome, context.quiet || self.json)?
        };
        match ended {
            Ended::Done(outcome) => {
                if self.json {
                    output::json(&outcome)?;
                } else {
                    output::line(&show::outcome(&outcome))?;
                }
                Ok(if outcome.result == Done::Rejected { ExitCode::FAILURE } else { ExitCode::SUCCESS })
            }
            Ended::Ready(rebuild) => {
                self.show_preview(&running, &rebuild)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    fn show_preview(&self, running: &Running, rebuild: &Rebuild) -> anyhow::Result<()> {
        if self.json {
            return output::json(rebuild);
        }
        let Some(changes) = &rebuild.changes else { return Ok(()) };
        output::line(&show::changes(changes))?;
        // Its name is the host's knowledge: the file says only its digest.
        let name = running
            .plugins()?
            .into_iter()
            .find(|plugin| plugin.rebuild.as_ref().is_some_and(|other| other.digest == rebuild.digest))
            .map(|plugin| plugin.status.name)
            .unwrap_or_default();
        output::line(&format!(
            "\nGeneration {} is ready. `lantern promote {name}` makes it live; `lantern discard {name}` gives it up",
            rebuild.generation
        ))
    }
}
