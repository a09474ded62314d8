//! The data folder: its lock against a second process, and its format version.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The format that this version reads and writes.
const FORMAT: &str = "lantern-log 3";
/// Those before: 1 without checkpoints, indexes and compaction, 2 without checksums of the catalog and of `log-start`.
/// What they have is read as it is; what they lack is made by and by.
const FORMATS_BEFORE: [&str; 2] = ["lantern-log 1", "lantern-log 2"];

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("{dir} is in use by {holder}; stop it, or choose another folder", dir = dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
        /// The process that holds the lock, as it named itself.
        holder: String,
    },
    /// It was written by another version.
    #[error(
        "{dir} holds {found:?}, and this version reads {FORMAT:?}; use the version of Lantern that wrote it",
        dir = dir.display()
    )]
    Format {
        /// The folder.
        dir: PathBuf,
        /// What its format file says.
        found: String,
    },
    /// The operating system refused an operation.
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// The lock on a data folder, held until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Makes the folder if it is missing, locks it, and checks its format.
pub(crate) fn claim(dir: &Path) -> Result<Lock, Error> {
    fs::create_dir_all(dir).map_err(io("cannot create", dir))?;
    let path = dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io("cannot open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _unreadable_is_unnamed = file.read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => "another process".to_owned(),
                pid => format!("process {pid}"),
            };
            return Err(Error::InUse { dir: dir.to_path_buf(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(io("cannot lock", &path)(source)),
    }
    let named =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    named.map_err(io("cannot write", &path))?;
    check_format(dir)?;
    Ok(Lock { _file: file })
}

fn check_format(dir: &Path) -> Result<(), Error> {
    let path = dir.join("format");
    let write = || {
        crate::log::write_whole(&path, format!("{FORMAT}\n").as_bytes()).map_err(io("cannot write", &path))
    };
    match fs::read_to_string(&path) {
        Ok(found) if found.trim() == FORMAT => Ok(()),
        Ok(found) if FORMATS_BEFORE.contains(&found.trim()) => {
            tracing::info!(folder = %dir.display(), from = found.trim(), to = FORMAT, "the log is taken over from an earlier version");
            write()
        }
        Ok(found) => Err(Error::Format { dir: dir.to_path_buf(), found: found.trim().to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => write(),
        Err(source) => Err(io("cannot read", &path)(source)),
    }
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_path_buf();
    move |source| Error::Io { doing, path, source }
}
