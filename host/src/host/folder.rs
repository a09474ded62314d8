//! The plugins folder: what is saved in it and removed from it, whole files only.
//!
//! A file is taken when the system says that its writer has closed it, or that it was moved here. Not every file system
//! says so (network mounts, some shared folders): there, and when events were lost, the folder is
//! listed, and a file is taken once it has not changed for a while.

#[cfg(test)]
mod tests;

use crate::deployment::{self, Deployments};
use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long after its writer has closed it a file is taken: several saves in a row are one.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// How long a file must be away to be removed: editors and linkers take one away before they write it anew.
const GONE: Duration = Duration::from_millis(300);
/// How long a file must stay as it is where nothing tells that its writer has closed it.
const QUIET: Duration = Duration::from_millis(500);
/// The same, where the system told of a writer and not of its close: the file system forgets some events.
const WRITER_QUIET: Duration = Duration::from_secs(30);
/// How long after a failure that is not the file's it is tried again; it doubles.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
/// The longest that is waited.
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// How often the folder is listed.
const LIST_EVERY: Duration = Duration::from_secs(2);
/// How long a start waits for files that are being written.
const FIRST_MAX: Duration = Duration::from_secs(2);
/// Events that wait; when more come, the folder is listed instead.
const EVENTS_MAX: usize = 4096;

/// What happened to a plugin's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there, whole, and may be another than before.
    Saved(PathBuf),
    /// It is gone.
    Removed(PathBuf),
}

/// Why the folder cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the plugins folder {}: {source}. Create it, or name another (plugins_dir, LANTERN_PLUGINS_DIR)", path.display())]
pub struct Error {
    /// The folder.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// A folder that is watched.
pub struct Folder {
    path: PathBuf,
    /// Tells of changes, where the system can.
    watcher: Option<RecommendedWatcher>,
    events: mpsc::Receiver<notify::Event>,
    /// Whether events were lost, so that the folder must be listed.
    is_lost: Arc<AtomicBool>,
    /// The folder that is watched: another may come to its path.
    watched: Option<(u64, u64)>,
    /// What is known of each file, in the order of their names.
    files: BTreeMap<PathBuf, File>,
    list_at: Instant,
    /// Whether it was told that the folder cannot be listed.
    is_sick: bool,
}

/// What is known of a file.
#[derive(Default)]
struct File {
    /// As it was taken last.
    taken: Option<Stamp>,
    pending: Option<Pending>,
    /// How long to wait when it is not deployed once more, for what it is not at fault for.
    again: Option<Duration>,
}

/// A file that has to be looked at.
struct Pending {
    at: Instant,
    /// Whether the system told that it is whole.
    is_whole: bool,
    /// As it was seen; when it is the same at its time, nobody writes it any more.
    seen: Option<Stamp>,
    /// When to look again if it is not the same.
    again: Duration,
}

/// Tells one content of a file from another, as far as that can be told without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Folder {
    /// Begins to watch a folder, which is created if it is not there. The files that it has are the first
    /// changes, in the order of their names; see [`Folder::first`].
    ///
    /// # Errors
    /// When the folder cannot be created or listed.
    pub fn watch(path: &Path) -> Result<Folder, Error> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let is_lost = Arc::new(AtomicBool::new(false));
        let lost = Arc::clone(&is_lost);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let is_taken = event.is_ok_and(|event| !event.need_rescan() && sender.try_send(event).is_ok());
            if !is_taken {
                lost.store(true, Ordering::Relaxed);
            }
        });
        if let Err(error) = &watcher {
            tracing::warn!(
                "the system tells nothing of changed files, so the plugins folder is listed: {error}"
            );
        }
        Self::start(path, watcher.ok(), events, is_lost)
    }

    fn start(
        path: &Path,
        watcher: Option<RecommendedWatcher>,
        events: mpsc::Receiver<notify::Event>,
        is_lost: Arc<AtomicBool>,
    ) -> Result<Folder, Error> {
        let failed = |source| Error { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        // Not what links lead to: those may be changed to lead elsewhere.
        let path = std::path::absolute(path).map_err(failed)?;
        let mut folder = Folder {
            path,
            watcher,
            events,
            is_lost,
            watched: None,
            files: BTreeMap::new(),
            list_at: Instant::now(),
            is_sick: false,
        };
        folder.list(true).map_err(failed)?;
        Ok(folder)
    }

    /// The files that are there now, in the order of their names, for a start. One that was written just now is waited
    /// for; one that takes longer is a change later.
    pub async fn first(&mut self) -> Vec<PathBuf> {
        let mut found = BTreeSet::new();
        let until = Instant::now() + FIRST_MAX;
        while self.files.values().any(|file| file.pending.is_some()) {
            match tokio::time::timeout_at(until, self.next()).await {
                Ok(Change::Saved(path)) => drop(found.insert(path)),
                Ok(Change::Removed(path)) => drop(found.remove(&path)),
                Err(_) => break,
            }
        }
        found.into_iter().collect()
    }

    /// Waits for the next change. What comes while nobody waits is not lost, and several changes of one file
    /// are then one. A future that is dropped loses nothing.
    pub async fn next(&mut self) -> Change {
        loop {
            while let Ok(event) = self.events.try_recv() {
                self.note(&event);
            }
            if self.is_lost.swap(false, Ordering::Relaxed) || Instant::now() >= self.list_at {
                self.list_again();
            }
            if let Some(change) = self.due() {
                return change;
            }
            let pending = self.files.values().filter_map(|file| Some(file.pending.as_ref()?.at));
            let wake = pending.chain([self.list_at]).min().unwrap_or(self.list_at);
            tokio::select! {
                // Closed only where there is no watcher.
                Some(event) = self.events.recv() => self.note(&event),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// What an event says of the files that it names.
    fn note(&mut self, event: &notify::Event) {
        for path in &event.paths {
            if *path == self.path {
                // The folder itself was moved or removed. That it was read is no news: listing reads it.
                if !matches!(event.kind, EventKind::Access(_)) {
                    self.is_lost.store(true, Ordering::Relaxed);
                }
                continue;
            }
            if path.parent() != Some(&self.path) || !is_plugin(path) {
                continue;
            }
            let (wait, is_whole) = match event.kind {
                EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => (DEBOUNCE, true),
                EventKind::Create(_) if is_linked(path) => (DEBOUNCE, true),
                // Somebody has it open and will close it.
                EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => (WRITER_QUIET, false),
                EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => (GONE, false),
                // Told in addition to `From` and `To`.
                EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => continue,
                // Somebody may be allowed to read it now; nothing that a writer's close would not tell better.
                _ if self.files.get(path).is_some_and(|file| file.pending.is_some()) => continue,
                _ => (QUIET, false),
            };
            let again = wait.max(QUIET);
            let pending = Pending { at: Instant::now() + wait, is_whole, seen: None, again };
            let file = self.files.entry(path.clone()).or_default();
            file.pending = Some(pending);
            file.again = None;
        }
    }

    /// The first file whose time has come and that is another than it was taken for.
    fn due(&mut self) -> Option<Change> {
        let now = Instant::now();
        let is_due = |file: &File| file.pending.as_ref().is_some_and(|pending| pending.at <= now);
        let due: Vec<PathBuf> =
            self.files.iter().filter(|(_, file)| is_due(file)).map(|(path, _)| path.clone()).collect();
        due.into_iter().find_map(|path| self.look_at(path, now))
    }

    fn look_at(&mut self, path: PathBuf, now: Instant) -> Option<Change> {
        let file = self.files.get_mut(&path)?;
        let pending = file.pending.take()?;
        let Some(stamp) = stamp(&path) else {
            let was_taken = file.taken.is_some();
            self.files.remove(&path);
            return was_taken.then_some(Change::Removed(path));
        };
        if !pending.is_whole && pending.seen != Some(stamp) {
            let at = now + pending.again;
            file.pending = Some(Pending { at, seen: Some(stamp), ..pending });
            return None;
        }
        let is_other = pending.is_whole || file.taken != Some(stamp);
        file.taken = Some(stamp);
        is_other.then_some(Change::Saved(path))
    }

    /// Has a file come once more, as it could not be deployed for a reason that may pass: a full disk, a lock. Where another
    /// change of it is on its way, that is enough.
    pub fn again(&mut self, path: &Path) {
        let Some(file) = self.files.get_mut(path) else { return };
        let wait = file.again.unwrap_or(AGAIN_FIRST);
        file.again = Some((wait * 2).min(AGAIN_MAX));
        if file.pending.is_none() {
            let at = Instant::now() + wait;
            file.pending = Some(Pending { at, is_whole: true, seen: None, again: QUIET });
        }
    }

    fn list_again(&mut self) {
        match self.list(false) {
            Ok(()) => self.is_sick = false,
            Err(error) => {
                if !std::mem::replace(&mut self.is_sick, true) {
                    tracing::warn!("cannot list the plugins folder {}: {error}", self.path.display());
                }
            }
        }
    }

    /// Compares what is there with what is known: for what no event tells.
    fn list(&mut self, is_first: bool) -> io::Result<()> {
        let now = Instant::now();
        self.list_at = now + LIST_EVERY;
        let mut there = BTreeSet::new();
        match fs::metadata(&self.path) {
            Ok(folder) => {
                self.watch_again(&folder);
                for entry in fs::read_dir(&self.path)? {
                    let path = entry?.path();
                    if is_plugin(&path) {
                        there.insert(path);
                    }
                }
            }
            // All files are away with it; it may come again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.watched = None,
            Err(error) => return Err(error),
        }
        for path in &there {
            let Some(stamp) = stamp(path) else { continue };
            let file = self.files.entry(path.clone()).or_default();
            if file.pending.is_none() && file.taken != Some(stamp) {
                let wait = if is_first && is_old(path) { Duration::ZERO } else { QUIET };
                let seen = Some(stamp);
                file.pending = Some(Pending { at: now + wait, is_whole: false, seen, again: QUIET });
            }
        }
        for (path, file) in &mut self.files {
            if !there.contains(path) && file.pending.is_none() {
                file.pending = Some(Pending { at: now + GONE, is_whole: false, seen: None, again: QUIET });
            }
        }
        Ok(())
    }

    /// Watches the folder that is at the path now.
    fn watch_again(&mut self, folder: &Metadata) {
        let identity = Some((folder.dev(), folder.ino()));
        let Some(watcher) = self.watcher.as_mut().filter(|_| self.watched != identity) else { return };
        // The one before may be gone, and its watch with it.
        let _ = watcher.unwatch(&self.path);
        match watcher.watch(&self.path, RecursiveMode::NonRecursive) {
            Ok(()) => self.watched = identity,
            Err(error) if !self.is_sick => {
                self.is_sick = true;
                tracing::warn!("the plugins folder is listed, as the system does not watch it: {error}");
            }
            Err(_) => {}
        }
    }
}

/// Whether a file is a plugin by its name, and not what an editor or a copying program keeps for a while.
fn is_plugin(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".wasm") && !name.starts_with(['.', '~', '#'])
}

/// Whether a file that appeared was whole at once: nobody writes it by this name.
fn is_linked(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.is_symlink() || file.nlink() > 1)
}

/// Whether nobody has written a file lately.
fn is_old(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|file| file.modified());
    let age = modified.map(|modified| SystemTime::now().duration_since(modified));
    // A time to come says nothing of now.
    age.is_ok_and(|age| age.is_ok_and(|age| age >= QUIET))
}

/// What stands for a file's content; `None` where there is no file.
fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok().filter(Metadata::is_file)?;
    Some(Stamp {
        file: (file.dev(), file.ino()),
        bytes: file.len(),
        modified: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
    })
}

/// Deploys what is saved in a folder, and stops what is removed from it, until it is dropped.
pub async fn follow(mut folder: Folder, deployments: Deployments) {
    loop {
        match folder.next().await {
            Change::Saved(path) => match deployments.file(&path).await {
                Ok(outcome) => {
                    tracing::debug!(plugin = outcome.name, result = ?outcome.result, "{}", path.display());
                }
                Err(deployment::Error::Stopping) => return,
                Err(error) => {
                    if error.is_transient() {
                        folder.again(&path);
                    }
                    // It is in the history and in the log.
                    tracing::debug!("{}: {error}", path.display());
                }
            },
            Change::Removed(path) => {
                if let Err(error) = deployments.file_removed(&path).await {
                    tracing::error!("{} was removed, and its plugin still runs: {error}", path.display());
                }
            }
        }
    }
}
