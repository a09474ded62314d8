//! The transaction coordinator.
//!
//! The order that makes a commit atomic: (1) the decision, with the partitions and the offsets it
//! concerns, is on the disk; (2) the markers and offsets are written and on the disk; (3) the
//! completion is noted and the producer answered. After a crash between (1) and (3) the completion
//! is repeated when the journal is opened; before (1) nothing was decided, and the transaction goes
//! on, times out, or is aborted by the next producer of the same id.

mod completion;
mod ids;
mod state;

pub(crate) use state::{Phase, Txn};

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Mutex as AsyncMutex;

use crate::group::{Committed, Offsets};
use crate::journal::{self, Journal, Ticket};
use crate::log::{Syncer, now_ms};
use crate::options::Options;
use crate::poison::lock;
use crate::topics::Topics;
use ids::Ids;
use state::Entry;

const JOURNAL: &str = "transactions.journal";

/// Why a transactional request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("the producer id is not the one of this transactional id")]
    WrongProducer,
    #[error("another producer has taken over this transactional id")]
    Fenced,
    #[error("the last transaction is still being completed")]
    Busy,
    #[error("the transaction is not in a state that allows this")]
    State,
    #[error("the transaction timeout must be above 0 and within the broker's limit")]
    Timeout,
    #[error("the disk refused to keep the transaction's state")]
    Storage,
}

/// A producer's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
}

/// All transactional producers.
#[derive(Debug)]
pub(crate) struct Transactions {
    journal: Arc<Journal>,
    ids: Ids,
    timeout_ms_max: i32,
    topics: Arc<Topics>,
    offsets: Arc<Offsets>,
    segment_bytes_max: u64,
    txns: Mutex<HashMap<String, Arc<AsyncMutex<Txn>>>>,
}

impl Transactions {
    /// Opens the journal. [`Transactions::recover`] must follow before producers are served.
    pub(crate) fn open(
        options: &Options,
        syncer: &Arc<Syncer>,
        topics: &Arc<Topics>,
        offsets: &Arc<Offsets>,
    ) -> Result<Transactions, journal::Error> {
        let path = options.dir.join(JOURNAL);
        let (journal, entries) = Journal::open(&path, options.fsync, syncer)?;
        let mut ids_to = 0;
        let mut txns = HashMap::new();
        for entry in entries {
            match entry {
                Entry::ProducerIdsTo(to) => ids_to = to,
                Entry::Txn(txn) => {
                    txns.insert(txn.id.clone(), txn);
                }
            }
        }
        let txns = txns.into_iter().map(|(id, txn)| (id, Arc::new(AsyncMutex::new(txn)))).collect();
        Ok(Transactions {
            ids: Ids::new(&journal, ids_to),
            journal,
            timeout_ms_max: options.transaction_ms_max,
            topics: Arc::clone(topics),
            offsets: Arc::clone(offsets),
            segment_bytes_max: options.segment_bytes_max,
            txns: Mutex::new(txns),
        })
    }

    /// A producer id for a producer without transactions.
    pub(crate) async fn new_producer_id(&self) -> Result<i64, Error> {
        self.ids.next().await.ok_or(Error::Storage)
    }

    /// Gives the producer of `id` its identity. Older producers of the same id are fenced, and what
    /// they left open is aborted.
    pub(crate) async fn init(
        &self,
        id: &str,
        timeout_ms: i32,
        given: Option<Identity>,
    ) -> Result<Identity, Error> {
        if !(1..=self.timeout_ms_max).contains(&timeout_ms) {
            return Err(Error::Timeout);
        }
        let txn = Arc::clone(
            lock(&self.txns).entry(id.to_owned()).or_insert_with(|| Arc::new(AsyncMutex::new(Txn::new(id)))),
        );
        let mut txn = txn.lock().await;
        if txn.phase.is_decided() {
            return Err(Error::Busy);
        }
        if let Some(given) = given
            && txn.epoch >= 0
        {
            let current = given.producer_id == txn.producer_id;
            if current && given.epoch == txn.last_epoch && txn.phase != Phase::Ongoing {
                // The answer to the bump was lost; this is its retry.
                return Ok(Identity { producer_id: txn.producer_id, epoch: txn.epoch });
            }
            if !current || given.epoch != txn.epoch {
                return Err(Error::Fenced);
            }
        }
        let own_epoch = given.map_or(-1, |_| txn.epoch);
        if txn.phase == Phase::Ongoing {
            self.fence_and_abort(&mut txn).await?;
        } else {
            self.bump(&mut txn).await?;
        }
        let mut next = txn.clone();
        next.last_epoch = own_epoch;
        next.timeout_ms = timeout_ms;
        next.phase = Phase::Empty;
        self.store(&mut txn, next).await?;
        Ok(Identity { producer_id: txn.producer_id, epoch: txn.epoch })
    }

    /// Raises the epoch in memory, or takes a new id where no higher epoch is left.
    async fn bump(&self, txn: &mut Txn) -> Result<(), Error> {
        if txn.epoch < 0 || txn.is_exhausted() {
            txn.producer_id = self.ids.next().await.ok_or(Error::Storage)?;
            txn.epoch = 0;
        } else {
            txn.epoch += 1;
        }
        Ok(())
    }

    /// Adds partitions to the producer's transaction, which begins with the first.
    pub(crate) async fn add_partitions(
        &self,
        id: &str,
        identity: Identity,
        partitions: &[(String, i32)],
    ) -> Result<(), Error> {
        let txn = self.find(id)?;
        let mut txn = txn.lock().await;
        check(&txn, identity)?;
        let mut next = txn.clone();
        next.begin(now_ms());
        for (name, index) in partitions {
            let topic = self.topics.get(name).ok_or(Error::State)?;
            let partition = topic.partition(*index).ok_or(Error::State)?;
            partition.admit(identity.producer_id, identity.epoch).map_err(|_| Error::Fenced)?;
            next.add_partition(name, *index);
        }
        // Not waited for: a partition with records of the transaction is found by its records when
        // the log is opened, and one without records does not matter.
        self.note(&mut txn, next)?;
        Ok(())
    }

    /// Begins the transaction, if it has not begun, for offsets that will follow.
    pub(crate) async fn add_group(&self, id: &str, identity: Identity) -> Result<(), Error> {
        let txn = self.find(id)?;
        let mut txn = txn.lock().await;
        check(&txn, identity)?;
        let mut next = txn.clone();
        next.begin(now_ms());
        self.note(&mut txn, next)?;
        Ok(())
    }

    /// Adds offsets of a group to the transaction.
    pub(crate) async fn add_offsets(
        &self,
        id: &str,
        identity: Identity,
        group: &str,
        offsets: Vec<Committed>,
    ) -> Result<(), Error> {
        let txn = self.find(id)?;
        let mut txn = txn.lock().await;
        check(&txn, identity)?;
        if txn.phase != Phase::Ongoing {
            return Err(Error::State);
        }
        let mut next = txn.clone();
        self.offsets.hold(group, identity.producer_id, &offsets);
        next.add_offsets(group, offsets);
        // Waited for: nothing else tells of these offsets after a crash.
        self.store(&mut txn, next).await
    }

    /// Commits or aborts.
    pub(crate) async fn end(&self, id: &str, identity: Identity, commit: bool) -> Result<(), Error> {
        let txn = self.find(id)?;
        let mut txn = txn.lock().await;
        check(&txn, identity)?;
        match (txn.phase, commit) {
            (Phase::Ongoing, _) => self.decide(&mut txn, commit).await,
            // The answer was lost; this is a retry.
            (Phase::CompleteCommit, true) | (Phase::CompleteAbort, false) => Ok(()),
            _ => Err(Error::State),
        }
    }

    fn find(&self, id: &str) -> Result<Arc<AsyncMutex<Txn>>, Error> {
        lock(&self.txns).get(id).cloned().ok_or(Error::WrongProducer)
    }

    fn every(&self) -> Vec<Arc<AsyncMutex<Txn>>> {
        lock(&self.txns).values().cloned().collect()
    }

    /// The state of every transactional id, for tools.
    pub(crate) async fn list(&self) -> Vec<Txn> {
        let mut list = Vec::new();
        for txn in self.every() {
            list.push(txn.lock().await.clone());
        }
        list.retain(|txn| txn.epoch >= 0);
        list
    }

    /// Puts `next` in the place of `txn` and notes it in the journal, without waiting for the disk.
    fn note(&self, txn: &mut Txn, next: Txn) -> Result<Ticket, Error> {
        let entry = Entry::Txn(next);
        let ticket = self.journal.append(&entry).map_err(|error| {
            tracing::error!(%error, transactional_id = %txn.id, "the state of a transaction could not be stored");
            Error::Storage
        })?;
        if let Entry::Txn(next) = entry {
            *txn = next;
        }
        Ok(ticket)
    }

    /// As [`Transactions::note`], and waits for the disk.
    async fn store(&self, txn: &mut Txn, next: Txn) -> Result<(), Error> {
        let before = txn.clone();
        let ticket = self.note(txn, next)?;
        if self.journal.durable(ticket).await {
            return Ok(());
        }
        *txn = before;
        Err(Error::Storage)
    }

    pub(crate) fn sync(&self) -> Result<(), journal::Error> {
        self.journal.sync_now()
    }
}

fn check(txn: &Txn, identity: Identity) -> Result<(), Error> {
    if identity.producer_id != txn.producer_id {
        return Err(Error::WrongProducer);
    }
    if identity.epoch != txn.epoch {
        return Err(Error::Fenced);
    }
    if txn.phase.is_decided() {
        return Err(Error::Busy);
    }
    Ok(())
}
