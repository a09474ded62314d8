//! `lantern topics`: what the log holds, and changes of it.

mod alter;
mod create;
mod delete;
mod describe;
mod list;

use super::Context;
use std::process::ExitCode;

/// List, create, describe, change and delete topics.
///
/// Without a subcommand they are listed: for every partition the offset of its first record, and its end, which is the
/// offset behind its last committed record. Kafka's own topics are left out.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  lantern topics
  lantern topics create orders --partitions 6 --set cleanup.policy=compact
  lantern topics describe orders
  lantern topics alter orders --partitions 12 --set retention.ms=604800000 --unset cleanup.policy
  lantern topics delete orders"
)]
pub struct Topics {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: list::List,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List topics and what they hold.
    #[command(after_help = "Example:\n  lantern topics list --json")]
    List(list::List),
    /// Create a topic.
    #[command(
        after_help = "Example:\n  lantern topics create orders --partitions 6 --set cleanup.policy=compact"
    )]
    Create(create::Create),
    /// Show a topic's partitions and settings.
    #[command(after_help = "Example:\n  lantern topics describe orders")]
    Describe(describe::Describe),
    /// Give a topic more partitions, or other settings.
    ///
    /// A topic's partitions never become fewer. With more of them keys go to other partitions: events of one key that
    /// came before stay where they are, so that the order of each key holds only among those that come after.
    #[command(
        after_help = "Example:\n  lantern topics alter orders --set retention.ms=604800000 --unset cleanup.policy"
    )]
    Alter(alter::Alter),
    /// Delete a topic with everything in it.
    #[command(after_help = "Example:\n  lantern topics delete orders --yes")]
    Delete(delete::Delete),
}

impl Topics {
    /// Prints or changes topics.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self.action {
            None => self.list.run(context),
            Some(Action::List(list)) => list.run(context),
            Some(Action::Create(create)) => create.run(context),
            Some(Action::Describe(describe)) => describe.run(context),
            Some(Action::Alter(alter)) => alter.run(context),
            Some(Action::Delete(delete)) => delete.run(context),
        }
    }
}

/// `key=value`, as `--set` takes it.
pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("a setting is written key=value, such as retention.ms=604800000".into()),
    }
}
