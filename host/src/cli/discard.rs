//! `lantern discard`

use super::Context;
use super::running::Target;
use std::process::ExitCode;

/// Give up what is built beside the live generation: a preview, or a rebuild.
///
/// The live one is not touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern discard orders")]
pub struct Discard {
    #[command(flatten)]
    target: Target,
}

impl Discard {
    /// Asks the host.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        self.target.act(context, "discard")
    }
}
