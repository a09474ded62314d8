//! Between two rounds: another plugin, and states that are asked for or made anew.

use super::Writer;
use crate::aggregate_store::{Aggregate, Store};
use crate::command::Error;
use crate::command::domain::Source;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Aggregates that are folded between two looks at the commands.
const FOLDED_AT_ONCE: usize = 100;

impl Writer {
    pub(super) fn swap(&mut self, source: Box<dyn Source>, reply: oneshot::Sender<Result<Duration, Error>>) {
        let since = Instant::now();
        let before = self.domain.state_version();
        let swapped = self.domain.swap(source).map_err(Error::plugin);
        if swapped.is_ok() {
            if self.domain.state_version() != before {
                self.aggregates.clear();
            }
            self.status.send_modify(|status| {
                status.digest = self.domain.digest();
                status.state_version = self.domain.state_version();
            });
        }
        // Who asked may have gone.
        let _ = reply.send(swapped.map(|()| since.elapsed()));
    }

    pub(super) fn current(
        &mut self,
        store: &Store,
        partitions: i32,
        id: &str,
    ) -> Result<Option<Aggregate>, Error> {
        let Writer { domain, aggregates, options, .. } = self;
        let current = aggregates.get(id, store, domain, partitions, options)?;
        Ok(current.state.map(|state| Aggregate {
            id: id.to_owned(),
            partition: current.partition,
            version: current.version,
            state: Some(state.to_vec()),
            state_at: current.version,
            state_version: domain.state_version(),
        }))
    }

    pub(super) fn refold(
        &mut self,
        store: &mut Store,
        partitions: i32,
        after: &str,
    ) -> Result<(u64, Option<String>), Error> {
        let state_version = self.domain.state_version();
        let stale = store.stale(state_version, after, FOLDED_AT_ONCE)?;
        let mut failed = Ok(());
        for id in &stale {
            if let Err(error) = self.current(store, partitions, id) {
                failed = Err(Error::plugin(format!("aggregate `{id}`: {error}")));
                break;
            }
        }
        let transaction = store.begin()?;
        self.aggregates.save(&transaction, state_version)?;
        transaction.commit()?;
        failed?;
        let is_last = stale.len() < FOLDED_AT_ONCE;
        Ok((stale.len() as u64, stale.into_iter().last().filter(|_| !is_last)))
    }
}
