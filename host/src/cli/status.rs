//! `lantern status`

use super::aggregate;
use super::running::{Running, show};
use super::{Context, output};
use crate::command;
use crate::data_dir::Holder;
use crate::deployment::persisted;
use crate::deployment::report::{self, Deployed, Rebuild};
use crate::log::Client;
use crate::projection::{self, State};
use crate::read_model::Reader;
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Show what runs, how far each read model is, and what is wrong.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  lantern status\n  lantern status --json | jq '.projections[] | select(.state == \"halted\")'"
)]
pub struct Status {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    host: Option<Holder>,
    broker: Option<Broker>,
    projections: Vec<Projection>,
    /// The command handlers.
    handlers: Vec<command::Status>,
    /// The upcasters, as a running host tells of them.
    upcasters: Vec<report::Upcaster>,
}

#[derive(Serialize)]
struct Broker {
    address: String,
    embedded: bool,
}

#[derive(Serialize)]
struct Projection {
    name: String,
    state: String,
    /// Events that are still to be applied; unknown while nothing runs that could tell.
    lag: Option<u64>,
    checkpoint: BTreeMap<String, i64>,
    error: Option<String>,
    digest: Option<String>,
    /// The live generation; unknown while no host runs.
    generation: Option<u32>,
    /// The plugin that was put back last because it could not apply its first events.
    put_back: Option<projection::status::PutBack>,
    /// What is built beside the live generation.
    rebuild: Option<Rebuild>,
}

impl Status {
    /// Prints the report; reading it changes nothing.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let host = context.data.holder();
        let configured = context.config.kafka.servers().map(|servers| (servers.to_owned(), false));
        let running = host.as_ref().and_then(|holder| Some((holder.broker.clone()?, holder.embedded)));
        let broker = configured.or(running).map(|(address, embedded)| Broker { address, embedded });
        let client = context.config.kafka.servers().and_then(|_| Client::new(&context.config.kafka).ok());
        let mut projections = Vec::new();
        let mut handlers = Vec::new();
        let mut upcasters = Vec::new();
        for plugin in deployed(host.as_ref()) {
            match plugin {
                Deployed::Projection(plugin) => projections.push(told(plugin)),
                Deployed::Commands(handler) => handlers.push(handler.status),
                Deployed::Upcaster(upcaster) => upcasters.push(upcaster),
            }
        }
        for name in context.data.read_models() {
            if !projections.iter().any(|projection| projection.name == name) {
                projections.push(projection(context, &name, host.is_some(), client.as_ref()));
            }
        }
        projections.sort_by(|a, b| a.name.cmp(&b.name));
        let handlers = aggregate::statuses(context, handlers);
        let report = Report { host, broker, projections, handlers, upcasters };
        if self.json {
            output::json(&report)?
        } else {
            show(&report)?
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a running host says of its plugins. One that does not answer yet, or no more, has left its files.
pub(super) fn deployed(host: Option<&Holder>) -> Vec<Deployed> {
    match host.and_then(|host| host.http.as_ref()) {
        Some(address) => Running::at(address, "status").deployed().unwrap_or_default(),
        None => Vec::new(),
    }
}

/// What a running host says of a plugin.
fn told(plugin: report::Plugin) -> Projection {
    let report::Plugin { status, generation, rebuild, .. } = plugin;
    Projection {
        name: status.name,
        state: status.state.to_string(),
        lag: Some(status.lag),
        checkpoint: status.checkpoint,
        error: status.error,
        digest: Some(status.digest),
        generation: Some(generation),
        put_back: status.put_back,
        rebuild,
    }
}

/// What the files say of a read model.
fn projection(context: &Context, name: &str, is_running: bool, client: Option<&Client>) -> Projection {
    let stored = Reader::open(&context.data.read_model(name))
        .and_then(|reader| Ok((reader.checkpoints()?, reader.digest()?)));
    let last = persisted::read(&context.data.status(name));
    let (checkpoints, digest, unreadable) = match stored {
        Ok((checkpoints, digest)) => (checkpoints, digest, None),
        Err(error) => (BTreeMap::new(), None, Some(error.to_string())),
    };
    let (state, lag, error) = match &last {
        Some(projection::Status { state, lag, error, .. }) if is_running => {
            (*state, Some(*lag), error.clone())
        }
        // What was halted is still halted when its host has gone.
        Some(projection::Status { state: State::Halted, error, .. }) => (State::Halted, None, error.clone()),
        _ => (State::Stopped, None, None),
    };
    let lag = lag.or_else(|| {
        let client = client?;
        let left = checkpoints.iter().map(|((topic, partition), next)| {
            let end = client.watermarks(topic, *partition).ok()?.end;
            u64::try_from(end - next).ok()
        });
        left.sum::<Option<u64>>()
    });
    Projection {
        name: name.to_owned(),
        state: state.to_string(),
        lag,
        checkpoint: checkpoints
            .into_iter()
            .map(|((topic, partition), next)| (format!("{topic}/{partition}"), next))
            .collect(),
        error: error.or(unreadable),
        digest,
        generation: None,
        put_back: None,
        rebuild: None,
    }
}

fn show(report: &Report) -> anyhow::Result<()> {
    match &report.host {
        Some(holder) => output::line(&format!(
            "`{}` runs as process {} since {}",
            holder.command, holder.pid, holder.started
        ))?,
        None => output::line("nothing runs on this data folder; start it with `lantern run`")?,
    }
    if let Some(Broker { address, embedded }) = &report.broker {
        output::line(&format!("log at {address}{}", if *embedded { " (embedded)" } else { "" }))?;
    }
    show_upcasters(&report.upcasters)?;
    show_handlers(&report.handlers)?;
    if report.projections.is_empty() {
        return output::line("no read model yet");
    }
    let mut table = output::table(&["read model", "state", "lag", "checkpoint"]);
    for projection in &report.projections {
        let checkpoint = projection
            .checkpoint
            .iter()
            .map(|(partition, next)| format!("{partition}@{next}"))
            .collect::<Vec<_>>();
        table.add_row([
            projection.name.clone(),
            projection.state.clone(),
            projection.lag.map_or_else(|| "?".into(), |lag| lag.to_string()),
            checkpoint.join("\n"),
        ]);
    }
    output::line(&table.to_string())?;
    for Projection { name, error, put_back, rebuild, .. } in &report.projections {
        if let Some(error) = error {
            output::line(&format!("{name}: {error}"))?;
        }
        if let Some(put_back) = put_back {
            let digest = show::short(&put_back.digest);
            output::line(&format!("{name}: {digest} was put back: {}", put_back.reason))?;
        }
        if let Some(rebuild) = rebuild {
            output::line(&format!("{name}: {}", show::progress(rebuild)))?;
        }
    }
    Ok(())
}

fn show_upcasters(upcasters: &[report::Upcaster]) -> anyhow::Result<()> {
    if upcasters.is_empty() {
        return Ok(());
    }
    let mut table = output::table(&["upcaster", "state", "topics", "old types"]);
    for report::Upcaster { name, state, topics, types, .. } in upcasters {
        table.add_row([name.clone(), state.to_string(), topics.join(", "), types.join(", ")]);
    }
    output::line(&table.to_string())?;
    for report::Upcaster { name, error, .. } in upcasters {
        if let Some(error) = error {
            output::line(&format!("{name}: {error}"))?;
        }
    }
    Ok(())
}

fn show_handlers(handlers: &[command::Status]) -> anyhow::Result<()> {
    if handlers.is_empty() {
        return Ok(());
    }
    let mut table = output::table(&["aggregate", "state", "lag", "aggregates", "topic"]);
    for command::Status { name, state, lag, aggregates, topic, .. } in handlers {
        table.add_row([
            name.clone(),
            state.to_string(),
            lag.to_string(),
            aggregates.to_string(),
            topic.clone(),
        ]);
    }
    output::line(&table.to_string())?;
    for command::Status { name, error, .. } in handlers {
        if let Some(error) = error {
            output::line(&format!("{name}: {error}"))?;
        }
    }
    Ok(())
}
