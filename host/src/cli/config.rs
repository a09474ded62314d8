//! `lantern config`

use super::{Context, output};
use crate::config::{Config as Settings, DEFAULT_FILE};
use serde_json::{Map, Value};
use std::path::Path;
use std::process::ExitCode;

/// Check the configuration.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  lantern config check\n  lantern --config production.toml config check --json"
)]
pub struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Read lantern.toml and the environment, and say what is in force; any mistake is an error with its line.
    ///
    /// Every setting is shown with its value, also those that nobody has set, as lantern.toml has them. Secrets are hidden. No broker is
    /// asked, and nothing is started.
    Check {
        /// Print what is in force as JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Config {
    /// The configuration has been read when this runs: what is wrong with it has been said.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Command::Check { json } = self.command;
        let config = &context.config;
        // What is set for clients is about a broker that is configured, and without one the embedded broker is used.
        if config.kafka.servers().is_some() {
            config.kafka.check()?;
        } else {
            config.broker.check()?;
        }
        let shown = in_force(config)?;
        if json {
            output::json(&shown)?;
            return Ok(ExitCode::SUCCESS);
        }
        let file = context.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        if file.exists() {
            output::line(&format!("# {}, environment and flags are in order.", file.display()))?;
        } else {
            output::line(&format!("# Environment and flags are in order; there is no {}.", file.display()))?;
        }
        output::line(&format!("# The log is {}.", config.kafka.servers().unwrap_or("the embedded broker")))?;
        for name in config.plugins.keys() {
            // The configuration was read, so it makes a manifest.
            if let Some(Ok(manifest)) =
                config.ready_made(name).map(|it| it.manifest()?.check().map_err(|e| e.to_string()))
            {
                output::line(&format!("# {name}: {}", manifest.description))?;
            }
        }
        output::line(&format!("\n{}", toml::to_string(&toml::Table::try_from(set(shown))?)?.trim_end()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Every setting with its value. Secrets are hidden.
fn in_force(config: &Settings) -> anyhow::Result<Map<String, Value>> {
    let Value::Object(mut shown) = serde_json::to_value(config)? else { return Ok(Map::new()) };
    shown.insert("kafka".into(), serde_json::to_value(config.kafka.in_force()?)?);
    // It cannot be set: it lies in the data folder.
    shown.get_mut("broker").and_then(Value::as_object_mut).map(|broker| broker.remove("dir"));
    Ok(shown)
}

/// Without what has no value, which TOML cannot say.
fn set(table: Map<String, Value>) -> Map<String, Value> {
    let table = table.into_iter().filter(|(_, value)| !value.is_null());
    let inner = |value| match value {
        Value::Object(inner) => Value::Object(set(inner)),
        other => other,
    };
    table.map(|(key, value)| (key, inner(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // What is in force is read, compared and sent to others, and is a file that can be used.
    #[test]
    fn what_is_shown_is_the_whole_configuration_without_its_secrets() {
        let text = "plugins_dir = 'p'\n[kafka]\nbootstrap.servers = 'a:1'\nsasl.password = 'hunter2'\nlinger.ms = 7\n\
                    [limits]\nevent_ms_max = 5\n[projections.orders]\ntopics = ['o']\n\
                    [plugins.seen]\nuse = 'counters'\ntopics = ['o']\n";
        let mut config: Settings = toml::from_str(text).unwrap();
        let credential = lantern_broker::Credential::new("hunter2").unwrap();
        let secret = credential.to_string();
        config.broker.users.insert("alice".into(), credential);
        let shown = in_force(&config).unwrap();
        let said = Value::from(shown.clone()).to_string();
        assert!(!said.contains("hunter2") && !said.contains(&secret) && said.contains("alice"), "{said}");
        let check = |section: &str, key: &str, expected: Value| {
            assert_eq!(shown[section][key], expected, "{section}.{key}");
        };
        check("kafka", "sasl.password", "(not shown)".into());
        check("kafka", "linger.ms", "7".into());
        check("kafka", "isolation.level", "read_committed".into());
        check("kafka", "fetch.wait.max.ms", "10".into());
        check("limits", "event_ms_max", 5.into());
        check("limits", "instances_max", 100.into());
        check("broker", "tls_key", Value::Null);
        config.broker.users.clear();
        let text = toml::to_string(&toml::Table::try_from(set(in_force(&config).unwrap())).unwrap()).unwrap();
        let read: Settings = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(read.limits, config.limits);
        assert_eq!(read.projections, config.projections);
        assert_eq!(read.plugins, config.plugins);
        assert_eq!(read.kafka.get("linger.ms"), Some("7"));
    }
}
