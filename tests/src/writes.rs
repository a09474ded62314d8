//! The moment at which a process writes to its files: the one at which a kill hurts most.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// Returns at a write to any file under a folder, as soon as the kernel tells of it: mostly while
/// the process is still in the middle of what it is writing. The writes before, up to `skip` of
/// them, are passed over.
///
/// # Errors
///
/// Where there is none in time, or the folder cannot be watched.
#[cfg(target_os = "linux")]
pub fn await_write(folder: &Path, skip: u32) -> Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
    use std::mem::MaybeUninit;

    let inotify = inotify::init(CreateFlags::CLOEXEC)?;
    for folder in folders(folder)? {
        inotify::add_watch(&inotify, &folder, WatchFlags::MODIFY)?;
    }
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = Reader::new(&inotify, &mut buffer);
    for _ in 0..=skip {
        if events.is_buffer_empty() {
            let timeout = Timespec { tv_sec: 30, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(&inotify, PollFlags::IN)], Some(&timeout))?;
            anyhow::ensure!(ready > 0, "nothing is written under {}", folder.display());
        }
        events.next()?;
    }
    Ok(())
}

/// Without a kernel that tells, any moment has to do.
///
/// # Errors
///
/// None here.
#[cfg(not(target_os = "linux"))]
pub fn await_write(_folder: &Path, skip: u32) -> Result<()> {
    std::thread::sleep(std::time::Duration::from_millis(skip.into()));
    Ok(())
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
