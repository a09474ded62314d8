//! Where values are found in events, and what they become in a row.

use lantern_sdk::value::{Key, Params, ToValue};
use lantern_sdk::{Event, Result, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What a column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A text; numbers and booleans as JSON writes them.
    #[default]
    Text,
    /// A 64-bit integer, or a text of its digits.
    Integer,
    /// A 64-bit float, or a text of it.
    Real,
    /// 0 or 1.
    Boolean,
    /// Any value as JSON text.
    Json,
}

/// A part of the record instead of a field of its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The record's key.
    Key,
    /// The event's type.
    Type,
    /// The record's time: RFC 3339 in a text, milliseconds in an integer.
    Time,
    /// The record's topic.
    Topic,
    /// Its partition.
    Partition,
    /// Its offset.
    Offset,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// A float.
    Real(f64),
    /// A text.
    Text(String),
}

impl ToValue for Cell {
    fn to_value(&self) -> Result<Value<'_>> {
        match self {
            Cell::Null => Ok(Value::Null),
            Cell::Integer(integer) => Ok(Value::Integer(*integer)),
            Cell::Real(real) => real.to_value().map(|_| Value::Real(*real)),
            Cell::Text(text) => Ok(Value::Text(text)),
        }
    }
}

/// The values of a row, or of its key, whose number is known only now.
pub struct Row<'r>(pub &'r [Cell]);

impl Params for Row<'_> {
    fn for_each(&self, mut each: impl FnMut(Value<'_>) -> Result<()>) -> Result<u32> {
        for cell in self.0 {
            each(cell.to_value()?)?;
        }
        // A table has fewer columns than that.
        Ok(self.0.len() as u32)
    }
}

/// Whoever makes one has refused NULL, which is no key.
impl Key for Row<'_> {}

/// The value at a path whose dots lead into objects and, by number, into lists.
pub fn find<'j>(data: &'j Json, path: &str) -> Option<&'j Json> {
    // A name may hold dots itself: as it is, it goes first.
    data.get(path).or_else(|| {
        path.split('.').try_fold(data, |value, name| match value {
            Json::Array(list) => list.get(name.parse::<usize>().ok()?),
            value => value.get(name),
        })
    })
}

/// What a JSON value becomes in a column of this kind; else what is wrong.
pub fn cell(json: &Json, kind: Kind) -> std::result::Result<Cell, String> {
    let wrong = |expected: &str| Err(format!("should be {expected}, and is {json}"));
    Ok(match (kind, json) {
        (_, Json::Null) => Cell::Null,
        (Kind::Json, json) => Cell::Text(json.to_string()),
        (Kind::Text, Json::String(text)) => Cell::Text(text.clone()),
        (Kind::Text, Json::Number(number)) => Cell::Text(number.to_string()),
        (Kind::Text, Json::Bool(flag)) => Cell::Text(flag.to_string()),
        (Kind::Text, _) => return wrong("a text (a column of the type `json` takes any value)"),
        (Kind::Integer, Json::Number(number)) => match number.as_i64() {
            Some(integer) => Cell::Integer(integer),
            None => return wrong("an integer of 64 bits"),
        },
        (Kind::Integer, Json::String(text)) => match text.parse() {
            Ok(integer) => Cell::Integer(integer),
            Err(_) => return wrong("an integer of 64 bits"),
        },
        (Kind::Integer, _) => return wrong("an integer of 64 bits"),
        (Kind::Real, Json::Number(number)) => match number.as_f64() {
            Some(real) => Cell::Real(real),
            None => return wrong("a number"),
        },
        (Kind::Real, Json::String(text)) => match text.parse::<f64>() {
            Ok(real) if real.is_finite() => Cell::Real(real),
            _ => return wrong("a number"),
        },
        (Kind::Real, _) => return wrong("a number"),
        (Kind::Boolean, Json::Bool(flag)) => Cell::Integer(i64::from(*flag)),
        (Kind::Boolean, _) => return wrong("true or false"),
    })
}

/// A part of the record in a column of this kind.
pub fn part(event: &Event<'_>, part: Part, kind: Kind) -> Result<Cell> {
    let text = |text: &str| {
        cell(&Json::from(text), kind).map_err(|reason| event.bad_input(format_args!("its {part:?} {reason}")))
    };
    let integer = |integer: i64| match kind {
        Kind::Text => Cell::Text(integer.to_string()),
        Kind::Real => Cell::Real(integer as f64),
        _ => Cell::Integer(integer),
    };
    Ok(match part {
        Part::Key if event.key().is_none() => Cell::Null,
        Part::Key => text(event.key_str()?)?,
        Part::Type => text(event.kind())?,
        Part::Topic => text(event.topic())?,
        Part::Time if kind == Kind::Text => Cell::Text(crate::time::instant(event.timestamp_ms())),
        Part::Time => integer(event.timestamp_ms()),
        Part::Partition => integer(i64::from(event.partition())),
        Part::Offset => integer(event.offset()),
    })
}

impl Kind {
    /// The column's type in SQL.
    pub fn sql(self) -> &'static str {
        match self {
            Kind::Text | Kind::Json => "TEXT",
            Kind::Integer | Kind::Boolean => "INTEGER",
            Kind::Real => "REAL",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A value of another type than was set must be told: a row of zeros would be believed.
    #[test]
    fn a_value_becomes_what_is_set_or_is_refused() {
        let check = |json: &str, kind, expected: Option<Cell>| {
            let json: Json = serde_json::from_str(json).unwrap();
            assert_eq!(cell(&json, kind).ok(), expected, "{json} {kind:?}");
        };
        let text = |text: &str| Some(Cell::Text(text.into()));
        check("9223372036854775807", Kind::Integer, Some(Cell::Integer(i64::MAX)));
        check("\"-9223372036854775808\"", Kind::Integer, Some(Cell::Integer(i64::MIN)));
        check("9223372036854775808", Kind::Integer, None);
        check("1.5", Kind::Integer, None);
        check("1.5", Kind::Real, Some(Cell::Real(1.5)));
        check("\"inf\"", Kind::Real, None);
        check("true", Kind::Boolean, Some(Cell::Integer(1)));
        check("1", Kind::Boolean, None);
        check("7", Kind::Text, text("7"));
        check("{\"a\":1}", Kind::Text, None);
        check("{\"a\":[1]}", Kind::Json, text("{\"a\":[1]}"));
        check("null", Kind::Json, Some(Cell::Null));
    }

    #[test]
    fn a_path_leads_into_objects_and_lists() {
        let data: Json = serde_json::from_str(r#"{"a":{"b":[{"c":1}]},"x.y":2}"#).unwrap();
        assert_eq!(find(&data, "a.b.0.c"), Some(&Json::from(1)));
        assert_eq!(find(&data, "x.y"), Some(&Json::from(2)));
        assert_eq!(find(&data, "a.c"), None);
    }
}
