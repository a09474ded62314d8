//! What is known of one transactional id, and the journal entries that say so.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::group::Committed;

/// An epoch from which a producer gets a new id instead of a higher epoch. One is kept in reserve
/// for fencing.
const EPOCH_MAX: i16 = i16::MAX - 1;

/// How far a transaction has come. `Prepare*` is the decision: once it is on the disk, nothing but
/// its completion can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

impl Phase {
    /// The name that tools know.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Empty => "Empty",
            Phase::Ongoing => "Ongoing",
            Phase::PrepareCommit => "PrepareCommit",
            Phase::PrepareAbort => "PrepareAbort",
            Phase::CompleteCommit => "CompleteCommit",
            Phase::CompleteAbort => "CompleteAbort",
        }
    }

    pub(crate) fn is_decided(self) -> bool {
        matches!(self, Phase::PrepareCommit | Phase::PrepareAbort)
    }
}

/// The state of one transactional id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Txn {
    pub(crate) id: String,
    pub(crate) producer_id: i64,
    /// -1 before the first producer.
    pub(crate) epoch: i16,
    /// The epoch before the last bump, if the producer bumped it itself: a repeated request of it
    /// is a retry. Otherwise -1.
    pub(crate) last_epoch: i16,
    pub(crate) timeout_ms: i32,
    pub(crate) phase: Phase,
    pub(crate) started_ms: i64,
    /// Partitions with records of the transaction, by topic.
    pub(crate) partitions: BTreeMap<String, BTreeSet<i32>>,
    /// Where each of `partitions` ended at the decision: what the producer has open from there on belongs to its
    /// next transaction.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) ends: BTreeMap<String, BTreeMap<i32, i64>>,
    /// Partitions in which a start has found the next transaction while this one is still to be completed.
    #[serde(skip)]
    pub(crate) following: BTreeMap<String, BTreeSet<i32>>,
    /// Offsets to commit with the transaction, by group.
    pub(crate) offsets: BTreeMap<String, Vec<Committed>>,
}

impl Txn {
    pub(crate) fn new(id: &str) -> Txn {
        Txn {
            id: id.to_owned(),
            producer_id: -1,
            epoch: -1,
            last_epoch: -1,
            timeout_ms: 0,
            phase: Phase::Empty,
            started_ms: 0,
            partitions: BTreeMap::new(),
            ends: BTreeMap::new(),
            following: BTreeMap::new(),
            offsets: BTreeMap::new(),
        }
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.epoch >= EPOCH_MAX
    }

    pub(crate) fn begin(&mut self, now_ms: i64) {
        if self.phase != Phase::Ongoing {
            self.phase = Phase::Ongoing;
            self.started_ms = now_ms;
            self.partitions.clear();
            self.ends.clear();
            self.offsets.clear();
        }
    }

    /// Takes note of a transaction that a start has found open in a partition from `first_offset` on. The journal
    /// may not have had time to say that it began, or even that the one before it was complete.
    pub(crate) fn adopt(&mut self, topic: &str, partition: i32, first_offset: i64, now_ms: i64) {
        if !self.phase.is_decided() {
            self.begin(now_ms);
            self.add_partition(topic, partition);
            return;
        }
        let end = self.ends.get(topic).and_then(|ends| ends.get(&partition));
        let indexes = self.partitions.get_mut(topic).filter(|indexes| indexes.contains(&partition));
        match (indexes, end) {
            (Some(_), None) => {}
            (Some(_), Some(end)) if first_offset < *end => {}
            (indexes, _) => {
                if let Some(indexes) = indexes {
                    indexes.remove(&partition);
                }
                self.following.entry(topic.to_owned()).or_default().insert(partition);
            }
        }
    }

    pub(crate) fn add_partition(&mut self, topic: &str, partition: i32) {
        self.partitions.entry(topic.to_owned()).or_default().insert(partition);
    }

    /// Adds offsets; a later one for the same partition takes the place of the earlier.
    pub(crate) fn add_offsets(&mut self, group: &str, offsets: Vec<Committed>) {
        let held = self.offsets.entry(group.to_owned()).or_default();
        for committed in offsets {
            held.retain(|other| (&other.topic, other.partition) != (&committed.topic, committed.partition));
            held.push(committed);
        }
    }
}

/// A line of the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// Producer ids below this one may have been given out.
    ProducerIdsTo(i64),
    /// The state of one transactional id, as a whole.
    Txn(Txn),
}
