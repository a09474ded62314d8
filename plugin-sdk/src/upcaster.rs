//! What an upcaster is: events as they were written once, and as they are today.

use crate::encode::encode;
use crate::error::{Error, Fault, Result};
use crate::event::Event;
use crate::manifest::Manifest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// Turns events of earlier types into events of today, before any projection and any aggregate sees them.
///
/// Old and new events are enums. The name of a variant is the type of the event, and its content is the data, as
/// [`Event::decode`] reads it. Only type and data change: key, headers, offset and time stay what they were. An event that
/// has been through an upcaster does not come to it again.
///
/// It must depend on nothing but the event, so that a replay gives the same rows.
pub trait Upcaster {
    /// The events as they were written. Its variants are the types that the manifest names.
    type Old: DeserializeOwned;
    /// The events as they are today.
    type New: Serialize;

    /// What the upcaster is called, the topics that it is for, and the types that it upgrades.
    fn manifest() -> Manifest;

    /// What an old event is today. `event` has what does not change: its key, its time.
    ///
    /// # Errors
    /// When it cannot be told. Whoever reads the event halts at it.
    fn upcast(old: Self::Old, event: &Event<'_>) -> Result<Self::New>;

    /// The same for an event that is not JSON, is a tombstone, or has a type that is not known beforehand: what is given
    /// here is not read by the SDK, and what is answered not written. Without it, events are read and written as JSON.
    ///
    /// # Errors
    /// As [`Upcaster::upcast`].
    fn upcast_raw(event: &Event<'_>) -> Result<Upcast> {
        let old = event.decode()?;
        Upcast::of(&Self::upcast(old, event)?)
    }
}

/// An event's type and data as they are today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upcast {
    kind: Cow<'static, str>,
    payload: Option<Vec<u8>>,
}

impl Upcast {
    /// A type and its data as bytes.
    pub fn new(kind: impl Into<Cow<'static, str>>, payload: impl Into<Vec<u8>>) -> Self {
        Upcast { kind: kind.into(), payload: Some(payload.into()) }
    }

    /// A type without data.
    pub fn tombstone(kind: impl Into<Cow<'static, str>>) -> Self {
        Upcast { kind: kind.into(), payload: None }
    }

    /// An enum's variant: its name is the type, its content the data.
    ///
    /// # Errors
    /// When it is no enum, or cannot be written as JSON.
    pub fn of(event: &impl Serialize) -> Result<Self> {
        let (kind, payload) = encode(event)
            .map_err(|error| Error::new(Fault::Other, format!("the new event cannot be written: {error}")))?;
        Ok(Upcast::new(kind, payload))
    }

    /// The type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The data; `None` is a tombstone.
    pub fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }
}

/// Makes an [`Upcaster`] the plugin that this crate is. Once per crate, and beside no other kind of plugin.
#[macro_export]
macro_rules! upcaster {
    ($upcaster:ty) => {
        // Checked on every target, exported in WebAssembly.
        const _: fn() -> $crate::Manifest = <$upcaster as $crate::Upcaster>::manifest;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl $crate::guest::described::exports::lantern::plugin::meta::Guest for Component {
                fn describe() -> ::std::string::String {
                    $crate::guest::describe(<$upcaster as $crate::Upcaster>::manifest)
                }
            }

            impl $crate::guest::upcaster_bindings::exports::lantern::plugin::upcast::Guest for Component {
                fn upcast(
                    events: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<::std::vec::Vec<u8>, $crate::guest::bindings::Failure> {
                    $crate::guest::upcast::<$upcaster>(&events).map_err($crate::guest::failure)
                }
            }

    $crate::guest::described::export!(Component with_types_in $crate::guest::described);
    $crate::guest::upcaster_bindings::export!(Component with_types_in $crate::guest::upcaster_bindings);
        };
    };
}
