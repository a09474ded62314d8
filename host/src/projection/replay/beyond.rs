//! What a replay reads beside the journal: topics that whoever wrote the journal does not read. Nobody has given their
//! events an order yet, so the partitions take turns.

use super::{Control, Error, Followed, Journal, Replayer};
use crate::log::{self, Client};
use crate::read_model::{self, Checkpoints, Cursor, Page, Reader, Run};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

/// Offsets of a partition until the next one has its turn.
const TURN_OFFSETS: i64 = 10_000;

/// Runs that no journal has.
struct Beyond {
    runs: Vec<Run>,
    /// Whether they were given out.
    is_given: Cell<bool>,
    beginnings: Checkpoints,
    checkpoints: Checkpoints,
}

impl Journal for Beyond {
    fn page(&self, cursor: Cursor) -> Result<Page, read_model::Error> {
        let runs = if self.is_given.replace(true) { Vec::new() } else { self.runs.clone() };
        Ok(Page { runs, next: cursor })
    }
    fn beginnings(&self) -> Result<Checkpoints, read_model::Error> {
        Ok(self.beginnings.clone())
    }
    fn checkpoints(&self) -> Result<Checkpoints, read_model::Error> {
        Ok(self.checkpoints.clone())
    }
}

impl Replayer {
    /// Applies what these topics have by now, which the journal of the read model at `source` does not have. One that does
    /// not exist yet has nothing.
    ///
    /// # Errors
    /// As [`Replayer::follow`].
    pub fn follow_beyond(
        &mut self,
        source: &Path,
        topics: &[String],
        control: Control<'_>,
    ) -> Result<Followed, Error> {
        let mut ends = Vec::new();
        let client = Client::new(&self.setup.log)?;
        let positions = self.checkpoints()?;
        let journal = Reader::open(source)?;
        // So that progress counts both.
        let (mut beginnings, mut checkpoints) = (journal.beginnings()?, journal.checkpoints()?);
        for topic in topics {
            let partitions = match client.partitions(topic) {
                Err(log::Error::TopicMissing { .. }) => continue,
                partitions => partitions?,
            };
            for partition in partitions {
                let place = (topic.clone(), partition);
                let there = client.watermarks(topic, partition)?;
                let from = positions.get(&place).copied().unwrap_or(there.start);
                beginnings.entry(place.clone()).or_insert(from);
                checkpoints.insert(place, there.end);
                ends.push((Arc::from(topic.as_str()), partition, from, there.end));
            }
        }
        let runs = turns(ends, &self.author.digests().into());
        if runs.is_empty() {
            return Ok(Followed::CaughtUp);
        }
        // The place in the journal stays what it is.
        let cursor = std::mem::take(&mut self.cursor);
        let beyond = Beyond { runs, is_given: Cell::new(false), beginnings, checkpoints };
        let followed = self.run(Path::new(""), &beyond, None, control)?;
        self.cursor = cursor;
        Ok(followed)
    }
}

/// The partitions in turns, each from its first offset to its end.
fn turns(mut left: Vec<(Arc<str>, i32, i64, i64)>, author: &Arc<str>) -> Vec<Run> {
    let mut runs = Vec::new();
    while !left.is_empty() {
        left.retain(|(_, _, from, end)| from < end);
        for (topic, partition, from, end) in &mut left {
            let to = from.saturating_add(TURN_OFFSETS).min(*end);
            let (topic, author) = (Arc::clone(topic), Arc::clone(author));
            // How many events they hold is found when they are read.
            runs.push(Run { topic, partition: *partition, from: *from, to, events: 0, author });
            *from = to;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    // One partition after the other would bring the events of today before those of years ago.
    #[test]
    fn partitions_take_turns_until_each_is_at_its_end() {
        let topic: Arc<str> = "a".into();
        let ends = vec![
            (topic.clone(), 0, 5, 5),
            (topic.clone(), 1, 0, 2 * TURN_OFFSETS + 1),
            (topic.clone(), 2, 7, 8),
        ];
        let runs: Vec<(i32, i64, i64)> =
            turns(ends, &"author".into()).iter().map(|run| (run.partition, run.from, run.to)).collect();
        let turn = TURN_OFFSETS;
        assert_eq!(runs, [(1, 0, turn), (2, 7, 8), (1, turn, 2 * turn), (1, 2 * turn, 2 * turn + 1)]);
    }
}
