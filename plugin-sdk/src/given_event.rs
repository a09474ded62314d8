//! An event for a test, and what an upcaster makes of it.

use crate::error::{Error, Result};
use crate::guest;
use crate::upcaster::{Upcast, Upcaster};
use lantern_contract::frame::{events, upcast};
use lantern_contract::manifest::Manifest;
use std::marker::PhantomData;

/// An event by its type and its data: one as it was written once, for an [`Upcaster`], or one for a read model of the
/// crate `lantern-testing`.
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
pub fn given_event<P>(kind: impl Into<String>, data: impl Into<Vec<u8>>) -> GivenEvent<P> {
    GivenEvent {
        kind: kind.into(),
        payload: Some(data.into()),
        key: None,
        topic: None,
        time_ms: -1,
        headers: Vec::new(),
        plugin: PhantomData,
    }
}

/// An event for the plugin of this type.
#[derive(Clone, Debug)]
pub struct GivenEvent<P> {
    kind: String,
    payload: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    topic: Option<String>,
    time_ms: i64,
    headers: Vec<(String, Vec<u8>)>,
    plugin: PhantomData<P>,
}

impl<P> GivenEvent<P> {
    /// Its key, where that matters.
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Its topic; the first that the manifest names, if it is not said.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
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

    /// Its type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Writes it as the host does: with the headers that the manifest names.
    #[doc(hidden)]
    pub fn write(&self, manifest: &Manifest, offset: i64, writer: &mut events::Writer) {
        let first = manifest.topics.first().map_or("", String::as_str);
        let event = events::NewEvent {
            kind: &self.kind,
            topic: self.topic.as_deref().unwrap_or(first),
            partition: 0,
            offset,
            timestamp_ms: self.time_ms,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
        };
        let is_read = |name: &String| manifest.headers.as_ref().is_none_or(|wanted| wanted.contains(name));
        let headers = self.headers.iter().filter(|(name, _)| is_read(name));
        writer.push(event, headers.map(|(name, value)| (name.as_str(), Some(value.as_slice()))));
    }
}

impl<U: Upcaster> GivenEvent<U> {
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
        self.write(&manifest, 0, &mut writer);
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
