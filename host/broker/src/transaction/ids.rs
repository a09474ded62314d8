//! Producer ids, each given out once in the life of the log.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::state::Entry;
use crate::journal::Journal;

/// Ids are taken from the journal in blocks of this many; those left over when the process ends are
/// never used.
const BLOCK: i64 = 1_000;

#[derive(Debug)]
struct Block {
    next: i64,
    limit: i64,
}

/// The source of producer ids.
#[derive(Debug)]
pub(super) struct Ids {
    journal: Arc<Journal>,
    block: Mutex<Block>,
}

impl Ids {
    /// Ids from `limit` on were never given out.
    pub(super) fn new(journal: &Arc<Journal>, limit: i64) -> Ids {
        Ids { journal: Arc::clone(journal), block: Mutex::new(Block { next: limit, limit }) }
    }

    /// An id that was never given out before; `None` when the disk fails.
    pub(super) async fn next(&self) -> Option<i64> {
        let mut block = self.block.lock().await;
        if block.next == block.limit {
            let limit = block.limit + BLOCK;
            let ticket = self
                .journal
                .append(&Entry::ProducerIdsTo(limit))
                .inspect_err(|error| tracing::error!(%error, "no producer id could be given out"))
                .ok()?;
            if !self.journal.durable(ticket).await {
                return None;
            }
            block.limit = limit;
        }
        let id = block.next;
        block.next += 1;
        Some(id)
    }

    /// The entry that a journal written anew begins with, and a guard that keeps it true meanwhile; `None` while it
    /// is about to change.
    pub(super) fn frozen(&self) -> Option<(Entry, impl Drop + '_)> {
        let block = self.block.try_lock().ok()?;
        Some((Entry::ProducerIdsTo(block.limit), block))
    }
}
