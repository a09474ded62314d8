//! The aggregates that are in memory.

use super::domain::Domain;
use super::fold::fold;
use super::{Error, Options};
use crate::aggregate_store::{self, Aggregate, Store, Transaction};
use crate::log;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// An aggregate as the next command finds it.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub version: u64,
    pub partition: i32,
    /// `None` before the first event.
    pub state: Option<Arc<[u8]>>,
}

/// The newest states, also those that are not appended yet: when they cannot be, all are forgotten.
#[derive(Default)]
pub(super) struct Aggregates {
    known: HashMap<String, Current>,
    /// Those of which the store has no state, or an older one.
    unsaved: HashSet<String>,
    bytes: usize,
}

impl Aggregates {
    /// The aggregate, from memory or from the store; a state that is behind or of another state version is made anew.
    pub fn get(
        &mut self,
        id: &str,
        store: &Store,
        domain: &mut Domain,
        partitions: i32,
        options: &Options,
    ) -> Result<Current, Error> {
        if let Some(current) = self.known.get(id) {
            return Ok(current.clone());
        }
        let Some(stored) = store.aggregate(id)? else {
            let partition = log::partition_of(id.as_bytes(), partitions);
            return Ok(Current { version: 0, partition, state: None });
        };
        let is_current = stored.is_current(domain.state_version());
        let Aggregate { version, partition, .. } = stored;
        let state = if is_current { stored.state } else { newest(stored, store, domain, options)? };
        let current = Current { version, partition, state: state.map(Arc::from) };
        self.set(id, current.clone(), !is_current);
        Ok(current)
    }

    /// Takes an aggregate up; `is_new` says that the store does not have this state.
    pub fn set(&mut self, id: &str, current: Current, is_new: bool) {
        if is_new {
            self.unsaved.insert(id.to_owned());
        }
        let size = |current: &Current| id.len() + current.state.as_ref().map_or(0, |state| state.len()) + 128;
        self.bytes += size(&current);
        if let Some(before) = self.known.insert(id.to_owned(), current) {
            self.bytes -= size(&before);
        }
    }

    /// Writes the states that the store does not have; what is in memory is saved when the transaction is.
    pub fn save(
        &mut self,
        transaction: &Transaction<'_>,
        state_version: u32,
    ) -> Result<(), aggregate_store::Error> {
        for id in self.unsaved.drain() {
            if let Some(Current { version, state: Some(state), .. }) = self.known.get(&id) {
                transaction.keep_state(&id, state, *version, state_version)?;
            }
        }
        Ok(())
    }

    /// Whether the store lacks a state that is here.
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Whether more is in memory than shall be.
    pub fn is_over(&self, options: &Options) -> bool {
        self.bytes > options.cache_bytes_max
    }

    /// Forgets all. What was not saved is made again when it is needed.
    pub fn clear(&mut self) {
        *self = Aggregates::default();
    }
}

/// The newest state, from the one that is stored if the plugin can take that, and the events behind it.
fn newest(
    stored: Aggregate,
    store: &Store,
    domain: &mut Domain,
    options: &Options,
) -> Result<Option<Vec<u8>>, Error> {
    let from = match stored.state {
        Some(state) if stored.state_version == domain.state_version() => (Some(state), stored.state_at),
        _ => (None, 0),
    };
    fold(domain, &stored.id, from, stored.version, options, |piece| store.piece(&stored.id, piece))
}

/// A state, if it is not too large.
pub(super) fn bounded(state: Vec<u8>, options: &Options) -> Result<Vec<u8>, Error> {
    if state.len() > options.state_bytes_max {
        return Err(Error::plugin(format!(
            "its state has {} bytes, and may have {}",
            state.len(),
            options.state_bytes_max
        )));
    }
    Ok(state)
}
