//! What stands between the host and an aggregate.

use super::{Failure, report_panics};
use crate::aggregate::{Aggregate, Context, Rejection};
use crate::decode::decode;
use crate::encode::encode;
use crate::error::{Error, Fault, Result};
use lantern_contract::frame::commands::{NewEvent, Request, Writer};
use lantern_contract::frame::events::Events;

/// What became of a command.
#[derive(Debug)]
pub enum Decision {
    /// A frame of events.
    Events(Vec<u8>),
    /// The domain says no.
    Rejected(Rejection),
}

/// Decides a command.
///
/// # Errors
/// When the command or the state cannot be read, or an event not be written.
pub fn decide<A: Aggregate>(frame: &[u8]) -> Result<Decision, Failure> {
    report_panics();
    Ok(try_decide::<A>(frame)?)
}

/// Applies a frame of events to a state; answers the new one.
///
/// # Errors
/// When the state or an event cannot be read, or the state not be written.
pub fn evolve<A: Aggregate>(state: Option<&[u8]>, frame: &[u8]) -> Result<Vec<u8>, Failure> {
    report_panics();
    Ok(try_evolve::<A>(state, frame)?)
}

fn try_decide<A: Aggregate>(frame: &[u8]) -> Result<Decision> {
    let Request { aggregate, id, version, state, command, payload, time_ms, correlation } =
        Request::read(frame)?;
    let state = read::<A>(state)?;
    let command: A::Command = decode(command, payload)
        .map_err(|error| Error::bad_input(format!("{aggregate} {id}: the command {command}: {error}")))?;
    match state.decide(command, &Context { aggregate, id, version, time_ms, correlation }) {
        Ok(events) => {
            let mut writer = Writer::new();
            for event in &events {
                let (kind, payload) = encode(event).map_err(|error| {
                    Error::new(Fault::Other, format!("{aggregate} {id}: an event cannot be written: {error}"))
                })?;
                writer.push(NewEvent { kind, payload: &payload });
            }
            Ok(Decision::Events(writer.finish()))
        }
        Err(rejection) => Ok(Decision::Rejected(rejection.into())),
    }
}

fn try_evolve<A: Aggregate>(state: Option<&[u8]>, frame: &[u8]) -> Result<Vec<u8>> {
    let mut state = read::<A>(state)?;
    for event in Events::parse(frame)?.iter() {
        let event = crate::Event::new(event?);
        let decoded = event.decode().map_err(|error| error.at_event(Some(event.index())))?;
        state.evolve(decoded);
    }
    serde_json::to_vec(&state)
        .map_err(|error| Error::new(Fault::Other, format!("the state cannot be written as JSON: {error}")))
}

fn read<A: Aggregate>(state: Option<&[u8]>) -> Result<A> {
    let Some(json) = state else { return Ok(A::default()) };
    serde_json::from_slice(json).map_err(|error| {
        Error::new(
            Fault::Other,
            format!("the stored state is not of this form: {error}; raise the manifest's state_version"),
        )
    })
}
