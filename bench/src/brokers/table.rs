//! What is printed.

use super::open::{KILLED, Opening, STOPPED, WITHOUT_CHECKPOINTS};
use super::{Contender, Parameters, Run};
use crate::report::{line, median};
use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;
use std::collections::BTreeMap;

/// A row's name, its value of one run, its decimals, whether more is better, and the goal.
type Row = (&'static str, fn(&Run) -> f64, usize, bool, &'static str);

const ROWS: [Row; 9] = [
    ("produced, messages/s", |run| run.produced_per_s, 0, true, "ratio 1.0"),
    ("consumed, messages/s", |run| run.consumed_per_s, 0, true, "ratio 1.0"),
    ("CPU s per million produced", |run| run.produce_cpu_s, 2, false, ""),
    ("CPU s per million consumed", |run| run.consume_cpu_s, 2, false, ""),
    ("end to end p50, ms", |run| run.latency.p50_ms, 2, false, ""),
    ("end to end p99, ms", |run| run.latency.p99_ms, 2, false, ""),
    ("started in, ms", |run| run.start_ms, 1, false, "50 ms"),
    ("memory when started, MB", |run| run.rss_start_bytes as f64 / 1e6, 1, false, ""),
    ("peak memory, MB", |run| run.rss_peak_bytes as f64 / 1e6, 1, false, "ratio 10"),
];

/// Prints medians and ratios, or everything as JSON.
///
/// # Errors
/// When nobody reads it.
pub fn print(
    runs: &BTreeMap<Contender, Vec<Run>>,
    openings: &[Opening],
    parameters: &Parameters,
    is_json: bool,
) -> Result<()> {
    if is_json {
        return line(&serde_json::to_string_pretty(&json!({ "runs": runs, "openings": openings }))?);
    }
    line(&format!(
        "\n{} messages of {} bytes in 4 partitions, acks=all, after half as many that are not counted; then {} a second for {} s, linger 0",
        parameters.broker_messages,
        parameters.broker_message_bytes,
        parameters.broker_rate,
        parameters.broker_seconds
    ))?;
    line(&of_runs(runs).to_string())?;
    if !openings.is_empty() {
        line(&format!(
            "\nStarts with a log of {} MB of messages, in the page cache, until it tells where they end, ms",
            parameters.broker_open_mb
        ))?;
        line(&of_openings(openings).to_string())?;
    }
    line(
        "\nMedians of the runs. A ratio above 1 is in favour of the embedded broker. By default it has on the disk what \
         it acknowledges; Apache Kafka, as it comes, and the other two columns have it in the system's memory.",
    )
}

fn of_runs(runs: &BTreeMap<Contender, Vec<Run>>) -> Table {
    let mut table = aligned_table(
        [""].into_iter().chain(Contender::ALL.map(Contender::name)).chain(["embedded/Kafka", "goal"]),
    );
    for (name, value, decimals, is_more_better, goal) in ROWS {
        let of = |contender| median(runs.get(&contender).into_iter().flatten().map(value));
        let mut cells = vec![name.to_owned()];
        cells.extend(Contender::ALL.map(|contender| format!("{:.decimals$}", of(contender))));
        let ratio = of(Contender::Embedded) / of(Contender::Kafka);
        cells.push(format!("{:.2}", if is_more_better { ratio } else { ratio.recip() }));
        cells.push(goal.to_owned());
        table.add_row(cells);
    }
    table
}

fn of_openings(openings: &[Opening]) -> Table {
    let mut table = aligned_table([
        "after",
        Contender::Embedded.name(),
        Contender::Kafka.name(),
        "embedded/Kafka",
        "goal",
    ]);
    for after in [STOPPED, KILLED, WITHOUT_CHECKPOINTS] {
        let of = |contender| {
            let mut found =
                openings.iter().filter(|opening| opening.contender == contender && opening.after == after);
            found.next().map(|opening| opening.ms)
        };
        let cell = |ms: Option<f64>| ms.map_or_else(String::new, |ms| format!("{ms:.0}"));
        let (embedded, kafka) = (of(Contender::Embedded), of(Contender::Kafka));
        let ratio = embedded.zip(kafka).map(|(embedded, kafka)| format!("{:.2}", kafka / embedded));
        table.add_row([
            after.to_owned(),
            cell(embedded),
            cell(kafka),
            ratio.unwrap_or_default(),
            "500 ms".to_owned(),
        ]);
    }
    table
}

fn aligned_table<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header.into_iter().collect::<Vec<_>>());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
