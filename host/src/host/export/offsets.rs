//! Which offsets of a partition became which in its copy.

use serde::{Deserialize, Serialize};

/// Records whose offsets grow evenly in the source, and by one in the copy: from, to, how many, and the step in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(i64, i64, i64, i64)", from = "(i64, i64, i64, i64)")]
pub struct Run {
    /// The first offset in the source.
    pub source: i64,
    /// The first offset in the copy.
    pub target: i64,
    /// How many records.
    pub count: i64,
    /// How far apart they are in the source: 1, or 2 where each is a transaction of its own.
    pub step: i64,
}

impl From<Run> for (i64, i64, i64, i64) {
    fn from(run: Run) -> Self {
        (run.source, run.target, run.count, run.step)
    }
}

impl From<(i64, i64, i64, i64)> for Run {
    fn from((source, target, count, step): (i64, i64, i64, i64)) -> Self {
        Run { source, target, count, step }
    }
}

impl Run {
    fn last(&self) -> i64 {
        self.source + (self.count - 1) * self.step
    }
}

/// What was copied of a partition in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Everything before this offset of the source is in the copy.
    pub end: i64,
    /// How many records.
    pub records: u64,
    /// Over all of them, in their order: see `sum.rs`.
    pub sha256: String,
    /// Where they are.
    pub runs: Vec<Run>,
}

/// What is known of a partition.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    /// In their order.
    pub chunks: Vec<Chunk>,
    /// How many of the chunks were compared.
    pub checked: usize,
}

impl Partition {
    /// Everything before this offset of the source is in the copy.
    pub fn end(&self) -> i64 {
        self.chunks.last().map_or(0, |chunk| chunk.end)
    }

    /// How many records.
    pub fn records(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.records).sum()
    }

    /// The first offset of the source that was copied.
    pub fn first(&self) -> Option<i64> {
        self.chunks.iter().find_map(|chunk| chunk.runs.first()).map(|run| run.source)
    }

    /// The offset behind the last record of the copy.
    pub fn target_end(&self) -> i64 {
        self.chunks.iter().rev().find_map(|chunk| chunk.runs.last()).map_or(0, |run| run.target + run.count)
    }

    /// Where reading goes on in the copy for who would read `offset` next in the source; `None` where that is not
    /// copied yet.
    pub fn target(&self, offset: i64) -> Option<i64> {
        if offset > self.end() {
            return None;
        }
        // The first chunk that ends behind it may have no record there: then it is the first of a later one.
        let chunk = self.chunks.partition_point(|chunk| chunk.end <= offset);
        let found = self.chunks[chunk..].iter().find_map(|chunk| {
            let run = chunk.runs.get(chunk.runs.partition_point(|run| run.last() < offset))?;
            let behind = (offset - run.source).max(0);
            Some(run.target + (behind + run.step - 1) / run.step)
        });
        Some(found.unwrap_or_else(|| self.target_end()))
    }
}

/// Offsets as they are copied, gathered into runs.
#[derive(Debug, Default)]
pub struct Runs(Vec<Run>);

impl Runs {
    /// Adds a record behind those before.
    pub fn push(&mut self, source: i64, target: i64) {
        if let Some(last) = self.0.last_mut()
            && target == last.target + last.count
        {
            if last.count == 1 {
                last.step = source - last.source;
                last.count = 2;
                return;
            }
            if source == last.last() + last.step {
                last.count += 1;
                return;
            }
        }
        self.0.push(Run { source, target, count: 1, step: 1 });
    }

    /// All of them.
    pub fn finish(self) -> Vec<Run> {
        self.0
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A chunk of these records, by their offsets in both logs.
    pub fn chunk(pairs: &[(i64, i64)], end: i64) -> Chunk {
        let mut runs = Runs::default();
        pairs.iter().for_each(|(source, target)| runs.push(*source, *target));
        Chunk { end, records: pairs.len() as u64, sha256: String::new(), runs: runs.finish() }
    }

    proptest! {
        // A checkpoint that is translated wrongly loses or repeats events, silently: whatever gaps the two logs have,
        // reading goes on at the copy of the first record that had not been read.
        #[test]
        fn every_offset_leads_to_the_copy_of_the_next_record(
            chunks in prop::collection::vec(prop::collection::vec((1_i64..4, 1_i64..3), 0..20), 0..8)
        ) {
            let (mut source, mut target) = (-1, -1);
            let mut all = Vec::new();
            let mut known = Partition::default();
            for steps in chunks {
                let mut pairs = Vec::new();
                for (far, other) in steps {
                    source += far;
                    target += other;
                    pairs.push((source, target));
                }
                // A marker behind each, in both.
                source += 1;
                target += 1;
                known.chunks.push(chunk(&pairs, source + 1));
                all.extend(pairs);
            }
            for offset in 0..=known.end() {
                let next = all.iter().find(|(from, _)| *from >= offset).map(|(_, to)| *to);
                let expected = next.unwrap_or_else(|| all.last().map_or(0, |(_, to)| to + 1));
                prop_assert_eq!(known.target(offset), Some(expected), "{}", offset);
            }
            prop_assert_eq!(known.target(known.end() + 1), None);
        }
    }

    // Evenly spaced records are most logs: many of them are one run.
    #[test]
    fn runs_are_as_few_as_can_be() {
        let single: Vec<(i64, i64)> = (0..1000).map(|n| (2 * n, n)).collect();
        assert_eq!(chunk(&single, 2000).runs, [Run { source: 0, target: 0, count: 1000, step: 2 }]);
    }
}
