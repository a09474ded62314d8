//! How far a projection is, told at each commit: what queries wait on that want to see their own writes.

use crate::read_model::{Advance, Checkpoints};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;

/// What a projection has applied. What it was in a read model at a moment, only the read model says: this tells when
/// to look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The topics that it reads.
    pub topics: BTreeSet<String>,
    /// The next offsets to apply, as they were committed.
    pub checkpoints: Checkpoints,
}

/// Tells of one read model, whichever projection writes it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Progress(Arc<watch::Sender<Applied>>);

impl Default for Progress {
    fn default() -> Self {
        Progress(Arc::new(watch::channel(Applied::default()).0))
    }
}

impl Progress {
    /// What is told from now on.
    pub fn subscribe(&self) -> watch::Receiver<Applied> {
        self.0.subscribe()
    }

    /// These topics are read from now on.
    pub(super) fn reads<'a>(&self, topics: impl IntoIterator<Item = &'a String>) {
        let topics = topics.into_iter().cloned().collect();
        self.0.send_modify(|applied| applied.topics = topics);
    }

    /// It goes on from here.
    pub(super) fn stands_at(&self, checkpoints: &Checkpoints) {
        self.0.send_modify(|applied| applied.checkpoints = checkpoints.clone());
    }

    /// These runs were committed.
    pub(super) fn advance(&self, runs: &[Advance]) {
        // A batch may hold many runs of few partitions.
        let moved: BTreeMap<(&str, i32), i64> =
            runs.iter().map(|run| ((&*run.topic, run.partition), run.to)).collect();
        self.0.send_modify(|applied| {
            for ((topic, partition), to) in moved {
                applied.checkpoints.insert((topic.to_owned(), partition), to);
            }
        });
    }
}
