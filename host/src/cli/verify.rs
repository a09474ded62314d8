//! `lantern verify`

use super::{Context, output, replay};
use crate::projection::position;
use crate::projection::replay::Error;
use crate::projection::verify::{self, Reason, Verified};
use crate::read_model::diff::{Change, TableDiff};
use crate::read_model::{Cell, Diff, Snapshot};
use anyhow::Context as _;
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Characters of a value that are shown.
const CELL_CHARS_MAX: usize = 60;

/// Check a read model against its log.
///
/// Replays the log into a scratch database, in the order in which the events were applied and by the plugins that
/// applied them, and compares all rows. Leaves with 1 when they differ, and says which rows do and why that is likely to
/// be. The read model may be in use meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lantern verify orders\n  lantern verify orders --json | jq .reason")]
pub struct Verify {
    /// The read model's name.
    read_model: String,
    /// How many differing rows of each table to show.
    #[arg(long, value_name = "ROWS", default_value_t = 5)]
    examples: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'v> {
    read_model: &'v str,
    equal: bool,
    hash: Option<&'v str>,
    replayed_hash: Option<&'v str>,
    /// The next offset of each partition, at which both were compared.
    position: BTreeMap<String, i64>,
    /// Tables that differ.
    differing_tables: Vec<&'v str>,
    /// From the read model to its replay: `before` is the read model's row.
    diff: Option<&'v Diff>,
    /// `edited`, `not-deterministic` or `log`.
    reason: Option<&'static str>,
    /// The reason in words.
    explanation: Option<String>,
}

impl Verify {
    /// Replays, compares and prints.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let path = replay::live(context, &self.read_model)?;
        let plugins = verify::recorded(&Snapshot::of(&path)?, &context.data.artifacts())?;
        let verified = replay::with_setup(context, "lantern verify", &self.read_model, plugins, |setup| {
            let scratch = replay::scratch(context)?;
            replay::follow(context, self.json, |control| {
                match verify::verify(setup, &path, scratch.path(), self.examples, control) {
                    Err(error) if error.is_about_the_log() => Ok(Err(error)),
                    other => other.map(Ok),
                }
            })
        })?;
        let equal = match &verified {
            Ok(verified) => {
                let verified = verified.as_ref().context("the replay was stopped")?;
                self.show(verified)?;
                verified.difference.is_none()
            }
            Err(error) => {
                self.show_log(error)?;
                false
            }
        };
        Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn show(&self, verified: &Verified) -> anyhow::Result<()> {
        let Verified { hash, replayed_hash, checkpoints, difference } = verified;
        let diff = difference.as_ref().map(|difference| &difference.diff);
        let reason = difference.as_ref().map(|difference| difference.reason);
        let explanation = reason.map(|reason| explain(reason, &self.read_model));
        if self.json {
            return output::json(&Report {
                read_model: &self.read_model,
                equal: difference.is_none(),
                hash: Some(hash),
                replayed_hash: Some(replayed_hash),
                position: checkpoints
                    .iter()
                    .map(|((topic, id), next)| (format!("{topic}/{id}"), *next))
                    .collect(),
                differing_tables: diff.map(tables).unwrap_or_default(),
                diff,
                reason: reason.map(|reason| match reason {
                    Reason::Edited => "edited",
                    Reason::NotDeterministic => "not-deterministic",
                }),
                explanation,
            });
        }
        let Some(diff) = diff else {
            return output::line(&format!("{} equals its log ({})", self.read_model, short(hash)));
        };
        output::line(&format!(
            "{} differs from its log at {} in {}",
            self.read_model,
            position::show(checkpoints),
            tables(diff).join(", ")
        ))?;
        for table in &diff.tables_removed {
            output::line(&format!("{table}: the log makes no such table"))?;
        }
        for table in &diff.tables_added {
            output::line(&format!("{table}: the table is missing"))?;
        }
        for (name, table) in &diff.tables {
            output::line(&format!("{name}: {}", counts(table)))?;
            for change in &table.examples {
                output::line(&format!("  {}", example(table, change)))?;
            }
        }
        output::line(&explanation.unwrap_or_default())
    }

    /// The log no longer has what was applied: there is nothing to compare with.
    fn show_log(&self, error: &Error) -> anyhow::Result<()> {
        if self.json {
            return output::json(&Report {
                read_model: &self.read_model,
                equal: false,
                hash: None,
                replayed_hash: None,
                position: BTreeMap::new(),
                differing_tables: Vec::new(),
                diff: None,
                reason: Some("log"),
                explanation: Some(error.to_string()),
            });
        }
        output::line(&format!("{} cannot be compared with its log: {error}", self.read_model))
    }
}

fn explain(reason: Reason, name: &str) -> String {
    match reason {
        Reason::Edited => format!(
            "Two replays are equal, so it was probably edited by hand. `lantern rebuild {name}` builds it anew from the log"
        ),
        Reason::NotDeterministic => "Two replays of the same events differ from each other: the plugin is not \
             deterministic. It probably keeps something in memory from one batch to the next; everything that it has to \
             remember belongs into its tables"
            .into(),
    }
}

/// The tables that differ, in the order in which they are shown.
fn tables(diff: &Diff) -> Vec<&str> {
    let removed = diff.tables_removed.iter().map(String::as_str);
    let added = diff.tables_added.iter().map(String::as_str);
    removed.chain(added).chain(diff.tables.keys().map(String::as_str)).collect()
}

fn counts(table: &TableDiff) -> String {
    let rows = |count: u64| if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
    let mut parts = Vec::new();
    for column in &table.columns_removed {
        parts.push(format!("the log makes no column {column}"));
    }
    for column in &table.columns_added {
        parts.push(format!("the column {column} is missing"));
    }
    for (count, what) in [(table.changed, "changed"), (table.removed, "too many"), (table.added, "missing")] {
        if count > 0 {
            parts.push(format!("{} {what}", rows(count)));
        }
    }
    parts.join(", ")
}

/// A differing row: its key, and what differs, as it is and as it is by the log.
fn example(table: &TableDiff, change: &Change) -> String {
    let named = |cells: &[Cell], columns: std::ops::Range<usize>| -> String {
        let pairs = columns.filter_map(|index| Some((table.columns.get(index)?, cells.get(index)?)));
        pairs.map(|(column, cell)| format!("{column}={}", shown(cell))).collect::<Vec<_>>().join(" ")
    };
    let all = 0..table.columns.len();
    match (&change.before, &change.after) {
        (Some(live), None) => format!("too many: {}", named(live, all)),
        (None, Some(replayed)) => format!("missing:  {}", named(replayed, all)),
        (Some(live), Some(replayed)) => {
            let key = table.key.len();
            let differing: Vec<String> = (key..table.columns.len())
                .filter(|&index| live.get(index) != replayed.get(index))
                .filter_map(|index| {
                    let (is, should) = (shown(live.get(index)?), shown(replayed.get(index)?));
                    Some(format!("{} is {is}, by the log {should}", table.columns.get(index)?))
                })
                .collect();
            format!("changed:  {}: {}", named(live, 0..key), differing.join("; "))
        }
        (None, None) => String::new(),
    }
}

fn shown(cell: &Cell) -> String {
    let text = output::cell(cell);
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn short(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}
