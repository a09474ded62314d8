//! One aggregate without a log: the plugin is asked as the writer asks it, and nothing is kept. For tests of plugins, and for
//! the trial of one.

use super::domain::{Domain, PluginSource, Verdict};
use super::fold::fold;
use super::{Command, Error, Options, handler};
use crate::aggregate_store::{Event, Reader};
use crate::plugin::Plugin;
use crate::upcast::Chain;
use crate::wasm::{Engine, Limits};
use lantern_contract::frame::commands::Request;
use std::sync::Arc;

/// A command handler that is asked directly. The calling thread's stack has
/// [`Limits::thread_stack_bytes`](crate::wasm::Limits::thread_stack_bytes).
pub struct Alone {
    domain: Domain,
    options: Options,
}

/// A command, with what it is decided on.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Which aggregate.
    pub id: &'a str,
    /// How many events it has had.
    pub version: u64,
    /// Its state after them, as JSON.
    pub state: Option<&'a [u8]>,
    /// The command's name.
    pub command: &'a str,
    /// Its data.
    pub payload: &'a [u8],
    /// The time of the decision, in Unix milliseconds.
    pub time_ms: i64,
    /// What belongs together carries the same.
    pub correlation: Option<&'a str>,
}

impl Alone {
    /// A handler of its own instance.
    pub fn new(plugin: &Arc<Plugin>, engine: &Engine, limits: &Limits, options: &Options) -> Self {
        let topic = plugin.manifest.topics.first().cloned().unwrap_or_default();
        let source =
            PluginSource { plugin: Arc::clone(plugin), engine: engine.clone(), limits: limits.clone() };
        Alone {
            domain: Domain::new(plugin.name.clone(), topic, Box::new(source), None),
            options: options.clone(),
        }
    }

    /// Has events come through these upcasters.
    #[must_use]
    pub fn upcast_by(mut self, upcasters: Chain) -> Self {
        self.domain.upcast_by(upcasters);
        self
    }

    /// Makes its instance.
    ///
    /// # Errors
    /// When the plugin does not start.
    pub fn start(&mut self) -> Result<(), Error> {
        self.domain.start()
    }

    /// The state at a version, of all events up to it that are kept.
    ///
    /// # Errors
    /// When the plugin fails, or the events cannot be read.
    pub fn fold(&mut self, id: &str, to: u64, kept: &Reader) -> Result<Option<Vec<u8>>, Error> {
        fold(&mut self.domain, id, (None, 0), to, &self.options, |piece| kept.piece(id, piece))
    }

    /// The state after these events.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn evolve(&mut self, id: &str, state: Option<&[u8]>, events: &[Event]) -> Result<Vec<u8>, Error> {
        self.domain.evolve(id, state, events)
    }

    /// Decides a command.
    ///
    /// # Errors
    /// When it is no command, or the plugin fails.
    pub fn decide(&mut self, asked: &Asked<'_>) -> Result<Verdict, Error> {
        let &Asked { id, version, state, command, payload, time_ms, correlation } = asked;
        let correlation_id = correlation.map(str::to_owned);
        handler::check(&Command {
            id: id.to_owned(),
            name: command.to_owned(),
            correlation: correlation_id,
            ..Command::default()
        })?;
        let aggregate = self.domain.name.clone();
        let request =
            Request { aggregate: &aggregate, id, version, state, command, payload, time_ms, correlation };
        self.domain.decide(&request, &self.options)
    }
}
