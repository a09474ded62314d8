//! `lantern consume`: records of a topic.

mod bounds;
mod json_text;
mod show;

use super::Context;
use crate::log::{Assignment, Client, Consumer, Position};
use anyhow::bail;
use bounds::{From, Until};
use show::Form;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

/// How many records are taken from the client at a time.
const RECORDS_MAX: usize = 1_000;
/// How many bytes of them.
const BYTES_MAX: usize = 4 << 20;
/// How long a fetch waits, and so how soon a signal is seen.
const WAIT: Duration = Duration::from_millis(200);

/// Print records of a topic.
///
/// Each with its partition, offset, time, key, headers and value: JSON is indented, text stands as it is, anything else is
/// hex. What transactions took back, or have not committed, is not read. It ends where the log ended when
/// it began; with `--follow` it goes on. Records of one partition come in their order.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lantern consume orders
  lantern consume orders --from -10 --follow
  lantern consume orders --from 2026-01-31T08:00:00Z --until 2026-01-31T09:00:00Z --json
  lantern consume orders --key order-7 --count 1
  lantern consume orders --values | lantern produce orders-copy")]
pub struct Consume {
    /// The topic.
    topic: String,
    /// Where to begin: `beginning`, `end`, an offset, a time (RFC 3339), or -N for the last N records; in each partition.
    #[arg(long, value_name = "WHERE", default_value = "beginning", allow_hyphen_values = true)]
    from: From,
    /// Where to end: before an offset, or before the first record of a time (RFC 3339) or later; in each partition.
    #[arg(long, value_name = "WHERE", conflicts_with = "follow")]
    until: Option<Until>,
    /// Go on with records that come later, until told to stop.
    #[arg(short, long)]
    follow: bool,
    /// Only this partition. May be given several times.
    #[arg(short, long, value_name = "N")]
    partition: Vec<i32>,
    /// End after this many records.
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// Only records of this key.
    #[arg(short, long)]
    key: Option<String>,
    /// JSON on one line instead of indented.
    #[arg(long, conflicts_with_all = ["json", "values"])]
    compact: bool,
    /// Print one JSON object a line: `value` is JSON, or `text`, or `hex`; a tombstone has none of them.
    #[arg(long, conflicts_with = "values")]
    json: bool,
    /// Print the values only, each on a line; what is JSON is a line that `lantern produce` takes.
    #[arg(long)]
    values: bool,
}

impl Consume {
    /// Prints the records.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let interrupted = context.interrupted()?;
        context.with_log("lantern consume", |log| {
            let client = Client::new(log.options())?;
            let partitions = self.partitions(&client)?;
            // The end first: what comes after it was asked for is not missed, but belongs to a later call.
            let ends = match self.until {
                None => bounds::ends(&client, &self.topic, &partitions)?,
                Some(until) => until.offsets(&client, &self.topic, &partitions)?,
            };
            let start = self.from.offsets(&client, &self.topic, &partitions)?;
            let start: Vec<Assignment> = start
                .into_iter()
                .filter(|(partition, from)| self.follow || from < &ends[partition])
                .map(|(partition, next_offset)| Assignment {
                    topic: self.topic.clone(),
                    partition,
                    next_offset,
                })
                .collect();
            if start.is_empty() {
                return Ok(ExitCode::SUCCESS);
            }
            self.print(client.consumer("consume", &start)?, &ends, || interrupted.is_set())
        })
    }

    fn partitions(&self, client: &Client) -> anyhow::Result<Vec<i32>> {
        let there = client.partitions(&self.topic)?;
        if let Some(missing) = self.partition.iter().find(|wanted| !there.contains(wanted)) {
            bail!(
                "topic {} has no partition {missing}: it has 0 to {}",
                self.topic,
                there.len().saturating_sub(1)
            );
        }
        Ok(if self.partition.is_empty() { there } else { self.partition.clone() })
    }

    fn print(
        &self,
        mut consumer: Consumer,
        ends: &BTreeMap<i32, i64>,
        is_interrupted: impl Fn() -> bool,
    ) -> anyhow::Result<ExitCode> {
        let form = match (self.json, self.values, self.compact) {
            (true, ..) => Form::Json,
            (_, true, _) => Form::Values,
            (.., true) => Form::Compact,
            _ => Form::People,
        };
        let mut out = BufWriter::new(io::stdout().lock());
        let mut left = self.count.unwrap_or(u64::MAX);
        let is_over = |position: &Position| position.next_offset >= ends[&position.partition];
        while left > 0 && !is_interrupted() && (self.follow || !consumer.positions().iter().all(is_over)) {
            let mut written = Ok(());
            let fetched = consumer.fetch(RECORDS_MAX, BYTES_MAX, WAIT, |record| {
                let is_behind = !self.follow && record.offset >= ends[&record.partition];
                let is_wanted = self.key.as_deref().is_none_or(|key| record.key == Some(key.as_bytes()));
                if !is_behind && is_wanted {
                    written = show::record(&mut out, &record, form);
                    left -= 1;
                }
                if written.is_err() || left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            written?;
            // Whoever follows waits for a broker that comes back.
            match fetched {
                Err(error) if !(self.follow && error.is_transient()) => return Err(error.into()),
                _ => out.flush()?,
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
