//! The plugin, as the writer calls it.

use super::Error;
use super::handler::NAME_BYTES_MAX;
use crate::aggregate_store::Event;
use crate::plugin::Plugin;
use crate::upcast::{self, Chain, Today};
use crate::wasm::{self, CallError, Decision, Engine, Fault, Limits};
use lantern_contract::frame::commands::{Decided, Request};
use lantern_contract::frame::events::{NewEvent, Writer};
use std::sync::Arc;

/// The most bytes of a rejection's message, which becomes JSON that may be six times as long.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// The most bytes of a rejection's detail.
const DETAIL_BYTES_MAX: usize = 256 << 10;

/// What decides, and makes states: a plugin's instance; in the writer's tests, Rust.
pub(super) trait Logic: Send {
    fn decide(&mut self, request: &[u8]) -> Result<Decision, CallError>;
    fn evolve(&mut self, state: Option<&[u8]>, events: &[u8], count: usize) -> Result<Vec<u8>, CallError>;
}

impl Logic for wasm::Handler {
    fn decide(&mut self, request: &[u8]) -> Result<Decision, CallError> {
        wasm::Handler::decide(self, request)
    }

    fn evolve(&mut self, state: Option<&[u8]>, events: &[u8], count: usize) -> Result<Vec<u8>, CallError> {
        wasm::Handler::evolve(self, state, events, count)
    }
}

/// What makes [`Logic`], and what is known of it.
pub(super) trait Source: Send {
    fn instance(&self) -> Result<Box<dyn Logic>, String>;
    fn digest(&self) -> String;
    fn state_version(&self) -> u32;
}

/// A plugin and what runs it.
pub(super) struct PluginSource {
    pub plugin: Arc<Plugin>,
    pub engine: Engine,
    pub limits: Limits,
}

impl Source for PluginSource {
    fn instance(&self) -> Result<Box<dyn Logic>, String> {
        let Plugin { name, component, .. } = &*self.plugin;
        let handler = wasm::Handler::new(&self.engine, component, name, &self.limits);
        handler.map(|handler| Box::new(handler) as Box<dyn Logic>).map_err(|error| error.to_string())
    }

    fn digest(&self) -> String {
        self.plugin.digest.to_string()
    }

    fn state_version(&self) -> u32 {
        self.plugin.manifest.state_version
    }
}

/// The plugin of one aggregate type while it is called: a new instance takes the place of one that trapped.
pub(super) struct Domain {
    /// The aggregate type.
    pub name: String,
    /// The topic of its events.
    pub topic: String,
    source: Box<dyn Source>,
    logic: Option<Box<dyn Logic>>,
    /// What its events come through before it sees them; none where there are no upcasters.
    upcasters: Option<Chain>,
    frame: Vec<u8>,
    events: Writer,
}

/// What was decided, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Type and payload of each event.
    Events(Vec<(String, Vec<u8>)>),
    /// The domain says no.
    Rejected(wasm::Rejection),
}

impl Domain {
    pub fn new(name: String, topic: String, source: Box<dyn Source>, upcasters: Option<Chain>) -> Self {
        Domain { name, topic, source, logic: None, upcasters, frame: Vec::new(), events: Writer::new() }
    }

    pub fn digest(&self) -> String {
        self.source.digest()
    }

    pub fn state_version(&self) -> u32 {
        self.source.state_version()
    }

    /// What states depend on beside the plugin's state version: which upcasters its events come through.
    pub fn upcast_version(&self) -> &str {
        self.upcasters.as_ref().map_or("", Chain::version)
    }

    /// Has its events come through other upcasters.
    pub fn upcast_by(&mut self, upcasters: Chain) {
        self.upcasters = Some(upcasters);
    }

    /// Goes on with another plugin, or stays when it does not start.
    pub fn swap(&mut self, source: Box<dyn Source>) -> Result<(), String> {
        self.logic = Some(source.instance()?);
        self.source = source;
        Ok(())
    }

    /// Makes an instance, if there is none, which the next call would.
    ///
    /// # Errors
    /// When the plugin does not start.
    pub fn start(&mut self) -> Result<(), Error> {
        self.logic().map(drop)
    }

    /// Whether the last call ended in a trap: it gave up, ran out of memory or of time.
    pub fn has_trapped(&self) -> bool {
        self.logic.is_none()
    }

    fn logic(&mut self) -> Result<&mut Box<dyn Logic>, Error> {
        match &mut self.logic {
            Some(logic) => Ok(logic),
            empty => Ok(empty.insert(self.source.instance().map_err(Error::plugin)?)),
        }
    }

    /// Says what the end of a call means, and gives up an instance that trapped.
    fn failed(&mut self, error: CallError) -> Error {
        match error {
            CallError::Failure(failure) if failure.fault == Fault::BadInput => {
                Error::bad_command(failure.message)
            }
            CallError::Failure(failure) => Error::plugin(failure),
            trap => {
                self.logic = None;
                Error::plugin(trap)
            }
        }
    }

    /// Decides a command.
    pub fn decide(&mut self, request: &Request<'_>, limits: &super::Options) -> Result<Verdict, Error> {
        let mut frame = std::mem::take(&mut self.frame);
        request.write(&mut frame);
        let decided = self.logic().map(|logic| logic.decide(&frame));
        self.frame = frame;
        let frame = match decided?.map_err(|error| self.failed(error))? {
            Decision::Events(frame) => frame,
            Decision::Rejected(rejection) => return checked(rejection).map(Verdict::Rejected),
        };
        let unusable = |error| Error::plugin(format!("what it decided cannot be read: {error}"));
        let mut events = Vec::new();
        let mut bytes = 0;
        for event in Decided::parse(&frame).map_err(unusable)?.iter() {
            let event = event.map_err(unusable)?;
            if event.kind.is_empty() {
                return Err(Error::plugin("it decided an event without a type"));
            }
            short("an event's type", event.kind, NAME_BYTES_MAX)?;
            bytes += event.kind.len() + event.payload.len();
            if event.payload.len() > limits.event_bytes_max || bytes > limits.command_bytes_max {
                return Err(Error::plugin(format!(
                    "it decided more than an event (`event_bytes_max`, {} bytes) or a command (`command_bytes_max`, {} \
                     bytes) may hold",
                    limits.event_bytes_max, limits.command_bytes_max
                )));
            }
            events.push((event.kind.to_owned(), event.payload.to_vec()));
        }
        Ok(Verdict::Events(events))
    }

    /// The state after these events.
    pub fn evolve(&mut self, id: &str, state: Option<&[u8]>, events: &[Event]) -> Result<Vec<u8>, Error> {
        let mut writer = std::mem::take(&mut self.events);
        let mut frame = std::mem::take(&mut self.frame);
        write(&mut writer, &self.topic, id, events, self.upcasters.as_mut())?;
        writer.finish(&mut frame);
        let evolved = self.logic().map(|logic| logic.evolve(state, &frame, events.len()));
        self.events = writer;
        self.frame = frame;
        match evolved? {
            Ok(state) => Ok(state),
            // An event that was appended is the plugin's own: it is not the command that it cannot read.
            Err(CallError::Failure(failure)) => {
                Err(Error::plugin(format!("it cannot apply its events: {failure}")))
            }
            Err(trap) => Err(self.failed(trap)),
        }
    }
}

/// Events as `evolve` is given them, as they are today: always the same, whether they were just decided or come from the
/// log.
fn write(
    writer: &mut Writer,
    topic: &str,
    id: &str,
    events: &[Event],
    mut upcasters: Option<&mut Chain>,
) -> Result<(), Error> {
    for event in events {
        let new = NewEvent {
            kind: &event.kind,
            topic,
            partition: event.partition,
            // Its place among the aggregate's own events: in the log it has none before it is appended.
            offset: i64::try_from(event.version).unwrap_or(i64::MAX),
            timestamp_ms: event.time_ms,
            key: Some(id.as_bytes()),
            payload: Some(&event.payload),
        };
        let today = match &mut upcasters {
            Some(upcasters) => upcasters.upcast(new).map_err(|error| not_upcast(&error, id, event))?,
            None => None,
        };
        match today {
            Some(Today { kind, payload }) => {
                let today = NewEvent { kind: &kind, payload: payload.as_deref(), ..new };
                writer.push(today, std::iter::empty());
            }
            None => writer.push(new, std::iter::empty()),
        }
    }
    Ok(())
}

fn not_upcast(error: &upcast::Error, id: &str, event: &Event) -> Error {
    let upcast::Error { upcaster, kind, message, .. } = error;
    Error::plugin(format!(
        "the upcaster {upcaster} cannot upcast the event {kind}, version {} of `{id}`: {message}. Deploy a version of \
         {upcaster} that can, or `lantern rollback {upcaster}` to the one before",
        event.version
    ))
}

/// A rejection that a record has room for.
fn checked(rejection: wasm::Rejection) -> Result<wasm::Rejection, Error> {
    short("a rejection's code", &rejection.code, NAME_BYTES_MAX)?;
    short("a rejection's message", &rejection.message, MESSAGE_BYTES_MAX)?;
    short("a rejection's detail", rejection.detail.as_deref().unwrap_or_default(), DETAIL_BYTES_MAX)?;
    Ok(rejection)
}

fn short(what: &str, text: &str, bytes_max: usize) -> Result<(), Error> {
    if text.len() > bytes_max {
        let bytes = text.len();
        return Err(Error::plugin(format!("{what} has {bytes} bytes, and may have {bytes_max}")));
    }
    Ok(())
}
