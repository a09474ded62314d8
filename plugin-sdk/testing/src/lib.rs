//! Read models in memory, for native tests of projections and process managers.

#[doc(hidden)]
pub mod sqlite;

use lantern_contract::frame::{events, rows};
use lantern_contract::manifest::Manifest;
use lantern_sdk::guest::Runner;
use lantern_sdk::value::{FromValue, Params};
use lantern_sdk::{Command, Error, GivenEvent, Projection, ROWS_MAX, Result, Rows};
use sqlite::Sqlite;
use std::marker::PhantomData;

/// What the host makes where a manifest says that commands are sent.
const OUTBOX: &str = "CREATE TABLE _lantern_outbox (seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, \
     aggregate TEXT NOT NULL, id TEXT NOT NULL, command TEXT NOT NULL, payload BLOB NOT NULL, due_ms INTEGER, \
     correlation TEXT, causation TEXT)";

/// A projection on a database in memory.
///
/// What it is given takes the way that it takes in the host: as a frame, by the types and headers that the manifest names, in one
/// transaction for each batch. What only the host does is tested by `lantern test`: envelopes, upcasters, limits, and the SQL
/// that it refuses.
///
/// ```
/// # use lantern_sdk::{Db, Event, Manifest, Projection, Result, Table, given_event};
/// # use serde::Deserialize;
/// # #[derive(Deserialize)]
/// # enum Account { Deposited { account: String, cents: i64 } }
/// # static BALANCES: Table = Table::new("balances", &["account"], &["cents"]);
/// # #[derive(Default)]
/// # struct Balances;
/// # impl Projection for Balances {
/// #     fn manifest() -> Manifest {
/// #         Manifest::new("balances").topic("accounts")
/// #             .schema("CREATE TABLE balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL)")
/// #     }
/// #     fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
/// #         let Account::Deposited { account, cents } = event.decode()?;
/// #         db.upsert(&BALANCES, account).add("cents", cents);
/// #         Ok(())
/// #     }
/// # }
/// use lantern_testing::ReadModel;
///
/// let mut balances = ReadModel::<Balances>::new()?;
/// balances.apply([
///     given_event("Deposited", r#"{"account":"ada","cents":500}"#),
///     given_event("Deposited", r#"{"account":"ada","cents":200}"#),
/// ])?;
/// assert_eq!(balances.rows("SELECT account, cents FROM balances")?, ["ada|700"]);
/// # Ok::<(), lantern_sdk::Error>(())
/// ```
pub struct ReadModel<P> {
    runner: Runner,
    sqlite: Sqlite,
    manifest: Manifest,
    next_offset: i64,
    projection: PhantomData<P>,
}

impl<P: Projection> ReadModel<P> {
    /// The projection's tables, empty.
    ///
    /// # Errors
    /// When the manifest is none that a host takes, or SQLite refuses its schema.
    pub fn new() -> Result<Self> {
        let manifest = P::manifest().check()?;
        let sqlite = Sqlite::new(&schema(&manifest))?;
        let runner = Runner::new(Box::new(sqlite.clone()));
        Ok(ReadModel { runner, sqlite, manifest, next_offset: 0, projection: PhantomData })
    }

    /// Applies events as one batch. Those of types that the manifest does not name are passed over.
    ///
    /// # Errors
    /// When the projection fails, or SQLite refuses what it writes. [`Error::event`] says which of these events is at fault.
    /// Nothing of the batch is left behind.
    pub fn apply(&mut self, given: impl IntoIterator<Item = GivenEvent<P>>) -> Result<()> {
        let mut writer = events::Writer::new();
        let mut places = Vec::new();
        for (place, event) in given.into_iter().enumerate() {
            let offset = self.next_offset;
            self.next_offset += 1;
            if self.manifest.types.is_empty() || self.manifest.types.iter().any(|kind| kind == event.kind()) {
                event.write(&self.manifest, offset, &mut writer);
                places.push(place as u32);
            }
        }
        let mut frame = Vec::new();
        writer.finish(&mut frame);
        let (runner, sqlite) = (&mut self.runner, &self.sqlite);
        sqlite.transaction(|| {
            let applied = runner.apply::<P>(&frame);
            let applied = applied.map_err(|it| Error::new(it.fault, it.message).at_event(it.index));
            let written = applied.and_then(|writes| sqlite.write(&writes));
            // Not every event was in the frame.
            let counted = |error: Error| {
                let place = error.event().and_then(|event| places.get(event as usize).copied());
                Error::new(error.fault(), error.message()).at_event(place)
            };
            written.map(drop).map_err(counted)
        })
    }

    /// What a query answers, with its parameters in order.
    ///
    /// # Errors
    /// When SQLite refuses it.
    pub fn query(&self, sql: &str, params: impl Params) -> Result<Rows> {
        let mut writer = rows::Writer::new();
        writer.push_with(|arena| params.write(arena))?;
        let mut frame = Vec::new();
        writer.finish(&mut frame);
        Rows::new(self.sqlite.read(sql, &frame, ROWS_MAX)?)
    }

    /// The first column of a query's first row; `None` when it has no row.
    ///
    /// # Errors
    /// As [`query`](Self::query), and when the value does not fit the type.
    pub fn query_value<T: for<'a> FromValue<'a>>(&self, sql: &str, params: impl Params) -> Result<Option<T>> {
        self.query(sql, params)?.first().map(|row| row.get(0)).transpose()
    }

    /// All rows of a query as text, their columns by `|`: what to compare a whole table with.
    ///
    /// # Errors
    /// When SQLite refuses it.
    pub fn rows(&self, sql: &str) -> Result<Vec<String>> {
        self.sqlite.rows(sql)
    }

    /// The commands that wait to be sent, by their keys and in their order.
    ///
    /// # Errors
    /// When the manifest names no aggregate that any are sent to.
    pub fn sent(&self) -> Result<Vec<(String, Command)>> {
        let sql = "SELECT key, aggregate, id, command, payload, due_ms FROM _lantern_outbox ORDER BY seq";
        self.query(sql, ())?.iter().map(|row| Command::stored(&row)).collect()
    }
}

/// The statements that the host runs on an empty database.
fn schema(manifest: &Manifest) -> Vec<String> {
    let mut schema = manifest.schema.clone();
    if !manifest.sends.is_empty() {
        let names: Vec<String> = manifest.sends.iter().map(|name| format!("'{name}'")).collect();
        schema.push(OUTBOX.to_owned());
        schema.push(format!(
            "CREATE TRIGGER _lantern_outbox_sends BEFORE INSERT ON _lantern_outbox WHEN NEW.aggregate NOT IN ({}) BEGIN \
             SELECT RAISE(ABORT, 'the manifest''s `sends` does not name this aggregate'); END",
            names.join(", ")
        ));
    }
    schema
}
