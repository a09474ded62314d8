//! What a projection is given.

use crate::decode::decode;
use crate::error::{Error, Fault, Result};
use lantern_contract::frame::events;
use serde::Deserialize;
use std::fmt;

/// One event, borrowed from its batch. Nothing of it is decoded before it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    inner: events::Event<'a>,
}

impl<'a> Event<'a> {
    pub(crate) fn new(inner: events::Event<'a>) -> Self {
        Event { inner }
    }

    /// The event's type, as its envelope has it.
    pub fn kind(&self) -> &'a str {
        self.inner.kind
    }

    /// The topic that it was read from.
    pub fn topic(&self) -> &'a str {
        self.inner.topic
    }

    /// The partition of that topic.
    pub fn partition(&self) -> i32 {
        self.inner.partition
    }

    /// Its offset in that partition.
    pub fn offset(&self) -> i64 {
        self.inner.offset
    }

    /// The record's time in Unix milliseconds; -1 when it has none. This is the only clock there is.
    pub fn timestamp_ms(&self) -> i64 {
        self.inner.timestamp_ms
    }

    /// The event's place in its batch, counted from 0.
    pub fn index(&self) -> u32 {
        self.inner.index()
    }

    /// The record's key.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.inner.key
    }

    /// The record's key as text.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when there is none, or it is not UTF-8.
    pub fn key_str(&self) -> Result<&'a str> {
        let key = self.inner.key.ok_or_else(|| self.bad_input("it has no key"))?;
        std::str::from_utf8(key).map_err(|error| self.bad_input(format_args!("its key is not text: {error}")))
    }

    /// The event's data; `None` is a tombstone.
    pub fn payload(&self) -> Option<&'a [u8]> {
        self.inner.payload
    }

    /// The event's data as text.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when it has none, or it is not UTF-8.
    pub fn text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.data()?)
            .map_err(|error| self.bad_input(format_args!("its data is not text: {error}")))
    }

    /// The first header of this name; `None` where there is none, or it has no value. Only the headers that the
    /// manifest names are there.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        // A mangled header ends the search; the host writes none.
        let (_, value) =
            self.inner.headers().map_while(|entry| entry.ok()).find(|(found, _)| *found == name)?;
        value
    }

    /// The event's JSON as one of the variants of an enum: the one named as the event's type.
    ///
    /// The variant's content is the event's data. `&str` and `Cow<str>` borrow from it where they can (a `&str` cannot
    /// hold a text that was escaped). A unit variant ignores the data, so that `#[serde(other)]` takes all other types.
    ///
    /// # Errors
    /// [`Fault::BadInput`] with the event's coordinates and the line and column of its data.
    pub fn decode<T: Deserialize<'a>>(&self) -> Result<T> {
        decode(self.inner.kind, self.data()?).map_err(|error| self.bad_input(error))
    }

    /// The event's data as JSON, whatever its type.
    ///
    /// # Errors
    /// [`Fault::BadInput`] with the event's coordinates and the line and column of its data.
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T> {
        serde_json::from_slice(self.data()?).map_err(|error| self.bad_input(error))
    }

    /// An error of [`Fault::BadInput`] that names this event: its topic, partition, offset and type.
    pub fn bad_input(&self, reason: impl fmt::Display) -> Error {
        Error::new(Fault::BadInput, format!("{self}: {reason}"))
    }

    fn data(&self) -> Result<&'a [u8]> {
        self.inner.payload.ok_or_else(|| self.bad_input("it has no data: it is a tombstone"))
    }
}

/// The event's coordinates: `topic/partition@offset (type)`.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events::Event { topic, partition, offset, kind, .. } = &self.inner;
        write!(f, "{topic}/{partition}@{offset} ({kind})")
    }
}
