//! One partition: appends, what is on the disk, and who may see it.
//!
//! Invariants:
//! - `log_start <= stable <= durable <= end`; consumers see records before `durable` only (the high
//!   watermark), and those that read committed records see those before `stable` only.
//! - Under [`Fsync::Always`] `durable` is what the disk has; otherwise it is `end`.
//! - A failed write leaves the partition as it was. A failed sync takes it back to what the disk
//!   has, because nobody knows which of the later bytes the system still holds.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::batch::{self, Header};
use super::producers::{Active, Marker, Producers, Refusal, Verdict};
use super::recovery::{Recovered, recover};
use super::segment::Segment;
use super::waiters::Waiters;
use super::{Error, Syncer, Waiter};
use crate::crash;
use crate::options::Fsync;
use crate::poison::lock;

/// When this much has been written since the last checkpoint, another is made: it bounds what
/// opening the partition reads.
const CHECKPOINT_EVERY_BYTES: u64 = 64 << 20;

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Storage(#[from] Error),
    #[error("the topic was deleted")]
    Deleted,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    pub(crate) log_start: i64,
    /// The batch is on the disk when everything before this offset is.
    end: i64,
    failures: u64,
}

/// The positions of a partition at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Positions {
    pub(crate) log_start: i64,
    pub(crate) stable: i64,
    pub(crate) high_watermark: i64,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    durable: i64,
    /// How often a sync has failed; what waited at that moment is lost.
    failures: u64,
    deleted: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) segments: Vec<Segment>,
    pub(super) log_start: i64,
    pub(super) durable: i64,
    pub(super) end: i64,
    /// What lies before this offset has been compacted.
    pub(super) compacted_to: i64,
    pub(super) producers: Producers,
    /// Bytes written since the last checkpoint.
    pub(super) unchecked_bytes: u64,
    checkpoint_queued: bool,
    /// Files with bytes that may not be on the disk.
    unsynced: Vec<Arc<File>>,
    /// A segment was made whose entry in the folder may not be on the disk.
    pub(super) folder_unsynced: bool,
    sync_queued: bool,
    pub(super) failures: u64,
    pub(super) deleted: bool,
    /// A failed sync could not be undone: what the files hold is unknown until they are opened again.
    pub(super) broken: bool,
}

/// One partition of a topic.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(super) dir: PathBuf,
    pub(super) fsync: Fsync,
    pub(super) state: Mutex<State>,
    /// Held by the one change of files, other than by writing, that is under way.
    pub(super) maintaining: Mutex<()>,
    /// Somebody waits for `maintaining`, and long work should come to an end.
    pub(super) stop: AtomicBool,
    progress: watch::Sender<Progress>,
    waiters: Waiters,
    syncer: Arc<Syncer>,
    this: Weak<Partition>,
}

impl Partition {
    /// Opens the partition in `dir`, which is made if it is missing.
    pub(crate) fn open(dir: &Path, fsync: Fsync, syncer: &Arc<Syncer>) -> Result<Arc<Partition>, Error> {
        std::fs::create_dir_all(dir).map_err(Error::io("cannot create", dir))?;
        let Recovered { segments, log_start, end, compacted_to, producers } = recover(dir, now_ms())?;
        // The bytes may come from a process that was killed between a write and its sync.
        let unsynced = segments
            .iter()
            .filter(|segment| segment.bytes > segment.checkpointed_bytes)
            .map(|segment| Arc::clone(&segment.file))
            .collect();
        let unchecked_bytes = segments.iter().map(|segment| segment.bytes - segment.checkpointed_bytes).sum();
        let state = State {
            segments,
            log_start,
            durable: end,
            end,
            compacted_to,
            producers,
            unchecked_bytes,
            checkpoint_queued: false,
            unsynced,
            folder_unsynced: true,
            sync_queued: false,
            failures: 0,
            deleted: false,
            broken: false,
        };
        let (progress, _) = watch::channel(state.progress());
        let partition = Arc::new_cyclic(|this| Partition {
            dir: dir.to_path_buf(),
            fsync,
            state: Mutex::new(state),
            maintaining: Mutex::default(),
            stop: AtomicBool::new(false),
            progress,
            waiters: Waiters::default(),
            syncer: Arc::clone(syncer),
            this: this.clone(),
        });
        if fsync == Fsync::Always {
            partition.sync_now()?;
        }
        Ok(partition)
    }

    /// Appends one checked data batch of a client. The batch is acknowledged by
    /// [`Partition::durable`], not by this.
    pub(crate) fn append(
        &self,
        batch: &[u8],
        header: &Header,
        segment_bytes_max: u64,
    ) -> Result<Appended, AppendError> {
        let mut state = self.writable()?;
        match state.producers.check(header)? {
            Verdict::Duplicate { base_offset, last_offset } => Ok(Appended {
                base_offset,
                log_start: state.log_start,
                end: last_offset + 1,
                failures: state.failures,
            }),
            Verdict::Append => {
                let header = self.write(&mut state, batch, header, segment_bytes_max)?;
                state.producers.appended(&header, now_ms());
                Ok(self.written(state, header.base_offset))
            }
        }
    }

    /// Appends the marker that ends a transaction here, unless the transaction has written nothing
    /// here or its marker is there already.
    pub(crate) fn end_transaction(
        &self,
        marker: Marker,
        segment_bytes_max: u64,
    ) -> Result<Appended, AppendError> {
        let mut state = self.writable()?;
        if !state.producers.is_open(marker.producer_id) {
            let end = state.end;
            state.producers.ended(marker, end, now_ms());
            // A marker that is there already may still be on its way to the disk.
            return Ok(Appended {
                base_offset: end,
                log_start: state.log_start,
                end,
                failures: state.failures,
            });
        }
        let batch = batch::control(marker.producer_id, marker.producer_epoch, marker.commit, now_ms());
        let header = Header::check(&batch)
            .map_err(|flaw| Error::Unexpected { path: self.dir.clone(), reason: flaw.reason() })?;
        let header = self.write(&mut state, &batch, &header, segment_bytes_max)?;
        state.producers.ended(marker, header.base_offset, now_ms());
        Ok(self.written(state, header.base_offset))
    }

    /// Lets the producer append transactional batches until the next marker of its own.
    pub(crate) fn admit(&self, producer_id: i64, epoch: i16) -> Result<(), AppendError> {
        self.writable()?.producers.admit(producer_id, epoch, now_ms())?;
        Ok(())
    }

    fn writable(&self) -> Result<MutexGuard<'_, State>, AppendError> {
        let state = lock(&self.state);
        if state.deleted {
            return Err(AppendError::Deleted);
        }
        if state.broken {
            return Err(AppendError::Storage(Error::Unexpected {
                path: self.dir.clone(),
                reason: "a failed write could not be undone; start the broker again",
            }));
        }
        Ok(state)
    }

    /// Writes `batch` at the end and returns its header with final offsets.
    fn write(
        &self,
        state: &mut State,
        batch: &[u8],
        header: &Header,
        segment_bytes_max: u64,
    ) -> Result<Header, Error> {
        let full = state
            .segments
            .last()
            .is_none_or(|last| last.bytes > 0 && last.bytes + batch.len() as u64 > segment_bytes_max);
        if full {
            state.segments.push(Segment::create(&self.dir, state.end)?);
            state.folder_unsynced = true;
            crash::here("segment-begun");
        }
        let base_offset = state.end;
        let Some(segment) = state.segments.last_mut() else {
            return Err(Error::Unexpected { path: self.dir.clone(), reason: "the partition has no segment" });
        };
        segment.write(batch, base_offset).map_err(Error::io("cannot append to", &segment.path))?;
        let header = Header { base_offset, ..*header };
        segment.extend(&header);
        let file = Arc::clone(&segment.file);
        if !state.unsynced.iter().any(|other| Arc::ptr_eq(other, &file)) {
            state.unsynced.push(file);
        }
        state.end = header.last_offset() + 1;
        state.unchecked_bytes += batch.len() as u64;
        Ok(header)
    }

    /// Has what was just written synced, or shown at once, as configured.
    fn written(&self, mut state: MutexGuard<'_, State>, base_offset: i64) -> Appended {
        let appended =
            Appended { base_offset, log_start: state.log_start, end: state.end, failures: state.failures };
        if self.fsync != Fsync::Never && state.unchecked_bytes >= CHECKPOINT_EVERY_BYTES {
            self.request_checkpoint(&mut state);
        }
        if self.fsync == Fsync::Always {
            self.request_sync(&mut state);
        } else {
            state.durable = state.end;
            drop(state);
            self.publish();
        }
        appended
    }

    fn request_sync(&self, state: &mut State) {
        if state.sync_queued {
            return;
        }
        state.sync_queued = true;
        if let Some(partition) = self.this.upgrade() {
            self.syncer.submit(move || {
                if let Err(error) = partition.sync_now() {
                    tracing::error!(%error, "written records could not be forced to the disk");
                }
            });
        }
    }

    fn request_checkpoint(&self, state: &mut State) {
        if state.checkpoint_queued {
            return;
        }
        state.checkpoint_queued = true;
        if let Some(partition) = self.this.upgrade() {
            self.syncer.submit(move || {
                if let Err(error) = partition.checkpoint_if_free() {
                    tracing::warn!(%error, "a checkpoint could not be written; it will be tried again");
                }
                lock(&partition.state).checkpoint_queued = false;
            });
        }
    }

    /// Forces everything written so far to the disk.
    pub(crate) fn sync_now(&self) -> Result<(), Error> {
        let (files, folder, end, failures) = {
            let mut state = lock(&self.state);
            state.sync_queued = false;
            // A folder whose files hold nothing new can wait, too.
            if state.deleted || state.unsynced.is_empty() {
                return Ok(());
            }
            let folder = std::mem::take(&mut state.folder_unsynced);
            (std::mem::take(&mut state.unsynced), folder, state.end, state.failures)
        };
        let outcome = files.iter().try_for_each(|file| file.sync_data()).and_then(|()| match folder {
            true => File::open(&self.dir)?.sync_all(),
            false => Ok(()),
        });
        self.synced(outcome, end, failures).map(|_in_time| ())
    }

    /// Takes note of the outcome of a sync of everything before `end`; `false` if another sync has
    /// failed since it was asked for, and has taken the end back.
    pub(super) fn synced(
        &self,
        outcome: std::io::Result<()>,
        end: i64,
        failures: u64,
    ) -> Result<bool, Error> {
        let mut state = lock(&self.state);
        let result = match outcome {
            Ok(()) => {
                let in_time = state.failures == failures;
                if in_time {
                    state.durable = state.durable.max(end);
                }
                Ok(in_time)
            }
            Err(source) => {
                self.take_back(&mut state);
                Err(Error::io("cannot sync", &self.dir)(source))
            }
        };
        drop(state);
        self.publish();
        result
    }

    /// Cuts the log back to what the disk is known to have.
    fn take_back(&self, state: &mut State) {
        state.failures += 1;
        let durable = state.durable;
        let cut = || -> Result<Recovered, Error> {
            for segment in &state.segments {
                let position = segment.find_offset(durable)?.map_or(segment.bytes, |found| found.position);
                segment.file.set_len(position).map_err(Error::io("cannot truncate", &segment.path))?;
            }
            recover(&self.dir, now_ms())
        };
        match cut() {
            Ok(recovered) => {
                state.segments = recovered.segments;
                state.producers = recovered.producers;
                state.end = recovered.end;
                state.compacted_to = recovered.compacted_to;
                state.durable = recovered.end;
                state.unsynced.clear();
                state.folder_unsynced = true;
            }
            Err(error) => {
                tracing::error!(%error, "the partition takes no more writes until the broker is started again");
                state.broken = true;
            }
        }
    }

    fn publish(&self) {
        self.progress.send_replace(lock(&self.state).progress());
        self.waiters.wake();
    }

    /// Returns whether what was appended is safe; `false` means that it was lost to a failing disk
    /// or that the topic was deleted.
    pub(crate) async fn durable(&self, appended: Appended) -> bool {
        let mut progress = self.progress.subscribe();
        let settled = progress
            .wait_for(|progress| {
                progress.failures != appended.failures || progress.durable >= appended.end || progress.deleted
            })
            .await;
        settled
            .is_ok_and(|progress| progress.failures == appended.failures && progress.durable >= appended.end)
    }

    /// Registers a fetch to be woken by new records.
    pub(crate) fn watch(&self, waiter: &Waiter) {
        self.waiters.add(waiter);
    }

    /// Ends [`Partition::watch`].
    pub(crate) fn unwatch(&self, waiter: &Waiter) {
        self.waiters.remove(waiter);
    }

    pub(crate) fn positions(&self) -> Positions {
        lock(&self.state).positions()
    }

    /// Ends the partition: further writes are refused, and everybody who waits is answered.
    pub(crate) fn close_deleted(&self) {
        lock(&self.state).deleted = true;
        self.publish();
    }

    pub(crate) fn bytes(&self) -> u64 {
        lock(&self.state).segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(crate) fn producers(&self) -> Vec<Active> {
        lock(&self.state).producers.active()
    }

    /// The offset after the last record, on the disk or not.
    pub(crate) fn end(&self) -> i64 {
        lock(&self.state).end
    }

    /// Producers with an open transaction here, with their epoch and its first offset.
    pub(crate) fn open_transactions(&self) -> Vec<(i64, i16, i64)> {
        lock(&self.state).producers.open().collect()
    }
}

impl State {
    fn progress(&self) -> Progress {
        Progress { durable: self.durable, failures: self.failures, deleted: self.deleted }
    }

    pub(super) fn positions(&self) -> Positions {
        let stable = self.producers.first_open().map_or(self.durable, |open| open.min(self.durable));
        Positions {
            log_start: self.log_start,
            stable: stable.max(self.log_start),
            high_watermark: self.durable,
        }
    }
}

impl Positions {
    pub(crate) fn limit(&self, committed: bool) -> i64 {
        if committed { self.stable } else { self.high_watermark }
    }
}

/// Milliseconds since 1970, as Kafka counts time.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64)
}
