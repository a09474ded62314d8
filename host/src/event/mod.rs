//! Records of the log, envelopes, and the events in them.
//!
//! * [`Record`] is what the log holds: coordinates, key, payload and headers, borrowed from the client.
//! * [`open`] takes a record out of its [`Envelope`] and gives the [`Event`] in it.
//!
//! Nothing here allocates for a record whose type is in plain sight: this is the path of every event.
//! This module uses nothing of the crate, so that everything may use it.

mod envelope;
mod error;
pub mod fields;
mod headers;
mod json_field;
mod structured;

use std::borrow::Cow;

pub use envelope::{TOMBSTONE, open};
pub use error::{Error, Problem};
pub use headers::{AnyHeader, EventHeaders, Header, Headers};
pub use lantern_contract::manifest::Envelope;

/// One record of the log as it was read, borrowing from the client's buffers.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition's number.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// When it was created, or appended if the topic says so, in milliseconds since 1970; -1 when the
    /// record has no time.
    pub timestamp_ms: i64,
    /// The key; records of one key are in one partition, in order.
    pub key: Option<&'a [u8]>,
    /// The payload; `None` is a tombstone, which says that the key is gone.
    pub payload: Option<&'a [u8]>,
    /// The headers, which are read only when they are asked for.
    pub headers: Headers<'a>,
}

/// An event: a record whose type is known.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// The event's type.
    pub kind: Cow<'a, str>,
    /// The topic's name.
    pub topic: &'a str,
    /// The partition's number.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// The record's time in milliseconds since 1970; -1 when it has none.
    pub timestamp_ms: i64,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// What happened; `None` is a tombstone.
    pub payload: Option<Cow<'a, [u8]>>,
    /// The headers. The attributes of a CloudEvent are `ce_*` headers here, also when the event came
    /// structured.
    pub headers: EventHeaders<'a>,
}
