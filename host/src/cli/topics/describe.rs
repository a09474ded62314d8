//! `lantern topics describe`

use crate::cli::{Context, output};
use crate::log::{Admin, Client, PartitionInfo, Setting, Source};
use comfy_table::CellAlignment;
use serde::Serialize;
use std::process::ExitCode;

/// Which topic is to be shown.
#[derive(Debug, clap::Args)]
pub struct Describe {
    /// The topic.
    topic: String,
    /// Show all settings, also those that are as they are by default.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Description {
    topic: String,
    partitions: Vec<PartitionInfo>,
    settings: Vec<Setting>,
}

impl Describe {
    /// Prints the topic.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Describe { topic, all, json } = self;
        let description = context.with_log("lantern topics", |log| {
            let client = Client::new(log.options())?;
            let partitions = client.describe(&topic)?;
            let mut settings = Admin::new(log.options())?.settings(&topic)?;
            settings.retain(|setting| all || setting.source == Source::Topic);
            Ok(Description { topic, partitions, settings })
        })?;
        if json {
            output::json(&description)?;
            return Ok(ExitCode::SUCCESS);
        }
        let Description { topic, partitions, settings } = description;
        output::line(&topic)?;
        let mut table = output::table(&["partition", "first", "end", "records"]);
        for column in table.column_iter_mut() {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for PartitionInfo { id, low, high } in partitions {
            table.add_row([i64::from(id), low, high, high - low].map(|number| number.to_string()));
        }
        output::line(&table.to_string())?;
        if settings.is_empty() {
            output::line("settings: as they are by default (--all shows them)")?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = output::table(&["setting", "value", "set by"]);
        for Setting { name, value, source, .. } in settings {
            let source = match source {
                Source::Topic => "topic",
                Source::Broker => "broker",
                Source::Default => "default",
            };
            table.add_row([name, value.unwrap_or_else(|| "(not shown)".into()), source.into()]);
        }
        output::line(&table.to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}
