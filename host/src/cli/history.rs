//! `lantern history`

use super::running::{Running, show};
use super::{Context, output};
use std::process::ExitCode;

/// Show what was deployed, when, by whom, and why something was rejected.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  lantern history\n  lantern history orders --json | jq '.[] | select(.result == \"rejected\")'"
)]
pub struct History {
    /// Only of this plugin.
    name: Option<String>,
    /// Print JSON: one array of entries, newest last.
    #[arg(long)]
    json: bool,
}

impl History {
    /// Prints the history.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let entries = Running::find(context, "history")?.history(self.name.as_deref())?;
        if self.json {
            output::json(&entries)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = output::table(&["when", "plugin", "sha256", "what", "generation", "by"]);
        for entry in &entries {
            table.add_row([
                entry.at.clone(),
                entry.name.clone(),
                show::short(&entry.digest).to_owned(),
                entry.result.to_string(),
                if entry.generation == 0 { String::new() } else { entry.generation.to_string() },
                entry.by.clone(),
            ]);
        }
        output::line(&table.to_string())?;
        for entry in &entries {
            if let Some(reason) = &entry.reason {
                output::line(&format!(
                    "{} {} {}: {reason}",
                    entry.at,
                    entry.name,
                    show::short(&entry.digest)
                ))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
