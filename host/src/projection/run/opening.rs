//! What a round opens: the read model, and the log at the place where that stands.

use super::{Ends, Left, Run};
use crate::log::{Assignment, Client, Consumer, Position};
use crate::projection::worker::Projection;
use crate::read_model::{self, Blueprint, Checkpoints, Durability};
use std::collections::btree_map::Entry;

impl Run {
    /// The read model's writer. One that was left in order goes on: SQLite would otherwise write its log back when it
    /// is closed, and that would be most of the pause of a swap.
    pub(super) fn open_sink(&mut self, blueprint: &Blueprint) -> Result<read_model::Writer, Left> {
        let file = &self.projection.read_model;
        if let Some((mut writer, _)) = self.sink.take_if(|(_, kept)| kept == file) {
            writer.adopt(blueprint)?;
            return Ok(writer);
        }
        // Another file's is closed before this one is opened.
        self.sink = None;
        Ok(read_model::Writer::open(file, blueprint, Durability::Normal)?)
    }

    /// The positions to start at, and a consumer there. One that was left in order goes on when it is where
    /// the read model is: a new one would wait for its first record for half a second.
    pub(super) fn open_source(
        &mut self,
        writer: &read_model::Writer,
    ) -> Result<(Checkpoints, Client, Consumer), Left> {
        if let Some((client, consumer)) = self.source.take() {
            let start = self.read_positions(writer)?;
            let is_there = |position: &Position| {
                start.get(&(position.topic.clone(), position.partition)) == Some(&position.next_offset)
            };
            if consumer.positions().len() == start.len() && consumer.positions().iter().all(is_there) {
                return Ok((start, client, consumer));
            }
        }
        let client = Client::new(&self.projection.log)?;
        let start = self.take_up(&client, writer)?;
        let consumer = client.consumer(self.name(), &assignments(&start))?;
        Ok((start, client, consumer))
    }

    /// What is stored of the topics that are read.
    fn read_positions(&self, writer: &read_model::Writer) -> Result<Checkpoints, Left> {
        let Projection { author, options, .. } = &self.projection;
        let mut positions = writer.checkpoints()?;
        // A topic that is no longer read keeps its checkpoint, for the day it is read again.
        let topics = options.topics(&author.plugin.manifest);
        positions.retain(|(topic, _), _| topics.contains(topic));
        Ok(positions)
    }

    /// The positions to start at: what is stored, and the log's beginning for partitions that are new.
    fn take_up(&self, client: &Client, writer: &read_model::Writer) -> Result<Checkpoints, Left> {
        let Projection { author, options, .. } = &self.projection;
        let mut positions = self.read_positions(writer)?;
        for topic in options.topics(&author.plugin.manifest) {
            for partition in client.partitions(topic)? {
                let key = (topic.clone(), partition);
                if let Entry::Vacant(entry) = positions.entry(key) {
                    let first = client.watermarks(topic, partition)?.start;
                    writer.begin_partition(topic, partition, first)?;
                    entry.insert(first);
                }
            }
        }
        Ok(positions)
    }

    pub(super) fn ends(&self, client: &Client, positions: &Checkpoints) -> Result<Ends, Left> {
        let mut ends = Ends::new();
        for (topic, partition) in positions.keys() {
            let end = client.watermarks(topic, *partition)?.end;
            ends.insert((topic.clone(), *partition), end);
        }
        Ok(ends)
    }
}

/// Where consumers start.
pub fn assignments(positions: &Checkpoints) -> Vec<Assignment> {
    positions
        .iter()
        .map(|((topic, partition), next_offset)| Assignment {
            topic: topic.clone(),
            partition: *partition,
            next_offset: *next_offset,
        })
        .collect()
}
