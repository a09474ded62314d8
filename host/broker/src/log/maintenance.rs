//! What is done to a partition beside reading and writing: closing segments, retention, compaction,
//! checkpoints. One of these runs at a time per partition, and none of them holds up writers for
//! longer than it takes to replace a list.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use super::checkpoint::{Checkpoint, Listed};
use super::compaction::{Compacted, Pass, Source};
use super::index::Addition;
use super::partition::{Partition, State, now_ms};
use super::recovery::write_log_start;
use super::segment::{Segment, sync_folder};
use super::{Error, swap};
use crate::crash;
use crate::options::Fsync;
use crate::poison::lock;

/// When this much has been written since the last checkpoint, a quiet moment makes another.
const QUIET_BYTES: u64 = 1 << 20;

/// What a topic's settings ask for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rules {
    pub(crate) segment_bytes: u64,
    /// A segment is closed this long after its first record came.
    pub(crate) segment_ms: i64,
    pub(crate) retention_ms: Option<i64>,
    pub(crate) retention_bytes: Option<u64>,
    pub(crate) compaction: Option<Compaction>,
}

/// How a topic is compacted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compaction {
    /// The share of the closed segments that must be new before it is worth the work.
    pub(crate) dirty_ratio: f64,
    pub(crate) lag_ms_min: i64,
    pub(crate) lag_ms_max: i64,
    pub(crate) delete_retention_ms: i64,
}

/// Keeps maintenance away from a partition, and its files in their places.
pub(crate) type Pause<'a> = MutexGuard<'a, ()>;

impl Partition {
    /// Deletes what is no longer kept.
    pub(crate) fn expire(&self, rules: &Rules) -> Result<(), Error> {
        let paused = lock(&self.maintaining);
        if !lock(&self.state).is_usable() {
            return Ok(());
        }
        let now_ms = now_ms();
        self.close_segment(rules, now_ms)?;
        let expired = lock(&self.state).expired(rules, now_ms);
        if let Some(offset) = expired {
            self.delete_to(offset, &paused)?;
        }
        Ok(())
    }

    /// Compacts what is due, and makes a checkpoint where much was written since the last.
    pub(crate) fn tidy(&self, rules: &Rules) -> Result<(), Error> {
        let paused = lock(&self.maintaining);
        if !lock(&self.state).is_usable() {
            return Ok(());
        }
        let now_ms = now_ms();
        if let Some(compaction) = &rules.compaction {
            self.compact(rules, compaction, now_ms, &paused)?;
        }
        if self.fsync != Fsync::Never && lock(&self.state).unchecked_bytes >= QUIET_BYTES {
            self.checkpoint(&paused, &Trust::Everything)?;
        }
        Ok(())
    }

    /// All of it, as it is done now and then.
    #[cfg(test)]
    pub(super) fn maintain(&self, rules: &Rules) -> Result<(), Error> {
        self.expire(rules)?;
        self.tidy(rules)
    }

    /// Waits for maintenance to end, and keeps it away.
    pub(crate) fn pause(&self) -> Pause<'_> {
        self.stop.store(true, Ordering::Relaxed);
        let pause = lock(&self.maintaining);
        self.stop.store(false, Ordering::Relaxed);
        pause
    }

    /// Makes a checkpoint, unless maintenance is under way, which makes its own.
    pub(super) fn checkpoint_if_free(&self) -> Result<(), Error> {
        match self.maintaining.try_lock() {
            Ok(paused) => self.checkpoint(&paused, &Trust::Everything).map(|_written| ()),
            Err(_) => Ok(()),
        }
    }

    /// Forces everything to the disk with a checkpoint, so that the next start reads nothing else.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        let paused = self.pause();
        self.sync_now()?;
        if !lock(&self.state).is_settled() {
            self.checkpoint(&paused, &Trust::Everything)?;
        }
        Ok(())
    }

    /// Makes `offset` the first readable one; segments that lie wholly before it are removed.
    /// Returns the new start, or `None` if `offset` lies outside the log.
    pub(crate) fn delete_before(&self, offset: i64) -> Result<Option<i64>, Error> {
        let paused = self.pause();
        self.delete_to(offset, &paused)
    }

    fn delete_to(&self, offset: i64, _paused: &Pause<'_>) -> Result<Option<i64>, Error> {
        let (log_start, durable) = {
            let state = lock(&self.state);
            (state.log_start, state.durable)
        };
        if offset > durable || offset < 0 {
            return Ok(None);
        }
        if offset <= log_start {
            return Ok(Some(log_start));
        }
        // The start is durable before a file goes: a crash in between only leaves a file too many.
        write_log_start(&self.dir, offset)?;
        crash::here("log-start-stored");
        let removed: Vec<Segment> = {
            let mut state = lock(&self.state);
            state.log_start = offset;
            state.producers.truncate_before(offset);
            let count = state.segments.iter().skip(1).take_while(|next| next.base_offset <= offset).count();
            state.segments.drain(..count).collect()
        };
        for segment in &removed {
            segment.remove()?;
            crash::here("segment-removed");
        }
        sync_folder(&self.dir)?;
        Ok(Some(offset))
    }

    /// Begins a new segment if the current one is old, or holds nothing that is to be kept.
    fn close_segment(&self, rules: &Rules, now_ms: i64) -> Result<(), Error> {
        let mut state = lock(&self.state);
        let Some(active) = state.segments.last().filter(|active| active.bytes > 0) else {
            return Ok(());
        };
        let lag_ms_max = rules.compaction.as_ref().map_or(i64::MAX, |compaction| compaction.lag_ms_max);
        let is_old = now_ms.saturating_sub(active.began_ms) > rules.segment_ms.min(lag_ms_max);
        if is_old || rules.is_expired(active, now_ms) {
            let next = Segment::create(&self.dir, state.end)?;
            state.segments.push(next);
            state.folder_unsynced = true;
        }
        Ok(())
    }

    fn compact(
        &self,
        rules: &Rules,
        compaction: &Compaction,
        now_ms: i64,
        paused: &Pause<'_>,
    ) -> Result<(), Error> {
        // What an earlier pass could not finish, for want of space for instance.
        swap::finish(&self.dir)?;
        let (pass, failures) = {
            let state = lock(&self.state);
            let Some(sources) = state.compactable(compaction, now_ms) else {
                return Ok(());
            };
            let end = sources.last().map_or(0, |last| last.next_base);
            let pass = Pass {
                dir: &self.dir,
                aborted: state.producers.aborted(0, end),
                sources,
                dirty_from: state.compacted_to,
                last_offset: state.end - 1,
                segment_bytes_max: rules.segment_bytes,
                delete_retention_ms: compaction.delete_retention_ms,
                now_ms,
                stop: &self.stop,
            };
            (pass, state.failures)
        };
        let Some(Compacted { built, markers, to }) = pass.run()? else {
            return Ok(());
        };
        // From here to the next checkpoint the segments that change are not listed. The list of
        // aborted transactions forgets those whose markers go while they are still there: their
        // records are gone already, since an earlier pass.
        {
            let mut state = lock(&self.state);
            if state.failures != failures {
                return Ok(());
            }
            state.producers.forget_aborted(&markers);
        }
        let before = built.last().map_or(0, |last| last.to);
        if !self.checkpoint(paused, &Trust::From(before))? {
            return Ok(());
        }
        for built in built {
            swap::swap(&self.dir, built.segment.base_offset, built.to)?;
            let mut state = lock(&self.state);
            if state.failures != failures {
                // The segments were read anew from the files.
                return Ok(());
            }
            let from = built.segment.base_offset;
            let first = state.segments.partition_point(|segment| segment.base_offset < from);
            let after = state.segments.partition_point(|segment| segment.base_offset < built.to);
            state.segments.splice(first..after, [built.segment]);
        }
        lock(&self.state).compacted_to = to;
        self.checkpoint(paused, &Trust::Everything).map(|_written| ())
    }

    /// Forces everything to the disk and writes down what follows from it; `false` if the partition
    /// is not in a state to be written down.
    fn checkpoint(&self, _paused: &Pause<'_>, trust: &Trust) -> Result<bool, Error> {
        let Noted { checkpoint, additions, files, failures, unchecked_bytes } = {
            let state = lock(&self.state);
            if !state.is_usable() {
                return Ok(false);
            }
            state.note(trust)
        };
        let outcome = files
            .iter()
            .try_for_each(|file| file.sync_data())
            .and_then(|()| File::open(&self.dir)?.sync_all());
        if !self.synced(outcome, checkpoint.end, failures)? {
            return Ok(false);
        }
        for (path, _, addition) in &additions {
            addition.write(path).map_err(Error::io("cannot write", path))?;
        }
        crash::here("indexes-stored");
        checkpoint.write(&self.dir)?;
        let mut state = lock(&self.state);
        if state.failures == failures {
            for (listed, (_, base_offset, addition)) in checkpoint.segments.iter().zip(&additions) {
                let known = state.segments.iter_mut().find(|segment| segment.base_offset == *base_offset);
                if let Some(segment) = known {
                    segment.checkpointed_bytes = listed.bytes;
                    segment.index.stored(addition.stored);
                }
            }
            state.unchecked_bytes = state.unchecked_bytes.saturating_sub(unchecked_bytes);
        }
        Ok(true)
    }
}

/// Which segments a checkpoint lists.
enum Trust {
    Everything,
    /// Those that begin at this offset or later; the ones before are about to be replaced.
    From(i64),
}

impl Trust {
    fn lists(&self, segment: &Segment) -> bool {
        match self {
            Trust::Everything => true,
            Trust::From(offset) => segment.base_offset >= *offset,
        }
    }
}

/// What a checkpoint is made of.
struct Noted {
    checkpoint: Checkpoint,
    /// Of each listed segment: its index file, its first offset, and what the file lacks.
    additions: Vec<(PathBuf, i64, Addition)>,
    /// Files that have grown since the last checkpoint.
    files: Vec<Arc<File>>,
    failures: u64,
    unchecked_bytes: u64,
}

impl State {
    fn is_usable(&self) -> bool {
        !self.deleted && !self.broken
    }

    /// Whether the last checkpoint says all there is to say.
    fn is_settled(&self) -> bool {
        !self.is_usable() || self.segments.iter().all(|segment| segment.bytes == segment.checkpointed_bytes)
    }

    fn note(&self, trust: &Trust) -> Noted {
        let mut listed = Vec::with_capacity(self.segments.len());
        let mut additions = Vec::with_capacity(self.segments.len());
        for segment in self.segments.iter().filter(|segment| trust.lists(segment)) {
            let addition = segment.index.addition();
            listed.push(Listed {
                base_offset: segment.base_offset,
                bytes: segment.bytes,
                max_timestamp: segment.max_timestamp,
                began_ms: segment.began_ms,
                horizon_ms: segment.horizon_ms,
                index_entries: addition.stored.entries,
                index_crc: addition.stored.crc,
            });
            additions.push((segment.index_path(), segment.base_offset, addition));
        }
        let grown = self.segments.iter().filter(|segment| segment.bytes != segment.checkpointed_bytes);
        Noted {
            files: grown.map(|segment| Arc::clone(&segment.file)).collect(),
            checkpoint: Checkpoint {
                end: self.end,
                compacted_to: self.compacted_to,
                segments: listed,
                producers: self.producers.clone(),
            },
            additions,
            failures: self.failures,
            unchecked_bytes: self.unchecked_bytes,
        }
    }

    /// Closed segments that lie wholly before the last stable offset, and where each ends.
    fn closed(&self) -> impl Iterator<Item = (&Segment, i64)> {
        let stable = self.positions().stable;
        let next = self.segments.iter().skip(1).map(|next| next.base_offset);
        self.segments.iter().zip(next).take_while(move |(_, end)| *end <= stable)
    }

    /// The offset up to which records are no longer kept.
    fn expired(&self, rules: &Rules, now_ms: i64) -> Option<i64> {
        let mut bytes: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        let mut expired = None;
        for (segment, end) in self.closed() {
            let is_too_much =
                rules.retention_bytes.is_some_and(|max| bytes.saturating_sub(segment.bytes) >= max);
            if !is_too_much && !rules.is_expired(segment, now_ms) {
                break;
            }
            bytes -= segment.bytes;
            expired = Some(end);
        }
        expired.filter(|offset| *offset > self.log_start)
    }

    /// The segments of a pass of compaction, if one is due.
    fn compactable(&self, rules: &Compaction, now_ms: i64) -> Option<Vec<Source>> {
        let age_ms = |segment: &Segment| now_ms.saturating_sub(segment.max_timestamp);
        let old_enough = |segment: &Segment| rules.lag_ms_min == 0 || age_ms(segment) >= rules.lag_ms_min;
        let mut sources = Vec::new();
        let (mut bytes, mut dirty_bytes, mut is_late, mut has_expired) = (0, 0, false, false);
        for (segment, end) in self.closed().take_while(|(segment, _)| old_enough(segment)) {
            bytes += segment.bytes;
            if end > self.compacted_to {
                dirty_bytes += segment.bytes;
                is_late |= age_ms(segment) > rules.lag_ms_max;
            }
            has_expired |= segment
                .horizon_ms
                .is_some_and(|since| since.saturating_add(rules.delete_retention_ms) <= now_ms);
            sources.push(Source {
                base_offset: segment.base_offset,
                next_base: end,
                path: segment.path.clone(),
                file: Arc::clone(&segment.file),
                bytes: segment.bytes,
                horizon_ms: segment.horizon_ms,
            });
        }
        let is_dirty = dirty_bytes > 0 && (is_late || dirty_bytes as f64 >= rules.dirty_ratio * bytes as f64);
        (is_dirty || has_expired).then_some(sources)
    }
}

impl Rules {
    fn is_expired(&self, segment: &Segment, now_ms: i64) -> bool {
        // Records without a time are as old as their file.
        let newest = if segment.max_timestamp < 0 { segment.began_ms } else { segment.max_timestamp };
        self.retention_ms.is_some_and(|max| now_ms.saturating_sub(newest) > max)
    }
}
