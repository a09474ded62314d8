//! `lantern config`

use super::{Context, output};
use crate::config::DEFAULT_FILE;
use std::process::ExitCode;

/// Check the configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern config check\n  lantern --config production.toml config check")]
pub struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Read lantern.toml and the environment, and say what is in force; any mistake is an error with its line.
    Check,
}

impl Config {
    /// The configuration has been read when this runs: what is wrong with it has been said.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Command::Check = self.command;
        let config = &context.config;
        output::line(&format!("{DEFAULT_FILE}, environment and flags are in order."))?;
        output::line(&format!("data_dir     {}", config.data_dir.display()))?;
        output::line(&format!("plugins_dir  {}", config.plugins_dir.display()))?;
        output::line(&format!("log          {}", config.kafka.servers().unwrap_or("embedded broker")))?;
        for name in config.projections.keys() {
            output::line(&format!("projection   {name}"))?;
        }
        for name in config.plugins.keys() {
            // The configuration was read, so it makes a manifest.
            if let Some(Ok(manifest)) =
                config.ready_made(name).map(|it| it.manifest()?.check().map_err(|e| e.to_string()))
            {
                output::line(&format!("plugin       {name}: {}", manifest.description))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
