//! What a partition remembers of idempotent and transactional producers.
//!
//! The rules are Kafka's (KIP-98): a producer numbers its records per partition; the last five
//! batches are remembered, so that a batch sent again is answered with the offsets it already has.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::batch::Header;

/// librdkafka and the Java client keep at most five batches in flight to a partition.
const BATCHES_REMEMBERED: usize = 5;
/// A producer that has written nothing for this long is forgotten, as in Kafka.
const FORGOTTEN_AFTER_MS: i64 = 24 * 60 * 60 * 1_000;
/// How many producers are held before the idle ones are looked for.
const SWEEP_FROM: usize = 1_000;

/// An aborted transaction, as consumers that read committed records need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    /// The offset of the marker.
    pub(crate) last_offset: i64,
}

/// The end of a transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) commit: bool,
}

/// A batch that is already in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    last_offset: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Producer {
    epoch: i16,
    written: VecDeque<Written>,
    /// The first offset of the open transaction.
    open_from: Option<i64>,
    /// The transaction coordinator has this partition in the producer's open transaction. It says so
    /// again after a start.
    #[serde(skip)]
    admitted: bool,
    last_seen_ms: i64,
}

/// What becomes of a batch that is about to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// The batch is in the log already, at these offsets.
    Duplicate {
        base_offset: i64,
        last_offset: i64,
    },
}

/// Why a producer may not append a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the producer's epoch {epoch} is older than {current}: another producer took its place")]
    Fenced { epoch: i16, current: i16 },
    #[error("sequence number {sequence} does not follow {last}")]
    OutOfOrder { sequence: i32, last: i32 },
    #[error("the partition is not part of an open transaction of this producer")]
    NotInTransaction,
}

/// A producer as tools see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Active {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) last_sequence: i32,
    pub(crate) last_seen_ms: i64,
    pub(crate) open_from: Option<i64>,
}

/// All producers of one partition.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// Open transactions by their first offset.
    open: BTreeMap<i64, i64>,
    /// Aborted transactions in the order of their markers.
    aborted: Vec<Aborted>,
}

impl Producers {
    /// Decides on a data batch from a client.
    pub(crate) fn check(&self, header: &Header) -> Result<Verdict, Refusal> {
        if header.producer_id < 0 {
            return Ok(Verdict::Append);
        }
        let Some(producer) = self.by_id.get(&header.producer_id) else {
            // Nothing is known of it (any more): whatever number it starts from is accepted.
            return if header.is_transactional() {
                Err(Refusal::NotInTransaction)
            } else {
                Ok(Verdict::Append)
            };
        };
        if header.producer_epoch < producer.epoch {
            return Err(Refusal::Fenced { epoch: header.producer_epoch, current: producer.epoch });
        }
        let last_sequence = header.last_sequence();
        if header.producer_epoch == producer.epoch
            && let Some(earlier) = producer.written.iter().find(|written| {
                written.first_sequence == header.base_sequence && written.last_sequence == last_sequence
            })
        {
            return Ok(Verdict::Duplicate {
                base_offset: earlier.base_offset,
                last_offset: earlier.last_offset,
            });
        }
        if header.is_transactional() && !(producer.admitted && header.producer_epoch == producer.epoch) {
            return Err(Refusal::NotInTransaction);
        }
        if let Some(last) = producer.written.back().map(|written| written.last_sequence) {
            let expected = match (header.producer_epoch == producer.epoch, last) {
                (false, _) | (true, i32::MAX) => 0,
                (true, last) => last + 1,
            };
            if header.base_sequence != expected {
                return Err(Refusal::OutOfOrder { sequence: header.base_sequence, last });
            }
        }
        Ok(Verdict::Append)
    }

    /// Notes a batch that was appended; `header` holds its final offsets.
    pub(crate) fn appended(&mut self, header: &Header, now_ms: i64) {
        if header.producer_id < 0 {
            return;
        }
        let producer = self.producer(header.producer_id, header.producer_epoch, now_ms);
        if header.is_idempotent() {
            if producer.written.len() == BATCHES_REMEMBERED {
                producer.written.pop_front();
            }
            producer.written.push_back(Written {
                first_sequence: header.base_sequence,
                last_sequence: header.last_sequence(),
                base_offset: header.base_offset,
                last_offset: header.last_offset(),
            });
        }
        if header.is_transactional() && producer.open_from.is_none() {
            producer.open_from = Some(header.base_offset);
            self.open.insert(header.base_offset, header.producer_id);
        }
    }

    /// Notes a marker that was appended at `offset`.
    pub(crate) fn ended(&mut self, marker: Marker, offset: i64, now_ms: i64) {
        let producer = self.producer(marker.producer_id, marker.producer_epoch, now_ms);
        producer.admitted = false;
        if let Some(first_offset) = producer.open_from.take() {
            self.open.remove(&first_offset);
            if !marker.commit {
                self.aborted.push(Aborted {
                    producer_id: marker.producer_id,
                    first_offset,
                    last_offset: offset,
                });
            }
        }
    }

    /// The coordinator has added this partition to a transaction of the producer.
    pub(crate) fn admit(&mut self, producer_id: i64, epoch: i16, now_ms: i64) -> Result<(), Refusal> {
        if let Some(producer) = self.by_id.get(&producer_id)
            && epoch < producer.epoch
        {
            return Err(Refusal::Fenced { epoch, current: producer.epoch });
        }
        self.producer(producer_id, epoch, now_ms).admitted = true;
        Ok(())
    }

    fn producer(&mut self, id: i64, epoch: i16, now_ms: i64) -> &mut Producer {
        if self.by_id.len() >= SWEEP_FROM && !self.by_id.contains_key(&id) {
            self.by_id.retain(|_, producer| {
                producer.open_from.is_some() || now_ms - producer.last_seen_ms < FORGOTTEN_AFTER_MS
            });
        }
        let producer = self.by_id.entry(id).or_insert_with(|| Producer {
            epoch,
            written: VecDeque::new(),
            open_from: None,
            admitted: false,
            last_seen_ms: now_ms,
        });
        producer.last_seen_ms = now_ms;
        if epoch > producer.epoch {
            // A new epoch numbers its batches from 0. An open transaction stays open until its
            // marker comes: the marker carries the new epoch already.
            producer.epoch = epoch;
            producer.written.clear();
            producer.admitted = false;
        }
        producer
    }

    /// The first offset that belongs to an open transaction.
    pub(crate) fn first_open(&self) -> Option<i64> {
        self.open.first_key_value().map(|(offset, _)| *offset)
    }

    /// Producers with an open transaction, with their epoch and its first offset.
    pub(crate) fn open(&self) -> impl Iterator<Item = (i64, i16, i64)> {
        self.open
            .iter()
            .filter_map(|(first_offset, id)| Some((*id, self.by_id.get(id)?.epoch, *first_offset)))
    }

    pub(crate) fn is_open(&self, producer_id: i64) -> bool {
        self.by_id.get(&producer_id).is_some_and(|producer| producer.open_from.is_some())
    }

    /// Aborted transactions with records in `from..to`.
    pub(crate) fn aborted(&self, from: i64, to: i64) -> Vec<Aborted> {
        let first = self.aborted.partition_point(|aborted| aborted.last_offset < from);
        let mut list: Vec<Aborted> =
            self.aborted[first..].iter().filter(|aborted| aborted.first_offset < to).copied().collect();
        // Consumers take them in the order in which they begin.
        list.sort_unstable_by_key(|aborted| aborted.first_offset);
        list
    }

    /// Forgets what lies wholly before `log_start`.
    pub(crate) fn truncate_before(&mut self, log_start: i64) {
        self.aborted.retain(|aborted| aborted.last_offset >= log_start);
    }

    /// Forgets aborted transactions whose markers, at these offsets, are gone from the log.
    pub(crate) fn forget_aborted(&mut self, markers: &[i64]) {
        self.aborted.retain(|aborted| !markers.contains(&aborted.last_offset));
    }

    pub(crate) fn active(&self) -> Vec<Active> {
        self.by_id
            .iter()
            .map(|(id, producer)| Active {
                producer_id: *id,
                epoch: producer.epoch,
                last_sequence: producer.written.back().map_or(-1, |written| written.last_sequence),
                last_seen_ms: producer.last_seen_ms,
                open_from: producer.open_from,
            })
            .collect()
    }
}
