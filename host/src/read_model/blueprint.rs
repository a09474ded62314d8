//! What a database is made for: whose it is, its schema, its state version.

use super::authorizer::{Actor, Authorizer};
use super::{Error, checkpoint, journal, outbox};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;

/// "LNTN", so that `file` and friends can tell a read model from another database.
const APPLICATION_ID: i32 = 0x4C4E_544E;
/// The layout of Lantern's own tables, in SQLite's `user_version`.
const FORMAT_VERSION: i32 = 2;
/// Where a read model says which upcasters its events come through, and what of them its rows depend on.
pub(super) const UPCASTERS: &str = "upcasters";
const UPCAST_VERSION: &str = "upcast_version";
/// How long to wait for somebody else's lock.
const BUSY: Duration = Duration::from_secs(5);
/// How much of a statement an error shows.
const SHOWN_BYTES_MAX: usize = 200;

/// What a plugin's read model has to be.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// The plugin's name.
    pub plugin: String,
    /// The digest of its bytes.
    pub digest: String,
    /// Its schema, statement by statement.
    pub schema: Vec<String>,
    /// Its state version.
    pub state_version: u32,
    /// The aggregates that it sends commands to, by type.
    pub sends: Vec<String>,
    /// The digests of the upcasters that its events come through.
    pub upcasters: Vec<String>,
    /// What of those the rows depend on: their names and state versions.
    pub upcast_version: String,
}

impl Blueprint {
    /// Who applies events for it, as the journal says.
    pub fn author(&self) -> String {
        journal::author(&self.digest, &self.upcasters)
    }

    fn schema_digest(&self) -> String {
        let mut hasher = Sha256::new();
        for statement in &self.schema {
            hasher.update((statement.len() as u64).to_le_bytes());
            hasher.update(statement.as_bytes());
        }
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a read model can go on with this: it was built with the same schema and state version, or is
    /// not there yet.
    ///
    /// # Errors
    /// When there is a file and it cannot be read, or is no read model of this plugin.
    pub fn fits(&self, path: &Path) -> Result<bool, Error> {
        if !path.exists() {
            return Ok(true);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .map_err(|source| Error::Open { path: path.into(), source })?;
        let storage = |source| Error::Storage { path: path.into(), source };
        connection.busy_timeout(BUSY).map_err(storage)?;
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(storage)?;
        if tables == 0 {
            return Ok(true);
        }
        match self.compare(&connection, path) {
            Err(Error::Differs { .. }) => Ok(false),
            compared => compared.map(|()| true),
        }
    }

    /// Makes an empty database into this read model, or checks that an existing one is it.
    pub fn ensure(&self, connection: &Connection, authorizer: &Authorizer, path: &Path) -> Result<(), Error> {
        let storage = |source| Error::Storage { path: path.into(), source };
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
            .map_err(storage)?;
        authorizer.let_send(!self.sends.is_empty());
        if tables == 0 {
            connection.execute_batch("BEGIN IMMEDIATE").map_err(storage)?;
            let created = self.create(connection, authorizer, path);
            authorizer.set(Actor::Host);
            let end = if created.is_ok() { "COMMIT" } else { "ROLLBACK" };
            connection.execute_batch(end).map_err(storage)?;
            return created;
        }
        self.check(connection, path)?;
        // Whether it sends commands may change without a rebuild.
        outbox::ensure(connection, self).map_err(storage)
    }

    fn create(&self, connection: &Connection, authorizer: &Authorizer, path: &Path) -> Result<(), Error> {
        let storage = |source| Error::Storage { path: path.into(), source };
        connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(storage)?;
        connection.pragma_update(None, "user_version", FORMAT_VERSION).map_err(storage)?;
        connection
            .execute_batch(
                "CREATE TABLE _lantern_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
            )
            .and_then(|()| connection.execute_batch(checkpoint::TABLES))
            .and_then(|()| connection.execute_batch(journal::TABLES))
            .and_then(|()| outbox::ensure(connection, self))
            .map_err(storage)?;
        for (key, value) in [
            ("plugin", self.plugin.clone()),
            ("digest", self.digest.clone()),
            ("schema", self.schema_digest()),
            ("state_version", self.state_version.to_string()),
            (UPCASTERS, self.upcasters.join(" ")),
            (UPCAST_VERSION, self.upcast_version.clone()),
        ] {
            connection
                .execute("INSERT INTO _lantern_meta (key, value) VALUES (?1, ?2)", (key, value))
                .map_err(storage)?;
        }
        authorizer.set(Actor::Schema);
        for (index, sql) in self.schema.iter().enumerate() {
            connection.execute_batch(sql).map_err(|source| {
                let full = source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
                if full {
                    return storage(source);
                }
                let reason = authorizer.take_refusal().unwrap_or_else(|| source.to_string());
                Error::Schema { number: index + 1, sql: beginning(sql), reason }
            })?;
        }
        Ok(())
    }

    /// Takes over an existing read model, if it is this one.
    fn check(&self, connection: &Connection, path: &Path) -> Result<(), Error> {
        self.compare(connection, path)?;
        let storage = |source| Error::Storage { path: path.into(), source };
        for (key, value) in [("digest", &self.digest), (UPCASTERS, &self.upcasters.join(" "))] {
            if meta(connection, key).map_err(storage)?.unwrap_or_default() != *value {
                connection
                    .execute(
                        "INSERT OR REPLACE INTO _lantern_meta (key, value) VALUES (?1, ?2)",
                        (key, value),
                    )
                    .map_err(storage)?;
            }
        }
        Ok(())
    }

    fn compare(&self, connection: &Connection, path: &Path) -> Result<(), Error> {
        let storage = |source| Error::Storage { path: path.into(), source };
        let foreign = |reason: String| Error::Foreign { path: path.into(), reason };
        let pragma = |name: &str| {
            connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0)).map_err(storage)
        };
        if pragma("application_id")? != APPLICATION_ID {
            return Err(foreign("its application id is another".into()));
        }
        let format = pragma("user_version")?;
        if format != FORMAT_VERSION {
            return Err(foreign(format!(
                "its format is {format}, this Lantern knows {FORMAT_VERSION} (was it written by a newer one?)"
            )));
        }
        let meta = |key: &str| meta(connection, key).map_err(storage);
        let plugin = meta("plugin")?.unwrap_or_default();
        if plugin != self.plugin {
            return Err(foreign(format!("it belongs to the plugin {plugin:?}, not {:?}", self.plugin)));
        }
        let stored_version = meta("state_version")?.unwrap_or_default();
        let stored_schema = meta("schema")?.unwrap_or_default();
        // One that was made before there were upcasters says nothing of them.
        let stored_upcast = meta(UPCAST_VERSION)?.unwrap_or_default();
        let (version, schema) = (self.state_version.to_string(), self.schema_digest());
        if stored_version != version || stored_schema != schema || stored_upcast != self.upcast_version {
            let describe = |version: &str, schema: &str, upcast: &str| {
                let schema = schema.get(..12).unwrap_or(schema);
                let through = if upcast.is_empty() { "none" } else { upcast };
                format!("state version {version}, schema {schema} and upcasters {through}")
            };
            return Err(Error::Differs {
                path: path.into(),
                stored: describe(&stored_version, &stored_schema, &stored_upcast),
                new: describe(&version, &schema, &self.upcast_version),
            });
        }
        Ok(())
    }
}

/// What a read model remembers of itself.
pub fn meta(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM _lantern_meta WHERE key = ?1", [key], |row| row.get(0)).optional()
}

/// The beginning of a statement, for an error.
pub fn beginning(sql: &str) -> String {
    let sql = sql.trim();
    if sql.len() <= SHOWN_BYTES_MAX {
        return sql.to_owned();
    }
    let end = (0..=SHOWN_BYTES_MAX).rev().find(|&at| sql.is_char_boundary(at)).unwrap_or(0);
    format!("{}...", &sql[..end])
}
