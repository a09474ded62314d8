//! `lantern pause`

use super::Context;
use super::running::Target;
use std::process::ExitCode;

/// Apply no events to a read model until it is resumed.
///
/// Queries are answered meanwhile. It stays paused when the host is started again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern pause orders")]
pub struct Pause {
    #[command(flatten)]
    target: Target,
}

impl Pause {
    /// Asks the host.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        self.target.act(context, "pause")
    }
}
