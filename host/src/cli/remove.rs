//! `lantern remove`

use super::running::{Consent, Target};
use super::{Context, output};
use std::process::ExitCode;

/// Stop a plugin.
///
/// Its read model stays and can be queried; deploying the plugin again goes on where it stopped. With --purge what it has
/// written into the data folder is deleted: all generations of a read model, or what is kept of a command handler's
/// aggregates. The log is never touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  lantern remove orders\n  lantern remove orders --purge --yes")]
pub struct Remove {
    #[command(flatten)]
    target: Target,
    /// Delete its read models too, or what is kept of its aggregates.
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    consent: Consent,
}

impl Remove {
    /// Asks for consent where something is deleted, then the host.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let what = format!(
            "deletes the read model {0} with all its generations, or what is kept of the aggregates {0}",
            self.target.name
        );
        if self.purge && !self.consent.given(&what)? {
            output::remark("nothing was done");
            return Ok(ExitCode::FAILURE);
        }
        self.target.ask(context, "remove", |running| running.remove(&self.target.name, self.purge))
    }
}
