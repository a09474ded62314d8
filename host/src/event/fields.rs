//! What JSON lines say of their events: key, type and time, in fields whose names are given.

use jiff::Timestamp;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The value at a path whose dots lead into objects.
fn find<'e>(event: &'e Map<String, Value>, path: &str) -> Result<&'e Value, String> {
    let mut names = path.split('.');
    let first = names.next().and_then(|name| event.get(name));
    first
        .and_then(|value| names.try_fold(value, |value, name| value.get(name)))
        .ok_or_else(|| format!("there is no field `{path}`"))
}

/// A key, as text.
///
/// # Errors
/// When the field is missing, or of a kind that is no key.
pub fn key<'e>(event: &'e Map<String, Value>, path: &str) -> Result<Cow<'e, str>, String> {
    match find(event, path)? {
        Value::String(text) => Ok(text.into()),
        Value::Number(number) => Ok(number.to_string().into()),
        Value::Bool(flag) => Ok(flag.to_string().into()),
        other => {
            Err(format!("the key's field `{path}` should be a string, a number or a boolean, but is {other}"))
        }
    }
}

/// A type.
///
/// # Errors
/// When the field is missing, or no text.
pub fn kind<'e>(event: &'e Map<String, Value>, path: &str) -> Result<&'e str, String> {
    match find(event, path)? {
        Value::String(text) if !text.is_empty() => Ok(text),
        other => {
            Err(format!("the type's field `{path}` should be a string that is not empty, but is {other}"))
        }
    }
}

/// A time: RFC 3339, or milliseconds since 1970.
///
/// # Errors
/// When the field is missing, or no time.
pub fn time(event: &Map<String, Value>, path: &str) -> Result<Timestamp, String> {
    let value = find(event, path)?;
    let parsed = match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_i64().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        _ => None,
    };
    parsed.ok_or_else(|| {
        format!("the time's field `{path}` should be milliseconds since 1970 or RFC 3339, but is {value}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Keys, types and times may stand anywhere in an event, and what cannot be one is told.
    #[test]
    fn fields_are_found_or_told() {
        let event = r#"{"a":{"b":7,"s":"x"},"t":1700000000123,"d":"2023-11-14T22:13:20.123Z","n":null}"#;
        let event: Map<String, Value> = serde_json::from_str(event).expect("the test's JSON is right");
        assert_eq!(key(&event, "a.b").expect("a number"), "7");
        assert_eq!(kind(&event, "a.s").expect("a string"), "x");
        let ms = |path| time(&event, path).map(Timestamp::as_millisecond);
        assert_eq!(ms("t").expect("a number"), 1_700_000_000_123);
        assert_eq!(ms("d").expect("RFC 3339"), 1_700_000_000_123);
        for told in
            [key(&event, "a"), key(&event, "n"), key(&event, "a.b.c"), kind(&event, "a.b").map(Cow::from)]
        {
            assert!(told.is_err());
        }
        assert!(ms("a.s").expect_err("no time").contains("RFC 3339"));
    }
}
