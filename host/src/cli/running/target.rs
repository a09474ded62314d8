//! What the commands have in common that name one plugin.

use super::{Error, Running, show};
use crate::cli::{Context, output};
use crate::deployment::report::Outcome;
use anyhow::{Context as _, bail};
use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

/// A plugin of the host that runs.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// The plugin's name, which is its read model's.
    pub name: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl Target {
    /// Asks the host for something that is done when it answers, and says what was done.
    ///
    /// # Errors
    /// When it is refused, or no host runs.
    pub fn act(&self, context: &Context, word: &str) -> anyhow::Result<ExitCode> {
        self.ask(context, word, |running| running.act(&self.name, word))
    }

    /// As [`Target::act`], with a request of its own.
    ///
    /// # Errors
    /// When it is refused, or no host runs.
    pub fn ask(
        &self,
        context: &Context,
        command: &str,
        request: impl FnOnce(&Running) -> Result<Outcome, Error>,
    ) -> anyhow::Result<ExitCode> {
        let running = Running::find(context, command)?;
        let outcome = request(&running)?;
        if self.json {
            output::json(&outcome)?;
        } else {
            output::line(&show::outcome(&outcome))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether somebody meant it.
#[derive(Debug, clap::Args)]
pub struct Consent {
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

impl Consent {
    /// Asks a person, unless `--yes` says it already; answers whether to go on.
    ///
    /// # Errors
    /// When there is nobody to ask.
    pub fn given(&self, what: &str) -> anyhow::Result<bool> {
        if self.yes {
            return Ok(true);
        }
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            bail!("this {what}, and nobody is there to confirm it: add --yes");
        }
        output::question(&format!("This {what}. Go on? [y/N] "));
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer).context("cannot read the answer")?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}
