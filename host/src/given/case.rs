//! A case of a test, as it is written: given events, when a command or more events, then what is to be.

use super::Error;
use super::fields::{Fields, elements, form, text};
use super::values::{self, Expected};
use super::yaml::{self, Node, Scalar, Value};
use crate::event::fields;
use serde_json::Map;
use std::path::Path;

const CASE: [&str; 5] = ["case", "given_file", "given", "when", "then"];
const EVENT: [&str; 10] =
    ["type", "key", "data", "payload", "payload_base64", "topic", "partition", "offset", "time", "headers"];
const COMMAND: [&str; 5] = ["command", "id", "data", "time", "correlation"];
const THEN: [&str; 8] = ["rows", "queries", "sends", "cancels", "events", "rejected", "state", "fails"];
const SENT: [&str; 6] = ["aggregate", "id", "command", "data", "key", "due"];

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
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

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

/// What is to be then. What is not named is not looked at.
#[derive(Clone, Debug, Default)]
pub struct Then {
    /// Where it stands.
    pub line: usize,
    /// Of these tables, all rows.
    pub rows: Vec<Table>,
    /// Of these named queries, the answers.
    pub queries: Vec<Table>,
    /// The commands that were sent, in order.
    pub sends: Option<(usize, Vec<Sent>)>,
    /// The keys of messages that waited and were taken back.
    pub cancels: Option<(usize, Vec<String>)>,
    /// The events that were decided, or made of older ones, in order.
    pub events: Option<(usize, Vec<Made>)>,
    /// That the domain says no.
    pub rejected: Option<Rejected>,
    /// The aggregate's state.
    pub state: Option<(usize, serde_json::Value)>,
    /// Words of the message that it fails with.
    pub fails: Option<(usize, String)>,
}

/// Rows of a table, or of a query's answer.
#[derive(Clone, Debug)]
pub struct Table {
    /// Where it stands.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Whether the rows have to be in this order.
    pub is_ordered: bool,
    /// A query's parameters.
    pub params: Vec<(String, Expected)>,
    /// Its rows, all of them.
    pub rows: Vec<Row>,
}

/// A row: the columns that are looked at.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where it stands.
    pub line: usize,
    /// What its columns have to be.
    pub cells: Vec<(String, Expected)>,
}

/// A command that a process manager has to send.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Where it stands.
    pub line: usize,
    /// Its texts, by their names.
    pub texts: Vec<(&'static str, String)>,
    /// Its data.
    pub data: Option<serde_json::Value>,
    /// When it is due: `Some(None)` is at once.
    pub due_ms: Option<Option<i64>>,
}

/// An event that a plugin has to make.
#[derive(Clone, Debug)]
pub struct Made {
    /// Where it stands.
    pub line: usize,
    /// Its type.
    pub kind: String,
    /// Its data, if it is looked at.
    pub data: Option<serde_json::Value>,
}

/// That the domain says no.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Where it stands.
    pub line: usize,
    /// Its code.
    pub code: String,
    /// Words of its message.
    pub message: Option<String>,
    /// Its detail.
    pub detail: Option<serde_json::Value>,
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
        Some(node) => lines(node, folder)?,
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
    let then = then(fields.need("then")?)?;
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

fn headers(node: &Node) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
    let Value::Map(entries) = &node.value else {
        return Err(Error::new(node.line, format!("`headers` should be a map, and is {}", form(node))));
    };
    let read = |entry: &yaml::Entry| {
        let value = if entry.node.is_null() { None } else { Some(values::bytes(&entry.node)?) };
        Ok((entry.key.clone(), value))
    };
    entries.iter().map(read).collect()
}

/// The events of a file of JSON lines, as `lantern produce` takes them.
fn lines(node: &Node, folder: &Path) -> Result<Vec<Event>, Error> {
    const FILE: [&str; 6] = ["path", "topic", "partition", "type_field", "key_field", "time_field"];
    let (path, topic, partition, type_field, key_field, time_field) = if let Some(path) = node.text() {
        (path.to_owned(), None, 0, None, None, None)
    } else {
        let fields = Fields::of(node, "`given_file`", &FILE)?;
        (
            text(fields.need("path")?, "path")?,
            fields.text("topic")?,
            fields.integer("partition")?.unwrap_or_default(),
            fields.text("type_field")?,
            fields.text("key_field")?,
            fields.text("time_field")?,
        )
    };
    let at = |reason: String| Error::new(node.line, format!("{path}: {reason}"));
    let content = std::fs::read_to_string(folder.join(&path)).map_err(|error| at(error.to_string()))?;
    let mut events = Vec::new();
    for (number, line) in content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = |reason: String| at(format!("line {}: {reason}", number + 1));
        let json: Map<String, serde_json::Value> = serde_json::from_str(line.trim())
            .map_err(|error| at(format!("this is not a JSON object: {error}")))?;
        let field = |field: &Option<String>| field.clone();
        let key = field(&key_field).map(|field| fields::key(&json, &field).map_err(at)).transpose()?;
        let kind = field(&type_field).map(|field| fields::kind(&json, &field).map_err(at)).transpose()?;
        let time = field(&time_field).map(|field| fields::time(&json, &field).map_err(at)).transpose()?;
        events.push(Event {
            line: node.line,
            // Where nothing else is said, and the envelope does not say it either.
            kind: kind.or_else(|| json.get("type").and_then(|kind| kind.as_str())).map(str::to_owned),
            topic: topic.clone(),
            partition,
            time_ms: time.map(jiff::Timestamp::as_millisecond),
            key: key.map(|key| key.as_bytes().to_vec()),
            payload: Some(line.trim().as_bytes().to_vec()),
            ..Event::default()
        });
    }
    Ok(events)
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

fn then(node: &Node) -> Result<Then, Error> {
    let fields = Fields::of(node, "`then`", &THEN)?;
    let list = |key: &str| -> Result<Option<(usize, &[Node])>, Error> {
        let Some(node) = fields.get(key) else { return Ok(None) };
        Ok(Some((node.line, elements(node, &format!("`{key}`"))?)))
    };
    let sends =
        list("sends")?.map(|(line, list)| Ok((line, list.iter().map(sent).collect::<Result<_, _>>()?)));
    let events =
        list("events")?.map(|(line, list)| Ok((line, list.iter().map(made).collect::<Result<_, _>>()?)));
    let cancels = list("cancels")?.map(|(line, list)| {
        Ok((line, list.iter().map(|node| text(node, "cancels")).collect::<Result<_, Error>>()?))
    });
    let then = Then {
        line: node.line,
        rows: tables(&fields, "rows")?,
        queries: tables(&fields, "queries")?,
        sends: sends.transpose()?,
        cancels: cancels.transpose()?,
        events: events.transpose()?,
        rejected: fields.get("rejected").map(rejected).transpose()?,
        state: fields.get("state").map(|node| Ok::<_, Error>((node.line, json(node)?))).transpose()?,
        fails: fields
            .get("fails")
            .map(|node| Ok::<_, Error>((node.line, text(node, "fails")?)))
            .transpose()?,
    };
    if matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
        return Err(Error::new(node.line, "`then` expects nothing: name what is to be, such as `rows: {}`"));
    }
    Ok(then)
}

fn tables(fields: &Fields<'_>, key: &'static str) -> Result<Vec<Table>, Error> {
    let Some(node) = fields.get(key) else { return Ok(Vec::new()) };
    let Value::Map(entries) = &node.value else {
        let reason = format!("`{key}` should be a map from names to lists of rows, and is {}", form(node));
        return Err(Error::new(node.line, reason));
    };
    entries.iter().map(|entry| table(entry, key == "queries")).collect()
}

fn table(entry: &yaml::Entry, is_query: bool) -> Result<Table, Error> {
    let mut table = Table {
        line: entry.line,
        name: entry.key.clone(),
        is_ordered: is_query,
        params: Vec::new(),
        rows: Vec::new(),
    };
    let rows = if matches!(entry.node.value, Value::Map(_)) {
        let known: &[&str] = if is_query { &["params", "rows"] } else { &["ordered", "rows"] };
        let fields = Fields::of(&entry.node, "what is said of a table", known)?;
        table.is_ordered |= fields.flag("ordered")?;
        if let Some(params) = fields.get("params") {
            table.params = row(params)?.cells;
        }
        fields.need("rows")?
    } else {
        &entry.node
    };
    let what = format!("the rows of `{}`", entry.key);
    table.rows = elements(rows, &what)?.iter().map(row).collect::<Result<_, _>>()?;
    Ok(table)
}

fn row(node: &Node) -> Result<Row, Error> {
    let Value::Map(entries) = &node.value else {
        let reason =
            format!("a row is a map from columns to values, like {{ id: 7 }}; this is {}", form(node));
        return Err(Error::new(node.line, reason));
    };
    let cell = |entry: &yaml::Entry| Ok((entry.key.clone(), Expected::read(&entry.node)?));
    Ok(Row { line: node.line, cells: entries.iter().map(cell).collect::<Result<_, Error>>()? })
}

fn sent(node: &Node) -> Result<Sent, Error> {
    let fields = Fields::of(node, "a command that is sent", &SENT)?;
    let mut texts = Vec::new();
    for name in ["aggregate", "id", "command", "key"] {
        texts.extend(fields.text(name)?.map(|text| (name, text)));
    }
    let due_ms = match fields.get("due") {
        Some(node) if node.is_null() => Some(None),
        _ => fields.time_ms("due")?.map(Some),
    };
    Ok(Sent { line: node.line, texts, data: fields.get("data").map(json).transpose()?, due_ms })
}

fn made(node: &Node) -> Result<Made, Error> {
    let fields = Fields::of(node, "an event that is expected", &["type", "data"])?;
    Ok(Made {
        line: node.line,
        kind: text(fields.need("type")?, "type")?,
        data: fields.get("data").map(json).transpose()?,
    })
}

fn rejected(node: &Node) -> Result<Rejected, Error> {
    let line = node.line;
    if let Some(Scalar::Text(code)) = node.scalar() {
        return Ok(Rejected { line, code: code.to_owned(), message: None, detail: None });
    }
    let fields = Fields::of(node, "a rejection", &["code", "message", "detail"])?;
    Ok(Rejected {
        line,
        code: text(fields.need("code")?, "code")?,
        message: fields.text("message")?,
        detail: fields.get("detail").map(json).transpose()?,
    })
}

fn json(node: &Node) -> Result<serde_json::Value, Error> {
    serde_json::from_str(&node.json()?).map_err(|error| Error::new(node.line, error.to_string()))
}
