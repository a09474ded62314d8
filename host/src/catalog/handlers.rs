//! Command handlers, as they were left. They have no generations: their state is folded from the topic that they append to.

use super::{Catalog, Error, Wanted};
use rusqlite::{OptionalExtension as _, Row};

/// Made also where an earlier Lantern made the catalog: it is one more table.
pub(super) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS handlers (
        name TEXT PRIMARY KEY,
        digest TEXT NOT NULL,
        previous_digest TEXT,                  -- what a rollback goes back to
        wanted TEXT NOT NULL CHECK (wanted IN ('running', 'paused', 'removed'))
    );";

const HANDLER: &str = "SELECT name, digest, previous_digest, wanted FROM handlers";

/// A command handler as it was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    /// Its name, the type of its aggregates.
    pub name: String,
    /// The digest of the plugin that decides.
    pub digest: String,
    /// The digest of the plugin that a rollback goes back to.
    pub previous: Option<String>,
    /// What is wanted of it.
    pub wanted: Wanted,
}

impl Catalog {
    /// All command handlers, in the order of their names.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn handlers(&self) -> Result<Vec<Handler>, Error> {
        self.with(|connection| {
            connection.prepare_cached(&format!("{HANDLER} ORDER BY name"))?.query_map([], handler)?.collect()
        })
    }

    /// One command handler.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn handler(&self, name: &str) -> Result<Option<Handler>, Error> {
        self.with(|connection| {
            connection
                .prepare_cached(&format!("{HANDLER} WHERE name = ?1"))?
                .query_row([name], handler)
                .optional()
        })
    }

    /// Stores a command handler, new or changed.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn put_handler(&self, handler: &Handler) -> Result<(), Error> {
        let Handler { name, digest, previous, wanted } = handler;
        self.with(|connection| {
            connection
                .prepare_cached("INSERT OR REPLACE INTO handlers VALUES (?1, ?2, ?3, ?4)")?
                .execute((name, digest, previous, wanted.as_str()))
                .map(drop)
        })
    }
}

fn handler(row: &Row<'_>) -> rusqlite::Result<Handler> {
    Ok(Handler {
        name: row.get(0)?,
        digest: row.get(1)?,
        previous: row.get(2)?,
        wanted: Wanted::parse(&row.get::<_, String>(3)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // A data folder of the version before handlers must open, and a handler must be there after the next start.
    #[test]
    fn handlers_are_kept_also_in_a_catalog_that_was_made_without_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lantern.db");
        let first = Catalog::open(&path).unwrap();
        first.with(|connection| connection.execute_batch("DROP TABLE handlers")).unwrap();
        drop(first);
        let account =
            Handler { name: "account".into(), digest: "d1".into(), previous: None, wanted: Wanted::Running };
        let catalog = Catalog::open(&path).unwrap();
        assert_eq!(catalog.handler("account").unwrap(), None);
        catalog.put_handler(&account).unwrap();
        let next =
            Handler { digest: "d2".into(), previous: Some("d1".into()), wanted: Wanted::Paused, ..account };
        catalog.put_handler(&next).unwrap();
        drop(catalog);
        assert_eq!(Catalog::open(&path).unwrap().handlers().unwrap(), [next]);
    }
}
