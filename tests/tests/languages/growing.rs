//! The contract grows, and old plugins stay: what a newer host adds to a frame is passed over by every language. What is no frame is
//! refused by all.

use super::aggregates::handler;
use super::events::json;
use super::failures::{frame, instance};
use super::plugins::{Kind, all, engine, limits};
use anyhow::{Context, Result, bail, ensure};
use lantern::wasm::{CallError, Decision, Upcaster};
use lantern_contract::frame::rows;
use lantern_contract::frame::value::Value;

/// A call of a plugin: what it is given, and what it answers.
type Call<'c> = Box<dyn FnMut(&[u8]) -> Result<Vec<u8>, CallError> + 'c>;

/// The columns of a command, in no order that a host writes, with values for the conformance suite's aggregate.
const COMMAND: [(&str, Value<'static>); 8] = [
    ("payload", Value::Blob(br#"{"n":5}"#)),
    ("correlation", Value::Null),
    ("command", Value::Text("Add")),
    ("version", Value::Integer(0)),
    ("time_ms", Value::Integer(1_700_000_000_123)),
    ("state", Value::Null),
    ("id", Value::Text("c")),
    ("aggregate", Value::Text("counter")),
];

fn command(columns: &[(&str, Value<'static>)], rows: usize) -> Vec<u8> {
    let mut writer = rows::Writer::new();
    columns.iter().for_each(|(name, _)| writer.column(name));
    (0..rows).for_each(|_| writer.push(columns.iter().map(|(_, value)| *value)));
    let mut frame = Vec::new();
    writer.finish(&mut frame);
    frame
}

fn word(frame: &[u8], at: usize) -> usize {
    u32::from_le_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]) as usize
}

/// A frame whose items have a column more than this side knows.
fn wider(frame: &[u8]) -> Vec<u8> {
    const MORE: [u8; 8] = [0xee; 8];
    let (count, stride, texts) = (word(frame, 8), word(frame, 12), word(frame, 16));
    let index = 32 + texts * 8;
    let arena = index + count * stride;
    let mut wider = frame[..index].to_vec();
    wider[12..16].copy_from_slice(&u32::try_from(stride + MORE.len()).unwrap_or(0).to_le_bytes());
    for item in frame[index..arena].chunks(stride) {
        wider.extend_from_slice(item);
        wider.extend_from_slice(&MORE);
    }
    wider.extend_from_slice(&frame[arena..]);
    wider
}

/// Every function that takes a frame, in every language: its name, a frame that it takes, and how it is called.
fn every_call(check: impl Fn(&str, &[u8], Call<'_>) -> Result<()>) -> Result<()> {
    let mut wrong = Vec::new();
    let mut checked = |name: String, frame: &[u8], call: Call<'_>| {
        if let Err(error) = check(&name, frame, call) {
            wrong.push(format!("{name}: {error:#}"));
        }
    };
    let counts =
        frame(&[json("Count", r#"{"account":"a","n":1}"#), json("Count", r#"{"account":"b","n":2}"#)]);
    for built in all(Kind::Projection)? {
        let mut instance = instance(built)?;
        checked(
            format!("{} apply", built.language),
            &counts,
            Box::new(move |frame| instance.apply(frame, 2)),
        );
    }
    let old = frame(&[json("CountV1", r#"{"account":"a","amount":1}"#)]);
    for built in all(Kind::Upcaster)? {
        let mut upcaster = Upcaster::new(engine()?, &built.plugin.component, "upcaster", &limits())?;
        checked(format!("{} upcast", built.language), &old, Box::new(move |frame| upcaster.upcast(frame, 1)));
    }
    let added = frame(&[json("Added", r#"{"n":1}"#)]);
    for built in all(Kind::Aggregate)? {
        let mut evolving = handler(built)?;
        checked(
            format!("{} evolve", built.language),
            &added,
            Box::new(move |frame| evolving.evolve(None, frame, 1)),
        );
        let mut deciding = handler(built)?;
        let decide = move |frame: &[u8]| match deciding.decide(frame)? {
            Decision::Events(events) => Ok(events),
            Decision::Rejected(rejection) => Ok(rejection.code.into_bytes()),
        };
        checked(format!("{} decide", built.language), &command(&COMMAND, 1), Box::new(decide));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

// A plugin that was built yesterday runs in the host of tomorrow.
#[test]
fn what_a_newer_host_adds_to_a_frame_is_passed_over() -> Result<()> {
    let mut more = COMMAND.to_vec();
    more.insert(3, ("tenant", Value::Text("a")));
    every_call(|name, frame, mut call| {
        let answered = call(frame)?;
        ensure!(!answered.is_empty(), "it answers nothing");
        ensure!(call(&wider(frame))? == answered, "it answers otherwise where items have a column more");
        if name.ends_with("decide") {
            ensure!(call(&command(&more, 1))? == answered, "it answers otherwise to a column more");
        }
        Ok(())
    })
}

// A host that is broken, or newer than a plugin can know, must not make it guess; and one bad frame does not end the instance.
#[test]
fn what_is_no_frame_is_refused() -> Result<()> {
    let changed = |frame: &[u8], at: usize, byte: u8| {
        let mut frame = frame.to_vec();
        frame[at] = byte;
        frame
    };
    every_call(|name, frame, mut call| {
        let mut bad = vec![
            ("nothing", Vec::new()),
            ("half a header", frame[..16].to_vec()),
            ("one byte less", frame[..frame.len() - 1].to_vec()),
            ("another magic", changed(frame, 0, b'M')),
            ("a newer layout", changed(frame, 4, 2)),
            ("a frame of writes", changed(frame, 6, 2)),
            ("a text outside", changed(frame, 35, 0x7f)),
        ];
        if name.ends_with("decide") {
            bad.push(("no row", command(&COMMAND, 0)));
            for (place, (column, value)) in COMMAND.into_iter().enumerate() {
                let mut less = COMMAND.to_vec();
                less.remove(place);
                bad.push((column, command(&less, 1)));
                let mut other = COMMAND.to_vec();
                other[place].1 =
                    if matches!(value, Value::Integer(_)) { Value::Null } else { Value::Real(0.5) };
                bad.push((column, command(&other, 1)));
            }
        }
        for (what, bad) in bad {
            match call(&bad) {
                Err(CallError::Failure(_)) => {}
                other => bail!("{what}: it ends by {other:?}"),
            }
            call(frame).with_context(|| format!("after {what}"))?;
        }
        Ok(())
    })
}
