//! A failure says what and which event, whatever language it comes from.

use super::events::{Record, json, record};
use super::plugins::{Built, Kind, all, compare, engine, limits};
use anyhow::{Context, Result, bail, ensure};
use lantern::wasm::{CallError, Failure, Fault, Imports, Instance, Level};
use lantern_contract::frame::value::Value;
use lantern_contract::frame::{events, ops, rows};
use std::time::Instant;

/// A database that knows the statements of this test: one table is missing, and `ones` takes no 2.
#[derive(Default)]
pub struct Database {
    statements: Vec<String>,
    logged: Vec<(Level, String)>,
}

impl Database {
    fn refuse<T>(fault: Fault, message: &str, index: Option<u32>) -> Result<T, Failure> {
        Err(Failure { fault, message: message.to_owned(), index })
    }
}

impl Imports for Database {
    fn deadline(&mut self, _at: Instant) {}

    fn log(&mut self, level: Level, message: &str) {
        self.logged.push((level, message.to_owned()));
    }

    fn prepare(&mut self, sql: &str) -> Result<u32, Failure> {
        if sql.contains("missing") {
            return Self::refuse(Fault::Sql, "no such table: missing", None);
        }
        self.statements.push(sql.to_owned());
        Ok(u32::try_from(self.statements.len()).unwrap_or(0) - 1)
    }

    fn apply(&mut self, frame: &[u8]) -> Result<u32, Failure> {
        let ops = ops::Ops::parse(frame).map_err(|error| broken(&error))?;
        for op in ops.iter() {
            let op = op.map_err(|error| broken(&error))?;
            if self.statements[op.statement as usize].contains("INTO ones") {
                return Self::refuse(Fault::Conflict, "CHECK constraint failed: n = 1", op.event);
            }
        }
        Ok(0)
    }

    fn query(&mut self, _statement: u32, _params: &[u8], _rows_max: u32) -> Result<Vec<u8>, Failure> {
        let mut writer = rows::Writer::new();
        writer.column("n");
        writer.push([Value::Integer(0)]);
        let mut frame = Vec::new();
        writer.finish(&mut frame);
        Ok(frame)
    }
}

fn broken(error: &impl std::fmt::Display) -> Failure {
    Failure { fault: Fault::Other, message: format!("a broken frame: {error}"), index: None }
}

/// How a case must end.
enum End {
    Fails(Fault, &'static str),
    /// As the SDK's own error about what the plugin does, which says where it does that if the language knows.
    Refuses(Fault, &'static str),
    /// As the language's own error, which says where it arose if the language knows.
    Throws(&'static str),
    Crashes,
    /// By the end of its stack.
    Overflows,
    /// It is applied, and what it wrote is refused afterwards.
    Applies,
}

/// The source of each language whose errors have a trace.
const TRACES: [(&str, &str); 3] =
    [("javascript", "index.js:"), ("python", "app.py:"), ("typescript", "index.ts:")];

fn cases() -> Vec<(Record, End)> {
    let how = |how: &str| json("Fail", &format!(r#"{{"how":"{how}"}}"#));
    let mut cases = vec![
        (how("bad-input"), End::Fails(Fault::BadInput, "refused by the domain")),
        (how("other"), End::Throws("an ordinary error")),
        (how("unknown"), End::Refuses(Fault::Sql, "no such table: missing")),
        (how("late"), End::Applies),
        (how("query"), End::Fails(Fault::Conflict, "CHECK constraint failed")),
        (how("crash"), End::Crashes),
        (how("recursion"), End::Overflows),
        (how("what"), End::Fails(Fault::BadInput, "")),
        (json("Row", r#"{"id":"r","ops":"put 1;jump"}"#), End::Fails(Fault::BadInput, "")),
        (json("Row", r#"{"id":"r","ops":"put x"}"#), End::Fails(Fault::BadInput, "")),
        (record("Count", None), End::Fails(Fault::BadInput, "")),
        (record("Count", Some(vec![0xff, 0xfe])), End::Fails(Fault::BadInput, "")),
    ];
    for data in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"account":"a"}"#,
        r#"{"account":"a","n":"1"}"#,
        r#"{"account":"a","n":1.5}"#,
        r#"{"account":"a","n":null}"#,
        r#"{"account":"a","n":9223372036854775808}"#,
        r#"{"account":"a","n":-9223372036854775809}"#,
        r#"{"account":7,"n":1}"#,
        r#"{"account":"a","n":1} x"#,
        r#"{"account":"a","n":01}"#,
        r#"{"account":"a,"n":1}"#,
    ] {
        cases.push((json("Count", data), End::Fails(Fault::BadInput, "")));
    }
    cases
}

// Who debugs a plugin at night sees which event it was and why, and whatever the failing batch had written is gone: the next batch on the
// same instance writes its own rows only.
#[test]
fn every_failure_names_its_event_and_leaves_nothing_behind() -> Result<()> {
    let mut wrong = Vec::new();
    for built in all(Kind::Projection)? {
        for (record, end) in cases() {
            let said = || String::from_utf8_lossy(record.payload.as_deref().unwrap_or(b"-")).into_owned();
            if let Err(error) = check(built, &record, &end) {
                wrong.push(format!("{}: {} {}: {error:#}", built.language, record.kind, said()));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn check(built: &Built, failing: &Record, end: &End) -> Result<()> {
    let mut instance = instance(built)?;
    let good = json("Count", r#"{"account":"a","n":1}"#);
    let batch = [json("Count", r#"{"account":"b","n":1}"#), good.clone(), failing.clone(), good.clone()];
    let error = match (instance.apply(&frame(&batch), batch.len()), end) {
        (Err(error), _) => error,
        // The host halts at the event that the write names.
        (Ok(answered), End::Applies) => return refused(&mut instance, &answered),
        (Ok(_), _) => bail!("it was applied"),
    };
    match (end, error) {
        (End::Fails(fault, words), CallError::Failure(failure)) => {
            ensure!(failure.fault == *fault && failure.message.contains(words), "it failed by {failure:?}");
            ensure!(failure.index == Some(2), "it blames the event {:?}: {failure:?}", failure.index);
        }
        (End::Throws(words), CallError::Failure(failure)) => {
            check_placed(built, &failure, Fault::Other, words)?;
        }
        (End::Refuses(fault, words), CallError::Failure(failure)) => {
            check_placed(built, &failure, *fault, words)?;
        }
        (End::Crashes, CallError::Failure(failure)) => {
            ensure!(failure.fault == Fault::Other, "a crash is no {:?}: {failure:?}", failure.fault);
            ensure!(failure.message.contains("boom"), "it failed by {failure:?}");
            ensure!(failure.index == Some(2), "it blames the event {:?}: {failure:?}", failure.index);
        }
        (End::Crashes, CallError::Trap { message, .. }) => {
            ensure!(message.contains("boom"), "it trapped: {message}");
            // A trapped instance is not called again.
            return Ok(());
        }
        (End::Overflows, CallError::Failure(failure)) => {
            let words = failure.message.to_lowercase();
            ensure!(words.contains("stack") || words.contains("recursion"), "it failed by {failure:?}");
            ensure!(failure.index == Some(2), "it blames the event {:?}: {failure:?}", failure.index);
        }
        (End::Overflows, CallError::Trap { message, .. }) => {
            ensure!(message.contains("stack"), "it trapped: {message}");
            return Ok(());
        }
        (_, error) => bail!("it ended by {error:?}"),
    }
    let answered = instance.apply(&frame(&[good]), 1).context("the batch after the failure")?;
    let left = ops::Ops::parse(&answered)?.len();
    ensure!(left == 1, "the batch after it wrote {left} rows instead of one");
    Ok(())
}

/// Sees whether a failure names its event, and the line of the plugin where the language knows that.
fn check_placed(built: &Built, failure: &Failure, fault: Fault, words: &str) -> Result<()> {
    ensure!(failure.fault == fault && failure.message.contains(words), "it failed by {failure:?}");
    ensure!(failure.index == Some(2), "it blames the event {:?}: {failure:?}", failure.index);
    let source = TRACES.iter().find(|(language, _)| *language == built.language);
    let place = source.and_then(|(_, source)| failure.message.split_once(source));
    let is_placed = place.is_some_and(|(_, line)| line.starts_with(|c: char| c.is_ascii_digit()));
    ensure!(is_placed || source.is_none(), "it does not say where in the source: {failure:?}");
    Ok(())
}

/// Has the database run what an instance answered: it refuses the write of the event at fault, and knows which event that is.
fn refused(instance: &mut Instance<Database>, answered: &[u8]) -> Result<()> {
    match instance.imports().apply(answered) {
        Err(Failure { fault: Fault::Conflict, index: Some(2), .. }) => Ok(()),
        other => bail!("what it wrote ends by {other:?}"),
    }
}

// A plugin's log is what its author has to go by, in every language.
#[test]
fn every_language_writes_to_the_log() -> Result<()> {
    compare(Kind::Projection, |built| {
        let mut instance = instance(built)?;
        let batch = [json("Log", r#"{"text":"ü 𝄞 %s {}"}"#), json("Log", r#"{"text":""}"#)];
        instance.apply(&frame(&batch), batch.len())?;
        let logged = instance.into_imports().logged;
        ensure!(logged.first().is_some_and(|(_, text)| text == "ü 𝄞 %s {}"), "it logged {logged:?}");
        Ok(logged)
    })
}

// What chance a language has is refused, or the same in every instance: a replay gives the same rows.
#[test]
fn no_language_has_randomness_that_differs_between_instances() -> Result<()> {
    for built in all(Kind::Projection)? {
        let ask = || -> Result<String> {
            let mut instance = instance(built)?;
            match instance.apply(&frame(&[json("Fail", r#"{"how":"random"}"#)]), 1) {
                Err(CallError::Failure(failure)) if failure.message.contains("random:") => {
                    Ok(failure.message)
                }
                other => bail!("{}: it ended by {other:?}", built.language),
            }
        };
        let (first, second) = (ask()?, ask()?);
        ensure!(first == second, "{}: {first}, and then {second}", built.language);
        // Their SDKs say that they refuse it.
        let refuses = TRACES.iter().any(|(language, _)| *language == built.language);
        let said = first.split_once("random:").map_or("", |(_, said)| said);
        let is_refused = said.split_whitespace().all(|word| word == "refused");
        ensure!(is_refused || !refuses, "{}: {first}", built.language);
    }
    Ok(())
}

pub fn instance(built: &Built) -> Result<Instance<Database>> {
    Ok(Instance::new(engine()?, &built.plugin.component, Database::default(), &limits())?)
}

/// The frame of a batch.
pub fn frame(records: &[Record]) -> Vec<u8> {
    let mut writer = events::Writer::new();
    for (offset, record) in records.iter().enumerate() {
        let headers = record.headers.iter().map(|(name, value)| (*name, value.as_deref()));
        let event = events::NewEvent {
            kind: record.kind,
            topic: "conformance",
            partition: 0,
            offset: i64::try_from(offset).unwrap_or(0),
            timestamp_ms: record.timestamp_ms,
            key: record.key.as_deref(),
            payload: record.payload.as_deref(),
        };
        writer.push(event, headers);
    }
    let mut frame = Vec::new();
    writer.finish(&mut frame);
    frame
}
