//! `lantern rollback`

use super::Context;
use super::running::Target;
use std::process::ExitCode;

/// Run what ran before the last deployment.
///
/// The plugin and the generation of the read model that were live before are live again at once. A second rollback
/// undoes the first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern rollback orders")]
pub struct Rollback {
    #[command(flatten)]
    target: Target,
}

impl Rollback {
    /// Asks the host.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        self.target.act(context, "rollback")
    }
}
