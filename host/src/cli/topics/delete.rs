//! `lantern topics delete`

use crate::cli::running::Consent;
use crate::cli::{Context, output};
use crate::log::{Admin, Client};
use std::process::ExitCode;

/// Which topic is to go.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The topic.
    topic: String,
    #[command(flatten)]
    consent: Consent,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Delete {
    /// Deletes the topic, if that is meant.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Delete { topic, consent, json } = self;
        context.with_log("lantern topics", |log| {
            // Before anybody is asked: there may be nothing to delete.
            let partitions = Client::new(log.options())?.partitions(&topic)?.len();
            let what = format!(
                "deletes topic {topic} with everything in its {partitions} partition{}; projections that read it will pause",
                if partitions == 1 { "" } else { "s" }
            );
            if !consent.given(&what)? {
                output::remark("nothing was deleted");
                return Ok(ExitCode::FAILURE);
            }
            Admin::new(log.options())?.delete_topic(&topic)?;
            if json {
                output::json(&serde_json::json!({ "topic": topic, "deleted": true }))?;
            } else {
                output::line(&format!("deleted topic {topic}"))?;
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}
