//! `json-table`: fields of JSON events become columns. A row is written by its key, and deleted by a tombstone or by an event of
//! a type that says so.

use crate::fields::{self, Cell, Kind, Part, Row};
use crate::schema::{self, check_name, list, quoted, table_name};
use lantern_sdk::{Db, Envelope, Event, Manifest, Result, Table};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;

/// The type of a record without data whose envelope says none.
const TOMBSTONE: &str = "tombstone";

/// What can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The topics that it reads.
    pub topics: Vec<String>,
    /// The columns of the primary key.
    pub key: Names,
    /// The columns, by name.
    pub columns: BTreeMap<String, Column>,
    /// The table's name; without it, the read model's, with `_` for `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The types of events that write rows; empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// The types of events that delete their row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delete_types: Vec<String>,
    /// What a record without data does.
    #[serde(default)]
    pub tombstones: Tombstones,
    /// What becomes of a column whose field an event does not have.
    #[serde(default)]
    pub missing: Missing,
    /// Columns that get an index, each a name or a list of names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<Names>,
    /// Where an event's type stands. Without it, types are the topics' names, or, where types are named, those of CloudEvents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Envelope>,
}

/// One name, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Names(pub Vec<String>);

/// What a column holds, and where it is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Column {
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The field of the data, dots leading into objects; without it, the one of the column's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// A part of the record instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Part>,
    /// Whether an event without it is refused.
    pub required: bool,
}

/// What a record without data does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tombstones {
    /// It deletes the row whose key is the record's.
    #[default]
    Delete,
    /// Nothing.
    Ignore,
}

/// What becomes of a column whose field an event does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// It becomes NULL: an event is the whole row.
    #[default]
    Null,
    /// It stays: an event says what has changed.
    Keep,
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column's name, or a list of names")
            }

            fn visit_str<E>(self, name: &str) -> std::result::Result<Names, E> {
                Ok(Names(vec![name.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> std::result::Result<Names, A::Error> {
                let mut found = Vec::new();
                while let Some(name) = names.next_element()? {
                    found.push(name);
                }
                Ok(Names(found))
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            #[serde(default, rename = "type")]
            kind: Kind,
            #[serde(default)]
            field: Option<String>,
            #[serde(default)]
            from: Option<Part>,
            #[serde(default)]
            required: bool,
        }
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Column;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type (\"text\", \"integer\", \"real\", \"boolean\", \"json\"), or a table with `type` and `field`")
            }

            fn visit_str<E: serde::de::Error>(self, kind: &str) -> std::result::Result<Column, E> {
                Ok(Column { kind: Kind::deserialize(kind.into_deserializer())?, ..Column::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Column, A::Error> {
                let Full { kind, field, from, required } =
                    Full::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Column { kind, field, from, required })
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

impl Settings {
    fn table(&self, name: &str) -> String {
        self.table.clone().unwrap_or_else(|| table_name(name))
    }

    /// The columns beside the key.
    fn others(&self) -> Vec<String> {
        self.columns.keys().filter(|column| !self.key.0.contains(column)).cloned().collect()
    }

    /// The manifest of the plugin that this makes.
    ///
    /// # Errors
    /// When settings do not fit each other.
    pub fn manifest(&self, name: &str) -> std::result::Result<Manifest, String> {
        let table = self.table(name);
        check_name("`table`", &table)?;
        if self.key.0.is_empty() {
            return Err("`key` names no column: say which columns tell one row from another".into());
        }
        for column in self.key.0.iter().chain(self.indexes.iter().flat_map(|index| &index.0)) {
            if !self.columns.contains_key(column) {
                let known = self.columns.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(format!(
                    "`{column}` is no column: `key` and `indexes` name some of `columns`, which has {known}"
                ));
            }
        }
        for (column, Column { field, from, .. }) in &self.columns {
            check_name("the name of a column", column)?;
            if field.is_some() && from.is_some() {
                return Err(format!("the column `{column}` has `field` and `from`: leave one of them out"));
            }
        }
        schema::table(&table, &self.key.0, &self.others())?;
        let mut lines: Vec<String> = Vec::new();
        for column in self.key.0.iter().chain(&self.others()) {
            let Column { kind, required, .. } = &self.columns[column];
            let not_null = if *required || self.key.0.contains(column) { " NOT NULL" } else { "" };
            lines.push(format!("{} {}{not_null}", quoted(column), kind.sql()));
        }
        lines.push(format!("PRIMARY KEY ({})", list(&self.key.0)));
        let create = format!("CREATE TABLE {} (\n  {}\n)", quoted(&table), lines.join(",\n  "));
        let mut manifest = Manifest::new(name)
            .description(format!("Rows of {} by {}", self.topics.join(", "), self.key.0.join(", ")))
            .envelope(self.envelope())
            .types(self.read_types())
            .schema(create);
        for topic in &self.topics {
            manifest = manifest.topic(topic);
        }
        for Names(columns) in &self.indexes {
            let index = quoted(&format!("{table}_by_{}", columns.join("_")));
            manifest =
                manifest.schema(format!("CREATE INDEX {index} ON {} ({})", quoted(&table), list(columns)));
        }
        Ok(manifest)
    }

    fn envelope(&self) -> Envelope {
        let has_types = !self.types.is_empty() || !self.delete_types.is_empty();
        let plain = || if has_types { Envelope::CloudEvents } else { Envelope::Topic { event_type: None } };
        self.envelope.clone().unwrap_or_else(plain)
    }

    /// The types that have to come here; none is all.
    fn read_types(&self) -> Vec<String> {
        if self.types.is_empty() {
            return Vec::new();
        }
        let mut types = [self.types.as_slice(), &self.delete_types].concat();
        if self.tombstones == Tombstones::Delete && !types.iter().any(|kind| kind == TOMBSTONE) {
            types.push(TOMBSTONE.to_owned());
        }
        types
    }
}

/// Applies events.
pub struct Plugin {
    settings: Settings,
    table: Table,
    /// The columns beside the key, as the table has them.
    others: Vec<String>,
}

impl Plugin {
    /// The plugin of these settings, for a read model of this name.
    pub(crate) fn new(settings: Settings, name: &str) -> std::result::Result<Self, String> {
        let others = settings.others();
        let table = schema::table(&settings.table(name), &settings.key.0, &others)?;
        Ok(Plugin { settings, table, others })
    }

    pub(crate) fn apply(&self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        if event.payload().is_none() {
            return self.tombstone(event, db);
        }
        let data: Json = event.json()?;
        let key = self.settings.key.0.iter().map(|column| self.key_cell(event, &data, column));
        let key = key.collect::<Result<Vec<Cell>>>()?;
        if self.settings.delete_types.iter().any(|kind| kind == event.kind()) {
            db.delete(&self.table, Row(&key));
            return Ok(());
        }
        let mut cells = Vec::with_capacity(self.others.len());
        for column in &self.others {
            cells.push(self.cell(event, &data, column)?);
        }
        match self.settings.missing {
            Missing::Null => {
                let cells: Vec<Cell> = cells.into_iter().map(|cell| cell.unwrap_or(Cell::Null)).collect();
                db.put(&self.table, Row(&key), Row(&cells));
            }
            Missing::Keep => {
                let mut row = db.upsert(&self.table, Row(&key));
                for (column, cell) in self.table_columns().zip(cells) {
                    if let Some(cell) = cell {
                        row = row.set(column, cell);
                    }
                }
            }
        }
        Ok(())
    }

    fn table_columns(&self) -> impl Iterator<Item = &str> {
        self.others.iter().map(String::as_str)
    }

    /// Deletes the row whose key is the record's.
    fn tombstone(&self, event: &Event<'_>, db: &mut Db) -> Result<()> {
        if self.settings.tombstones == Tombstones::Ignore {
            return Ok(());
        }
        let [column] = self.settings.key.0.as_slice() else {
            return Err(event.bad_input(
                "a tombstone says the record's key only, and the table's key has several columns: set tombstones = \"ignore\"",
            ));
        };
        let kind = self.settings.columns[column].kind;
        let cell = fields::part(event, Part::Key, kind)?;
        if cell == Cell::Null {
            return Err(event
                .bad_input("it is a tombstone without a key: set tombstones = \"ignore\" to pass over it"));
        }
        db.delete(&self.table, Row(&[cell]));
        Ok(())
    }

    fn key_cell(&self, event: &Event<'_>, data: &Json, column: &str) -> Result<Cell> {
        match self.cell(event, data, column)? {
            Some(cell) if cell != Cell::Null => Ok(cell),
            _ => Err(event
                .bad_input(format_args!("it has no `{}`, which is of the row's key", self.field(column)))),
        }
    }

    fn field<'s>(&'s self, column: &'s str) -> &'s str {
        self.settings.columns[column].field.as_deref().unwrap_or(column)
    }

    /// The value for a column; `None` when the event does not have it.
    fn cell(&self, event: &Event<'_>, data: &Json, column: &str) -> Result<Option<Cell>> {
        let Column { kind, from, required, .. } = &self.settings.columns[column];
        if let Some(from) = from {
            return fields::part(event, *from, *kind).map(Some);
        }
        let field = self.field(column);
        let found = fields::find(data, field);
        if *required && found.is_none_or(Json::is_null) {
            return Err(event.bad_input(format_args!("it has no `{field}`, which is required")));
        }
        let cell = found.map(|found| fields::cell(found, *kind)).transpose();
        cell.map_err(|reason| event.bad_input(format_args!("`{field}` {reason}")))
    }
}
