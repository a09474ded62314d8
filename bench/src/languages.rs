//! The languages that plugins are written in, beside Rust: the projections of `tests/conformance`, which do the same.
//!
//! Measured is the plugins' own code, without SQLite and without a log, which are the same for all: how long a batch takes from the
//! frame of events to the frame of writes. And the whole projection, as who runs one has it.

mod whole;

use crate::report::{line, progress};
use anyhow::{Context as _, Result, ensure};
use lantern::config::Config;
use lantern::plugin::Plugin;
use lantern::wasm::{Component, Engine, Failure, Imports, Instance, Level, Limits};
use lantern_contract::frame::events;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use whole::Whole;

const REFERENCE: &str = "rust";
/// Events of a batch, as `[batch] events_max` has it by default.
const BATCH_EVENTS: usize = 20_000;
/// Rows that they are of.
const ACCOUNTS: usize = 1_000;
/// Events of JSON whose rows are gathered by account.
const KIND: &str = "Count";
/// Calls with one event, to see what a call costs.
const CALLS: usize = 500;
const PAGE: &str = "docs/languages.md";
const BEGIN: &str = "<!-- made by `lantern-bench --languages`: begin -->";
const END: &str = "<!-- end -->";

/// A language's folder in `tests/conformance`, its name, and how to learn the version of what builds it: a command, or,
/// where `lantern build` fetches it, what it fetches.
const LANGUAGES: [(&str, &str, Version); 8] = [
    (REFERENCE, "Rust", Version::Says(&["rustc", "--version"])),
    ("c", "C", Version::Is("zig cc 0.17.1")),
    ("zig", "Zig", Version::Is("0.17.1")),
    ("assemblyscript", "AssemblyScript", Version::Is("0.28.20")),
    ("go", "Go", Version::Says(&["go", "version"])),
    ("javascript", "JavaScript", Version::Is("QuickJS-ng 0.16.2")),
    ("typescript", "TypeScript", Version::Is("QuickJS-ng 0.16.2")),
    ("python", "Python", Version::Is("componentize-py 0.25.1")),
];

enum Version {
    Says(&'static [&'static str]),
    Is(&'static str),
}

/// What was measured of a language.
#[derive(Debug, Serialize)]
struct Measured {
    language: &'static str,
    toolchain: String,
    bytes: usize,
    compile_ms: f64,
    instantiate_ms: f64,
    /// One call with one event.
    call_us: f64,
    /// Microseconds for an event of JSON whose rows are gathered.
    json_us: f64,
    /// Microseconds for an event whose bytes are a row.
    bytes_us: f64,
    /// Microseconds for an event of JSON, from the log to the read model.
    whole_us: f64,
}

/// A language's plugin while it is measured.
struct Contender {
    language: &'static str,
    toolchain: String,
    name: String,
    path: PathBuf,
    bytes: usize,
    component: Component,
    compile: Duration,
}

/// A database that takes everything and has nothing.
struct Nothing;

impl Imports for Nothing {
    fn deadline(&mut self, _at: Instant) {}

    fn log(&mut self, _level: Level, _message: &str) {}

    fn prepare(&mut self, _sql: &str) -> Result<u32, Failure> {
        Ok(0)
    }

    fn apply(&mut self, _ops: &[u8]) -> Result<u32, Failure> {
        Ok(0)
    }

    fn query(&mut self, _statement: u32, _params: &[u8], _rows_max: u32) -> Result<Vec<u8>, Failure> {
        Ok(Vec::new())
    }
}

/// A language as it is named on the command line.
///
/// # Errors
/// When it is none of those that are measured.
pub fn named(given: &str) -> Result<&'static str, String> {
    let known = LANGUAGES.map(|(folder, ..)| folder);
    known
        .into_iter()
        .find(|language| *language == given)
        .ok_or_else(|| format!("one of {}", known.join(", ")))
}

/// Builds the languages' projections, measures them by turns, and writes the table into the page; as JSON, or where not all are
/// measured, prints it instead.
///
/// # Errors
/// When one cannot be built or run.
pub fn run(folder: &Path, runs: usize, only: &[&str], is_json: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no parent")?;
    let limits = Limits { event_ms_max: 60_000, call_ms_max: 60_000, ..Limits::default() };
    let engine = Engine::with_limits(None, &limits)?;
    let mut contenders = Vec::new();
    for (language, name, version) in LANGUAGES {
        let source = root.join("tests/conformance").join(language).join("projection");
        let is_wanted = only.is_empty() || language == REFERENCE || only.contains(&language);
        if !is_wanted || !source.is_dir() {
            continue;
        }
        progress(&format!("building and compiling {name}"));
        let built =
            lantern::cli::build(&source, &folder.join(language).with_extension("wasm"), &Config::default());
        let built = match built {
            Ok(built) => built,
            Err(error) => {
                progress(&format!("left out: {error:#}"));
                continue;
            }
        };
        let wasm = fs::read(&built.path)?;
        let started = Instant::now();
        let plugin = Plugin::load(&engine, &wasm, name, &limits)?;
        contenders.push(Contender {
            language: name,
            toolchain: version.text()?,
            name: plugin.name,
            path: built.path,
            bytes: wasm.len(),
            component: plugin.component,
            compile: started.elapsed(),
        });
    }
    let measured = measure(&engine, &limits, &contenders, &Whole::prepare(folder)?, runs)?;
    if is_json {
        return line(&serde_json::to_string_pretty(&measured)?);
    }
    let table = table(&measured)?;
    line(&table)?;
    if !only.is_empty() {
        return Ok(());
    }
    write_page(&root.join(PAGE), &table)
}

impl Version {
    fn text(&self) -> Result<String> {
        match self {
            Version::Is(text) => Ok((*text).to_owned()),
            Version::Says(command) => {
                let output = Command::new(command[0]).args(&command[1..]).output()?;
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let found = text
                    .split_whitespace()
                    .find(|word| word.trim_start_matches("go").starts_with(|c: char| c.is_ascii_digit()));
                Ok(found.context("no version")?.trim_start_matches("go").to_owned())
            }
        }
    }
}

fn measure(
    engine: &Engine,
    limits: &Limits,
    contenders: &[Contender],
    whole: &Whole<'_>,
    runs: usize,
) -> Result<Vec<Measured>> {
    let json = batch(KIND, BATCH_EVENTS, |at| json(at as u64));
    let bytes = batch("Record", BATCH_EVENTS, |at| format!("the payload of the event {at}, as it is"));
    let one = batch(KIND, 1, |_| r#"{"account":"account-1","n":1}"#.to_owned());
    let mut instances = Vec::new();
    let mut starts = Vec::new();
    for contender in contenders {
        let mut times = Vec::new();
        for _ in 0..5 {
            let started = Instant::now();
            let instance = Instance::new(engine, &contender.component, Nothing, limits)?;
            times.push(started.elapsed());
            drop(instance);
        }
        starts.push(median(times));
        instances.push(Instance::new(engine, &contender.component, Nothing, limits)?);
    }
    let mut times = vec![(Vec::new(), Vec::new(), Vec::new()); contenders.len()];
    // By turns, so that all of them see the machine's moods; the first is for warming up.
    for run in 0..=runs {
        for (at, instance) in instances.iter_mut().enumerate() {
            let mut timed = |frame: &[u8], events: usize, calls: usize| -> Result<Duration> {
                let started = Instant::now();
                for _ in 0..calls {
                    let answered = instance.apply(frame, events).with_context(|| contenders[at].language)?;
                    ensure!(!answered.is_empty(), "{} answered nothing", contenders[at].language);
                }
                Ok(started.elapsed() / u32::try_from(events * calls)?)
            };
            let (json, bytes, call) =
                (timed(&json, BATCH_EVENTS, 1)?, timed(&bytes, BATCH_EVENTS, 1)?, timed(&one, 1, CALLS)?);
            if run > 0 {
                times[at].0.push(json);
                times[at].1.push(bytes);
                times[at].2.push(call);
            }
        }
    }
    let mut wholes = vec![Vec::new(); contenders.len()];
    for run in 1..=runs {
        for (contender, times) in contenders.iter().zip(&mut wholes) {
            let time = whole.run(&contender.name, &contender.path)?;
            progress(&format!("{run}/{runs} {}: {time:?} for an event of a projection", contender.language));
            times.push(time);
        }
    }
    let us = |times: Vec<Duration>| median(times).as_secs_f64() * 1e6;
    let measured = contenders.iter().zip(starts).zip(times).zip(wholes);
    Ok(measured
        .map(|(((contender, start), (json, bytes, call)), whole)| Measured {
            language: contender.language,
            toolchain: contender.toolchain.clone(),
            bytes: contender.bytes,
            compile_ms: contender.compile.as_secs_f64() * 1e3,
            instantiate_ms: start.as_secs_f64() * 1e3,
            call_us: us(call),
            json_us: us(json),
            bytes_us: us(bytes),
            whole_us: us(whole),
        })
        .collect())
}

fn json(at: u64) -> String {
    let account = at * 7 % ACCOUNTS as u64;
    format!(r#"{{"account":"account-{account}","n":{}}}"#, at as i64 - 5_000)
}

fn batch(kind: &str, count: usize, payload: impl Fn(usize) -> String) -> Vec<u8> {
    let mut writer = events::Writer::new();
    for at in 0..count {
        let (payload, key) = (payload(at), format!("key-{}", at % ACCOUNTS));
        let event = events::NewEvent {
            kind,
            topic: "conformance",
            partition: 0,
            offset: i64::try_from(at).unwrap_or(0),
            timestamp_ms: 1_700_000_000_000,
            key: Some(key.as_bytes()),
            payload: Some(payload.as_bytes()),
        };
        writer.push(event, []);
    }
    let mut frame = Vec::new();
    writer.finish(&mut frame);
    frame
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn table(measured: &[Measured]) -> Result<String> {
    let reference =
        measured.first().filter(|first| first.language == LANGUAGES[0].1).context("Rust is the reference")?;
    let mut text = String::from(
        "| language | toolchain | size | compile | instantiate | a call | events of JSON | events of bytes | a projection |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for Measured {
        language,
        toolchain,
        bytes,
        compile_ms,
        instantiate_ms,
        call_us,
        json_us,
        bytes_us,
        whole_us,
    } in measured
    {
        let size = match bytes / 1_000 {
            kilobytes @ 0..1_000 => format!("{kilobytes} KB"),
            kilobytes => format!("{:.1} MB", kilobytes as f64 / 1e3),
        };
        text.push_str(&format!(
            "| {language} | {toolchain} | {size} | {:.2} s | {instantiate_ms:.2} ms | {call_us:.1} us | {:.2} ({json_us:.2} us) | {:.2} ({bytes_us:.2} us) | {:.2} ({whole_us:.2} us) |\n",
            compile_ms / 1e3,
            reference.json_us / json_us,
            reference.bytes_us / bytes_us,
            reference.whole_us / whole_us,
        ));
    }
    Ok(text)
}

/// Writes the table over the one that the page has.
fn write_page(path: &Path, table: &str) -> Result<()> {
    let page = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let (before, rest) =
        page.split_once(BEGIN).with_context(|| format!("{} has no {BEGIN}", path.display()))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{} has no {END}", path.display()))?;
    fs::write(path, format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))?;
    Ok(())
}
