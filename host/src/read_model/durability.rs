//! What a crash of the machine may take: nothing but the newest batches, or, while a read model is built,
//! all of it.
//!
//! A rebuild asks the disk for nothing until its end: that is quicker, and what a crash destroys can be made
//! again. That the file is in this state is written in it, before, with the id of the machine's boot: a process
//! that is killed loses nothing, but after another boot the file cannot be trusted.

use super::{Error, blueprint};
use rusqlite::Connection;
use std::fs::File;
use std::path::Path;

/// How safe a writer's batches are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the machine may take the newest batches away, and leaves those before them.
    #[default]
    Normal,
    /// A crash of the machine may destroy the file, until [`super::Writer::settle`].
    Relaxed,
}

/// The key of the mark; its value is the boot's id, empty where the system has none.
const MARK: &str = "relaxed";

/// Brings a connection to a durability, checking what the file went through before.
pub fn enter(connection: &Connection, path: &Path, wanted: Durability) -> Result<(), Error> {
    let storage = |source| Error::Storage { path: path.into(), source };
    let marked = is_relaxed(connection, path)?;
    match wanted {
        Durability::Normal if marked => settle(connection, path),
        Durability::Normal => Ok(()),
        Durability::Relaxed => {
            if !marked {
                mark(connection).map_err(storage)?;
                sync(connection, path)?;
            }
            connection.execute_batch("PRAGMA synchronous = OFF").map_err(storage)
        }
    }
}

/// Whether a file is being built with relaxed durability.
///
/// # Errors
/// [`Error::Unsettled`] when the machine was started anew since.
pub fn is_relaxed(connection: &Connection, path: &Path) -> Result<bool, Error> {
    let marked =
        blueprint::meta(connection, MARK).map_err(|source| Error::Storage { path: path.into(), source })?;
    match marked {
        None => Ok(false),
        Some(boot) if !boot.is_empty() && boot == boot_id() => Ok(true),
        Some(_) => Err(Error::Unsettled { path: path.into() }),
    }
}

/// Makes everything durable that was written so far, and goes on as [`Durability::Normal`].
pub fn settle(connection: &Connection, path: &Path) -> Result<(), Error> {
    let storage = |source| Error::Storage { path: path.into(), source };
    if is_relaxed(connection, path)? {
        connection.execute_batch("PRAGMA synchronous = FULL").map_err(storage)?;
        // SQLite forces the file to the disk only where it has something to move into it.
        mark(connection).map_err(storage)?;
        sync(connection, path)?;
        connection.execute("DELETE FROM _lantern_meta WHERE key = ?1", [MARK]).map_err(storage)?;
    }
    connection.execute_batch("PRAGMA synchronous = NORMAL").map_err(storage)
}

fn mark(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .execute("INSERT OR REPLACE INTO _lantern_meta (key, value) VALUES (?1, ?2)", (MARK, boot_id()))
        .map(drop)
}

/// Moves the log into the file, and forces the file and its folder's entry to the disk. Never by a handle of our
/// own: to close one takes away the locks that SQLite has on the file.
fn sync(connection: &Connection, path: &Path) -> Result<(), Error> {
    let storage = |source| Error::Storage { path: path.into(), source };
    connection.execute_batch("PRAGMA synchronous = FULL").map_err(storage)?;
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get(0)).map_err(storage)?;
    if busy != 0 {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        let said = "a reader of an earlier moment is in the way".to_owned();
        return Err(storage(rusqlite::Error::SqliteFailure(busy, Some(said))));
    }
    sync_folder(path).map_err(|source| Error::File { path: path.into(), source })
}

/// Forces the entry of a file in its folder to the disk.
pub fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Scratch, TABLE, advance, blueprint};
    use super::super::{Reader, Writer};
    use super::*;

    fn open(scratch: &Scratch, durability: Durability) -> Result<Writer, Error> {
        Writer::open(&scratch.path(), &blueprint(&[TABLE]), durability)
    }

    /// As if the machine had been started anew since.
    fn reboot(scratch: &Scratch) {
        let connection = Connection::open(scratch.path()).unwrap();
        connection.execute("UPDATE _lantern_meta SET value = 'another' WHERE key = ?1", [MARK]).unwrap();
    }

    fn commit(writer: &mut Writer, from: i64, to: i64) {
        writer.begin().unwrap();
        writer.commit(&[advance(from, to)]).unwrap();
    }

    // What a power cut may have damaged must not become live: SQLite does not see all damage.
    #[test]
    fn a_file_that_was_being_built_when_the_machine_went_down_is_refused() {
        for opened_as in [Durability::Normal, Durability::Relaxed] {
            let scratch = Scratch::new();
            drop(open(&scratch, Durability::Relaxed).unwrap());
            reboot(&scratch);
            let error = open(&scratch, opened_as).unwrap_err();
            assert!(matches!(error, Error::Unsettled { .. }) && !error.is_transient(), "{error}");
        }
    }

    // A process that is killed loses nothing: a rebuild of hours goes on.
    #[test]
    fn a_file_that_is_being_built_goes_on_after_its_process_has_ended() {
        let scratch = Scratch::new();
        let mut writer = open(&scratch, Durability::Relaxed).unwrap();
        writer.begin_partition("a", 0, 0).unwrap();
        commit(&mut writer, 0, 5);
        drop(writer);
        let mut writer = open(&scratch, Durability::Relaxed).unwrap();
        commit(&mut writer, 5, 7);
        assert_eq!(writer.checkpoints().unwrap()[&("a".into(), 0)], 7);
    }

    // Settled is as if it had never been relaxed, whether by its builder or by who opens it next.
    #[test]
    fn a_settled_file_is_kept_whatever_happens_to_the_machine() {
        for by_opening in [false, true] {
            let scratch = Scratch::new();
            let mut writer = open(&scratch, Durability::Relaxed).unwrap();
            writer.begin_partition("a", 0, 0).unwrap();
            commit(&mut writer, 0, 5);
            if by_opening {
                drop(writer);
                writer = open(&scratch, Durability::Normal).unwrap();
            } else {
                writer.settle().unwrap();
            }
            reboot(&scratch);
            commit(&mut writer, 5, 6);
            drop(writer);
            assert_eq!(open(&scratch, Durability::Normal).unwrap().checkpoints().unwrap().len(), 1);
        }
    }

    // A preview may be reading while a rebuild is finished; only one that still reads an earlier moment is in the way.
    #[test]
    fn readers_are_told_of_instead_of_settling_half() {
        let scratch = Scratch::new();
        let mut writer = open(&scratch, Durability::Relaxed).unwrap();
        writer.begin_partition("a", 0, 0).unwrap();
        let reader = super::super::Snapshot::of(&scratch.path()).unwrap();
        commit(&mut writer, 0, 5);
        let error = writer.settle().unwrap_err();
        assert!(error.is_transient(), "{error}");
        drop(reader);
        writer.settle().unwrap();
        assert_eq!(Reader::open(&scratch.path()).unwrap().checkpoints().unwrap().len(), 1);
    }
}
