//! Deciding transactions and carrying decisions out, in operation, on timeout and after a crash.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, watch};

use super::state::{Entry, Phase, Txn};
use super::{Error, Transactions};
use crate::crash;
use crate::log::{AppendError, Marker, now_ms};
use crate::poison::lock;

/// How often transactions are looked through for those that have timed out or are stuck.
const SWEEP_EVERY: Duration = Duration::from_millis(200);

impl Transactions {
    /// Makes the decision durable, then carries it out.
    pub(super) async fn decide(&self, txn: &mut Txn, commit: bool) -> Result<(), Error> {
        let next = self.decided(
            txn,
            match commit {
                true => Phase::PrepareCommit,
                false => Phase::PrepareAbort,
            },
        );
        self.store(txn, next).await?;
        self.complete(txn).await
    }

    /// The transaction as it is once it is decided.
    fn decided(&self, txn: &Txn, phase: Phase) -> Txn {
        let mut next = txn.clone();
        next.phase = phase;
        for (name, indexes) in &txn.partitions {
            let Some(topic) = self.topics.get(name) else {
                continue;
            };
            let ends = indexes.iter().filter_map(|index| Some((*index, topic.partition(*index)?.end())));
            next.ends.insert(name.clone(), ends.collect());
        }
        next
    }

    /// Aborts the open transaction under the next epoch, so that its producer can write no more.
    pub(super) async fn fence_and_abort(&self, txn: &mut Txn) -> Result<(), Error> {
        let mut next = self.decided(txn, Phase::PrepareAbort);
        next.epoch += 1;
        next.last_epoch = -1;
        self.store(txn, next).await?;
        self.complete(txn).await?;
        if txn.is_exhausted() {
            self.bump(txn).await?;
        }
        Ok(())
    }

    /// Carries out a decision: markers and offsets, on the disk, then the note that it is done. May
    /// be repeated from any point.
    async fn complete(&self, txn: &mut Txn) -> Result<(), Error> {
        crash::here("transaction-decided");
        let commit = txn.phase == Phase::PrepareCommit;
        let marker = Marker { producer_id: txn.producer_id, producer_epoch: txn.epoch, commit };
        let mut written = Vec::new();
        for (name, indexes) in &txn.partitions {
            // A topic that was deleted meanwhile needs no markers.
            let Some(topic) = self.topics.get(name) else {
                continue;
            };
            let segment_bytes = topic.config.segment_bytes().unwrap_or(self.segment_bytes_max);
            for partition in indexes.iter().filter_map(|index| topic.partition(*index)) {
                match partition.end_transaction(marker, segment_bytes) {
                    Ok(appended) => written.push((Arc::clone(partition), appended)),
                    Err(AppendError::Deleted) => {}
                    Err(error) => {
                        tracing::error!(%error, topic = name, "the marker of a transaction could not be written; it will be tried again");
                        return Err(Error::Busy);
                    }
                }
            }
        }
        crash::here("transaction-marked");
        let with_offsets = !txn.offsets.is_empty();
        if commit {
            for (group, offsets) in &txn.offsets {
                // Those of a topic that was deleted meanwhile have gone with it.
                let offsets = offsets.iter().filter(|committed| self.topics.get(&committed.topic).is_some());
                if !self.offsets.commit(group, offsets.cloned().collect()).await {
                    return Err(Error::Busy);
                }
            }
        }
        crash::here("transaction-offsets");
        for (partition, appended) in written {
            if !partition.durable(appended).await {
                return Err(Error::Busy);
            }
        }
        let mut next = txn.clone();
        next.phase = match commit {
            true => Phase::CompleteCommit,
            false => Phase::CompleteAbort,
        };
        next.partitions.clear();
        next.ends.clear();
        next.offsets.clear();
        let following = std::mem::take(&mut next.following);
        if !following.is_empty() {
            next.begin(now_ms());
            next.partitions = following;
        }
        if with_offsets {
            // Waited for: repeating this completion after a crash would put the group's offsets
            // back to where they are now.
            self.store(txn, next).await.map_err(|_| Error::Busy)?;
        } else {
            self.note(txn, next).map_err(|_| Error::Busy)?;
        }
        crash::here("transaction-completed");
        self.offsets.release(txn.producer_id);
        Ok(())
    }

    /// Brings the journal and the partitions together after the log was opened, and completes what
    /// was decided.
    pub(crate) async fn recover(&self) {
        self.adopt_open_transactions().await;
        for txn in self.every() {
            let mut txn = txn.lock().await;
            for (group, offsets) in &txn.offsets {
                self.offsets.hold(group, txn.producer_id, offsets);
            }
            if txn.phase.is_decided() {
                tracing::info!(transactional_id = %txn.id, phase = txn.phase.name(), "completing a transaction that was decided before the broker ended");
                if let Err(error) = self.complete(&mut txn).await {
                    tracing::error!(%error, transactional_id = %txn.id, "a decided transaction could not be completed yet");
                }
            }
            self.admit(&txn);
        }
    }

    /// Has the partitions of a transaction take its next batches, if it is open.
    fn admit(&self, txn: &Txn) {
        if txn.phase != Phase::Ongoing {
            return;
        }
        for (name, indexes) in &txn.partitions {
            let Some(topic) = self.topics.get(name) else {
                continue;
            };
            for partition in indexes.iter().filter_map(|index| topic.partition(*index)) {
                if let Err(error) = partition.admit(txn.producer_id, txn.epoch) {
                    tracing::warn!(%error, topic = name, "an open transaction cannot go on in a partition");
                }
            }
        }
    }

    /// Adds partitions that hold records of an open transaction to its state.
    async fn adopt_open_transactions(&self) {
        let mut by_producer = HashMap::new();
        for txn in self.every() {
            let producer_id = txn.lock().await.producer_id;
            by_producer.insert(producer_id, txn);
        }
        for topic in self.topics.all() {
            for (index, partition) in topic.partitions.iter().enumerate() {
                for (producer_id, epoch, first_offset) in partition.open_transactions() {
                    if let Some(txn) = by_producer.get(&producer_id) {
                        txn.lock().await.adopt(&topic.name, index as i32, first_offset, now_ms());
                        continue;
                    }
                    tracing::warn!(topic = %topic.name, partition = index, producer_id, "aborting an open transaction of an unknown producer");
                    let marker = Marker { producer_id, producer_epoch: epoch, commit: false };
                    if let Err(error) = partition.end_transaction(marker, self.segment_bytes_max) {
                        tracing::error!(%error, topic = %topic.name, "the marker could not be written");
                    }
                }
            }
        }
    }

    /// Aborts transactions that have timed out, and retries completions that failed, until
    /// `closing`.
    pub(crate) async fn sweep(&self, mut closing: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = closing.changed() => return,
            }
            for txn in self.every() {
                // One that is locked is being worked on.
                let Ok(mut txn) = txn.try_lock() else {
                    continue;
                };
                if txn.phase.is_decided() {
                    // Tried again the next time. What follows it has waited since the start.
                    if self.complete(&mut txn).await.is_ok() {
                        self.admit(&txn);
                    }
                } else if txn.phase == Phase::Ongoing && now_ms() - txn.started_ms > i64::from(txn.timeout_ms)
                {
                    tracing::info!(transactional_id = %txn.id, timeout_ms = txn.timeout_ms, "aborting a transaction that took too long");
                    if let Err(error) = self.fence_and_abort(&mut txn).await {
                        tracing::error!(%error, transactional_id = %txn.id, "a transaction that took too long could not be aborted yet");
                    }
                }
            }
            self.compact().await;
        }
    }

    /// Writes the journal anew when it has grown far beyond its state.
    async fn compact(&self) {
        if !self.journal.wants_rewrite() {
            return;
        }
        // Nothing may be noted between the copies and the new file, so all are locked at once. Whoever works on one
        // waits for none of the others, so it comes to an end.
        let mut locked: HashMap<String, OwnedMutexGuard<Txn>> = HashMap::new();
        loop {
            let more: Vec<_> = {
                let known = lock(&self.txns);
                let more: Vec<_> = known.iter().filter(|(id, _)| !locked.contains_key(*id)).collect();
                if more.is_empty() {
                    return self.rewrite(locked.values().map(|txn| &**txn));
                }
                more.into_iter().map(|(id, txn)| (id.clone(), Arc::clone(txn))).collect()
            };
            for (id, txn) in more {
                locked.insert(id, txn.lock_owned().await);
            }
        }
    }

    fn rewrite<'a>(&self, txns: impl Iterator<Item = &'a Txn>) {
        let Some((ids, _frozen)) = self.ids.frozen() else {
            // More ids are being made ready, for which one may be waiting that is locked: another time.
            return;
        };
        let entries = txns.filter(|txn| txn.epoch >= 0).map(|txn| Entry::Txn(txn.clone()));
        if let Err(error) = self.journal.rewrite(std::iter::once(ids).chain(entries)) {
            tracing::error!(%error, "the journal of transactions could not be written anew");
        }
    }
}
