//! What crosses between the host and an aggregate, natively.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests: a helper that fails fails the test"
)]

use lantern_contract::frame::commands::{Decided, NewEvent, Request};
use lantern_contract::frame::events;
use lantern_sdk::guest::{self, Decision, Failure};
use lantern_sdk::{Aggregate, Context, Fault, Manifest, Rejection};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
struct Seats {
    taken: Vec<String>,
}

#[derive(Deserialize)]
enum Command {
    Take { name: String },
    Explain,
    Forget,
}

#[derive(Serialize, Deserialize)]
enum Event {
    Taken { name: String },
    Emptied,
}

enum Full {
    Full(usize),
}

impl From<Full> for Rejection {
    fn from(Full::Full(seats): Full) -> Self {
        Rejection::new("full", format!("all {seats} seats are taken")).detail(&[seats])
    }
}

impl Aggregate for Seats {
    type Command = Command;
    type Event = Event;
    type Rejection = Full;

    fn manifest() -> Manifest {
        Manifest::new("seats").topic("seats")
    }

    fn decide(&self, command: Command, context: &Context<'_>) -> Result<Vec<Event>, Full> {
        match command {
            Command::Take { .. } if self.taken.len() == 2 => Err(Full::Full(2)),
            Command::Take { name } if self.taken.contains(&name) => Ok(Vec::new()),
            Command::Take { name } => Ok(vec![Event::Taken { name }]),
            Command::Explain => {
                let (aggregate, id, version) = (context.aggregate(), context.id(), context.version());
                let correlation = context.correlation().unwrap_or("none");
                let name = format!("{aggregate} {id} {version} {} {correlation}", context.time_ms());
                Ok(vec![Event::Taken { name }])
            }
            Command::Forget => Ok(vec![Event::Emptied, Event::Emptied]),
        }
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Taken { name } => self.taken.push(name),
            Event::Emptied => self.taken.clear(),
        }
    }
}

fn decide(state: Option<&str>, command: &str, payload: &str) -> Result<Decision, Failure> {
    let mut frame = Vec::new();
    let request = Request {
        aggregate: "seats",
        id: "row-1",
        version: 3,
        state: state.map(str::as_bytes),
        command,
        payload: payload.as_bytes(),
        time_ms: 1_700,
        correlation: Some("c-1"),
    };
    request.write(&mut frame);
    guest::decide::<Seats>(&frame)
}

fn check_events(state: Option<&str>, command: &str, payload: &str, expected: &[(&str, &str)]) {
    let Ok(Decision::Events(frame)) = decide(state, command, payload) else { panic!("{command}: no events") };
    let decided: Vec<NewEvent<'_>> =
        Decided::parse(&frame).unwrap().iter().collect::<Result<_, _>>().unwrap();
    let decided: Vec<(&str, &str)> =
        decided.iter().map(|event| (event.kind, std::str::from_utf8(event.payload).unwrap())).collect();
    assert_eq!(decided, expected);
}

fn evolve(state: Option<&str>, given: &[(&str, &str)]) -> Result<String, Failure> {
    let mut writer = events::Writer::new();
    for (kind, payload) in given {
        let event = events::NewEvent {
            kind,
            topic: "seats",
            partition: 0,
            offset: 9,
            timestamp_ms: -1,
            key: Some(b"row-1"),
            payload: Some(payload.as_bytes()),
        };
        writer.push(event, []);
    }
    let mut frame = Vec::new();
    writer.finish(&mut frame);
    let state = guest::evolve::<Seats>(state.map(str::as_bytes), &frame)?;
    Ok(String::from_utf8(state).unwrap())
}

#[test]
fn a_command_becomes_events_by_the_names_of_variants() {
    check_events(None, "Take", r#"{"name":"Ada"}"#, &[("Taken", r#"{"name":"Ada"}"#)]);
    check_events(Some(r#"{"taken":["Ada"]}"#), "Take", r#"{"name":"Ada"}"#, &[]);
    check_events(None, "Forget", "", &[("Emptied", "{}"), ("Emptied", "{}")]);
    check_events(None, "Explain", "", &[("Taken", r#"{"name":"seats row-1 3 1700 c-1"}"#)]);
}

#[test]
fn a_rejection_is_an_answer() {
    match decide(Some(r#"{"taken":["Ada","Bob"]}"#), "Take", r#"{"name":"Cy"}"#) {
        Ok(Decision::Rejected(rejection)) => {
            assert_eq!(rejection, Rejection::new("full", "all 2 seats are taken").detail(&[2]));
        }
        _ => panic!("it is not rejected"),
    }
}

#[test]
fn events_become_state_whether_one_by_one_or_at_once() {
    let ada = ("Taken", r#"{"name":"Ada"}"#);
    let bob = ("Taken", r#"{"name":"Bob"}"#);
    let at_once = evolve(None, &[ada, ("Emptied", "{}"), bob]).unwrap();
    assert_eq!(at_once, r#"{"taken":["Bob"]}"#);
    let mut state = evolve(None, &[ada]).unwrap();
    state = evolve(Some(&state), &[("Emptied", "null")]).unwrap();
    assert_eq!(evolve(Some(&state), &[bob]).unwrap(), at_once);
}

// Whose fault it is decides what the caller is told: correct the command, or the handler.
#[test]
fn a_command_that_is_not_understood_is_at_fault_and_a_state_or_event_is_not() {
    let check = |failed: Failure, fault: Fault, index: Option<u32>, part: &str| {
        assert_eq!((failed.fault, failed.index), (fault, index), "{failed:?}");
        assert!(failed.message.contains(part), "{failed:?}");
    };
    let refused = |state, command, payload| decide(state, command, payload).map(|_| ()).unwrap_err();
    check(
        refused(None, "Tkae", "{}"),
        Fault::BadInput,
        None,
        "unknown variant `Tkae`, expected one of `Take`",
    );
    check(refused(None, "Take", r#"{"nmae":1}"#), Fault::BadInput, None, "missing field `name`");
    check(refused(None, "Take", "no JSON"), Fault::BadInput, None, "row-1: the command Take");
    check(refused(Some("[1]"), "Forget", ""), Fault::Other, None, "raise the manifest's state_version");
    let failed = evolve(None, &[("Emptied", ""), ("Renamed", "{}")]).unwrap_err();
    check(failed, Fault::BadInput, Some(1), "seats/0@9 (Renamed): unknown variant");
    check(guest::decide::<Seats>(b"").map(|_| ()).unwrap_err(), Fault::Other, None, "mangled frame");
}
