//! Everything about a read model at one moment, while it may be written.

use super::checkpoint::{self, Checkpoints};
use super::{Cursor, Error, Fingerprint, Page, blueprint, hash, journal};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Steps of SQLite's machine between two looks at whether to give up.
const STEPS_PER_LOOK: i32 = 10_000;

/// A read transaction: whatever is asked is of the moment at which it was made. While it is held, SQLite cannot
/// shorten the database's log, so it should not be held for hours.
#[derive(Debug)]
pub struct Snapshot {
    connection: Connection,
    path: PathBuf,
}

impl Snapshot {
    /// The present moment of a read model.
    ///
    /// # Errors
    /// When it does not exist or cannot be read.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let opened = |source| Error::Open { path: path.into(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(opened)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(opened)?;
        // The transaction begins with the first read.
        connection
            .execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; BEGIN")
            .map_err(opened)?;
        let snapshot = Snapshot { connection, path: path.into() };
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name = '_lantern_meta'";
        let is_ours: i64 = snapshot.ask(|connection| connection.query_row(tables, [], |row| row.get(0)))?;
        if is_ours == 0 {
            let reason = "it has no checkpoints".into();
            return Err(Error::Foreign { path: path.into(), reason });
        }
        Ok(snapshot)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has every question fail from the moment on at which this says so: comparing large tables takes long.
    ///
    /// # Errors
    /// Never, as this is used.
    pub fn give_up_when(&mut self, is_enough: impl FnMut() -> bool + Send + 'static) -> Result<(), Error> {
        let given = self.connection.progress_handler(STEPS_PER_LOOK, Some(is_enough));
        given.map_err(|source| Error::Storage { path: self.path.clone(), source })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn ask<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        ask(&self.connection).map_err(|source| Error::Storage { path: self.path.clone(), source })
    }

    /// The next offsets to apply.
    ///
    /// # Errors
    /// As for all questions: when the database cannot be read.
    pub fn checkpoints(&self) -> Result<Checkpoints, Error> {
        self.ask(checkpoint::load)
    }

    /// Where each partition was taken up.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn beginnings(&self) -> Result<Checkpoints, Error> {
        self.ask(checkpoint::beginnings)
    }

    /// At most `limit` runs of the journal behind a place in it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn journal_after(&self, cursor: Cursor, limit: usize) -> Result<Page, Error> {
        self.ask(|connection| journal::after(connection, cursor, limit))
    }

    /// How many events were applied to it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn events(&self) -> Result<u64, Error> {
        let sum = "SELECT coalesce(sum(events), 0) FROM _lantern_journal";
        let events: i64 = self.ask(|connection| connection.query_row(sum, [], |row| row.get(0)))?;
        Ok(u64::try_from(events).unwrap_or(0))
    }

    /// The name of the plugin whose read model it is.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn plugin(&self) -> Result<String, Error> {
        Ok(self.ask(|connection| blueprint::meta(connection, "plugin"))?.unwrap_or_default())
    }

    /// The digest of the plugin that wrote last.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn digest(&self) -> Result<String, Error> {
        Ok(self.ask(|connection| blueprint::meta(connection, "digest"))?.unwrap_or_default())
    }

    /// Who would apply its next event: the plugin that wrote last, and its upcasters.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn author(&self) -> Result<String, Error> {
        let stored = self.ask(|connection| blueprint::meta(connection, blueprint::UPCASTERS))?;
        let upcasters: Vec<String> =
            stored.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        Ok(journal::author(&self.digest()?, &upcasters))
    }

    /// The digests of all plugins that wrote, in the order in which they came.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn digests(&self) -> Result<Vec<String>, Error> {
        self.ask(journal::plugins)
    }

    /// What all its tables say.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn fingerprint(&self) -> Result<Fingerprint, Error> {
        self.ask(hash::fingerprint)
    }
}
