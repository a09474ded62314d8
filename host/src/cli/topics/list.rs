//! `lantern topics list`: what the log holds.

use crate::cli::{Context, output};
use crate::log::{Client, TopicInfo};
use comfy_table::{CellAlignment, Table};
use std::process::ExitCode;

/// Which topics, and how they are printed.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct List {
    /// List Kafka's own topics too.
    #[arg(long)]
    internal: bool,
    /// Print JSON: one array of topics, with their partitions.
    #[arg(long)]
    json: bool,
}

impl List {
    /// Prints the topics.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let mut topics =
            context.with_log("lantern topics", |log| Ok(Client::new(log.options())?.topics()?))?;
        topics.retain(|topic| self.internal || !topic.internal);
        if self.json {
            output::json(&topics)?;
        } else if topics.is_empty() {
            output::line("there are no topics yet; `lantern topics create <TOPIC>` makes one")?;
        } else {
            output::line(&table(&topics).to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A line for each partition.
fn table(topics: &[TopicInfo]) -> Table {
    let mut table = output::table(&["topic", "partition", "first", "end", "records"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for topic in topics {
        for partition in &topic.partitions {
            table.add_row([
                topic.name.clone(),
                partition.id.to_string(),
                partition.low.to_string(),
                partition.high.to_string(),
                (partition.high - partition.low).to_string(),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::PartitionInfo;

    // The table is for eyes: a line for every partition, numbers under each other.
    #[test]
    fn every_partition_has_a_line() {
        let partitions =
            vec![PartitionInfo { id: 0, low: 5, high: 12 }, PartitionInfo { id: 1, low: 0, high: 0 }];
        let text = table(&[TopicInfo { name: "orders".into(), internal: false, partitions }]).to_string();
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| {
                line.split_whitespace()
                    .filter(|word| word.starts_with(|c: char| c.is_ascii_alphanumeric()))
                    .collect()
            })
            .filter(|words: &Vec<&str>| !words.is_empty())
            .collect();
        assert_eq!(
            lines,
            [
                vec!["topic", "partition", "first", "end", "records"],
                vec!["orders", "0", "5", "12", "7"],
                vec!["orders", "1", "0", "0", "0"],
            ]
        );
    }
}
