//! `lantern promote`

use super::Context;
use super::running::Target;
use std::process::ExitCode;

/// Make the generation live that was built by `lantern deploy --preview`.
///
/// Between two batches, at an equal position: no event is lost or applied twice. The generation before is kept for
/// `lantern rollback`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern promote orders")]
pub struct Promote {
    #[command(flatten)]
    target: Target,
}

impl Promote {
    /// Asks the host.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        self.target.act(context, "promote")
    }
}
