//! `lantern groups`: who reads the log, and how far they are.

use super::running::Consent;
use super::{Context, output};
use crate::log::{Admin, Group, Groups as Client, Member, Read};
use anyhow::{anyhow, bail};
use comfy_table::CellAlignment;
use serde::Serialize;
use std::process::ExitCode;

/// List, describe and delete consumer groups.
///
/// A group's lag is how many offsets it has left to read, markers of transactions among them. Lantern's projections
/// commit how far they are as `lantern-<name>`, for tools that show lag: their checkpoints are in their read models.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  lantern groups
  lantern groups describe lantern-orders
  lantern groups delete billing"
)]
pub struct Groups {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List groups with their state, members and lag.
    #[command(after_help = "Example:\n  lantern groups list --json")]
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a group's members, and how far it is in each partition.
    #[command(after_help = "Example:\n  lantern groups describe lantern-orders")]
    Describe {
        /// The group.
        group: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Forget a group that has no members, and how far it was.
    #[command(after_help = "Example:\n  lantern groups delete billing --yes")]
    Delete {
        /// The group.
        group: String,
        #[command(flatten)]
        consent: Consent,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// A group and how far it is.
#[derive(Serialize)]
struct Described {
    #[serde(flatten)]
    group: Group,
    /// Of all partitions together.
    lag: u64,
    offsets: Vec<Offset>,
}

#[derive(Serialize)]
struct Offset {
    #[serde(flatten)]
    read: Read,
    lag: Option<u64>,
}

impl Groups {
    /// Prints or deletes groups.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self.action {
            None => list(context, self.json),
            Some(Action::List { json }) => list(context, json),
            Some(Action::Describe { group, json }) => describe(context, &group, json),
            Some(Action::Delete { group, consent, json }) => delete(context, &group, &consent, json),
        }
    }
}

fn described(client: &Client, group: Group) -> anyhow::Result<Described> {
    let read = client.read(&group.name)?;
    let offsets: Vec<Offset> = read.into_iter().map(|read| Offset { lag: read.lag(), read }).collect();
    Ok(Described { group, lag: offsets.iter().filter_map(|it| it.lag).sum(), offsets })
}

fn find(client: &Client, name: &str) -> anyhow::Result<Group> {
    let found = client.list(Some(name))?.into_iter().find(|group| group.name == name);
    found.ok_or_else(|| anyhow!("there is no group {name}: `lantern groups` shows which there are"))
}

fn list(context: &Context, json: bool) -> anyhow::Result<ExitCode> {
    let groups: Vec<Described> = context.with_log("lantern groups", |log| {
        let client = Client::new(log.options())?;
        client.list(None)?.into_iter().map(|group| described(&client, group)).collect()
    })?;
    if json {
        output::json(&groups)?;
    } else if groups.is_empty() {
        output::line("nobody reads the log in a group yet")?;
    } else {
        let mut table = output::table(&["group", "state", "members", "partitions", "lag"]);
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for Described { group, lag, offsets } in groups {
            let members = group.members.len().to_string();
            table.add_row([group.name, group.state, members, offsets.len().to_string(), lag.to_string()]);
        }
        output::line(&table.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(context: &Context, name: &str, json: bool) -> anyhow::Result<ExitCode> {
    let found = context.with_log("lantern groups", |log| {
        let client = Client::new(log.options())?;
        described(&client, find(&client, name)?)
    })?;
    if json {
        output::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Described { group, lag, offsets } = found;
    let sharing =
        if group.protocol.is_empty() { String::new() } else { format!(", shared out by {}", group.protocol) };
    output::line(&format!("{}: {}{sharing}, lag {lag}", group.name, group.state))?;
    if !offsets.is_empty() {
        let mut table = output::table(&["topic", "partition", "committed", "end", "lag"]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for Offset { read, lag } in offsets {
            let shown = |number: Option<String>| number.unwrap_or_else(|| "(gone)".into());
            table.add_row([
                read.topic,
                read.partition.to_string(),
                read.committed.to_string(),
                shown(read.end.map(|end| end.to_string())),
                shown(lag.map(|lag| lag.to_string())),
            ]);
        }
        output::line(&table.to_string())?;
    }
    if !group.members.is_empty() {
        let mut table = output::table(&["member", "client", "host", "partitions"]);
        for Member { id, client, host, partitions } in group.members {
            table.add_row([id, client, host, partitions.join(" ")]);
        }
        output::line(&table.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn delete(context: &Context, name: &str, consent: &Consent, json: bool) -> anyhow::Result<ExitCode> {
    context.with_log("lantern groups", |log| {
        let client = Client::new(log.options())?;
        let group = find(&client, name)?;
        if !group.members.is_empty() {
            bail!(
                "group {name} has {} members: stop them first; `lantern groups describe {name}` shows who they are",
                group.members.len()
            );
        }
        if !consent.given(&format!("forgets group {name} and how far it was"))? {
            output::remark("nothing was deleted");
            return Ok(ExitCode::FAILURE);
        }
        Admin::new(log.options())?.delete_group(name)?;
        if json {
            output::json(&serde_json::json!({ "group": name, "deleted": true }))?;
        } else {
            output::line(&format!("deleted group {name}"))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}
