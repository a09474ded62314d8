//! `lantern resume`

use super::Context;
use super::running::Target;
use std::process::ExitCode;

/// Apply events again, to a read model that was paused or has halted.
///
/// It goes on where it stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern resume orders")]
pub struct Resume {
    #[command(flatten)]
    target: Target,
}

impl Resume {
    /// Asks the host.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        self.target.act(context, "resume")
    }
}
