//! `lantern rebuild`

use super::running::follow::{Ended, follow};
use super::running::{Running, Target, show};
use super::{Context, output};
use std::process::ExitCode;

/// Build a read model anew beside the live one, from the log, and promote it.
///
/// Queries are answered meanwhile. The generation before is kept for `lantern rollback`. Of a command handler, the state of every
/// aggregate is folded from its events again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern rebuild orders")]
pub struct Rebuild {
    #[command(flatten)]
    target: Target,
    /// Leave when it has begun.
    #[arg(long)]
    no_wait: bool,
}

impl Rebuild {
    /// Asks the host, and waits until the new generation is live.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Target { name, json } = &self.target;
        if self.no_wait {
            return self.target.act(context, "rebuild");
        }
        let running = Running::find(context, "rebuild")?;
        let outcome = running.act(name, "rebuild")?;
        if let Ended::Done(outcome) = follow(&running, outcome, context.quiet || *json)? {
            if *json {
                output::json(&outcome)?;
            } else {
                output::line(&show::outcome(&outcome))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
