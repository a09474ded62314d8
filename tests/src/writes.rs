//! The moment at which a process writes to its files: the one at which a kill hurts most.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
#[cfg(target_os = "linux")]
use {
    rustix::event::{PollFd, PollFlags, Timespec, poll},
    rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags},
    std::mem::MaybeUninit,
    std::time::Instant,
};

use crate::wait::WAIT_MS_MAX;

/// Returns at a write to any file under a folder, as soon as the kernel tells of it: mostly while
/// the process is still in the middle of what it is writing. The writes before, up to `skip` of
/// them, are passed over.
///
/// # Errors
///
/// Where there is none in time, or the folder cannot be watched.
pub fn await_write(folder: &Path, skip: u32) -> Result<()> {
    let watch = Watch::writes(folder)?;
    ensure!(watch.next(skip, WAIT_MS_MAX)?, "nothing is written under {}", folder.display());
    Ok(())
}

/// What the kernel tells of folders, from the moment at which it was asked to.
#[derive(Debug)]
pub struct Watch {
    #[cfg(target_os = "linux")]
    inotify: rustix::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl Watch {
    /// Of writes to any file under a folder.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be watched.
    pub fn writes(folder: &Path) -> Result<Self> {
        Self::of(folders(folder)?, WatchFlags::MODIFY)
    }

    /// Of names that appear in a folder or are taken by another file, such as a link that is replaced.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be watched.
    pub fn names(folder: &Path) -> Result<Self> {
        Self::of([folder.to_owned()], WatchFlags::CREATE | WatchFlags::MOVED_TO)
    }

    fn of(folders: impl IntoIterator<Item = PathBuf>, flags: WatchFlags) -> Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC)?;
        for folder in folders {
            inotify::add_watch(&inotify, &folder, flags)?;
        }
        Ok(Self { inotify })
    }

    /// Returns at the next event after `skip` others; answers whether it came in time.
    ///
    /// # Errors
    ///
    /// Where the kernel does not tell.
    pub fn next(&self, skip: u32, ms_max: u64) -> Result<bool> {
        let deadline = Instant::now() + Duration::from_millis(ms_max);
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&self.inotify, &mut buffer);
        for _ in 0..=skip {
            if events.is_buffer_empty() {
                let left = deadline.saturating_duration_since(Instant::now());
                let timeout = Timespec::try_from(left)?;
                if poll(&mut [PollFd::new(&self.inotify, PollFlags::IN)], Some(&timeout))? == 0 {
                    return Ok(false);
                }
            }
            events.next()?;
        }
        Ok(true)
    }
}

/// Without a kernel that tells, any moment has to do.
#[cfg(not(target_os = "linux"))]
impl Watch {
    /// Of writes to any file under a folder.
    ///
    /// # Errors
    ///
    /// None here.
    pub fn writes(folder: &Path) -> Result<Self> {
        folders(folder)?;
        Ok(Self {})
    }

    /// Of names that appear in a folder.
    ///
    /// # Errors
    ///
    /// None here.
    pub fn names(_folder: &Path) -> Result<Self> {
        Ok(Self {})
    }

    /// Returns after a while.
    ///
    /// # Errors
    ///
    /// None here.
    pub fn next(&self, skip: u32, ms_max: u64) -> Result<bool> {
        std::thread::sleep(Duration::from_millis(ms_max.min(skip.into())));
        Ok(true)
    }
}

/// A folder and all folders in it.
fn folders(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![root.to_owned()];
    let mut next = 0;
    while let Some(folder) = found.get(next) {
        let inside = match fs::read_dir(folder) {
            // The process goes on meanwhile, and may remove what it no longer needs.
            Err(error) if error.kind() == io::ErrorKind::NotFound && next > 0 => Vec::new(),
            entries => entries?.collect::<io::Result<Vec<_>>>()?,
        };
        found.extend(
            inside.into_iter().map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()),
        );
        next += 1;
    }
    Ok(found)
}
