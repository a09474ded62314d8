//! Offsets that groups have committed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::journal::{self, Journal, Ticket};
use crate::log::Syncer;
use crate::options::Fsync;
use crate::poison::lock;

const JOURNAL: &str = "offsets.journal";

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    Commit {
        group: String,
        offsets: Vec<Committed>,
    },
    Delete {
        group: String,
        /// Topic and partition.
        partitions: Vec<(String, i32)>,
    },
    DeleteGroup {
        group: String,
    },
}

type OfGroup = BTreeMap<(String, i32), Committed>;

#[derive(Debug, Default)]
struct State {
    groups: BTreeMap<String, OfGroup>,
    /// Offsets of open transactions: group -> producer id -> partitions.
    pending: HashMap<String, HashMap<i64, Vec<(String, i32)>>>,
}

impl State {
    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Commit { group, offsets } => {
                let group = self.groups.entry(group).or_default();
                for committed in offsets {
                    group.insert((committed.topic.clone(), committed.partition), committed);
                }
            }
            Entry::Delete { group, partitions } => {
                if let Some(offsets) = self.groups.get_mut(&group) {
                    for partition in &partitions {
                        offsets.remove(partition);
                    }
                }
            }
            Entry::DeleteGroup { group } => {
                self.groups.remove(&group);
            }
        }
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.groups.iter().map(|(group, offsets)| Entry::Commit {
            group: group.clone(),
            offsets: offsets.values().cloned().collect(),
        })
    }
}

/// All committed offsets, on the disk when acknowledged.
#[derive(Debug)]
pub(crate) struct Offsets {
    journal: Arc<Journal>,
    state: Mutex<State>,
}

impl Offsets {
    pub(crate) fn open(dir: &Path, fsync: Fsync, syncer: &Arc<Syncer>) -> Result<Offsets, journal::Error> {
        let (journal, entries) = Journal::open(&dir.join(JOURNAL), fsync, syncer)?;
        let mut state = State::default();
        for entry in entries {
            state.apply(entry);
        }
        Ok(Offsets { journal, state: Mutex::new(state) })
    }

    /// Commits offsets; returns whether they are safe on the disk.
    pub(crate) async fn commit(&self, group: &str, offsets: Vec<Committed>) -> bool {
        let group = group.to_owned();
        self.change(Entry::Commit { group, offsets }).await
    }

    pub(crate) async fn delete(&self, group: &str, partitions: Vec<(String, i32)>) -> bool {
        let group = group.to_owned();
        self.change(Entry::Delete { group, partitions }).await
    }

    pub(crate) async fn delete_group(&self, group: &str) -> bool {
        let group = group.to_owned();
        self.change(Entry::DeleteGroup { group }).await
    }

    /// Deletes what groups have committed for a topic that is gone: another of its name begins anew.
    pub(crate) async fn delete_topic(&self, topic: &str) -> bool {
        for entry in self.forgotten(|of| of == topic) {
            if !self.change(entry).await {
                return false;
            }
        }
        true
    }

    /// Deletes what was committed for topics that do not exist, for which a crash has left no time.
    pub(crate) fn delete_unknown(&self, exists: impl Fn(&str) -> bool) -> Result<(), journal::Error> {
        for entry in self.forgotten(|of| !exists(of)) {
            self.write(entry)?;
        }
        Ok(())
    }

    /// The entries that delete the offsets of every topic that `is_gone` names.
    fn forgotten(&self, is_gone: impl Fn(&str) -> bool) -> Vec<Entry> {
        let state = lock(&self.state);
        let of_group = |offsets: &OfGroup| -> Vec<(String, i32)> {
            offsets.keys().filter(|(topic, _)| is_gone(topic)).cloned().collect()
        };
        let entries = state.groups.iter().map(|(group, offsets)| (group.clone(), of_group(offsets)));
        entries
            .filter(|(_, partitions)| !partitions.is_empty())
            .map(|(group, partitions)| Entry::Delete { group, partitions })
            .collect()
    }

    async fn change(&self, entry: Entry) -> bool {
        match self.write(entry) {
            Ok(ticket) => self.journal.durable(ticket).await,
            Err(error) => {
                tracing::error!(%error, "committed offsets could not be stored");
                false
            }
        }
    }

    fn write(&self, entry: Entry) -> Result<Ticket, journal::Error> {
        let mut state = lock(&self.state);
        if self.journal.wants_rewrite() {
            self.journal.rewrite(state.entries())?;
        }
        let ticket = self.journal.append(&entry)?;
        state.apply(entry);
        Ok(ticket)
    }

    pub(crate) fn get(&self, group: &str, topic: &str, partition: i32) -> Option<Committed> {
        let key = (topic.to_owned(), partition);
        lock(&self.state).groups.get(group)?.get(&key).cloned()
    }

    pub(crate) fn all(&self, group: &str) -> Vec<Committed> {
        lock(&self.state)
            .groups
            .get(group)
            .map_or_else(Vec::new, |offsets| offsets.values().cloned().collect())
    }

    pub(crate) fn has_group(&self, group: &str) -> bool {
        lock(&self.state).groups.contains_key(group)
    }

    pub(crate) fn groups(&self) -> Vec<String> {
        lock(&self.state).groups.keys().cloned().collect()
    }

    /// Notes offsets of an open transaction: until it ends, they are unstable.
    pub(crate) fn hold(&self, group: &str, producer_id: i64, offsets: &[Committed]) {
        let mut state = lock(&self.state);
        let held = state.pending.entry(group.to_owned()).or_default().entry(producer_id).or_default();
        for committed in offsets {
            let key = (committed.topic.clone(), committed.partition);
            if !held.contains(&key) {
                held.push(key);
            }
        }
    }

    /// The producer's transaction has ended.
    pub(crate) fn release(&self, producer_id: i64) {
        lock(&self.state).pending.retain(|_, producers| {
            producers.remove(&producer_id);
            !producers.is_empty()
        });
    }

    /// Whether an open transaction holds an offset of this partition.
    pub(crate) fn is_unstable(&self, group: &str, topic: &str, partition: i32) -> bool {
        lock(&self.state).pending.get(group).is_some_and(|producers| {
            producers.values().flatten().any(|(held_topic, held)| held_topic == topic && *held == partition)
        })
    }

    pub(crate) fn sync(&self) -> Result<(), journal::Error> {
        self.journal.sync_now()
    }
}
