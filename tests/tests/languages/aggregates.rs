//! Aggregates decide and evolve alike in every language.

use super::events::{Record, json, record};
use super::failures::frame;
use super::plugins::{Built, Kind, compare, engine, limits};
use anyhow::{Result, bail, ensure};
use lantern::wasm::{CallError, Decision, Fault, Handler};
use lantern_contract::frame::commands::{Decided, Request};
use serde_json::Value;

/// What became of a command, for comparison.
#[derive(Debug, PartialEq)]
enum Answer {
    Events(Vec<(String, Value)>),
    Rejected(String, String, Option<Value>),
    BadInput,
    Crash,
}

const STATES: [Option<&str>; 3] = [
    None,
    Some(r#"{"count":3,"sum":9007199254740993,"note":"zażółć 𝄞 \" \\ \n"}"#),
    Some(r#"{"count":1,"sum":9223372036854775800,"note":null}"#),
];

const COMMANDS: [(&str, &str); 18] = [
    ("Add", r#"{"n":5}"#),
    ("Add", r#"{"n":0}"#),
    ("Add", r#"{"n":-9223372036854775808}"#),
    ("Add", r#"{"n":8}"#),
    ("Add", r#"{"n":7,"other":[1]}"#),
    ("Add", r#"{"n":9223372036854775807}"#),
    ("Add", r#"{"n":9223372036854775808}"#),
    ("Add", r#"{"n":1.5}"#),
    ("Add", r#"{"n":"5"}"#),
    ("Add", "{}"),
    ("Add", "nonsense"),
    ("AddMany", r#"{"n":[]}"#),
    ("AddMany", r#"{"n":[1,-2,9007199254740993]}"#),
    ("AddMany", r#"{"n":[1,"2"]}"#),
    ("Note", r#"{"text":"𝄞 \"\\\n\u0001"}"#),
    ("Note", r#"{"text":""}"#),
    ("Crash", "{}"),
    ("Nothing", "{}"),
];

// What is decided is in the log for ever.
#[test]
fn every_language_decides_alike() -> Result<()> {
    compare(Kind::Aggregate, |built| {
        let mut answers = Vec::new();
        for state in STATES {
            for (command, payload) in COMMANDS {
                let answer = decide(built, state, command, payload)?;
                answers.push(format!("{command} {payload} on {state:?}: {answer:?}"));
            }
        }
        Ok(answers)
    })
}

fn decide(built: &Built, state: Option<&str>, command: &str, payload: &str) -> Result<Answer> {
    let mut handler = handler(built)?;
    let mut request = Vec::new();
    Request {
        // Where the names of languages would differ, one for all.
        aggregate: "counter",
        id: "c-ü",
        version: 3,
        state: state.map(str::as_bytes),
        command,
        payload: payload.as_bytes(),
        time_ms: 1_700_000_000_123,
        correlation: payload.len().is_multiple_of(2).then_some("all of it"),
    }
    .write(&mut request);
    Ok(match handler.decide(&request) {
        Ok(Decision::Events(frame)) => {
            let mut events = Vec::new();
            for event in Decided::parse(&frame)?.iter() {
                let event = event?;
                events.push((event.kind.to_owned(), serde_json::from_slice(event.payload)?));
            }
            Answer::Events(events)
        }
        Ok(Decision::Rejected(rejection)) => {
            let detail = rejection.detail.as_deref().map(serde_json::from_str).transpose()?;
            Answer::Rejected(rejection.code, rejection.message, detail)
        }
        Err(error) => ended(&error)?,
    })
}

/// How a call ended that was meant to end so.
fn ended(error: &CallError) -> Result<Answer> {
    Ok(match error {
        CallError::Failure(failure) if failure.fault == Fault::BadInput => Answer::BadInput,
        CallError::Failure(failure) if failure.message.contains("boom") => Answer::Crash,
        CallError::Trap { message, .. } if message.contains("boom") => Answer::Crash,
        error => bail!("it ended by {error:?}"),
    })
}

pub fn handler(built: &Built) -> Result<Handler> {
    Ok(Handler::new(engine()?, &built.plugin.component, &built.plugin.name, &limits())?)
}

// A state is what its events make of it, in whatever batches they come.
#[test]
fn every_language_evolves_alike() -> Result<()> {
    let noted = r#"{"text":"𝄞","aggregate":"counter","id":"c","version":2,"time_ms":1,"correlation":null}"#;
    let history = [
        json("Added", r#"{"n":9007199254740993}"#),
        json("Noted", noted),
        json("Added", r#"{"n":-1}"#),
        json("Added", r#"{"n":0,"other":{}}"#),
    ];
    compare(Kind::Aggregate, |built| {
        let mut states = Vec::new();
        let mut handler = handler(built)?;
        let whole = handler.evolve(None, &frame(&history), history.len())?;
        let mut state: Option<Vec<u8>> = None;
        for event in &history {
            state = Some(handler.evolve(state.as_deref(), &frame(std::slice::from_ref(event)), 1)?);
        }
        states.push(serde_json::from_slice::<Value>(&whole)?);
        states.push(serde_json::from_slice(&state.unwrap_or_default())?);
        ensure!(states[0] == states[1], "one by one it is {}, at once {}", states[1], states[0]);
        Ok(states)
    })
}

#[test]
fn every_language_refuses_events_that_it_does_not_know() -> Result<()> {
    let added = json("Added", r#"{"n":1}"#);
    let check = |built: &Built, wrong: Record| -> Result<Answer> {
        match handler(built)?.evolve(None, &frame(&[added.clone(), wrong.clone()]), 2) {
            Ok(_) => bail!("{} was folded", wrong.kind),
            Err(CallError::Failure(failure)) if failure.index != Some(1) => {
                bail!("{}: it blames the event {:?}", wrong.kind, failure.index)
            }
            Err(error) => ended(&error),
        }
    };
    compare(Kind::Aggregate, |built| {
        Ok(vec![
            check(built, json("Crashed", "{}"))?,
            check(built, json("Unknown", "{}"))?,
            check(built, json("Added", "{}"))?,
            check(built, record("Added", None))?,
        ])
    })
}
