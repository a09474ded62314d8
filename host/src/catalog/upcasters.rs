//! Upcasters, as they were left. They have no files of their own: what they change is in the read models of others.

use super::{Catalog, Error, Wanted};
use rusqlite::{OptionalExtension as _, Row};

/// Made also where an earlier Lantern made the catalog: it is one more table.
pub(super) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS upcasters (
        name TEXT PRIMARY KEY,
        digest TEXT NOT NULL,
        previous_digest TEXT,                  -- what a rollback goes back to
        wanted TEXT NOT NULL CHECK (wanted IN ('running', 'paused', 'removed')),
        is_brought INTEGER NOT NULL            -- to whoever reads its topics
    );";

const UPCASTER: &str = "SELECT name, digest, previous_digest, wanted, is_brought FROM upcasters";

/// An upcaster as it was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upcaster {
    /// Its name.
    pub name: String,
    /// The digest of its plugin.
    pub digest: String,
    /// The digest of the plugin that a rollback goes back to.
    pub previous: Option<String>,
    /// Whether events go through it: it is never paused.
    pub wanted: Wanted,
    /// Whether all whom it concerns have been told of how it is now. If not, a crash came between.
    pub is_brought: bool,
}

impl Catalog {
    /// All upcasters, in the order of their names.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn upcasters(&self) -> Result<Vec<Upcaster>, Error> {
        self.with(|connection| {
            connection
                .prepare_cached(&format!("{UPCASTER} ORDER BY name"))?
                .query_map([], upcaster)?
                .collect()
        })
    }

    /// One upcaster.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn upcaster(&self, name: &str) -> Result<Option<Upcaster>, Error> {
        self.with(|connection| {
            connection
                .prepare_cached(&format!("{UPCASTER} WHERE name = ?1"))?
                .query_row([name], upcaster)
                .optional()
        })
    }

    /// Stores an upcaster, new or changed.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn put_upcaster(&self, upcaster: &Upcaster) -> Result<(), Error> {
        let Upcaster { name, digest, previous, wanted, is_brought } = upcaster;
        self.with(|connection| {
            connection
                .prepare_cached("INSERT OR REPLACE INTO upcasters VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute((name, digest, previous, wanted.as_str(), is_brought))
                .map(drop)
        })
    }
}

fn upcaster(row: &Row<'_>) -> rusqlite::Result<Upcaster> {
    Ok(Upcaster {
        name: row.get(0)?,
        digest: row.get(1)?,
        previous: row.get(2)?,
        wanted: Wanted::parse(&row.get::<_, String>(3)?),
        is_brought: row.get(4)?,
    })
}
