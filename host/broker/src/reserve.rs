//! Room that is kept for the day when the disk is full: what makes room, such as deleting records, has to write a
//! little first.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::poison::lock;

const FILE: &str = "reserve";
/// Enough for a catalog of thousands of topics.
const BYTES: usize = 1 << 20;

/// A file that is there to be given up.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    /// Held by whoever takes the room, or uses what was given up: nobody takes it back in between.
    turn: Mutex<()>,
}

impl Reserve {
    pub(crate) fn new(dir: &Path) -> Reserve {
        Reserve { path: dir.join(FILE), turn: Mutex::new(()) }
    }

    /// Takes the room, unless it is taken or there is none to spare.
    pub(crate) fn keep(&self) {
        let _turn = lock(&self.turn);
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == BYTES as u64) {
            return;
        }
        // To try would take the last room from those who append, for a moment and for nothing.
        let folder = self.path.parent().unwrap_or(&self.path);
        if rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail * disk.f_frsize < BYTES as u64) {
            return;
        }
        if let Err(error) = File::create(&self.path).and_then(|mut file| file.write_all(&vec![0; BYTES])) {
            tracing::debug!(%error, "there is no room to keep for a full disk");
            let _best_effort = fs::remove_file(&self.path);
        }
    }

    /// Runs work that makes room. Where it fails because the disk is full, it gets the reserve, and another try.
    pub(crate) fn spend<T, E>(
        &self,
        is_full: impl Fn(&E) -> bool,
        mut work: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        match work() {
            Err(error) if is_full(&error) => {
                let _turn = lock(&self.turn);
                // Where it is gone somebody has just made room by it.
                if fs::remove_file(&self.path).is_ok() {
                    tracing::warn!(reserve = %self.path.display(), "the disk is full; what was kept for this is used to make room");
                }
                work()
            }
            outcome => outcome,
        }
    }
}

/// Whether the disk, or the user's share of it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
