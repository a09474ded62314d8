//! The one connection that writes a read model.

use super::authorizer::{Actor, Authorizer};
use super::checkpoint::{self, Advance, Checkpoints};
use super::durability::{self, Durability};
use super::statements::{Fault, Refusal, Session, Statements};
use super::{Blueprint, Error, clock, journal};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long SQLite waits for somebody else's lock before the projection pauses.
const BUSY_MS: u64 = 2_000;
/// SQLite's steps between two looks at the clock: some tens of microseconds.
const STEPS_PER_LOOK: i32 = 10_000;
/// Prepared statements that stay; more than a plugin uses.
const STATEMENTS_CACHED: usize = 256;
/// Pages that the connection keeps: 16 MiB.
const CACHE_KIB: i32 = 16 * 1024;

/// The writer of one read model. One batch is one transaction: [`Writer::begin`], any number of
/// [`Writer::apply`] and [`Writer::query`], [`Writer::commit`].
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    authorizer: Authorizer,
    path: PathBuf,
    /// The journal's id of the plugin that writes.
    plugin: i64,
    statements: Statements,
    deadline: Deadline,
    /// The first statement of the transaction that failed by disk, lock or damage.
    sick: Option<Refusal>,
    committed: Option<Committed>,
}

/// Who is told of every commit.
struct Committed(Box<Tell>);

type Tell = dyn Fn(&[Advance]) + Send;

impl std::fmt::Debug for Committed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Committed")
    }
}

/// The moment at which SQLite gives up, shared with its progress handler.
#[derive(Clone, Debug)]
struct Deadline {
    start: Instant,
    /// Milliseconds after `start`; `u64::MAX` is never.
    at_ms: Arc<AtomicU64>,
}

impl Deadline {
    fn set(&self, at: Option<Instant>) {
        let at_ms = at.map_or(u64::MAX, |at| at.saturating_duration_since(self.start).as_millis() as u64);
        self.at_ms.store(at_ms, Ordering::Relaxed);
    }

    fn is_past(&self) -> bool {
        let at_ms = self.at_ms.load(Ordering::Relaxed);
        at_ms != u64::MAX && self.start.elapsed().as_millis() as u64 >= at_ms
    }
}

impl Writer {
    /// Opens a read model, or makes it when there is none.
    ///
    /// # Errors
    /// When the file cannot be opened, is not this plugin's, or was built with another schema or state version;
    /// [`Error::Unsettled`] when it was being built and the machine went down.
    pub fn open(path: &Path, blueprint: &Blueprint, durability: Durability) -> Result<Self, Error> {
        let opened = |source| Error::Open { path: path.into(), source };
        let mut connection = Connection::open(path).map_err(opened)?;
        // Any of the following may be the first to notice that the disk is full or the file is not a database.
        let storage = |source| Error::Storage { path: path.into(), source };
        connection.busy_timeout(Duration::from_millis(BUSY_MS)).map_err(storage)?;
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;
                 PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -{CACHE_KIB};"
            ))
            .map_err(storage)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        clock::forbid(&connection).map_err(storage)?;
        let deadline = Deadline { start: Instant::now(), at_ms: Arc::new(AtomicU64::new(u64::MAX)) };
        let seen = deadline.clone();
        connection.progress_handler(STEPS_PER_LOOK, Some(move || seen.is_past())).map_err(storage)?;
        let authorizer = Authorizer::install(&mut connection).map_err(storage)?;
        blueprint.ensure(&connection, &authorizer, path)?;
        durability::enter(&connection, path, durability)?;
        let plugin = journal::plugin(&connection, &blueprint.author()).map_err(storage)?;
        let statements = Statements::default();
        let (sick, committed) = (None, None);
        Ok(Writer {
            connection,
            authorizer,
            path: path.into(),
            plugin,
            statements,
            deadline,
            sick,
            committed,
        })
    }

    /// Goes on for another plugin, which must have the same schema and state version.
    ///
    /// # Errors
    /// When it has not, or the database cannot be written.
    pub fn adopt(&mut self, blueprint: &Blueprint) -> Result<(), Error> {
        blueprint.ensure(&self.connection, &self.authorizer, &self.path)?;
        self.plugin =
            journal::plugin(&self.connection, &blueprint.author()).map_err(|source| self.storage(source))?;
        self.statements = Statements::default();
        Ok(())
    }

    /// Makes everything that was written durable, and goes on as [`Durability::Normal`].
    ///
    /// # Errors
    /// When the disk refuses, or a reader of an earlier moment is in the way; then try again.
    pub fn settle(&mut self) -> Result<(), Error> {
        durability::settle(&self.connection, &self.path)
    }

    /// Has every commit told from now on, by how the checkpoints moved, on the thread that commits.
    pub fn on_commit(&mut self, tell: impl Fn(&[Advance]) + Send + 'static) {
        self.committed = Some(Committed(Box::new(tell)));
    }

    fn storage(&self, source: rusqlite::Error) -> Error {
        Error::Storage { path: self.path.clone(), source }
    }

    /// The next offsets to apply.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn checkpoints(&self) -> Result<Checkpoints, Error> {
        checkpoint::load(&self.connection).map_err(|source| self.storage(source))
    }

    /// Takes up a partition that the read model does not have yet, at the log's first offset.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn begin_partition(&self, topic: &str, partition: i32, offset: i64) -> Result<(), Error> {
        checkpoint::begin(&self.connection, topic, partition, offset).map_err(|source| self.storage(source))
    }

    /// When SQLite gives up on a statement of the plugin; `None` is never.
    pub fn set_deadline(&self, at: Option<Instant>) {
        self.deadline.set(at);
    }

    /// Starts a transaction.
    ///
    /// # Errors
    /// When the database is locked by somebody else or cannot be written.
    pub fn begin(&mut self) -> Result<(), Error> {
        self.sick = None;
        self.execute("BEGIN IMMEDIATE")
    }

    /// Ends the transaction: the checkpoints move with the rows, or neither does.
    ///
    /// # Errors
    /// When a checkpoint is not where this writer left it, the disk refuses, or has refused a statement, whoever was told of it; the
    /// transaction is rolled back.
    pub fn commit(&mut self, runs: &[Advance]) -> Result<(), Error> {
        self.set_deadline(None);
        if let Some(sick) = self.sick.take() {
            self.rollback();
            return Err(Error::Statement(sick));
        }
        if self.connection.is_autocommit() {
            return Err(Error::Query(
                "the plugin's SQL ended the batch's transaction (ON CONFLICT ROLLBACK?)".into(),
            ));
        }
        let done = checkpoint::advance(&self.connection, &self.path, runs)
            .and_then(|()| {
                journal::record(&self.connection, self.plugin, runs).map_err(|source| self.storage(source))
            })
            .and_then(|()| self.execute("COMMIT"));
        match (&done, &self.committed) {
            (Ok(()), Some(Committed(tell))) => tell(runs),
            (Ok(()), None) => {}
            (Err(_), _) => self.rollback(),
        }
        done
    }

    /// Undoes the transaction, if there is one.
    pub fn rollback(&mut self) {
        self.set_deadline(None);
        if self.connection.is_autocommit() {
            return;
        }
        // SQLite rolls back by itself when a statement fails badly: then there is nothing left to undo.
        if let Err(error) = self.execute("ROLLBACK") {
            tracing::debug!(%error, "rollback");
        }
    }

    fn execute(&self, sql: &str) -> Result<(), Error> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(|source| self.storage(source))
    }

    /// Checks a statement of the plugin and gives it an id.
    ///
    /// # Errors
    /// When SQLite or the authorizer refuses it.
    pub fn prepare(&mut self, sql: &str) -> Result<u32, Refusal> {
        let Writer { connection, authorizer, statements, .. } = self;
        authorizer.set(Actor::Plugin);
        let id = statements.prepare(Session { connection, authorizer }, sql);
        authorizer.set(Actor::Host);
        id.map_err(|refusal| self.note(refusal))
    }

    /// Runs a frame of the plugin's writes within the transaction; answers how many rows changed.
    ///
    /// # Errors
    /// When the frame is mangled or SQLite refuses a write; what went before it is rolled back with the batch.
    pub fn apply(&mut self, ops: &[u8]) -> Result<u32, Refusal> {
        self.as_plugin(|statements, session| statements.apply(session, ops))
    }

    /// Runs a statement of the plugin that reads, within the transaction.
    ///
    /// # Errors
    /// When the frame is mangled or SQLite refuses the statement.
    pub fn query(&mut self, statement: u32, params: &[u8], rows_max: u32) -> Result<Vec<u8>, Refusal> {
        self.as_plugin(|statements, session| statements.query(session, statement, params, rows_max))
    }

    fn as_plugin<T>(
        &mut self,
        run: impl FnOnce(&Statements, Session<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let Writer { connection, authorizer, statements, .. } = self;
        if connection.is_autocommit() {
            // A full disk ends the transaction too, and no plugin or event is to blame for what comes after.
            if let Some(sick) = &self.sick {
                return Err(sick.clone());
            }
            let message = "the batch's transaction has ended: an earlier statement of it failed".into();
            return Err(Refusal { fault: Fault::Sql, message, event: None });
        }
        authorizer.set(Actor::Plugin);
        let done = run(statements, Session { connection, authorizer });
        authorizer.set(Actor::Host);
        done.map_err(|refusal| self.note(refusal))
    }

    /// Remembers what must keep the transaction from being committed, also when the plugin goes on as if nothing were.
    fn note(&mut self, mut refusal: Refusal) -> Refusal {
        if refusal.is_of_storage() {
            refusal.message = format!("{}: {}", self.path.display(), refusal.message);
            self.sick.get_or_insert_with(|| refusal.clone());
        }
        refusal
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Scratch, TABLE, advance, frame};
    use super::*;
    use lantern_contract::frame::value::Value;
    use std::os::unix::fs::FileExt as _;

    /// A read model of one table with a row, and its statement to insert another.
    fn begun(scratch: &Scratch) -> (Writer, u32) {
        let mut writer = scratch.open(&[TABLE]).unwrap();
        writer.begin_partition("a", 0, 0).unwrap();
        let insert = writer.prepare("INSERT INTO t VALUES (NULL, ?1)").unwrap();
        write(&mut writer, insert, 1).unwrap();
        writer.commit(&[advance(0, 1)]).unwrap();
        (writer, insert)
    }

    /// Begins a transaction and writes a row of so many bytes.
    fn write(writer: &mut Writer, insert: u32, bytes: usize) -> Result<u32, Refusal> {
        writer.begin().unwrap();
        writer.apply(&frame(insert, &[Value::Blob(&vec![1; bytes])]))
    }

    // A full disk ends the transaction by itself. What a plugin does after that in the same batch must not be blamed on it, and
    // what it did before must not be taken to be committed.
    #[test]
    fn a_disk_that_was_full_in_the_middle_is_to_blame_for_the_whole_transaction() {
        let scratch = Scratch::new();
        let (mut writer, insert) = begun(&scratch);
        let pages: i64 = writer.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        let limit = |writer: &Writer, pages: i64| {
            let sql = format!("PRAGMA max_page_count = {pages}");
            writer.connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap();
        };
        limit(&writer, pages + 1);
        let refusal = write(&mut writer, insert, 100_000).unwrap_err();
        assert!(
            refusal.fault == Fault::Storage && refusal.message.contains("full: free some space"),
            "{refusal}"
        );
        assert!(writer.connection.is_autocommit(), "SQLite has ended the transaction");
        let later = writer.apply(&frame(insert, &[Value::Null])).unwrap_err();
        assert_eq!(later, refusal, "nothing else was wrong");
        let error = writer.commit(&[advance(1, 2)]).unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("full"), "{error}");

        limit(&writer, 1_000_000);
        write(&mut writer, insert, 100_000).unwrap();
        writer.commit(&[advance(1, 2)]).unwrap();
    }

    // Waiting mends no damage: who waits is told nothing, and `run --once` would never end.
    #[test]
    fn damage_is_not_waited_for_and_says_what_to_do() {
        let scratch = Scratch::new();
        let (writer, _) = begun(&scratch);
        let sql = "SELECT (rootpage - 1) * (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = 't'";
        let at: i64 = writer.connection.query_row(sql, [], |row| row.get(0)).unwrap();
        drop(writer);
        let file = std::fs::File::options().write(true).open(scratch.path()).unwrap();
        file.write_all_at(&[0xff; 512], at as u64).unwrap();
        let mut writer = scratch.open(&[TABLE]).unwrap();
        let insert = writer.prepare("INSERT INTO t VALUES (NULL, ?1)").unwrap();
        let refusal = write(&mut writer, insert, 1).unwrap_err();
        let file = scratch.path().display().to_string();
        for word in [file.as_str(), "damaged", "-wal", "lantern restore"] {
            assert!(refusal.message.contains(word), "not a word of {word}: {refusal}");
        }
        assert_eq!(refusal.fault, Fault::Damage);
        let error = writer.commit(&[advance(1, 2)]).unwrap_err();
        assert!(matches!(error, Error::Statement(_)) && !error.is_transient(), "{error}");

        std::fs::write(scratch.path(), "this is no database ".repeat(1_000)).unwrap();
        let error = scratch.open(&[TABLE]).unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains("damaged"), "{error}");
    }
}
