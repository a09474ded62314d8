//! A case of a test, as it is written: given events, when a command or more events, then what is to be.

use super::Error;
use super::fields::{Fields, elements, form, text};
use super::lines;
use super::then::{self, Then};
use super::values;
use super::yaml::{self, Node, Value};
use std::path::Path;

const CASE: [&str; 5] = ["case", "given_file", "given", "when", "then"];
const EVENT: [&str; 10] =
    ["type", "key", "data", "payload", "payload_base64", "topic", "partition", "offset", "time", "headers"];
const COMMAND: [&str; 5] = ["command", "id", "data", "time", "correlation"];

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it says of the plugin, in a sentence.
    pub name: String,
    /// Where it stands.
    pub line: usize,
    /// What has happened.
    pub given: Vec<Event>,
    /// What happens now.
    pub when: Option<When>,
    /// What is to be then.
    pub then: Then,
}

/// What happens in a case.
#[derive(Clone, Debug)]
pub enum When {
    /// More events.
    Events(Vec<Event>),
    /// A command.
    Command(Command),
}

/// An event. What it does not say has a default.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// Where it stands.
    pub line: usize,
    /// Its type.
    pub kind: Option<String>,
    /// Its topic.
    pub topic: Option<String>,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: Option<i64>,
    /// Its time in Unix milliseconds.
    pub time_ms: Option<i64>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its payload; `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Headers beside those of its envelope.
    pub headers: NamedBytes,
}

/// Names and values; a header may have none.
pub type NamedBytes = Vec<(String, Option<Vec<u8>>)>;

/// A command to an aggregate.
#[derive(Clone, Debug)]
pub struct Command {
    /// Where it stands.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Which aggregate.
    pub id: Option<String>,
    /// Its data, as JSON.
    pub payload: Vec<u8>,
    /// The time at which it is decided, in Unix milliseconds.
    pub time_ms: Option<i64>,
    /// What belongs together carries the same.
    pub correlation: Option<String>,
}

/// Reads the cases of a test: a list, or several documents of lists. Files that it names lie beside it, in `folder`.
///
/// # Errors
/// When it is not of this form; the error names the line, and what may have been meant.
pub fn read(text: &str, folder: &Path) -> Result<Vec<Case>, Error> {
    let mut cases: Vec<Case> = Vec::new();
    for document in yaml::parse(text)? {
        for node in elements(&document, "a test")? {
            let case = case(node, folder)?;
            if let Some(other) = cases.iter().find(|other| other.name == case.name) {
                let reason =
                    format!("line {} has a case of the same name: name each as what it shows", other.line);
                return Err(Error::new(case.line, reason));
            }
            cases.push(case);
        }
    }
    Ok(cases)
}

fn case(node: &Node, folder: &Path) -> Result<Case, Error> {
    let fields = Fields::of(node, "a case", &CASE)?;
    let name = text(fields.need("case")?, "case")?;
    let mut given = match fields.get("given_file") {
        Some(node) => lines::read(node, folder)?,
        None => Vec::new(),
    };
    if let Some(node) = fields.get("given") {
        given.extend(events(node, "`given`")?);
    }
    let when = match fields.get("when") {
        None => None,
        Some(node) if matches!(node.value, Value::Map(_)) => Some(When::Command(command(node)?)),
        Some(node) => Some(When::Events(events(node, "`when`")?)),
    };
    let then = then::read(fields.need("then")?)?;
    Ok(Case { name, line: node.line, given, when, then })
}

fn events(node: &Node, what: &str) -> Result<Vec<Event>, Error> {
    elements(node, what)?.iter().map(event).collect()
}

fn event(node: &Node) -> Result<Event, Error> {
    let fields = Fields::of(node, "an event", &EVENT)?;
    let payloads = ["data", "payload", "payload_base64"].map(|key| fields.get(key));
    let payload = match payloads {
        [None, None, None] => Some(b"{}".to_vec()),
        [Some(data), None, None] => Some(data.json()?.into_bytes()),
        [None, Some(payload), None] if payload.is_null() => None,
        [None, Some(payload), None] => Some(values::bytes(payload)?),
        [None, None, Some(payload)] => Some(values::base64(&text(payload, "payload_base64")?, payload.line)?),
        _ => {
            let reason =
                "an event has one of `data`, `payload` and `payload_base64`; `payload: null` is a tombstone";
            return Err(Error::new(node.line, reason));
        }
    };
    Ok(Event {
        line: node.line,
        kind: fields.text("type")?,
        topic: fields.text("topic")?,
        partition: fields.integer("partition")?.unwrap_or_default(),
        offset: fields.integer("offset")?,
        time_ms: fields.time_ms("time")?,
        key: fields.get("key").filter(|node| !node.is_null()).map(values::bytes).transpose()?,
        payload,
        headers: fields.get("headers").map(headers).transpose()?.unwrap_or_default(),
    })
}

fn headers(node: &Node) -> Result<NamedBytes, Error> {
    let Value::Map(entries) = &node.value else {
        return Err(Error::new(node.line, format!("`headers` should be a map, and is {}", form(node))));
    };
    let read = |entry: &yaml::Entry| {
        let value = if entry.node.is_null() { None } else { Some(values::bytes(&entry.node)?) };
        Ok((entry.key.clone(), value))
    };
    entries.iter().map(read).collect()
}

fn command(node: &Node) -> Result<Command, Error> {
    let fields = Fields::of(node, "a command", &COMMAND)?;
    Ok(Command {
        line: node.line,
        name: text(fields.need("command")?, "command")?,
        id: fields.text("id")?,
        payload: fields
            .get("data")
            .map(Node::json)
            .transpose()?
            .unwrap_or_else(|| "{}".to_owned())
            .into_bytes(),
        time_ms: fields.time_ms("time")?,
        correlation: fields.text("correlation")?,
    })
}
