//! Events on their way into a read model, and how far they bring its checkpoint.

use crate::event::{Event, Record};
use crate::read_model::{Advance, Checkpoints};
use lantern_contract::frame;
use lantern_contract::frame::events::{Events, NewEvent, Writer};
use lantern_contract::manifest::Manifest;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Events in the order in which they are applied, as one frame.
#[derive(Debug, Default)]
pub struct Batch {
    /// The frame that the plugin is given.
    pub frame: Vec<u8>,
    /// How many events it holds.
    pub count: usize,
    /// How the checkpoint moves, in the order of the events.
    pub runs: Vec<Advance>,
}

impl Batch {
    /// Whether it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// A part of the batch, with the runs that belong to it: those of events before `start` are left out,
    /// and what follows the last event of the batch (records that the plugin does not read) comes with it.
    ///
    /// # Errors
    /// Never for a frame that this module wrote.
    pub fn part(&self, start: usize, end: usize) -> Result<Batch, frame::Error> {
        let events = Events::parse(&self.frame)?;
        let mut writer = Writer::new();
        // The checkpoints after the events before this part, and after this part.
        let mut done: HashMap<(&str, i32), i64> = HashMap::new();
        let mut due: HashMap<(&str, i32), i64> = HashMap::new();
        let mut counts = vec![0; self.runs.len()];
        let mut current = 0;
        for (index, event) in events.iter().enumerate().take(end) {
            let event = event?;
            while self.runs.get(current).is_some_and(|run| !holds(run, &event)) {
                current += 1;
            }
            let seen = ((event.topic, event.partition), event.offset + 1);
            if index < start {
                done.extend([seen]);
                continue;
            }
            due.extend([seen]);
            if let Some(count) = counts.get_mut(current) {
                *count += 1;
            }
            let headers = event.headers().collect::<Result<Vec<_>, _>>()?;
            writer.push(as_new(&event), headers);
        }
        let mut runs = Vec::new();
        for (run, events) in self.runs.iter().zip(counts) {
            let place = (&*run.topic, run.partition);
            let done = done.get(&place);
            let from = done.map_or(run.from, |at| (*at).clamp(run.from, run.to));
            let to = if end >= self.count {
                run.to
            } else {
                due.get(&place).or(done).map_or(run.from, |at| (*at).clamp(run.from, run.to))
            };
            if from < to {
                runs.push(Advance { from, to, events, ..run.clone() });
            }
        }
        let mut part = Batch { frame: Vec::new(), count: writer.len(), runs };
        writer.finish(&mut part.frame);
        Ok(part)
    }

    /// Where an event of the batch stands in the log, and its type.
    pub fn place(&self, index: usize) -> Option<Place> {
        let event = Events::parse(&self.frame).ok()?.iter().nth(index)?.ok()?;
        Some(Place {
            topic: event.topic.into(),
            partition: event.partition,
            offset: event.offset,
            kind: event.kind.into(),
        })
    }
}

fn holds(run: &Advance, event: &frame::events::Event<'_>) -> bool {
    run.partition == event.partition
        && (run.from..run.to).contains(&event.offset)
        && *run.topic == *event.topic
}

fn as_new<'a>(event: &frame::events::Event<'a>) -> NewEvent<'a> {
    NewEvent {
        kind: event.kind,
        topic: event.topic,
        partition: event.partition,
        offset: event.offset,
        timestamp_ms: event.timestamp_ms,
        key: event.key,
        payload: event.payload,
    }
}

/// The coordinates of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its type; empty when its envelope cannot be opened.
    pub kind: String,
}

/// Collects records into batches, leaving out what the plugin does not read.
#[derive(Debug)]
pub struct Collector {
    writer: Writer,
    runs: Vec<Advance>,
    /// The next offsets behind everything that was collected so far, but for the last run.
    positions: HashMap<Arc<str>, HashMap<i32, i64>>,
    kinds: Option<HashSet<String>>,
    headers: Option<HashSet<String>>,
}

impl Collector {
    /// A collector for what this manifest reads, starting at these positions.
    pub fn new(manifest: &Manifest, start: Checkpoints) -> Self {
        let mut positions: HashMap<Arc<str>, HashMap<i32, i64>> = HashMap::new();
        for ((topic, partition), next) in start {
            positions.entry(topic.into()).or_default().insert(partition, next);
        }
        Collector {
            writer: Writer::new(),
            runs: Vec::new(),
            positions,
            kinds: (!manifest.types.is_empty()).then(|| manifest.types.iter().cloned().collect()),
            headers: manifest.headers.as_ref().map(|names| names.iter().cloned().collect()),
        }
    }

    /// The next offset to collect of a partition.
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        match self.runs.last() {
            Some(last) if last.partition == partition && *last.topic == *topic => Some(last.to),
            _ => self.positions.get(topic)?.get(&partition).copied(),
        }
    }

    /// Takes up an event, or passes over it when the plugin does not read its type; answers which.
    pub fn push(&mut self, event: &Event<'_>) -> bool {
        self.advance(event.topic, event.partition, event.offset + 1);
        if let Some(kinds) = &self.kinds
            && !kinds.contains(event.kind.as_ref())
        {
            return false;
        }
        if let Some(run) = self.runs.last_mut() {
            run.events += 1;
        }
        let new = NewEvent {
            kind: &event.kind,
            topic: event.topic,
            partition: event.partition,
            offset: event.offset,
            timestamp_ms: event.timestamp_ms,
            key: event.key,
            payload: event.payload.as_deref(),
        };
        match &self.headers {
            Some(wanted) if wanted.is_empty() => self.writer.push(new, std::iter::empty()),
            Some(wanted) => {
                self.writer.push(new, event.headers.iter().filter(|(name, _)| wanted.contains(*name)))
            }
            None => self.writer.push(new, event.headers.iter()),
        }
        true
    }

    /// Passes over everything before `to`: transaction markers, aborted records, unread events.
    pub fn advance(&mut self, topic: &str, partition: i32, to: i64) {
        if let Some(last) = self.runs.last_mut()
            && last.partition == partition
            && *last.topic == *topic
        {
            last.to = last.to.max(to);
            return;
        }
        self.keep_last();
        let shared = match self.positions.get_key_value(topic) {
            Some((shared, _)) => Arc::clone(shared),
            None => topic.into(),
        };
        let partitions = self.positions.entry(Arc::clone(&shared)).or_default();
        // A partition that the collector was not told of starts where it is first seen.
        let from = *partitions.entry(partition).or_insert(to);
        if from < to {
            self.runs.push(Advance { topic: shared, partition, from, to, events: 0 });
        }
    }

    /// Writes the last run's position down, before another run becomes the last.
    fn keep_last(&mut self) {
        if let Some(last) = self.runs.last()
            && let Some(position) =
                self.positions.get_mut(&last.topic).and_then(|partitions| partitions.get_mut(&last.partition))
        {
            *position = last.to;
        }
    }

    /// Whether a record was already collected: a consumer that was rewound may bring it again.
    pub fn has(&self, record: &Record<'_>) -> bool {
        self.position(record.topic, record.partition).is_some_and(|next| record.offset < next)
    }

    /// How many events are collected.
    pub fn len(&self) -> usize {
        self.writer.len()
    }

    /// How many runs the checkpoint moves in.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Whether nothing was collected, not even a move of the checkpoint.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// About how many bytes the frame will have.
    pub fn size_bytes(&self) -> usize {
        self.writer.size_bytes()
    }

    /// What was collected, as a batch whose memory may be an earlier one's.
    pub fn finish(&mut self, mut reuse: Vec<u8>) -> Batch {
        let count = self.writer.len();
        self.writer.finish(&mut reuse);
        self.keep_last();
        Batch { frame: reuse, count, runs: std::mem::take(&mut self.runs) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{self, Headers};
    use lantern_contract::manifest::Envelope;
    use proptest::prelude::*;

    fn manifest(types: &[&str]) -> Manifest {
        let types = serde_json::to_string(types).unwrap();
        let json = format!(
            r#"{{"name":"t","topics":["a"],"types":{types},"envelope":{{"kind":"json-field","field":"t"}}}}"#
        );
        Manifest::parse(&json).unwrap()
    }

    /// Collects events of these partitions, each as (partition, whether the plugin reads it).
    fn collect(events: &[(i32, bool)]) -> Batch {
        let mut collector =
            Collector::new(&manifest(&["read"]), (0..4).map(|p| (("a".into(), p), 10)).collect());
        let mut next = [10; 4];
        for &(partition, read) in events {
            let offset = next[partition as usize];
            next[partition as usize] += 1;
            let payload: &[u8] = if read { br#"{"t":"read"}"# } else { br#"{"t":"other"}"# };
            let record = Record {
                topic: "a",
                partition,
                offset,
                timestamp_ms: -1,
                key: None,
                payload: Some(payload),
                headers: Headers::list(&[]),
            };
            let envelope = Envelope::JsonField { field: "t".into() };
            collector.push(&event::open(&envelope, &record).unwrap());
        }
        collector.finish(Vec::new())
    }

    /// Where each partition is after these runs, checking that each starts where the one before ended.
    fn walk(checkpoints: &mut [i64; 4], runs: &[Advance]) {
        for run in runs {
            let at = &mut checkpoints[run.partition as usize];
            assert_eq!(*at, run.from, "a run starts at the checkpoint: {run:?}");
            assert!(run.to > run.from, "{run:?}");
            *at = run.to;
        }
    }

    fn given(runs: &[Advance]) -> u64 {
        runs.iter().map(|run| run.events).sum()
    }

    proptest! {
        /// A batch that fails is applied in parts; if the parts' checkpoints did not add up to those of the
        /// whole, events would be lost or applied twice.
        #[test]
        fn parts_of_a_batch_move_the_checkpoint_as_the_whole_does(
            events in prop::collection::vec((0..4i32, any::<bool>()), 1..60),
            cuts in prop::collection::vec(0..60usize, 0..4),
        ) {
            let whole = collect(&events);
            let mut expected = [10; 4];
            walk(&mut expected, &whole.runs);
            prop_assert_eq!(given(&whole.runs), whole.count as u64);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(whole.count)).collect();
            cuts.extend([0, whole.count]);
            cuts.sort_unstable();
            cuts.dedup();
            if whole.count == 0 {
                cuts.push(0);
            }
            let mut found = [10; 4];
            let mut offsets = Vec::new();
            for pair in cuts.windows(2) {
                let part = whole.part(pair[0], pair[1]).unwrap();
                prop_assert_eq!(part.count, pair[1] - pair[0]);
                walk(&mut found, &part.runs);
                prop_assert_eq!(given(&part.runs), part.count as u64);
                for run in &part.runs {
                    let read = |&(partition, offset): &(i32, i64)| {
                        partition == run.partition && (run.from..run.to).contains(&offset)
                    };
                    let given: Vec<_> = Events::parse(&part.frame).unwrap().iter()
                        .map(|event| event.unwrap()).map(|event| (event.partition, event.offset)).collect();
                    prop_assert_eq!(given.iter().filter(|place| read(place)).count() as u64, run.events);
                }
                for event in Events::parse(&part.frame).unwrap().iter() {
                    let event = event.unwrap();
                    offsets.push((event.partition, event.offset));
                    prop_assert!(event.offset < found[event.partition as usize]);
                }
            }
            prop_assert_eq!(found, expected);
            let all: Vec<_> = Events::parse(&whole.frame).unwrap().iter()
                .map(|event| event.unwrap()).map(|event| (event.partition, event.offset)).collect();
            prop_assert_eq!(offsets, all);
        }
    }
}
