//! A case of a command handler: events of one aggregate, then a command to it.

use super::case::{Case, Command, Event, When};
use super::log::TIME_MS;
use super::then::{Rejected, Table};
use super::values::{is_same, shown_json};
use super::{Bench, Error, Problem, Stopped, failure, made, misplaced};
use crate::aggregate_store;
use crate::command::{self, Alone, Asked, Verdict};

/// The id of aggregates that have none.
const ID: &str = "test";

/// What a case came to.
#[derive(PartialEq)]
struct Played {
    /// Its line, and why.
    failure: Option<(usize, String)>,
    verdict: Option<Verdict>,
    state: Option<Vec<u8>>,
}

/// Runs a case; answers what is otherwise than it says.
pub fn run(bench: &Bench, case: &Case) -> Result<Vec<Problem>, Stopped> {
    let command = check(bench, case)?;
    let played = play(bench, case, command)?;
    let mut problems = Vec::new();
    if play(bench, case, command)? != played {
        let text = "it is not deterministic: the same command on the same events came to something else the second time";
        problems.push(Problem::new(case.line, text));
    }
    let then = &case.then;
    let has_failed = played.failure.is_some();
    problems.extend(failure(then.fails.as_ref(), played.failure));
    if has_failed {
        return Ok(problems);
    }
    let events = match &played.verdict {
        Some(Verdict::Events(events)) => events.as_slice(),
        _ => &[],
    };
    match (&then.rejected, &played.verdict) {
        (Some(expected), Some(Verdict::Rejected(rejection))) => {
            problems.extend(rejected(expected, rejection))
        }
        (Some(expected), _) => {
            let mut problem = Problem::new(expected.line, "it is accepted");
            problem.details.push(format!("- rejected: {}", expected.code));
            problem.details.extend(events.iter().map(|event| format!("+ {}", made::show(event))));
            problems.push(problem);
        }
        (None, Some(Verdict::Rejected(rejection))) => {
            let line = then.events.as_ref().map_or(then.line, |(line, _)| *line);
            let text = format!("it is rejected: {}: {}", rejection.code, rejection.message);
            problems.push(Problem::new(line, text));
        }
        (None, _) => {
            if let Some((line, expected)) = &then.events {
                problems.extend(made::compare(*line, expected, events));
            }
        }
    }
    if let Some((line, expected)) = &then.state {
        problems.extend(state(*line, expected, played.state.as_deref()));
    }
    Ok(problems)
}

/// Sees that the case is one of a command handler.
fn check<'c>(bench: &Bench, case: &'c Case) -> Result<Option<&'c Command>, Error> {
    let then = &case.then;
    let tables = |tables: &[Table]| tables.first().map(|table| table.line);
    for (key, line) in [
        ("rows", tables(&then.rows)),
        ("queries", tables(&then.queries)),
        ("sends", then.sends.as_ref().map(|(line, _)| *line)),
        ("cancels", then.cancels.as_ref().map(|(line, _)| *line)),
    ] {
        if let Some(line) = line {
            return Err(misplaced(line, key, &bench.plugin));
        }
    }
    match &case.when {
        Some(When::Command(command)) => Ok(Some(command)),
        None if then.events.is_none() && then.rejected.is_none() => Ok(None),
        None | Some(When::Events(_)) => {
            let reason =
                "`when` of a command handler is a command: when: { command: Withdraw, data: { cents: 5 } }";
            Err(Error::new(case.line, reason))
        }
    }
}

fn play(bench: &Bench, case: &Case, command: Option<&Command>) -> Result<Played, Stopped> {
    let mut alone = Alone::new(&bench.plugin, &bench.engine, &bench.limits, &bench.commands);
    let id = command.and_then(|command| command.id.as_deref()).unwrap_or(ID);
    let mut time_ms = TIME_MS;
    let events: Vec<_> =
        case.given.iter().map(|event| stored(event, &mut time_ms)).collect::<Result<_, _>>()?;
    let failed = |line, error: command::Error| Played {
        failure: Some((line, error.to_string())),
        verdict: None,
        state: None,
    };
    let mut state = None;
    let mut version = 0;
    // One by one, so that a failure names its event.
    for (event, (kind, payload, time_ms)) in case.given.iter().zip(events) {
        version += 1;
        let event_of = aggregate_store::Event { version, kind, payload, time_ms, ..Default::default() };
        match alone.evolve(id, state.as_deref(), &[event_of]) {
            Ok(evolved) => state = Some(evolved),
            Err(error) => return Ok(failed(event.line, error)),
        }
    }
    let Some(command) = command else { return Ok(Played { failure: None, verdict: None, state }) };
    let time_ms = command.time_ms.unwrap_or(time_ms);
    let asked = Asked {
        id,
        version,
        state: state.as_deref(),
        command: &command.name,
        payload: &command.payload,
        time_ms,
        correlation: command.correlation.as_deref(),
    };
    let verdict = match alone.decide(&asked) {
        Ok(verdict) => verdict,
        Err(error) => return Ok(failed(command.line, error)),
    };
    if let Verdict::Events(events) = &verdict {
        let decided =
            events.iter().zip(version + 1..).map(|((kind, payload), version)| aggregate_store::Event {
                version,
                kind: kind.clone(),
                payload: payload.clone(),
                time_ms,
                ..Default::default()
            });
        let decided: Vec<_> = decided.collect();
        if !decided.is_empty() {
            match alone.evolve(id, state.as_deref(), &decided) {
                Ok(evolved) => state = Some(evolved),
                Err(error) => return Ok(failed(command.line, error)),
            }
        }
    }
    Ok(Played { failure: None, verdict: Some(verdict), state })
}

/// Type, payload and time of an event that has happened to the aggregate.
fn stored(event: &Event, time_ms: &mut i64) -> Result<(String, Vec<u8>, i64), Error> {
    let wrong = |reason: &str| Err(Error::new(event.line, reason));
    let Some(kind) = &event.kind else { return wrong("an event of an aggregate needs a `type`") };
    let Some(payload) = &event.payload else {
        return wrong("an aggregate has no tombstones: give the event data");
    };
    if event.topic.is_some() || !event.headers.is_empty() {
        return wrong("an aggregate sees type, data and time of its events: leave `topic` and `headers` out");
    }
    *time_ms = event.time_ms.unwrap_or(*time_ms);
    Ok((kind.clone(), payload.clone(), *time_ms))
}

fn rejected(expected: &Rejected, found: &crate::wasm::Rejection) -> Option<Problem> {
    let detail: Option<serde_json::Value> =
        found.detail.as_deref().and_then(|detail| serde_json::from_str(detail).ok());
    let mut details = Vec::new();
    if expected.code != found.code {
        details.push(format!("- code: {}", expected.code));
        details.push(format!("+ code: {}", found.code));
    }
    if let Some(message) = &expected.message
        && !found.message.contains(message)
    {
        details.push(format!("- message: {message}"));
    }
    if expected.code != found.code || !details.is_empty() {
        details.push(format!("+ message: {}", found.message));
    }
    if let Some(wanted) = &expected.detail
        && !detail.as_ref().is_some_and(|detail| is_same(wanted, detail))
    {
        details.push(format!("- detail: {wanted}"));
        let found = found.detail.as_deref().map_or("none".to_owned(), |detail| shown_json(detail.as_bytes()));
        details.push(format!("+ detail: {found}"));
    }
    if details.is_empty() {
        return None;
    }
    Some(Problem { details, ..Problem::new(expected.line, "it is rejected otherwise") })
}

fn state(line: usize, expected: &serde_json::Value, found: Option<&[u8]>) -> Option<Problem> {
    let json: serde_json::Value =
        found.and_then(|state| serde_json::from_slice(state).ok()).unwrap_or(serde_json::Value::Null);
    if is_same(expected, &json) {
        return None;
    }
    let details = vec![format!("- {expected}"), format!("+ {json}")];
    Some(Problem { details, ..Problem::new(line, "the aggregate's state is another") })
}
