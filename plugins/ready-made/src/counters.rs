//! `counters`: events are counted by type, key, fields and time, and integers in them summed up.

use crate::fields::{self, Cell, Kind, Part, Row};
use crate::schema::{self, check_name, list, quoted};
use crate::time;
use lantern_sdk::{Db, Envelope, Event, Manifest, Result, Table};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The topics that it reads.
    pub topics: Vec<String>,
    /// What events are counted by.
    #[serde(default = "by_type")]
    pub by: Vec<By>,
    /// What else they are counted by: fields of the data, by the column's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// How long a time is counted together; without it, all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Fields of integers that are summed up, by the column's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sums: BTreeMap<String, String>,
    /// The table's name.
    #[serde(default = "counts")]
    pub table: String,
    /// The types of events that are counted; empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Where an event's type stands; without it, as CloudEvents have it.
    #[serde(default)]
    pub envelope: Envelope,
}

fn by_type() -> Vec<By> {
    vec![By::Type]
}

fn counts() -> String {
    "counts".to_owned()
}

/// A part of the record that events are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The event's type.
    Type,
    /// The record's key.
    Key,
    /// The record's topic.
    Topic,
}

impl By {
    fn column(self) -> &'static str {
        match self {
            By::Type => "type",
            By::Key => "key",
            By::Topic => "topic",
        }
    }

    fn part(self) -> Part {
        match self {
            By::Type => Part::Type,
            By::Key => Part::Key,
            By::Topic => Part::Topic,
        }
    }
}

/// How long a time is counted together, in UTC, by the records' times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// `2026-03-01T12:05Z`.
    Minute,
    /// `2026-03-01T12:00Z`.
    Hour,
    /// `2026-03-01`.
    Day,
    /// `2026-03`.
    Month,
}

/// The column of the window.
const PERIOD: &str = "period";
/// The column of the count.
const EVENTS: &str = "events";

impl Settings {
    fn key(&self) -> Vec<String> {
        let period = self.window.map(|_| PERIOD.to_owned());
        let by = self.by.iter().map(|by| by.column().to_owned());
        period.into_iter().chain(by).chain(self.fields.keys().cloned()).collect()
    }

    fn numbers(&self) -> Vec<String> {
        [EVENTS.to_owned()].into_iter().chain(self.sums.keys().cloned()).collect()
    }

    /// The manifest of the plugin that this makes.
    ///
    /// # Errors
    /// When settings do not fit each other.
    pub fn manifest(&self, name: &str) -> std::result::Result<Manifest, String> {
        let (key, numbers) = (self.key(), self.numbers());
        check_name("`table`", &self.table)?;
        if key.is_empty() {
            return Err(
                "there is nothing to count by: name something in `by` or `fields`, or set `window`".into()
            );
        }
        let mut seen: Vec<&String> = Vec::new();
        for column in key.iter().chain(&numbers) {
            check_name("the name of a column", column)?;
            if seen.contains(&column) {
                return Err(format!("the column `{column}` is there twice: give one of them another name"));
            }
            seen.push(column);
        }
        schema::table(&self.table, &key, &numbers)?;
        let texts = key.iter().map(|column| format!("{} TEXT NOT NULL", quoted(column)));
        let integers = numbers.iter().map(|column| format!("{} INTEGER NOT NULL DEFAULT 0", quoted(column)));
        let columns = texts.chain(integers).collect::<Vec<_>>().join(",\n  ");
        let create = format!(
            "CREATE TABLE {} (\n  {columns},\n  PRIMARY KEY ({})\n)",
            quoted(&self.table),
            list(&key)
        );
        let mut manifest = Manifest::new(name)
            .description(format!("Counts of {} by {}", self.topics.join(", "), key.join(", ")))
            .envelope(self.envelope.clone())
            .types(&self.types)
            .schema(create);
        for topic in &self.topics {
            manifest = manifest.topic(topic);
        }
        Ok(manifest)
    }
}

/// Applies events.
pub struct Plugin {
    settings: Settings,
    table: Table,
}

impl Plugin {
    /// The plugin of these settings.
    pub(crate) fn new(settings: Settings) -> std::result::Result<Self, String> {
        let table = schema::table(&settings.table, &settings.key(), &settings.numbers())?;
        Ok(Plugin { settings, table })
    }

    pub(crate) fn apply(&self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        let Settings { by, fields, window, sums, .. } = &self.settings;
        let needs_data = !fields.is_empty() || !sums.is_empty();
        let data: Json = if needs_data && event.payload().is_some() { event.json()? } else { Json::Null };
        let mut key = Vec::new();
        key.extend(window.map(|window| Cell::Text(period(window, event.timestamp_ms()))));
        for by in by {
            key.push(or_empty(fields::part(event, by.part(), Kind::Text)?));
        }
        for field in fields.values() {
            let found = fields::find(&data, field).unwrap_or(&Json::Null);
            let cell = fields::cell(found, Kind::Text);
            key.push(or_empty(cell.map_err(|reason| event.bad_input(format_args!("`{field}` {reason}")))?));
        }
        let mut row = db.upsert(&self.table, Row(&key)).add(EVENTS, 1);
        for (column, field) in sums {
            let found = fields::find(&data, field).unwrap_or(&Json::Null);
            match fields::cell(found, Kind::Integer) {
                Ok(Cell::Integer(number)) => row = row.add(column, number),
                Ok(_) => {}
                Err(reason) => return Err(event.bad_input(format_args!("`{field}` {reason}"))),
            }
        }
        Ok(())
    }
}

/// What an event does not have is counted as an empty text: NULL is no key.
fn or_empty(cell: Cell) -> Cell {
    if cell == Cell::Null { Cell::Text(String::new()) } else { cell }
}

fn period(window: Window, ms: i64) -> String {
    match window {
        Window::Minute => time::minute(ms, false),
        Window::Hour => time::minute(ms, true),
        Window::Day => time::day(ms),
        Window::Month => time::month(ms),
    }
}
