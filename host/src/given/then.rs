//! What is to be then, as a case says it.

use super::Error;
use super::fields::{Fields, elements, form, text};
use super::values::Expected;
use super::yaml::{self, Node, Scalar, Value};

const THEN: [&str; 8] = ["rows", "queries", "sends", "cancels", "events", "rejected", "state", "fails"];
const SENT: [&str; 6] = ["aggregate", "id", "command", "data", "key", "due"];

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

/// Reads what is to be then.
///
/// # Errors
/// When it is not of this form.
pub fn read(node: &Node) -> Result<Then, Error> {
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
