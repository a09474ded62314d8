//! What an upcaster makes of an event, tested natively.

use crate::error::{Error, Result};
use crate::guest;
use crate::upcaster::{Upcast, Upcaster};
use lantern_contract::frame::{events, upcast};
use std::marker::PhantomData;

/// An event as it was written once: its type and its data.
///
/// ```
/// # use lantern_sdk::{Event, Manifest, Result, Upcast, Upcaster, given_event};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Deserialize)]
/// # enum Old { PlacedV1 { units: i64 } }
/// # #[derive(Serialize)]
/// # enum New { Placed { cents: i64 } }
/// # struct Prices;
/// # impl Upcaster for Prices {
/// #     type Old = Old;
/// #     type New = New;
/// #     fn manifest() -> Manifest { Manifest::new("prices").topic("orders").types(["PlacedV1"]) }
/// #     fn upcast(old: Old, _: &Event<'_>) -> Result<New> {
/// #         let Old::PlacedV1 { units } = old;
/// #         Ok(New::Placed { cents: units * 100 })
/// #     }
/// # }
/// let today = given_event::<Prices>("PlacedV1", r#"{"units":5}"#).upcast().unwrap();
/// assert_eq!(today, Upcast::of(&New::Placed { cents: 500 }).unwrap());
/// ```
pub fn given_event<U: Upcaster>(kind: impl Into<String>, data: impl Into<Vec<u8>>) -> GivenEvent<U> {
    GivenEvent {
        kind: kind.into(),
        payload: Some(data.into()),
        key: None,
        time_ms: -1,
        headers: Vec::new(),
        upcaster: PhantomData,
    }
}

/// An old event for an [`Upcaster`].
#[derive(Clone, Debug)]
pub struct GivenEvent<U> {
    kind: String,
    payload: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    time_ms: i64,
    headers: Vec<(String, Vec<u8>)>,
    upcaster: PhantomData<U>,
}

impl<U: Upcaster> GivenEvent<U> {
    /// Its key, where that matters.
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Its time in Unix milliseconds; none if it is not said.
    pub fn at_ms(mut self, time_ms: i64) -> Self {
        self.time_ms = time_ms;
        self
    }

    /// One of its headers.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Without data: a tombstone.
    pub fn tombstone(mut self) -> Self {
        self.payload = None;
        self
    }

    /// What it is today.
    ///
    /// # Errors
    /// When its type is none that the manifest names, or the upcaster cannot tell.
    pub fn upcast(&self) -> Result<Upcast> {
        let manifest = U::manifest().check()?;
        manifest.check_upcaster()?;
        if !manifest.types.contains(&self.kind) {
            let (name, types) = (&manifest.name, manifest.types.join(", "));
            return Err(Error::bad_input(format!(
                "{name} is not given events of type {}: its manifest names {types}",
                self.kind
            )));
        }
        let mut writer = events::Writer::new();
        let event = events::NewEvent {
            kind: &self.kind,
            topic: manifest.topics.first().map_or("", String::as_str),
            partition: 0,
            offset: 0,
            timestamp_ms: self.time_ms,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
        };
        writer.push(event, self.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_slice()))));
        let mut frame = Vec::new();
        writer.finish(&mut frame);
        let failed = |failure: guest::Failure| Error::new(failure.fault, failure.message);
        let answer = guest::upcast::<U>(&frame).map_err(failed)?;
        let upcasted = upcast::Upcasted::parse(&answer)?;
        let today = upcasted.iter().next().ok_or_else(|| Error::bad_input("it answered no event"))??;
        let kind = today.kind.to_owned();
        Ok(match today.payload {
            Some(payload) => Upcast::new(kind, payload),
            None => Upcast::tombstone(kind),
        })
    }
}
