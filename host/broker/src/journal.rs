//! An append-only file of small state changes: transactions and committed offsets are kept in one
//! each.
//!
//! ```text
//! file   = header entry*
//! header = "LNTNJNL1"
//! entry  = length: u32 LE, crc32c of payload: u32 LE, payload (JSON)
//! ```
//!
//! The state is what replaying all entries gives. A file that has grown to several times its state
//! is written anew and renamed over the old one.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::log::Syncer;
use crate::options::Fsync;
use crate::poison::lock;

const HEADER: &[u8; 8] = b"LNTNJNL1";
const FRAME_BYTES: usize = 8;
/// Longer than any entry: a transaction over very many partitions is the longest.
const ENTRY_BYTES_MAX: usize = 64 << 20;
/// A journal below this size is never written anew.
const REWRITE_FROM_BYTES: u64 = 1 << 20;

/// Why a journal could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused an operation.
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The journal's file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not a journal, or an entry in its middle is damaged.
    #[error("{path}: {reason} at byte {position}; restore the file from a backup", path = path.display())]
    Damaged {
        /// The journal's file.
        path: PathBuf,
        /// Where the damage is.
        position: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// An entry cannot be written or understood as JSON.
    #[error("{path}: an entry does not read as it should: {source}", path = path.display())]
    Entry {
        /// The journal's file.
        path: PathBuf,
        /// The reason.
        source: serde_json::Error,
    },
}

/// An entry that was written; [`Journal::durable`] says when it is safe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    position: u64,
    /// Positions start again when the file is written anew.
    generation: u64,
    failures: u64,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    durable: u64,
    generation: u64,
    failures: u64,
}

#[derive(Debug)]
struct State {
    file: Arc<File>,
    bytes: u64,
    durable: u64,
    generation: u64,
    failures: u64,
    sync_queued: bool,
    /// Size of the file after it was last written anew.
    compact_bytes: u64,
}

/// An append-only file of state changes.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    fsync: Fsync,
    syncer: Arc<Syncer>,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
    this: Weak<Journal>,
}

impl Journal {
    /// Opens the journal at `path`, made if it is missing, and returns its entries in order. The
    /// torn end of an interrupted write is cut off.
    pub(crate) fn open<T: DeserializeOwned>(
        path: &Path,
        fsync: Fsync,
        syncer: &Arc<Syncer>,
    ) -> Result<(Arc<Journal>, Vec<T>), Error> {
        let io = |doing| {
            let path = path.to_path_buf();
            move |source| Error::Io { doing, path, source }
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io("cannot open"))?;
        let content = fs::read(path).map_err(io("cannot read"))?;
        let mut entries = Vec::new();
        let bytes = if content.len() < HEADER.len() {
            file.set_len(0).map_err(io("cannot truncate"))?;
            file.write_all_at(HEADER, 0).map_err(io("cannot write"))?;
            HEADER.len()
        } else if content.starts_with(HEADER) {
            let end = read_entries(path, &content, &mut entries)?;
            if end < content.len() {
                tracing::warn!(journal = %path.display(), position = end, "the last entry was interrupted while it was written; it is cut off");
                file.set_len(end as u64).map_err(io("cannot truncate"))?;
            }
            end
        } else {
            return Err(Error::Damaged {
                path: path.to_path_buf(),
                position: 0,
                reason: "not a journal of this version",
            });
        };
        file.sync_all().map_err(io("cannot sync"))?;
        if let Some(folder) = path.parent() {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(io("cannot sync the folder of"))?;
        }
        let state = State {
            file: Arc::new(file),
            bytes: bytes as u64,
            durable: bytes as u64,
            generation: 0,
            failures: 0,
            sync_queued: false,
            compact_bytes: 0,
        };
        let (progress, _) = watch::channel(state.progress());
        let journal = Arc::new_cyclic(|this| Journal {
            path: path.to_path_buf(),
            fsync,
            syncer: Arc::clone(syncer),
            state: Mutex::new(state),
            progress,
            this: this.clone(),
        });
        Ok((journal, entries))
    }

    /// Appends `entry`. On failure the journal is as it was.
    pub(crate) fn append<T: Serialize>(&self, entry: &T) -> Result<Ticket, Error> {
        let frame = self.frame(entry)?;
        let mut state = lock(&self.state);
        let position = state.bytes;
        if let Err(source) = state.file.write_all_at(&frame, position) {
            let _best_effort = state.file.set_len(position);
            return Err(self.io("cannot append to", source));
        }
        state.bytes += frame.len() as u64;
        let ticket = Ticket { position: state.bytes, generation: state.generation, failures: state.failures };
        if self.fsync == Fsync::Always {
            self.request_sync(&mut state);
        } else {
            state.durable = state.bytes;
            drop(state);
            self.publish();
        }
        Ok(ticket)
    }

    /// Returns whether the entry is safe; `false` means that the disk failed.
    pub(crate) async fn durable(&self, ticket: Ticket) -> bool {
        let mut progress = self.progress.subscribe();
        let settled = progress.wait_for(|progress| ticket.settled(progress).is_some()).await;
        settled.is_ok_and(|progress| ticket.settled(&progress) == Some(true))
    }

    fn request_sync(&self, state: &mut State) {
        if state.sync_queued {
            return;
        }
        state.sync_queued = true;
        if let Some(journal) = self.this.upgrade() {
            self.syncer.submit(move || {
                if let Err(error) = journal.sync_now() {
                    tracing::error!(%error, "a state change could not be forced to the disk");
                }
            });
        }
    }

    /// Forces everything written so far to the disk.
    pub(crate) fn sync_now(&self) -> Result<(), Error> {
        let (file, bytes, generation) = {
            let mut state = lock(&self.state);
            state.sync_queued = false;
            (Arc::clone(&state.file), state.bytes, state.generation)
        };
        let outcome = file.sync_data();
        let mut state = lock(&self.state);
        if state.generation == generation {
            match &outcome {
                Ok(()) => state.durable = state.durable.max(bytes),
                // What the system still holds of the later bytes is unknown: they are taken back.
                Err(_) => {
                    state.failures += 1;
                    state.bytes = state.durable;
                    let _best_effort = state.file.set_len(state.durable);
                }
            }
        }
        drop(state);
        self.publish();
        outcome.map_err(|source| self.io("cannot sync", source))
    }

    fn publish(&self) {
        self.progress.send_replace(lock(&self.state).progress());
    }

    /// Whether the file has outgrown its state so far that it should be written anew.
    pub(crate) fn wants_rewrite(&self) -> bool {
        let state = lock(&self.state);
        state.bytes > REWRITE_FROM_BYTES && state.bytes > 4 * state.compact_bytes
    }

    /// Replaces the file by one that holds `entries` only. The caller makes sure that nothing is
    /// appended meanwhile that `entries` does not hold.
    pub(crate) fn rewrite<T: Serialize>(&self, entries: impl IntoIterator<Item = T>) -> Result<(), Error> {
        let new = self.path.with_extension("new");
        let mut content = HEADER.to_vec();
        for entry in entries {
            content.extend_from_slice(&self.frame(&entry)?);
        }
        let write = || -> std::io::Result<File> {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&new)?;
            file.write_all_at(&content, 0)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            if let Some(folder) = self.path.parent() {
                File::open(folder)?.sync_all()?;
            }
            Ok(file)
        };
        let file = write().map_err(|source| self.io("cannot write anew", source))?;
        let mut state = lock(&self.state);
        state.file = Arc::new(file);
        state.bytes = content.len() as u64;
        state.durable = state.bytes;
        state.compact_bytes = state.bytes;
        state.generation += 1;
        drop(state);
        self.publish();
        Ok(())
    }

    fn frame<T: Serialize>(&self, entry: &T) -> Result<Vec<u8>, Error> {
        let mut frame = vec![0; FRAME_BYTES];
        serde_json::to_writer(&mut frame, entry)
            .map_err(|source| Error::Entry { path: self.path.clone(), source })?;
        let payload = &frame[FRAME_BYTES..];
        let length = (payload.len() as u32).to_le_bytes();
        let crc = crc32c::crc32c(payload).to_le_bytes();
        frame[..4].copy_from_slice(&length);
        frame[4..FRAME_BYTES].copy_from_slice(&crc);
        Ok(frame)
    }

    fn io(&self, doing: &'static str, source: std::io::Error) -> Error {
        Error::Io { doing, path: self.path.clone(), source }
    }
}

impl Ticket {
    fn settled(self, progress: &Progress) -> Option<bool> {
        if progress.generation > self.generation {
            // The new file was written from the state, and synced as a whole.
            Some(true)
        } else if progress.durable >= self.position {
            Some(progress.failures == self.failures)
        } else if progress.failures != self.failures {
            Some(false)
        } else {
            None
        }
    }
}

impl State {
    fn progress(&self) -> Progress {
        Progress { durable: self.durable, generation: self.generation, failures: self.failures }
    }
}

/// Reads whole entries and returns where they end.
fn read_entries<T: DeserializeOwned>(
    path: &Path,
    content: &[u8],
    entries: &mut Vec<T>,
) -> Result<usize, Error> {
    let mut position = HEADER.len();
    while position < content.len() {
        let Some((payload, end)) = entry_at(content, position) else {
            // A torn end has no whole entry after it.
            let later = (position + 1..content.len()).find(|at| entry_at(content, *at).is_some());
            return match later {
                None => Ok(position),
                Some(_) => Err(Error::Damaged {
                    path: path.to_path_buf(),
                    position: position as u64,
                    reason: "a damaged entry with whole entries after it",
                }),
            };
        };
        let entry = serde_json::from_slice(payload)
            .map_err(|source| Error::Entry { path: path.to_path_buf(), source })?;
        entries.push(entry);
        position = end;
    }
    Ok(position)
}

fn entry_at(content: &[u8], position: usize) -> Option<(&[u8], usize)> {
    let frame = content.get(position..position + FRAME_BYTES)?;
    let length = u32::from_le_bytes(frame[..4].try_into().ok()?) as usize;
    let crc = u32::from_le_bytes(frame[4..].try_into().ok()?);
    if length == 0 || length > ENTRY_BYTES_MAX {
        return None;
    }
    let start = position + FRAME_BYTES;
    let payload = content.get(start..start + length)?;
    (crc32c::crc32c(payload) == crc).then_some((payload, start + length))
}
