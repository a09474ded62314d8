//! What became of a request, for people.

use crate::cli::output;
use crate::deployment::report::{Done, Outcome, Rebuild, RebuildState};
use crate::read_model::diff::{Change, TableDiff};
use crate::read_model::{Cell, Diff};

/// One line.
pub fn outcome(outcome: &Outcome) -> String {
    let Outcome { name, result, generation, .. } = outcome;
    let digest = short(&outcome.digest);
    let mut line = match result {
        Done::Started if outcome.is_of_handler() => format!("{name}: {digest} started"),
        Done::Swapped if outcome.is_of_handler() => {
            format!("{name}: {digest} swapped in between two commands")
        }
        Done::RolledBack if outcome.is_of_handler() => format!("{name}: rolled back to {digest}"),
        Done::Unchanged => format!("{name}: nothing to do, {digest} is there already"),
        Done::Started => format!("{name}: {digest} started on generation {generation}"),
        Done::Swapped => format!("{name}: {digest} swapped in on generation {generation}"),
        Done::Rebuilding => format!("{name}: {digest} builds generation {generation} beside the live one"),
        Done::Previewing => format!("{name}: {digest} builds generation {generation} to be looked at"),
        Done::Promoted => format!("{name}: {digest} promoted, generation {generation} is live"),
        Done::RolledBack => format!("{name}: rolled back to {digest}, generation {generation} is live"),
        Done::Discarded => format!("{name}: what was built beside generation {generation} is given up"),
        Done::Refolded => format!("{name}: all aggregates are folded anew by {digest}"),
        Done::Reset => format!("{name}: reset, generation {generation} is filled from the log's beginning"),
        Done::Paused => format!("{name}: paused; `lantern resume {name}` goes on"),
        Done::Resumed => format!("{name}: resumed"),
        Done::Removed => format!("{name}: removed"),
        Done::Restored => format!("{name}: restored, generation {generation} is live"),
        Done::Rejected => format!("{name}: {digest} rejected; the one before runs on"),
    };
    if let Some(pause_us) = outcome.pause_us {
        let what = if outcome.is_of_handler() { "commands" } else { "events" };
        line.push_str(&format!(", {} ms without {what}", milliseconds(pause_us)));
    }
    line
}

/// How far a rebuild is.
pub fn progress(rebuild: &Rebuild) -> String {
    let percent = (rebuild.done.min(rebuild.total) * 100).checked_div(rebuild.total).unwrap_or(100);
    let mut text = format!(
        "generation {} {}: {percent} % of {} offsets",
        rebuild.generation,
        words(rebuild.state),
        rebuild.total
    );
    if let Some(seconds) = rebuild.eta_s {
        text.push_str(&format!(", {}/s, {seconds} s left", rebuild.per_second));
    }
    if let Some(error) = &rebuild.error {
        text.push_str(&format!(": {error}"));
    }
    text
}

fn words(state: RebuildState) -> &'static str {
    match state {
        RebuildState::Waiting => "waits for other rebuilds",
        RebuildState::Building => "is built",
        RebuildState::Throttled => "lets live projections go first",
        RebuildState::Ready => "is ready",
        RebuildState::Failed => "failed",
    }
}

/// What a preview would change, table by table, with examples.
pub fn changes(diff: &Diff) -> String {
    if diff.is_empty() {
        return "no row would change".into();
    }
    let mut parts = Vec::new();
    parts.extend(diff.tables_added.iter().map(|table| format!("{table}: a new table")));
    parts.extend(diff.tables_removed.iter().map(|table| format!("{table}: no longer there")));
    parts.extend(diff.tables.iter().map(|(name, table)| table_changes(name, table)));
    parts.join("\n")
}

fn table_changes(name: &str, table: &TableDiff) -> String {
    let TableDiff { added, removed, changed, .. } = table;
    let mut text = format!("{name}: {added} rows added, {removed} removed, {changed} changed");
    for (columns, what) in [(&table.columns_added, "new"), (&table.columns_removed, "gone")] {
        if !columns.is_empty() {
            text.push_str(&format!("; {what} columns: {}", columns.join(", ")));
        }
    }
    if table.examples.is_empty() {
        return text;
    }
    let columns: Vec<String> = std::iter::once(String::new()).chain(table.columns.iter().cloned()).collect();
    let rows: Vec<Vec<Cell>> = table.examples.iter().flat_map(example).collect();
    format!("{text}\n{}", output::rows(&columns, &rows))
}

/// A row that differs: as it is, and as it would be.
fn example(change: &Change) -> impl Iterator<Item = Vec<Cell>> {
    let sides = [("-", &change.before), ("+", &change.after)];
    sides.into_iter().filter_map(|(sign, row)| {
        let row = row.as_ref()?;
        Some(std::iter::once(Cell::Text(sign.into())).chain(row.iter().cloned()).collect())
    })
}

/// A digest as people tell it from others.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Microseconds, as milliseconds with what matters of the fraction.
pub fn milliseconds(us: u64) -> String {
    if us < 10_000 { format!("{:.1}", us as f64 / 1_000.0) } else { (us / 1_000).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    // People decide by this whether a plugin is promoted.
    #[test]
    fn changes_are_shown_with_counts_and_both_sides_of_each_example() {
        let table = TableDiff {
            columns: vec!["id".into(), "total".into()],
            key: vec!["id".into()],
            added: 1,
            changed: 2,
            examples: vec![
                Change { before: None, after: Some(vec![Cell::Text("a".into()), Cell::Integer(1)]) },
                Change {
                    before: Some(vec![Cell::Text("b".into()), Cell::Null]),
                    after: Some(vec![Cell::Text("b".into()), Cell::Integer(2)]),
                },
            ],
            ..TableDiff::default()
        };
        let diff = Diff {
            tables_added: vec!["sales".into()],
            tables: [("orders".to_owned(), table)].into(),
            ..Diff::default()
        };
        let text = changes(&diff);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["sales: a new table", "orders: 1 rows added, 0 removed, 2 changed"]);
        let cells: Vec<Vec<&str>> = lines[2..]
            .iter()
            .map(|line| line.split([' ', '│']).filter(|cell| !cell.is_empty()).collect())
            .filter(|cells: &Vec<&str>| cells.len() > 1)
            .collect();
        assert_eq!(
            cells,
            [vec!["id", "total"], vec!["+", "a", "1"], vec!["-", "b", "NULL"], vec!["+", "b", "2"]]
        );
        assert_eq!(changes(&Diff::default()), "no row would change");
    }

    #[test]
    fn short_times_keep_a_digit() {
        assert_eq!(milliseconds(340), "0.3");
        assert_eq!(milliseconds(9_960), "10.0");
        assert_eq!(milliseconds(12_345), "12");
    }
}
