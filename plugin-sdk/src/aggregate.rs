//! What a command handler is: an aggregate, two functions.

use crate::manifest::Manifest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// One thing of which there are many, each with its own history of events: an account, an order.
///
/// A value of the type is the state of one of them; its default is the state before the first event. The host keeps it
/// as JSON, so whatever is decided on has to be in it.
///
/// Commands and events are enums. The name of a variant is the name of the command or the type of the event, and its content
/// is the data, as [`Event::decode`](crate::Event::decode) reads it in a projection.
pub trait Aggregate: Serialize + DeserializeOwned + Default {
    /// What can be asked of it.
    type Command: DeserializeOwned;
    /// What can happen to it. What was once appended is read for ever, so variants and fields are only added.
    type Event: Serialize + DeserializeOwned;
    /// Why it says no: [`Rejection`] itself, or a type of its own.
    type Rejection: Into<Rejection>;

    /// The aggregate's type as the manifest's name, and the one topic that its events are appended to.
    fn manifest() -> Manifest;

    /// Decides a command: which events happen. None means that nothing has to. It is called once for each command, with
    /// the latest state, and nobody else decides about this aggregate meanwhile.
    ///
    /// # Errors
    /// When the domain says no. That is an answer, which the caller gets and which is not tried again.
    fn decide(
        &self,
        command: Self::Command,
        context: &Context<'_>,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// Applies an event. It must not fail: the event has happened.
    fn evolve(&mut self, event: Self::Event);
}

/// What a command is decided in, beside the state.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub(crate) aggregate: &'a str,
    pub(crate) id: &'a str,
    pub(crate) version: u64,
    pub(crate) time_ms: i64,
    pub(crate) correlation: Option<&'a str>,
}

impl<'a> Context<'a> {
    /// The aggregate's type.
    pub fn aggregate(&self) -> &'a str {
        self.aggregate
    }

    /// Which of them.
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// How many events it has had: 0 means that it is not there yet.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The time of the decision in Unix milliseconds. What depends on it belongs into the events.
    pub fn time_ms(&self) -> i64 {
        self.time_ms
    }

    /// The correlation id: what belongs together carries the same.
    pub fn correlation(&self) -> Option<&'a str> {
        self.correlation
    }
}

/// The domain says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
}

impl Rejection {
    /// A rejection with its code, for programs, and its message, for people.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Rejection { code: code.into(), message: message.into(), detail: None }
    }

    /// More for programs. What has no form in JSON is logged and left out.
    pub fn detail(mut self, detail: &impl Serialize) -> Self {
        match serde_json::to_string(detail) {
            Ok(json) => self.detail = Some(json),
            Err(error) => {
                crate::log::warn(format_args!(
                    "the detail of the rejection {} has no JSON: {error}",
                    self.code
                ));
            }
        }
        self
    }

    /// For programs.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// For people.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// Makes an [`Aggregate`] the plugin that this crate is. Once per crate, and not beside a projection.
#[macro_export]
macro_rules! aggregate {
    ($aggregate:ty) => {
        // Checked on every target, exported in WebAssembly.
        const _: fn() -> $crate::Manifest = <$aggregate as $crate::Aggregate>::manifest;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl $crate::guest::described::exports::lantern::plugin::meta::Guest for Component {
                fn describe() -> ::std::string::String {
                    $crate::guest::describe(<$aggregate as $crate::Aggregate>::manifest)
                }
            }

            impl $crate::guest::handler_bindings::exports::lantern::plugin::commands::Guest for Component {
                fn decide(
                    request: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<
                    $crate::guest::handler_bindings::Decision,
                    $crate::guest::bindings::Failure,
                > {
                    $crate::guest::decide::<$aggregate>(&request)
                        .map($crate::guest::decision)
                        .map_err($crate::guest::failure)
                }

                fn evolve(
                    state: ::core::option::Option<::std::vec::Vec<u8>>,
                    events: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<::std::vec::Vec<u8>, $crate::guest::bindings::Failure> {
                    $crate::guest::evolve::<$aggregate>(state.as_deref(), &events)
                        .map_err($crate::guest::failure)
                }
            }

    $crate::guest::described::export!(Component with_types_in $crate::guest::described);
    $crate::guest::handler_bindings::export!(Component with_types_in $crate::guest::handler_bindings);
        };
    };
}
