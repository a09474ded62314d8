//! Upcasters that run: their instances, and which of them an event goes through.

use super::{Error, Unread, Upcasters};
use crate::event::{self, Envelope, Event, Record};
use crate::plugin::Plugin;
use crate::wasm::{CallError, Engine, Limits, Upcaster};
use lantern_contract::frame::events::{NewEvent, Writer};
use lantern_contract::frame::upcast::Upcasted;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// An event's type and data after it was upcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Today {
    /// Its type.
    pub kind: String,
    /// Its data; `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
}

/// What the events of some topics go through. It belongs to one thread, whose stack has
/// [`Limits::thread_stack_bytes`](crate::wasm::Limits::thread_stack_bytes). Topics without upcasters cost one comparison.
pub struct Chain {
    engine: Engine,
    limits: Limits,
    members: Vec<Member>,
    version: String,
    /// By topic: the envelopes that upcasters find types in, each with its old types and who upgrades them.
    routes: HashMap<String, Vec<Route>>,
    writer: Writer,
    frame: Vec<u8>,
}

struct Member {
    plugin: Arc<Plugin>,
    /// None before it is needed, and after a trap.
    instance: Option<Upcaster>,
}

struct Route {
    envelope: Envelope,
    /// The place among the members of who upgrades a type.
    types: HashMap<String, usize>,
}

impl Chain {
    /// What events go through that come to these upcasters. They are started when they are needed.
    pub fn new(upcasters: &Upcasters, engine: &Engine, limits: &Limits) -> Self {
        let mut routes: HashMap<String, Vec<Route>> = HashMap::new();
        for (place, plugin) in upcasters.iter().enumerate() {
            let manifest = &plugin.manifest;
            for topic in &manifest.topics {
                let of_topic = routes.entry(topic.clone()).or_default();
                let types = manifest.types.iter().map(|old| (old.clone(), place));
                match of_topic.iter_mut().find(|route| route.envelope == manifest.envelope) {
                    Some(route) => route.types.extend(types),
                    None => {
                        of_topic.push(Route { envelope: manifest.envelope.clone(), types: types.collect() })
                    }
                }
            }
        }
        let member = |plugin: &Arc<Plugin>| Member { plugin: Arc::clone(plugin), instance: None };
        Chain {
            engine: engine.clone(),
            limits: limits.clone(),
            members: upcasters.iter().map(member).collect(),
            version: upcasters.version(),
            routes,
            writer: Writer::new(),
            frame: Vec::new(),
        }
    }

    /// What that depends on which is made of the events: see [`Upcasters::version`].
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Takes a record out of its envelope, and gives the event in it as it is today.
    ///
    /// # Errors
    /// When the envelope cannot be opened, or the event is old and cannot be upcast.
    pub fn open<'a>(&mut self, envelope: &Envelope, record: &Record<'a>) -> Result<Event<'a>, Unread> {
        let mut event = event::open(envelope, record)?;
        if self.routes.is_empty() {
            return Ok(event);
        }
        let Some(routes) = self.routes.get(record.topic) else { return Ok(event) };
        let mut found = None;
        for route in routes {
            if route.envelope == *envelope {
                found = route.types.get(event.kind.as_ref()).copied();
            } else if let Ok(other) = event::open(&route.envelope, record)
                && let Some(place) = route.types.get(other.kind.as_ref())
            {
                // The type stands where the upcaster's author says.
                (found, event) = (Some(*place), other);
            }
            if found.is_some() {
                break;
            }
        }
        let Some(first) = found else { return Ok(event) };
        let old = NewEvent {
            kind: &event.kind,
            topic: event.topic,
            partition: event.partition,
            offset: event.offset,
            timestamp_ms: event.timestamp_ms,
            key: event.key,
            payload: event.payload.as_deref(),
        };
        let headers: Vec<(&str, Option<&[u8]>)> = event.headers.iter().collect();
        let Today { kind, payload } = self.pass(first, old, &headers)?;
        event.kind = Cow::Owned(kind);
        event.payload = payload.map(Cow::Owned);
        Ok(event)
    }

    /// What an event that was opened before, as a CloudEvent, is today; `None` when it is that already.
    ///
    /// # Errors
    /// When it is old, and cannot be upcast.
    pub fn upcast(&mut self, event: NewEvent<'_>) -> Result<Option<Today>, Box<Error>> {
        let routes = self.routes.get(event.topic).into_iter().flatten();
        let mut cloud_events = routes.filter(|route| route.envelope == Envelope::CloudEvents);
        let Some(first) = cloud_events.find_map(|route| route.types.get(event.kind).copied()) else {
            return Ok(None);
        };
        self.pass(first, event, &[]).map(Some)
    }

    /// From one upcaster to the next, each once.
    fn pass(
        &mut self,
        first: usize,
        event: NewEvent<'_>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> Result<Today, Box<Error>> {
        let mut today = self.call(first, event, headers)?;
        let mut passed = vec![first];
        loop {
            let routes = self.routes.get(event.topic).into_iter().flatten();
            let mut next = routes.filter_map(|route| route.types.get(&today.kind).copied());
            let Some(next) = next.find(|place| !passed.contains(place)) else { return Ok(today) };
            let old = NewEvent { kind: &today.kind, payload: today.payload.as_deref(), ..event };
            today = self.call(next, old, headers)?;
            passed.push(next);
        }
    }

    fn call(
        &mut self,
        place: usize,
        event: NewEvent<'_>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> Result<Today, Box<Error>> {
        self.writer.push(event, headers.iter().copied());
        self.writer.finish(&mut self.frame);
        let member = &mut self.members[place];
        let called = member.call(&self.engine, &self.limits, &self.frame);
        called.map_err(|(message, backtrace)| {
            Box::new(Error {
                upcaster: member.plugin.name.clone(),
                topic: event.topic.to_owned(),
                partition: event.partition,
                offset: event.offset,
                kind: event.kind.to_owned(),
                message,
                backtrace,
            })
        })
    }
}

impl Member {
    /// What one event is today; else what is wrong, and where in the upcaster.
    fn call(
        &mut self,
        engine: &Engine,
        limits: &Limits,
        frame: &[u8],
    ) -> Result<Today, (String, Vec<String>)> {
        let said = |message: String| (message, Vec::new());
        let instance = match &mut self.instance {
            Some(instance) => instance,
            none => {
                let Plugin { component, name, .. } = &*self.plugin;
                let started = Upcaster::new(engine, component, name, limits);
                none.insert(started.map_err(|error| said(error.to_string()))?)
            }
        };
        let answer = match instance.upcast(frame, 1) {
            Ok(answer) => answer,
            Err(CallError::Failure(failure)) => return Err(said(failure.to_string())),
            Err(CallError::Trap { kind, message, backtrace }) => {
                self.instance = None;
                return Err((format!("{message} ({kind})"), backtrace));
            }
        };
        let unusable = |error| said(format!("what it answered cannot be read: {error}"));
        let upcasted = Upcasted::parse(&answer).map_err(unusable)?;
        let event = upcasted.iter().next().ok_or_else(|| said("it answered no event".into()))?;
        let event = event.map_err(unusable)?;
        Ok(Today { kind: event.kind.to_owned(), payload: event.payload.map(<[u8]>::to_vec) })
    }
}
