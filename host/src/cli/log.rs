//! `lantern log`: the log as a whole, and its move to a Kafka cluster.

use super::progress::{Bar, Unit};
use super::running::Consent;
use super::{Context, output};
use crate::host::export::{Export, Report, Step, switch};
use crate::host::{Log as Access, Place};
use crate::log::Options;
use comfy_table::CellAlignment;
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::process::ExitCode;

/// Copy the log to a Kafka cluster, and move there.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lantern log export --to kafka:9092
  LANTERN_KAFKA_BOOTSTRAP_SERVERS=kafka:9092 lantern log switch")]
pub struct Log {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Copy topics to a Kafka cluster: every committed record once, in its partition and order, as it is.
    ///
    /// It can be stopped and killed at any moment, and run again: it goes on where the last committed transaction ended. At its
    /// end it reads the copy and compares it. Run it while Lantern works, as often as you like; then stop
    /// Lantern, run it once more, and `lantern log switch`.
    #[command(
        after_help = "Example:\n  lantern log export --to kafka:9092 --set security.protocol=ssl --topic orders"
    )]
    Export {
        /// The cluster's brokers.
        #[arg(long, value_name = "HOST:PORT")]
        to: String,
        /// Only this topic. May be given several times.
        #[arg(long)]
        topic: Vec<String>,
        /// A setting of librdkafka for the cluster. May be given several times.
        #[arg(long, value_name = "KEY=VALUE", value_parser = super::topics::setting)]
        set: Vec<(String, String)>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have everything that reads the data folder's own log go on from its copy in the configured cluster.
    ///
    /// Checkpoints and journals of all read models, the aggregates' events and the offsets of consumer groups are translated by
    /// the map that the export has made. It refuses when the copy lacks anything. Lantern must not run meanwhile.
    #[command(after_help = "Example:\n  LANTERN_KAFKA_BOOTSTRAP_SERVERS=kafka:9092 lantern log switch --yes")]
    Switch {
        #[command(flatten)]
        consent: Consent,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Log {
    /// Copies, or moves.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Export { to, topic, set, json } => export(context, to, topic, set, json),
            Action::Switch { consent, json } => switched(context, &consent, json),
        }
    }
}

fn export(
    context: &Context,
    to: String,
    topics: Vec<String>,
    set: Vec<(String, String)>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let interrupted = context.interrupted()?;
    let mut target = Options::new(to);
    target.extend(set);
    let report = context.with_log("lantern log export", |log| {
        let export = Export {
            source: log.options().clone(),
            embedded: *log.place() != Place::Configured,
            target,
            topics,
            folder: context.data.exports(),
        };
        let bars = [("copying", Step::Copy), ("checking", Step::Check)]
            .map(|(doing, step)| (step, Bar::new(context.quiet, doing, Unit::Events)));
        let shown = Cell::new(Step::Copy);
        let done = export.run(&mut |step, done, total| {
            for (of, bar) in &bars {
                match *of == step {
                    true => bar.show(done, total),
                    false if shown.get() != step => bar.clear(),
                    false => {}
                }
            }
            shown.set(step);
            if interrupted.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        bars.iter().for_each(|(_, bar)| bar.clear());
        Ok(done?)
    })?;
    if json {
        output::json(&report)?;
    } else {
        show(&report)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(report: &Report) -> anyhow::Result<()> {
    let Report { cluster, copied, partitions, remarks, .. } = report;
    for remark in remarks {
        output::remark(remark);
    }
    output::line(&format!("copied {copied} records to the cluster {cluster}"))?;
    if !partitions.is_empty() {
        let mut table = output::table(&[
            "topic",
            "partition",
            "records",
            "compared",
            "checksum of the log",
            "of the copy",
        ]);
        for column in table.column_iter_mut().skip(1).take(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let short = |sum: &str| sum.chars().take(16).collect::<String>();
        for it in partitions {
            let numbers = [it.partition.to_string(), it.records.to_string(), it.compared.to_string()];
            let [partition, records, compared] = numbers;
            table.add_row([
                it.topic.clone(),
                partition,
                records,
                compared,
                short(&it.source),
                short(&it.target),
            ]);
        }
        output::line(&table.to_string())?;
    }
    output::line("the copy is equal to the log; `lantern log switch` moves what reads it")
}

fn switched(context: &Context, consent: &Consent, json: bool) -> anyhow::Result<ExitCode> {
    let what = "has everything in the data folder read another log from now on; the old one stays where it is, and is no longer used";
    if !consent.given(what)? {
        output::remark("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    let mut config = context.config.clone();
    // What is set is for the cluster.
    config.kafka = Options::default();
    // Nobody else is to append to it meanwhile.
    config.broker.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let log = context.wait(Access::embedded(&config, &context.data, "lantern log switch"))?;
    let done = switch::run(&context.data, log.options(), &context.config.kafka);
    let closed = context.wait(log.close());
    let report = done?;
    closed?;
    for remark in &report.remarks {
        output::remark(remark);
    }
    if json {
        output::json(&report)?;
    } else {
        output::line(&format!(
            "the log is the cluster {} at {} now: moved {} databases and {} consumer groups",
            report.cluster,
            report.servers,
            report.databases.len(),
            report.groups.len()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
