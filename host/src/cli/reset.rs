//! `lantern reset`

use super::running::{Consent, Target};
use super::{Context, output};
use std::process::ExitCode;

/// Empty a read model and fill it from the log's beginning.
///
/// Queries see it fill up. `lantern rebuild` does the same beside the live one, and is what is wanted nearly always.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern reset orders --yes")]
pub struct Reset {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    consent: Consent,
}

impl Reset {
    /// Asks for consent, then the host.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        if !self.consent.given(&format!("empties the read model {}", self.target.name))? {
            output::remark("nothing was done");
            return Ok(ExitCode::FAILURE);
        }
        self.target.act(context, "reset")
    }
}
