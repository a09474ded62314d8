//! Tries a new command handler on aggregates that there are, before it decides anything. A state that it cannot read, or
//! reads otherwise, would be found by the customers of that aggregate, one after the other.

use crate::aggregate_store::{self, Reader};
use crate::command::{self, Alone};
use crate::config::Config;
use crate::plugin::Plugin;
use crate::upcast::Chain;
use crate::wasm::Engine;
use serde_json::Value;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// Aggregates that are tried.
const AGGREGATES_MAX: usize = 64;
/// Events that are folded for it in all; one long aggregate must not hold up a deployment.
const EVENTS_MAX: u64 = 10_000;
/// Bytes of their data.
const BYTES_MAX: u64 = 256 << 20;

/// Why a new handler must not decide.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It cannot be called.
    #[error("the handler does not start: {0}")]
    Start(command::Error),
    /// It fails at events that there are.
    #[error(
        "it cannot fold the events of {name} {id:?} that there are, up to version {version}: {source}. Have `evolve` take \
         every event that was ever appended"
    )]
    Events { name: String, id: String, version: u64, source: command::Error },
    /// It fails at a state that there is.
    #[error(
        "it cannot read the state of {name} {id:?} at version {version}: {source}. A state of another form needs another \
         state version in the manifest; the states are folded anew then"
    )]
    State { name: String, id: String, version: u64, source: command::Error },
    /// It folds otherwise, and says that it does not.
    #[error(
        "it folds the events of {name} {id:?} up to version {version} to another state than the handler before, with the \
         same state version {state_version}: raise the state version, so that the states are folded anew"
    )]
    Otherwise { name: String, id: String, version: u64, state_version: u32 },
    /// The aggregates cannot be read.
    #[error(transparent)]
    Store(#[from] aggregate_store::Error),
    /// The system has no thread for it.
    #[error("no thread to try the handler on: {0}")]
    Thread(#[from] io::Error),
}

/// Folds some aggregates of a database by a new handler. Blocks.
pub(super) fn passes(
    config: &Config,
    engine: &Engine,
    plugin: &Arc<Plugin>,
    upcasters: Chain,
    store: &Path,
) -> Result<(), Error> {
    // A stack that overflows in the host's part ends the process.
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(config.limits.thread_stack_bytes());
        let trying = builder.spawn_scoped(scope, || folds(config, engine, plugin, upcasters, store))?;
        trying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn folds(
    config: &Config,
    engine: &Engine,
    plugin: &Arc<Plugin>,
    upcasters: Chain,
    store: &Path,
) -> Result<(), Error> {
    let reader = Reader::open(store)?;
    let mut handler = Alone::new(plugin, engine, &config.limits, &config.commands).upcast_by(upcasters);
    handler.start().map_err(Error::Start)?;
    let (mut events_left, mut bytes_left) = (EVENTS_MAX, BYTES_MAX);
    let state_version = plugin.manifest.state_version;
    for (id, _) in reader.list(None, AGGREGATES_MAX)? {
        let Some(aggregate) = reader.show(&id)? else { continue };
        let stored = aggregate.state.filter(|_| aggregate.state_version == state_version);
        // A state may be behind its events; a new form of it is folded from all of them.
        let version = if stored.is_some() { aggregate.state_at } else { aggregate.version };
        // One that is too long is left out, and those behind it are not.
        let Some(events) = events_left.checked_sub(version) else { continue };
        let Some(bytes) = bytes_left.checked_sub(reader.event_bytes(&id, version)?) else { continue };
        (events_left, bytes_left) = (events, bytes);
        let name = || plugin.name.clone();
        let anew = match handler.fold(&id, version, &reader) {
            Ok(anew) => anew.unwrap_or_default(),
            Err(source) => return Err(Error::Events { name: name(), id, version, source }),
        };
        let Some(stored) = stored else { continue };
        // As the new code writes it: a field that has come to it is no difference.
        match handler.evolve(&id, Some(&stored), &[]) {
            Ok(stored) if is_same(&stored, &anew) => {}
            Ok(_) => return Err(Error::Otherwise { name: name(), id, version, state_version }),
            Err(source) => return Err(Error::State { name: name(), id, version, source }),
        }
    }
    Ok(())
}

/// Whether two states are the same, in whatever order their fields are.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let value = |state: &[u8]| serde_json::from_slice::<Value>(state).ok();
    one == other || value(one).is_some_and(|one| Some(one) == value(other))
}
