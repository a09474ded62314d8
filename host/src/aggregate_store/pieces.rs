//! What is read to fold an aggregate: its events in pieces, since all of them may be more than memory holds.

use super::store::{self, EVENT};
use super::{Error, Event, Reader, Store};
use rusqlite::Connection;

/// How much is read at once; one event always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The version behind which it begins.
    pub after: u64,
    /// The version with which it ends at the latest.
    pub to: u64,
    /// The most events.
    pub events_max: usize,
    /// The most bytes of their data.
    pub bytes_max: usize,
}

impl Store {
    /// The next events of an aggregate, in order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn piece(&self, id: &str, piece: Piece) -> Result<Vec<Event>, Error> {
        read(&self.connection, id, piece).map_err(|source| self.storage(source))
    }
}

impl Reader {
    /// The next events of an aggregate, in order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn piece(&self, id: &str, piece: Piece) -> Result<Vec<Event>, Error> {
        read(&self.connection, id, piece).map_err(|source| self.storage(source))
    }

    /// The bytes of the data of an aggregate's events up to a version, which are not read for it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn event_bytes(&self, id: &str, to: u64) -> Result<u64, Error> {
        let select = "SELECT coalesce(sum(length(payload)), 0) FROM events WHERE id = ?1 AND version <= ?2";
        let sum = || {
            let params = (id, i64::try_from(to).unwrap_or(i64::MAX));
            self.connection.prepare_cached(select)?.query_row(params, |row| store::count(row, 0))
        };
        sum().map_err(|source| self.storage(source))
    }
}

fn read(connection: &Connection, id: &str, piece: Piece) -> rusqlite::Result<Vec<Event>> {
    let version = |version: u64| i64::try_from(version).unwrap_or(i64::MAX);
    let select = format!(
        "SELECT {EVENT} FROM events WHERE id = ?1 AND version > ?2 AND version <= ?3 ORDER BY version LIMIT ?4"
    );
    let mut statement = connection.prepare_cached(&select)?;
    let limit = i64::try_from(piece.events_max.max(1)).unwrap_or(i64::MAX);
    let mut rows = statement.query((id, version(piece.after), version(piece.to), limit))?;
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let event = store::event(row)?;
        bytes += event.payload.len();
        if bytes > piece.bytes_max && !events.is_empty() {
            break;
        }
        events.push(event);
    }
    Ok(events)
}
