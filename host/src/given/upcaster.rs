//! A case of an upcaster: old events, then the same as they are today.

use super::case::{Case, Event, When};
use super::log::{Log, Written};
use super::{Bench, Error, Problem, Stopped, failure, made, misplaced};
use crate::event;
use crate::wasm::{CallError, Upcaster};
use lantern_contract::frame::events::{NewEvent, Writer};
use lantern_contract::frame::upcast::Upcasted;

/// Types and payloads; a tombstone's is JSON's null.
type Made = Vec<(String, Vec<u8>)>;

/// Runs a case; answers what is otherwise than it says.
///
/// # Errors
/// When it is not a case of an upcaster.
pub fn run(bench: &Bench, case: &Case) -> Result<Vec<Problem>, Stopped> {
    check(bench, case)?;
    let mut log = Log::new(&bench.plugin.manifest);
    let written = case.given.iter().chain(when(case)).map(|event| append(bench, &mut log, event));
    let written = written.collect::<Result<Vec<_>, _>>()?;
    let played = play(bench, &written);
    let mut problems = Vec::new();
    if play(bench, &written) != played {
        let text = "it is not deterministic: the same events came to something else the second time";
        problems.push(Problem::new(case.line, text));
    }
    let (made, failed) = match played {
        Ok(made) => (made, None),
        Err((index, message)) => {
            let line = index.and_then(|index| written.get(index)).map_or(case.line, |written| written.line);
            (Made::new(), Some((line, message)))
        }
    };
    let has_failed = failed.is_some();
    problems.extend(failure(case.then.fails.as_ref(), failed));
    if let Some((line, expected)) = case.then.events.as_ref().filter(|_| !has_failed) {
        problems.extend(made::compare(*line, expected, &made));
    }
    Ok(problems)
}

fn when(case: &Case) -> &[Event] {
    match &case.when {
        Some(When::Events(events)) => events,
        _ => &[],
    }
}

/// Sees that the case is one of an upcaster.
fn check(bench: &Bench, case: &Case) -> Result<(), Error> {
    let then = &case.then;
    for (key, line) in [
        ("rows", then.rows.first().map(|table| table.line)),
        ("queries", then.queries.first().map(|table| table.line)),
        ("sends", then.sends.as_ref().map(|(line, _)| *line)),
        ("cancels", then.cancels.as_ref().map(|(line, _)| *line)),
        ("rejected", then.rejected.as_ref().map(|rejected| rejected.line)),
        ("state", then.state.as_ref().map(|(line, _)| *line)),
    ] {
        if let Some(line) = line {
            return Err(misplaced(line, key, &bench.plugin));
        }
    }
    match &case.when {
        Some(When::Command(command)) => Err(misplaced(command.line, "command", &bench.plugin)),
        _ => Ok(()),
    }
}

/// An event of the types that the upcaster is given: others never reach it.
fn append(bench: &Bench, log: &mut Log<'_>, case: &Event) -> Result<Written, Error> {
    let manifest = &bench.plugin.manifest;
    let written = log.append(case)?;
    let headers = written.headers();
    let opened = event::open(&manifest.envelope, &written.record(&headers));
    let opened = opened.map_err(|error| Error::new(case.line, error.to_string()))?;
    if !manifest.types.iter().any(|kind| *kind == opened.kind) {
        let known = manifest.types.join(", ");
        return Err(Error::new(
            case.line,
            format!("it is not given events of the type {}: {known}", opened.kind),
        ));
    }
    drop(opened);
    Ok(written)
}

/// What an instance makes of the events, all at once; or why not, with the place of the event at fault where it is known.
fn play(bench: &Bench, written: &[Written]) -> Result<Made, (Option<usize>, String)> {
    let manifest = &bench.plugin.manifest;
    let mut writer = Writer::new();
    for (index, written) in written.iter().enumerate() {
        let headers = written.headers();
        let record = written.record(&headers);
        let event =
            event::open(&manifest.envelope, &record).map_err(|error| (Some(index), error.to_string()))?;
        let new = NewEvent {
            kind: &event.kind,
            topic: event.topic,
            partition: event.partition,
            offset: event.offset,
            timestamp_ms: event.timestamp_ms,
            key: event.key,
            payload: event.payload.as_deref(),
        };
        let is_read =
            |name: &str| manifest.headers.as_ref().is_none_or(|names| names.iter().any(|it| it == name));
        writer.push(new, event.headers.iter().filter(|(name, _)| is_read(name)));
    }
    let mut frame = Vec::new();
    writer.finish(&mut frame);
    let plugin = &bench.plugin;
    let upcaster = Upcaster::new(&bench.engine, &plugin.component, &plugin.name, &bench.limits);
    let mut upcaster = upcaster.map_err(|error| (None, error.to_string()))?;
    let answer = upcaster.upcast(&frame, written.len()).map_err(|error| match &error {
        CallError::Failure(failure) => {
            (failure.index.and_then(|it| usize::try_from(it).ok()), error.to_string())
        }
        CallError::Trap { .. } => (None, error.to_string()),
    })?;
    let unreadable =
        |error: lantern_contract::frame::Error| (None, format!("its answer is no frame of events: {error}"));
    let upcasted = Upcasted::parse(&answer).map_err(unreadable)?;
    let made = upcasted.iter().map(|event| {
        let event = event.map_err(unreadable)?;
        Ok((event.kind.to_owned(), event.payload.unwrap_or(b"null").to_vec()))
    });
    let made = made.collect::<Result<Made, _>>()?;
    if made.len() != written.len() {
        let text = format!("it was given {} events and answered {}: one for each", written.len(), made.len());
        return Err((None, text));
    }
    Ok(made)
}
