//! A case of a projection: its events go through applier and writer into a read model of its own.

use super::case::{Case, When};
use super::fields::unknown;
use super::log::{Log, Written};
use super::then::Table;
use super::values::Expected;
use super::{Bench, Error, Problem, Stopped, failure, messages, misplaced, rows};
use crate::event;
use crate::projection::Author;
use crate::projection::applier::{self, Applier};
use crate::projection::batch::Collector;
use crate::read_model::outbox::Message;
use crate::read_model::{
    Cell, Durability, Fingerprint, Outbox, Params, Question, Reader, ReaderLimits, Writer,
};
use crate::upcast::Upcasters;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// What a query of a test may take.
const QUERY_TIME_MAX: Duration = Duration::from_secs(10);
/// Batches of the second run: each of one event, unless there are more events.
const BATCHES_MAX: usize = 200;

/// A case's events as records.
struct Records {
    given: Vec<Written>,
    when: Vec<Written>,
    beginnings: Vec<((String, i32), i64)>,
}

/// What a case came to.
struct Played {
    _folder: TempDir,
    path: PathBuf,
    failure: Option<Failure>,
    /// Types of events that the plugin does not read.
    passed_over: BTreeSet<String>,
    /// What waited to be sent after the given events, and in the end.
    before: Vec<Message>,
    after: Vec<Message>,
}

struct Failure {
    line: usize,
    message: String,
    is_in_given: bool,
}

/// Runs a case; answers what is otherwise than it says.
pub fn run(bench: &Bench, case: &Case) -> Result<Vec<Problem>, Stopped> {
    check(bench, case)?;
    let records = records(bench, case)?;
    let whole = play(bench, &records, case.line, usize::MAX)?;
    let size = (records.given.len() + records.when.len()).div_ceil(BATCHES_MAX).max(1);
    let parts = play(bench, &records, case.line, size)?;

    let mut problems = Vec::new();
    if let Some(text) = difference(&whole, &parts)? {
        // Which of the two it is, the first way tells when it is gone once more.
        let again = play(bench, &records, case.line, usize::MAX)?;
        problems.push(Problem::new(case.line, if difference(&whole, &again)?.is_some() {
            format!("it is not deterministic: the same events, applied a second time, give {text}")
        } else {
            format!(
                "what it makes of events depends on where batches end, which nobody can tell: applied in smaller batches they \
                 give {text}. What has to last belongs into a table"
            )
        }));
    }
    problems.extend(judge(bench, case, &whole)?);
    if !problems.is_empty() && !whole.passed_over.is_empty() {
        let types = whole.passed_over.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
        let mut note = Problem::new(
            case.line,
            format!("passed over, since the plugin does not read their type: {types}"),
        );
        note.details.push(format!("  it reads {}", bench.plugin.manifest.types.join(", ")));
        problems.push(note);
    }
    Ok(problems)
}

/// Sees that the case is one of a projection.
fn check(bench: &Bench, case: &Case) -> Result<(), Error> {
    let then = &case.then;
    let sends = !bench.plugin.manifest.sends.is_empty();
    for (key, line) in [
        ("events", then.events.as_ref().map(|(line, _)| *line)),
        ("rejected", then.rejected.as_ref().map(|rejected| rejected.line)),
        ("state", then.state.as_ref().map(|(line, _)| *line)),
        ("sends", then.sends.as_ref().filter(|_| !sends).map(|(line, _)| *line)),
        ("cancels", then.cancels.as_ref().filter(|_| !sends).map(|(line, _)| *line)),
    ] {
        if let Some(line) = line {
            return Err(misplaced(line, key, &bench.plugin));
        }
    }
    match &case.when {
        Some(When::Command(command)) => Err(misplaced(command.line, "command", &bench.plugin)),
        Some(When::Events(_)) | None => Ok(()),
    }
}

fn records(bench: &Bench, case: &Case) -> Result<Records, Error> {
    let mut log = Log::new(&bench.plugin.manifest);
    let given = case.given.iter().map(|event| log.append(event)).collect::<Result<_, _>>()?;
    let when = match &case.when {
        Some(When::Events(events)) => {
            events.iter().map(|event| log.append(event)).collect::<Result<_, _>>()?
        }
        _ => Vec::new(),
    };
    Ok(Records { given, when, beginnings: log.beginnings.into_iter().collect() })
}

/// Applies the events, at most so many in a batch.
fn play(bench: &Bench, records: &Records, case_line: usize, batch_max: usize) -> Result<Played, Stopped> {
    let folder = tempfile::Builder::new().prefix("lantern-test-").tempdir()?;
    let path = folder.path().join("read-model.db");
    let mut played = Played {
        _folder: folder,
        path: path.clone(),
        failure: None,
        passed_over: BTreeSet::new(),
        before: Vec::new(),
        after: Vec::new(),
    };
    let mut fail = |line, message: String, is_in_given| {
        played.failure.get_or_insert(Failure { line, message, is_in_given });
    };
    // A test is of one plugin alone: it gives the events as they are today.
    let author = Author { plugin: Arc::clone(&bench.plugin), upcasters: Upcasters::default() };
    let writer = match Writer::open(&path, &author.blueprint(), Durability::Normal) {
        Ok(writer) => writer,
        Err(error) => {
            fail(case_line, error.to_string(), true);
            return Ok(played);
        }
    };
    for ((topic, partition), offset) in &records.beginnings {
        writer.begin_partition(topic, *partition, *offset)?;
    }
    let mut collector = Collector::new(&bench.plugin.manifest, records.beginnings.iter().cloned().collect());
    let mut applier = Applier::start(&bench.engine, &bench.plugin, &bench.limits, writer)?;
    for (part, is_given) in [(&records.given, true), (&records.when, false)] {
        if let Err((line, message)) = apply(
            &mut applier,
            &mut collector,
            part,
            batch_max,
            &bench.plugin.manifest.envelope,
            &mut played.passed_over,
        ) {
            played.failure =
                Some(Failure { line: line.unwrap_or(case_line), message, is_in_given: is_given });
            break;
        }
        if is_given {
            played.before = messages(&path)?;
        }
    }
    played.after = messages(&path)?;
    drop(applier);
    Ok(played)
}

/// Applies events; an error is a message, with the line of the event at fault if one is.
fn apply(
    applier: &mut Applier,
    collector: &mut Collector,
    records: &[Written],
    batch_max: usize,
    envelope: &event::Envelope,
    passed_over: &mut BTreeSet<String>,
) -> Result<(), (Option<usize>, String)> {
    let failed = |error: applier::Error| match &error {
        applier::Error::Poison(poison) => {
            let place = &poison.place;
            let is_it = |record: &&Written| {
                (&record.topic, record.partition, record.offset)
                    == (&place.topic, place.partition, place.offset)
            };
            (records.iter().find(is_it).map(|record| record.line), error.to_string())
        }
        other => (None, other.to_string()),
    };
    let mut unopened = None;
    for written in records {
        let headers = written.headers();
        match event::open(envelope, &written.record(&headers)) {
            Ok(event) => {
                if !collector.push(&event) {
                    passed_over.insert(event.kind.clone().into_owned());
                }
            }
            Err(error) => {
                unopened = Some((Some(written.line), error.to_string()));
                break;
            }
        }
        if collector.len() >= batch_max {
            applier.submit(collector.finish(Vec::new())).map_err(failed)?;
        }
    }
    applier.submit(collector.finish(Vec::new())).and_then(|()| applier.drain()).map_err(failed)?;
    unopened.map_or(Ok(()), Err)
}

fn messages(path: &std::path::Path) -> Result<Vec<Message>, Stopped> {
    Ok(match Outbox::open(path)? {
        Some(outbox) => outbox.due(Some(i64::MAX), &[], usize::MAX)?,
        None => Vec::new(),
    })
}

/// What two runs differ in, in words.
fn difference(one: &Played, other: &Played) -> Result<Option<String>, Stopped> {
    let message = |played: &Played| played.failure.as_ref().map(|failure| failure.message.clone());
    if message(one) != message(other) {
        let of = |played: &Played| message(played).unwrap_or_else(|| "no error".to_owned());
        return Ok(Some(format!("another error:\n      {}\n      {}", of(one), of(other))));
    }
    if !one.path.exists() {
        return Ok(None);
    }
    let (first, second) = (Fingerprint::of(&one.path)?, Fingerprint::of(&other.path)?);
    let tables: Vec<&str> = first
        .tables
        .iter()
        .filter(|(table, hash)| second.tables.get(*table) != Some(hash))
        .map(|(table, _)| table.as_str())
        .collect();
    if !tables.is_empty() {
        return Ok(Some(format!("other rows in {}", tables.join(", "))));
    }
    Ok((one.after != other.after).then(|| "other commands".to_owned()))
}

fn judge(bench: &Bench, case: &Case, played: &Played) -> Result<Vec<Problem>, Stopped> {
    let then = &case.then;
    let mut problems = Vec::new();
    match &played.failure {
        Some(failure) if failure.is_in_given && case.when.is_some() => {
            problems.push(Problem::new(
                failure.line,
                format!("already a given event fails: {}", failure.message),
            ));
            return Ok(problems);
        }
        found => {
            let found = found.as_ref().map(|found| (found.line, found.message.clone()));
            problems.extend(failure(then.fails.as_ref(), found));
        }
    }
    if !played.path.exists() {
        return Ok(problems);
    }
    let mut reader = Reader::open(&played.path)?;
    for table in &then.rows {
        let (columns, found) = table_rows(&mut reader, table)?;
        problems.extend(rows::compare(table, &columns, &found)?);
    }
    for query in &then.queries {
        let (columns, found) = answer(bench, &mut reader, query)?;
        problems.extend(rows::compare(query, &columns, &found)?);
    }
    if let Some((line, expected)) = &then.sends {
        let sent: Vec<Message> =
            played.after.iter().filter(|message| !played.before.contains(message)).cloned().collect();
        // Without `when`, everything is what the given events have sent.
        let sent = if case.when.is_none() { played.after.clone() } else { sent };
        problems.extend(messages::compare(*line, expected, &sent));
    }
    if let Some((line, expected)) = &then.cancels {
        problems.extend(cancelled(*line, expected, played));
    }
    Ok(problems)
}

fn cancelled(line: usize, expected: &[String], played: &Played) -> Option<Problem> {
    let waits = |key: &String| played.after.iter().any(|message| message.key == *key);
    let gone =
        played.before.iter().filter(|message| message.due_ms.is_some()).map(|message| message.key.clone());
    let mut gone: Vec<String> = gone.filter(|key| !waits(key)).collect();
    let mut wanted = expected.to_vec();
    gone.sort_unstable();
    wanted.sort_unstable();
    if gone == wanted {
        return None;
    }
    let mut problem = Problem::new(line, "it takes other messages back");
    problem.details.extend(wanted.iter().filter(|key| !gone.contains(key)).map(|key| format!("- {key}")));
    problem.details.extend(gone.iter().filter(|key| !wanted.contains(key)).map(|key| format!("+ {key}")));
    Some(problem)
}

type Answer = (Vec<String>, Vec<Vec<Cell>>);

fn table_rows(reader: &mut Reader, table: &Table) -> Result<Answer, Stopped> {
    let names = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') \
                 AND name NOT LIKE '\\_lantern\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let (_, names) = ask(reader, Question::new(names))?;
    let names: Vec<String> = names
        .into_iter()
        .filter_map(|row| match row.into_iter().next() {
            Some(Cell::Text(name)) => Some(name),
            _ => None,
        })
        .collect();
    if !names.contains(&table.name) {
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        return Err(Error::new(table.line, unknown(&table.name, "the read model", &known)).into());
    }
    let sql = format!("SELECT * FROM \"{}\"", table.name.replace('"', "\"\""));
    Ok(ask(reader, Question::new(&sql))?)
}

/// What a named query answers.
fn answer(bench: &Bench, reader: &mut Reader, query: &Table) -> Result<Answer, Stopped> {
    let queries = &bench.plugin.manifest.queries;
    let Some(named) = queries.get(&query.name) else {
        let known: Vec<&str> = queries.keys().map(String::as_str).collect();
        return Err(Error::new(query.line, unknown(&query.name, "the plugin's queries", &known)).into());
    };
    let param = |(name, expected): &(String, Expected)| match expected {
        Expected::Cell(cell) => (name.clone(), cell.clone()),
        Expected::Json(json) => (name.clone(), Cell::Text(json.to_string())),
    };
    let params = match query.params.as_slice() {
        [] => Params::None,
        params => Params::Named(params.iter().map(param).collect()),
    };
    ask(reader, Question { sql: &named.sql, params: &params })
        .map_err(|error| Error::new(query.line, error.to_string()).into())
}

fn ask(reader: &mut Reader, question: Question<'_>) -> Result<Answer, crate::read_model::Error> {
    let mut columns = Vec::new();
    let mut rows = Vec::new();
    reader.query(
        question,
        ReaderLimits::time(QUERY_TIME_MAX),
        |names| columns = names,
        |row| {
            rows.push(row);
            ControlFlow::Continue(())
        },
    )?;
    Ok((columns, rows))
}
