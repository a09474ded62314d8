//! What is printed.

use crate::contender::Contender;
use crate::live::{Live, Run};
use crate::meter::Usage;
use crate::replay::Replay;
use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;

/// Prints a line on the standard output.
///
/// # Errors
/// When nobody reads it any more.
pub fn line(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Tells what is being done, on the standard error.
pub fn progress(text: &str) {
    // Nothing depends on whether it is read.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints all medians, or everything as JSON.
///
/// # Errors
/// When nobody reads it.
pub fn print(replays: &[Replay], live: Option<&Live>, is_json: bool) -> Result<()> {
    if is_json {
        return line(&serde_json::to_string_pretty(&json!({ "replay": replays, "live": live }))?);
    }
    for replay in replays {
        line(&format!("\nReplay of {} events, keys: {}", replay.events, replay.keys.name()))?;
        line(&of_replay(replay).to_string())?;
    }
    if let Some(live) = live {
        let pace = live.pace;
        line(&format!(
            "\nLive: first 100 events, one every 50 ms, then {} a second for {} s; milliseconds until the row is visible",
            pace.per_second, pace.seconds
        ))?;
        line(&of_live(live).to_string())?;
    }
    line("\nMedians of the runs. CPU time counts all threads of a contender's process, the broker's not.")
}

fn of_replay(replay: &Replay) -> Table {
    let rows: [RowOf<Usage>; 4] = [
        ("events/s", |usage| usage.events_per_s, 0, true),
        ("CPU s per million events", |usage| usage.cpu_s_per_million, 2, false),
        ("peak memory, MB", |usage| usage.rss_peak_bytes as f64 / 1e6, 0, false),
        ("first commit after, s", |usage| usage.first_commit_s, 2, false),
    ];
    table(&replay.runs, &rows)
}

fn of_live(live: &Live) -> Table {
    let rows: [RowOf<Run>; 7] = [
        ("lone, since acknowledged, p50", |run| run.lone.p50_ms, 1, false),
        ("lone, since acknowledged, p99", |run| run.lone.p99_ms, 1, false),
        ("lone, since appended, p50", |run| run.lone_whole.p50_ms, 1, false),
        ("steady, since acknowledged, p50", |run| run.steady.p50_ms, 1, false),
        ("steady, since acknowledged, p99", |run| run.steady.p99_ms, 1, false),
        ("steady, since appended, p50", |run| run.steady_whole.p50_ms, 1, false),
        ("CPU s per million events", |run| run.cpu_s_per_million, 2, false),
    ];
    table(&live.runs, &rows)
}

/// A row's name, its value of one run, its decimals, and whether more is better.
type RowOf<T> = (&'static str, fn(&T) -> f64, usize, bool);

fn table<T>(runs: &BTreeMap<Contender, Vec<T>>, rows: &[RowOf<T>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["", "usual loop", "best loop", "Lantern", "Lantern/usual", "Lantern/best"]);
    for (name, value, decimals, is_more_better) in rows {
        let [usual, best, lantern] =
            Contender::ALL.map(|contender| median(runs.get(&contender).into_iter().flatten().map(value)));
        let mut cells = vec![(*name).to_owned()];
        cells.extend([usual, best, lantern].map(|value| format!("{value:.decimals$}")));
        // Costs are turned over too, so that less than 1 always means that Lantern is behind.
        let ratio = |other: f64| if *is_more_better { lantern / other } else { other / lantern };
        cells.extend([usual, best].map(|other| format!("{:.2}", ratio(other))));
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The one in the middle, or the mean of the two there.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    /// One run that something else disturbed must not move the figures.
    #[test]
    fn a_median_is_not_moved_by_one_outlier() {
        assert_eq!(median([3.0, 1_000.0, 1.0].into_iter()), 3.0);
        assert_eq!(median([4.0, 2.0].into_iter()), 3.0);
        assert!(median(std::iter::empty()).is_nan());
    }
}
