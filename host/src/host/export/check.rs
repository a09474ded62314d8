//! Compares the copy with what was read.

use super::copy::{Partition, Progress, Step};
use super::error::{Error, TARGET, of};
use super::map::Map;
use super::offsets::{Chunk, Run};
use super::sum::Sum;
use crate::event::Record;
use crate::log::{Assignment, Client};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

/// Records that are read at a time.
const RECORDS_MAX: usize = 10_000;
/// Bytes of them.
const BYTES_MAX: usize = 8 << 20;
/// How long a fetch waits, and so how soon a signal is seen.
const WAIT: Duration = Duration::from_millis(100);

/// Where the comparison of a partition is.
struct Comparing<'m> {
    topic: &'m str,
    partition: i32,
    /// What is left of it, the present one first.
    chunks: &'m [Chunk],
    /// What is left of the present chunk's runs.
    runs: &'m [Run],
    /// How many records of the first of them were seen.
    seen: i64,
    sum: Sum,
    compared: u64,
    /// Over the sums of the chunks, as they were read and as they are.
    source: Sum,
    target: Sum,
}

/// Reads everything of the copy that no run has compared, and compares it with the map: offsets, count, and sums.
pub fn run(copy: &Client, map: &Map, group: &str, progress: Progress<'_>) -> Result<Vec<Partition>, Error> {
    let mut all: Vec<Comparing<'_>> = Vec::new();
    let (mut start, mut ends) = (Vec::new(), BTreeMap::new());
    for ((topic, partition), known) in &map.partitions {
        let chunks = &known.chunks[known.checked..];
        let Some(first) = chunks.iter().find_map(|chunk| chunk.runs.first()) else { continue };
        start.push(Assignment { topic: topic.clone(), partition: *partition, next_offset: first.target });
        let end = copy.held(topic, &[*partition]).map_err(of(TARGET))?.first().map_or(0, |held| held.high);
        ends.insert((topic.as_str(), *partition), end);
        all.push(Comparing::new(topic, *partition, chunks));
    }
    let total = all.iter().flat_map(|it| it.chunks).map(|chunk| chunk.records).sum();
    if !start.is_empty() {
        let mut current = 0;
        let mut consumer = copy.consumer("export-check", &start).map_err(of(TARGET))?;
        let is_over =
            |topic: &str, partition, next| ends.get(&(topic, partition)).is_none_or(|end| next >= *end);
        while !consumer.positions().iter().all(|at| is_over(&at.topic, at.partition, at.next_offset)) {
            let mut failed = None;
            let fetched = consumer.fetch(RECORDS_MAX, BYTES_MAX, WAIT, |record| {
                // Records of one partition come in runs.
                if !all.get(current).is_some_and(|it| it.is_of(&record)) {
                    current = all.iter().position(|it| it.is_of(&record)).unwrap_or(current);
                }
                match all.get_mut(current).map_or(Ok(()), |comparing| comparing.take(&record)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(reason) => {
                        failed = Some((record.topic.to_owned(), record.partition, record.offset, reason));
                        ControlFlow::Break(())
                    }
                }
            });
            if let Some(at) = failed {
                return Err(differs(map, group, at));
            }
            match fetched {
                Err(error) if !error.is_transient() => return Err(of(TARGET)(error)),
                _ => {}
            }
            let done = all.iter().map(|it| it.compared).sum();
            if progress(Step::Check, done, total).is_break() {
                return Err(Error::Stopped);
            }
        }
    }
    let mut partitions = Vec::new();
    for comparing in all {
        let (topic, partition) = (comparing.topic.to_owned(), comparing.partition);
        if let Some(missing) = comparing.missing() {
            let reason = "it ends before everything that was copied has come".to_owned();
            return Err(differs(map, group, (topic, partition, missing, reason)));
        }
        partitions.push(Partition {
            records: map.partitions.get(&(topic.clone(), partition)).map_or(0, |known| known.records()),
            topic,
            partition,
            compared: comparing.compared,
            source: comparing.source.finish(),
            target: comparing.target.finish(),
        });
    }
    Ok(partitions)
}

fn differs(map: &Map, group: &str, at: (String, i32, i64, String)) -> Error {
    let (topic, partition, offset, reason) = at;
    Error::Differs { topic, partition, offset, reason, group: group.to_owned(), map: map.path().into() }
}

impl<'m> Comparing<'m> {
    fn new(topic: &'m str, partition: i32, chunks: &'m [Chunk]) -> Self {
        let runs = chunks.first().map_or(&[][..], |chunk| &chunk.runs);
        let (sum, source, target) = (Sum::default(), Sum::default(), Sum::default());
        let mut comparing =
            Comparing { topic, partition, chunks, runs, seen: 0, sum, compared: 0, source, target };
        comparing.pass_empty();
        comparing
    }

    fn is_of(&self, record: &Record<'_>) -> bool {
        self.partition == record.partition && self.topic == record.topic
    }

    /// Where the next record is to be.
    fn missing(&self) -> Option<i64> {
        self.runs.first().map(|run| run.target + self.seen)
    }

    fn take(&mut self, record: &Record<'_>) -> Result<(), String> {
        match self.missing() {
            Some(expected) if expected == record.offset => {}
            Some(expected) => {
                return Err(format!("the next record should be at {expected}"));
            }
            None => return Err("it is a record that was not copied: somebody else appends to it".to_owned()),
        }
        self.sum.add(record);
        self.compared += 1;
        self.seen += 1;
        if self.runs.first().is_some_and(|run| run.count == self.seen) {
            self.runs = &self.runs[1..];
            self.seen = 0;
            if self.runs.is_empty() {
                self.end_chunk()?;
            }
        }
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), String> {
        let Some((chunk, rest)) = self.chunks.split_first() else { return Ok(()) };
        let found = std::mem::take(&mut self.sum).finish();
        self.source.add_text(&chunk.sha256);
        self.target.add_text(&found);
        if found != chunk.sha256 {
            let (from, to) = (chunk.runs.first().map_or(0, |run| run.source), chunk.end);
            return Err(format!(
                "the {} records before it are not what was read from {from} to {to}",
                chunk.records
            ));
        }
        self.chunks = rest;
        self.pass_empty();
        Ok(())
    }

    /// Goes on to the next chunk that has records.
    fn pass_empty(&mut self) {
        while let Some((chunk, rest)) = self.chunks.split_first() {
            self.runs = &chunk.runs;
            if !chunk.runs.is_empty() {
                return;
            }
            self.chunks = rest;
        }
        self.runs = &[];
    }
}
