//! `lantern aggregate`: what is kept of aggregates, read from the data folder, whether a host runs or not.

use super::running::Running;
use super::{Context, output, status};
use crate::aggregate_store::{Event, Filter, Reader};
use crate::command;
use crate::deployment::persisted;
use crate::deployment::report::Deployed;
use crate::http::ShownEvent;
use anyhow::bail;
use clap::Subcommand;
use comfy_table::CellAlignment;
use lantern_contract::manifest::check_name;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Rows that are read at a time.
const CHUNK: usize = 500;
/// Rows of a table for people; a table of more is not read by anybody.
const TABLE_ROWS_MAX: usize = 1_000;

/// Show aggregates: the state of one, its events, or which there are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lantern aggregate list
  lantern aggregate show account ada
  lantern aggregate events account ada --since 2026-03-01T00:00:00Z --json")]
pub struct Aggregate {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Show(Show),
    Events(Events),
    List(List),
}

/// Show the state of one aggregate, and its version.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern aggregate show account ada --json | jq .state")]
struct Show {
    /// The type of the aggregate.
    #[arg(value_name = "TYPE")]
    aggregate: String,
    /// Which one.
    id: String,
    /// Print JSON: {"aggregate": ..., "id": ..., "version": ..., "state": ..., "state_version": ...}.
    #[arg(long)]
    json: bool,
}

/// Show the events of one aggregate, oldest first: its audit trail.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern aggregate events account ada --from-version 10 --limit 5")]
struct Events {
    /// The type of the aggregate.
    #[arg(value_name = "TYPE")]
    aggregate: String,
    /// Which one.
    id: String,
    /// From this version on.
    #[arg(long, value_name = "N", default_value_t = 0)]
    from_version: u64,
    /// Up to this version.
    #[arg(long, value_name = "N")]
    to_version: Option<u64>,
    /// From this time on, such as 2026-03-01T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<jiff::Timestamp>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<jiff::Timestamp>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = TABLE_ROWS_MAX)]
    limit: usize,
    /// Print JSON: one event a line.
    #[arg(long)]
    json: bool,
}

/// List the types of aggregates, or the aggregates of one type.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  lantern aggregate list\n  lantern aggregate list account --after bob")]
struct List {
    /// Only the aggregates of this type.
    #[arg(value_name = "TYPE")]
    aggregate: Option<String>,
    /// Those whose ids come behind this one.
    #[arg(long, value_name = "ID", requires = "aggregate")]
    after: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = TABLE_ROWS_MAX)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Aggregate {
    /// Prints what is kept.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Show(show) => show.run(context)?,
            What::Events(events) => events.run(context)?,
            What::List(list) => list.run(context)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    fn run(&self, context: &Context) -> anyhow::Result<()> {
        let Show { aggregate, id, .. } = self;
        let Some(stored) = open(context, aggregate)?.show(id)? else {
            return nothing(context, aggregate, id);
        };
        let last: Option<command::Status> = persisted::read(&context.data.status(aggregate));
        let state_version = last.map_or(stored.state_version, |status| status.state_version);
        let state = stored.state.as_deref().and_then(|state| serde_json::from_slice::<&RawValue>(state).ok());
        let answer = match (state, context.data.holder().and_then(|holder| holder.http)) {
            (Some(state), _) if stored.is_current(state_version) => json!({
                "aggregate": aggregate, "id": id, "version": stored.version, "state": state,
                "state_version": stored.state_version,
            }),
            // Only the handler can fold it.
            (_, Some(address)) => Running::at(&address, "aggregate show").aggregate(aggregate, id)?,
            _ => bail!(
                "the state of {aggregate} {id:?} is of an earlier handler, and is folded anew by the one that was deployed \
                 last: start `lantern run`, and ask again. Its events are there: `lantern aggregate events`"
            ),
        };
        if self.json {
            return output::json(&answer);
        }
        output::line(&format!("{aggregate} {id} is at version {}", answer["version"]))?;
        output::line(&serde_json::to_string_pretty(&answer["state"])?)
    }
}

impl Events {
    fn run(&self, context: &Context) -> anyhow::Result<()> {
        let Events { aggregate, id, .. } = self;
        let reader = open(context, aggregate)?;
        if reader.version(id)?.is_none() {
            return nothing(context, aggregate, id);
        }
        let limit = if self.json { self.limit } else { self.limit.min(TABLE_ROWS_MAX) };
        let mut table = output::table(&["version", "time", "event", "data"]);
        let mut rows = 0;
        let mut filter = Filter {
            from_version: self.from_version,
            to_version: self.to_version.unwrap_or(u64::MAX),
            since_ms: self.since.map_or(i64::MIN, jiff::Timestamp::as_millisecond),
            until_ms: self.until.map_or(i64::MAX, jiff::Timestamp::as_millisecond),
            limit: 0,
        };
        loop {
            filter.limit = (limit - rows).min(CHUNK);
            let events = reader.events(id, &filter)?;
            let is_last = events.len() < filter.limit;
            rows += events.len();
            if let Some(Event { version, .. }) = events.last() {
                filter.from_version = version + 1;
            }
            for event in events.into_iter().map(ShownEvent::from) {
                if self.json {
                    output::json(&event)?;
                } else {
                    table.add_row(event.row());
                }
            }
            if is_last || rows == limit {
                break;
            }
        }
        if self.json { Ok(()) } else { output::line(&table.to_string()) }
    }
}

impl List {
    fn run(&self, context: &Context) -> anyhow::Result<()> {
        match &self.aggregate {
            Some(aggregate) => self.aggregates(context, aggregate),
            None => self.types(context),
        }
    }

    fn aggregates(&self, context: &Context, aggregate: &str) -> anyhow::Result<()> {
        let limit = if self.json { self.limit } else { self.limit.min(TABLE_ROWS_MAX) };
        let found = open(context, aggregate)?.list(self.after.as_deref(), limit)?;
        if self.json {
            let found: Vec<Value> =
                found.iter().map(|(id, version)| json!({ "id": id, "version": version })).collect();
            return output::json(&found);
        }
        let mut table = output::table(&[aggregate, "version"]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.add_rows(found.iter().map(|(id, version)| [id.clone(), version.to_string()]));
        output::line(&table.to_string())?;
        match found.last() {
            Some((last, _)) if found.len() == limit => output::line(&format!(
                "There may be more: `lantern aggregate list {aggregate} --after {last}`"
            )),
            _ => Ok(()),
        }
    }

    fn types(&self, context: &Context) -> anyhow::Result<()> {
        let told =
            status::deployed(context.data.holder().as_ref()).into_iter().filter_map(|plugin| match plugin {
                Deployed::Commands(handler) => Some(handler.status),
                _ => None,
            });
        let statuses = statuses(context, told.collect());
        if self.json {
            return output::json(&statuses);
        }
        if statuses.is_empty() {
            return output::line("there is no aggregate yet; a deployed command handler makes them");
        }
        let mut table = output::table(&["aggregate", "state", "topic", "aggregates"]);
        for status in statuses {
            let count = status.aggregates.to_string();
            table.add_row([status.name, status.state.to_string(), status.topic, count]);
        }
        output::line(&table.to_string())
    }
}

/// The command handlers by name: what the host has told of them, and of the others what their files say.
pub(super) fn statuses(context: &Context, mut told: Vec<command::Status>) -> Vec<command::Status> {
    let is_running = context.data.holder().is_some();
    let status = |name: String| {
        let last: Option<command::Status> = persisted::read(&context.data.status(&name));
        let last = last.unwrap_or_else(|| command::Status::starting(&name, ""));
        // What was halted is still halted when its host has gone.
        let state = match last.state {
            command::State::Halted => command::State::Halted,
            _ if is_running => last.state,
            _ => command::State::Stopped,
        };
        command::Status { state, ..last }
    };
    let kept = context.data.aggregate_types().into_iter();
    let others: Vec<_> = kept.filter(|name| told.iter().all(|it| it.name != *name)).map(status).collect();
    told.extend(others);
    told.sort_by(|a, b| a.name.cmp(&b.name));
    told
}

fn open(context: &Context, aggregate: &str) -> anyhow::Result<Reader> {
    let path = context.data.aggregates(aggregate);
    // A name that is none could lead out of the folder.
    if check_name(aggregate).is_err() || !path.exists() {
        let known = context.data.aggregate_types();
        let known = if known.is_empty() { "there is none".into() } else { known.join(", ") };
        bail!("there is no aggregate {aggregate:?} in {}. Known: {known}", context.data.root().display());
    }
    match Reader::open_if_made(&path)? {
        Some(reader) => Ok(reader),
        None => bail!(
            "no {aggregate} is known yet: its handler has only just been started; ask again in a moment"
        ),
    }
}

fn nothing(context: &Context, aggregate: &str, id: &str) -> anyhow::Result<()> {
    let told = status::deployed(context.data.holder().as_ref()).into_iter().find_map(|plugin| match plugin {
        Deployed::Commands(handler) if handler.status.name == aggregate => Some(handler.status),
        _ => None,
    });
    // Only a live handler has read all that there is.
    match told {
        Some(command::Status { state: command::State::Live, .. }) => {}
        Some(status) => bail!(
            "no {aggregate} {id:?} is known here, but its handler is {}: it may be in what was not read yet; see `lantern status`",
            status.state
        ),
        None => bail!(
            "there is no {aggregate} {id:?} here: no event was appended for it while its handler ran; \
             `lantern aggregate list {aggregate}` lists those that there are, and `lantern run` reads what has come since"
        ),
    }
    bail!(
        "there is no {aggregate} {id:?}: no event was appended for it yet; `lantern aggregate list {aggregate}` lists those that there are"
    )
}
