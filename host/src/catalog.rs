//! The catalog `lantern.db`: which plugins there are, what is being built beside them, their history, and who may ask.
//!
//! Which generation is live is not said here but by the link that people open, since both cannot change in
//! one step: after a crash the link is right.

mod handlers;
mod tokens;
mod upcasters;

pub use handlers::Handler;
pub use tokens::{Scope, Token};
pub use upcasters::Upcaster;

use rusqlite::{Connection, OptionalExtension, Row};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The layout of the tables, in SQLite's `user_version`.
const FORMAT_VERSION: i32 = 1;
/// How long SQLite waits for somebody else's lock.
const BUSY_MS: u64 = 5_000;

const TABLES: &str = "
    CREATE TABLE plugins (
        name TEXT PRIMARY KEY,
        digest TEXT NOT NULL,                  -- of the plugin that writes the live generation
        generation INTEGER NOT NULL,           -- that one; the link is another after a crash in a promotion
        fallback TEXT,                         -- what is put back while that one is on trial
        previous_digest TEXT,                  -- what a rollback goes back to
        previous_generation INTEGER,
        wanted TEXT NOT NULL CHECK (wanted IN ('running', 'paused', 'removed'))
    );
    CREATE TABLE builds (                      -- generations on their way
        name TEXT PRIMARY KEY,
        generation INTEGER NOT NULL,
        digest TEXT NOT NULL,
        preview INTEGER NOT NULL
    );
    CREATE TABLE files (                       -- what was taken up from the plugins folder
        path TEXT PRIMARY KEY,
        digest TEXT NOT NULL,
        name TEXT NOT NULL
    );
    CREATE TABLE history (
        seq INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        result TEXT NOT NULL,
        generation INTEGER NOT NULL,
        by TEXT NOT NULL,
        reason TEXT
    );
    CREATE INDEX history_of ON history (name, seq);";

/// The catalog cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refuses.
    #[error("the catalog {}: {source}. Check that the data folder is writable and has space", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Another Lantern has written it.
    #[error(
        "the catalog {} has format {found}, this Lantern knows {FORMAT_VERSION}: was it written by a newer one?",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i32,
    },
}

/// What is wanted of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It runs.
    Running,
    /// It applies nothing until it is resumed.
    Paused,
    /// It no longer runs.
    Removed,
}

impl Wanted {
    fn as_str(self) -> &'static str {
        match self {
            Wanted::Running => "running",
            Wanted::Paused => "paused",
            Wanted::Removed => "removed",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "running" => Wanted::Running,
            "paused" => Wanted::Paused,
            _ => Wanted::Removed,
        }
    }
}

/// A plugin as it was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// The digest of the plugin that writes the live generation.
    pub digest: String,
    /// That generation. Where the link leads to another, a crash came between the two.
    pub generation: u32,
    /// The plugin to put back, while that one is on trial.
    pub fallback: Option<String>,
    /// The digest and the generation that a rollback goes back to, when nothing is on trial.
    pub previous: Option<(String, u32)>,
    /// What is wanted of it.
    pub wanted: Wanted,
}

impl Plugin {
    /// The digest and the generation that a rollback goes back to. What was before a plugin on trial is
    /// forgotten when that has passed, and not when it is put back.
    pub fn before(&self) -> Option<(String, u32)> {
        let fallback = self.fallback.clone().map(|digest| (digest, self.generation));
        fallback.or_else(|| self.previous.clone())
    }
}

/// A generation on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Its number.
    pub generation: u32,
    /// The digest of its plugin.
    pub digest: String,
    /// Whether it waits to be promoted.
    pub preview: bool,
}

/// A line of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, as RFC 3339.
    pub at: String,
    /// The plugin's name; empty where the artifact could not say.
    pub name: String,
    /// The artifact's digest.
    pub digest: String,
    /// What was done.
    pub result: String,
    /// The generation it was done to; 0 where there is none.
    pub generation: u32,
    /// Who asked.
    pub by: String,
    /// Why it was refused.
    pub reason: Option<String>,
}

/// The open catalog.
pub struct Catalog {
    connection: Mutex<Connection>,
    path: PathBuf,
}

impl Catalog {
    /// Opens the catalog, or makes it.
    ///
    /// # Errors
    /// When it cannot be opened, or another Lantern has written it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Sqlite { path: path.into(), source };
        let connection = Connection::open(path).map_err(failed)?;
        connection
            .busy_timeout(std::time::Duration::from_millis(BUSY_MS))
            .and_then(|()| connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"))
            .map_err(failed)?;
        let found =
            connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i32>(0)).map_err(failed)?;
        match found {
            FORMAT_VERSION => {}
            0 => connection
                .execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {FORMAT_VERSION}; COMMIT;"))
                .map_err(failed)?,
            found => return Err(Error::Format { path: path.into(), found }),
        }
        connection.execute_batch(handlers::TABLE).map_err(failed)?;
        connection.execute_batch(tokens::TABLES).map_err(failed)?;
        connection.execute_batch(upcasters::TABLE).map_err(failed)?;
        Ok(Catalog { connection: Mutex::new(connection), path: path.into() })
    }

    fn with<T>(&self, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let connection: MutexGuard<'_, Connection> =
            self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        run(&connection).map_err(|source| Error::Sqlite { path: self.path.clone(), source })
    }

    /// All plugins, in the order of their names.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn plugins(&self) -> Result<Vec<Plugin>, Error> {
        self.with(|connection| {
            connection.prepare_cached(&format!("{PLUGIN} ORDER BY name"))?.query_map([], plugin)?.collect()
        })
    }

    /// One plugin.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn plugin(&self, name: &str) -> Result<Option<Plugin>, Error> {
        self.with(|connection| {
            connection
                .prepare_cached(&format!("{PLUGIN} WHERE name = ?1"))?
                .query_row([name], plugin)
                .optional()
        })
    }

    /// Stores a plugin, new or changed.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn put(&self, plugin: &Plugin) -> Result<(), Error> {
        let (digest, generation) = plugin.previous.clone().unzip();
        self.with(|connection| {
            connection
                .prepare_cached("INSERT OR REPLACE INTO plugins VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                .execute((
                    &plugin.name,
                    &plugin.digest,
                    plugin.generation,
                    &plugin.fallback,
                    digest,
                    generation,
                    plugin.wanted.as_str(),
                ))
                .map(drop)
        })
    }

    /// What is built beside a plugin's live generation.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn build(&self, name: &str) -> Result<Option<Build>, Error> {
        self.with(|connection| {
            connection
                .prepare_cached("SELECT generation, digest, preview FROM builds WHERE name = ?1")?
                .query_row([name], |row| {
                    Ok(Build { generation: row.get(0)?, digest: row.get(1)?, preview: row.get(2)? })
                })
                .optional()
        })
    }

    /// Stores what is built beside a plugin, or that nothing is.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn set_build(&self, name: &str, build: Option<&Build>) -> Result<(), Error> {
        self.with(|connection| match build {
            Some(Build { generation, digest, preview }) => connection
                .execute(
                    "INSERT OR REPLACE INTO builds VALUES (?1, ?2, ?3, ?4)",
                    (name, generation, digest, preview),
                )
                .map(drop),
            None => connection.execute("DELETE FROM builds WHERE name = ?1", [name]).map(drop),
        })
    }

    /// The digest that was taken up last from a file, and the name of its plugin.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn file(&self, path: &str) -> Result<Option<(String, String)>, Error> {
        self.with(|connection| {
            connection
                .prepare_cached("SELECT digest, name FROM files WHERE path = ?1")?
                .query_row([path], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })
    }

    /// All files that plugins were taken up from, and the names of those.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn files(&self) -> Result<Vec<(String, String)>, Error> {
        self.with(|connection| {
            connection
                .prepare_cached("SELECT path, name FROM files ORDER BY path")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
    }

    /// Stores what was taken up from a file, or that it is gone.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn set_file(&self, path: &str, taken: Option<(&str, &str)>) -> Result<(), Error> {
        self.with(|connection| match taken {
            Some((digest, name)) => connection
                .execute("INSERT OR REPLACE INTO files VALUES (?1, ?2, ?3)", (path, digest, name))
                .map(drop),
            None => connection.execute("DELETE FROM files WHERE path = ?1", [path]).map(drop),
        })
    }

    /// Forgets all files that a plugin was taken up from.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn forget_files(&self, name: &str) -> Result<(), Error> {
        self.with(|connection| connection.execute("DELETE FROM files WHERE name = ?1", [name]).map(drop))
    }

    /// Adds a line to the history.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn record(&self, entry: &Entry) -> Result<(), Error> {
        let Entry { at, name, digest, result, generation, by, reason } = entry;
        self.with(|connection| {
            connection
                .prepare_cached(
                    "INSERT INTO history (at, name, digest, result, generation, by, reason)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute((at, name, digest, result, generation, by, reason))
                .map(drop)
        })
    }

    /// The highest generation that the history of a plugin speaks of; 0 for none.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn last_generation(&self, name: &str) -> Result<u32, Error> {
        self.with(|connection| {
            connection
                .prepare_cached("SELECT coalesce(max(generation), 0) FROM history WHERE name = ?1")?
                .query_row([name], |row| row.get(0))
        })
    }

    /// The history of one plugin, or of all, oldest first.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn history(&self, name: Option<&str>) -> Result<Vec<Entry>, Error> {
        self.with(|connection| {
            connection
                .prepare_cached(
                    "SELECT at, name, digest, result, generation, by, reason FROM history
                     WHERE ?1 IS NULL OR name = ?1 ORDER BY seq",
                )?
                .query_map([name], |row| {
                    Ok(Entry {
                        at: row.get(0)?,
                        name: row.get(1)?,
                        digest: row.get(2)?,
                        result: row.get(3)?,
                        generation: row.get(4)?,
                        by: row.get(5)?,
                        reason: row.get(6)?,
                    })
                })?
                .collect()
        })
    }
}

const PLUGIN: &str =
    "SELECT name, digest, generation, fallback, previous_digest, previous_generation, wanted FROM plugins";

fn plugin(row: &Row<'_>) -> rusqlite::Result<Plugin> {
    let previous: (Option<String>, Option<u32>) = (row.get(4)?, row.get(5)?);
    Ok(Plugin {
        name: row.get(0)?,
        digest: row.get(1)?,
        generation: row.get(2)?,
        fallback: row.get(3)?,
        previous: previous.0.zip(previous.1),
        wanted: Wanted::parse(&row.get::<_, String>(6)?),
    })
}
