//! `lantern topics create`

use super::setting;
use crate::cli::{Context, output};
use crate::log::Admin;
use anyhow::bail;
use std::process::ExitCode;

/// What a new topic is to be.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The topic's name: letters, digits, `.`, `_` and `-`.
    topic: String,
    /// Into how many partitions its records go: as many readers of one group can share the work.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// A setting of the topic, such as `cleanup.policy=compact`. May be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Leave a topic that exists as it is, and succeed.
    #[arg(long)]
    if_missing: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Create {
    /// Creates the topic.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Create { topic, partitions, set, if_missing, json } = self;
        let settings: Vec<(&str, &str)> = set.iter().map(|(key, value)| (&**key, &**value)).collect();
        let created = context.with_log("lantern topics", |log| {
            Ok(Admin::new(log.options())?.create_topic(&topic, partitions, &settings)?)
        })?;
        if !created && !if_missing {
            bail!(
                "topic {topic} exists already: `lantern topics describe {topic}` shows it, `lantern topics alter` changes it"
            );
        }
        if json {
            output::json(&serde_json::json!({ "topic": topic, "created": created }))?;
        } else if created {
            let plural = if partitions == 1 { "" } else { "s" };
            output::line(&format!("created topic {topic} with {partitions} partition{plural}"))?;
        } else {
            output::line(&format!("topic {topic} exists already and stays as it is"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
