//! Values of a result, and their JSON.
//!
//! JSON has one kind of number, and most programs read it as a 64-bit float. So that nothing is rounded on the way, an
//! integer beyond ±(2^53 - 1) is `{"integer": "…"}`, an infinite real `{"real": "Infinity"}`, and bytes, with texts
//! that are not UTF-8, `{"hex": "…"}`. Parameters are taken in the same forms.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::io::Write as _;

/// The largest integer that a 64-bit float tells from its neighbours.
const SAFE_MAX: i64 = (1 << 53) - 1;

/// A value of a result or a parameter.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(into = "Form")]
pub enum Cell {
    /// NULL.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// A 64-bit float.
    Real(f64),
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// A value as JSON has it.
#[derive(Serialize)]
#[serde(untagged)]
enum Form {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Object(Object),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Object {
    Integer(String),
    Real(String),
    Hex(String),
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

/// Takes whatever value comes: to try one form after the other would keep a copy, and make an error for each that it is not.
struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "null, a boolean, a number, a text, {\"integer\": \"…\"}, {\"real\": \"Infinity\"} or {\"hex\": \"…\"}",
        )
    }

    fn visit_unit<E: de::Error>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Cell, E> {
        Ok(Cell::Integer(i64::from(flag)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Cell, E> {
        Ok(Cell::Integer(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Cell, E> {
        // As a float it would be another.
        let wide = |_| E::custom(format!("{value} is beyond the integers of 64 bits: send it as a text"));
        i64::try_from(value).map(Cell::Integer).map_err(wide)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Cell, E> {
        Ok(Cell::Real(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Cell, E> {
        Ok(Cell::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Cell, A::Error> {
        Object::deserialize(MapAccessDeserializer::new(map))?.try_into().map_err(de::Error::custom)
    }
}

impl TryFrom<Object> for Cell {
    type Error = String;

    fn try_from(object: Object) -> Result<Self, String> {
        Ok(match object {
            Object::Integer(digits) => {
                Cell::Integer(digits.parse().map_err(|_| format!("{digits:?} is no 64-bit integer"))?)
            }
            Object::Real(word) => match word.as_str() {
                "Infinity" => Cell::Real(f64::INFINITY),
                "-Infinity" => Cell::Real(f64::NEG_INFINITY),
                _ => return Err(format!("{word:?} is no real: write a number, or Infinity or -Infinity")),
            },
            Object::Hex(digits) => {
                Cell::Blob(unhex(&digits).ok_or("a hex text has an even number of digits 0 to 9 and a to f")?)
            }
        })
    }
}

impl From<Cell> for Form {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Null => Form::Null,
            Cell::Integer(value) if value.abs_diff(0) > SAFE_MAX.unsigned_abs() => {
                Form::Object(Object::Integer(value.to_string()))
            }
            Cell::Integer(value) => Form::Integer(value),
            Cell::Real(value) if value.is_infinite() => Form::Object(Object::Real(infinite(value).into())),
            Cell::Real(value) => Form::Real(value),
            Cell::Text(text) => Form::Text(text),
            Cell::Blob(bytes) => Form::Object(Object::Hex(hex(&bytes))),
        }
    }
}

impl From<ValueRef<'_>> for Cell {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(value) => Cell::Integer(value),
            ValueRef::Real(value) => Cell::Real(value),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Cell::Text(text.to_owned()),
                Err(_) => Cell::Blob(bytes.to_vec()),
            },
            ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
        }
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Cell::Null => ValueRef::Null,
            Cell::Integer(value) => ValueRef::Integer(*value),
            Cell::Real(value) => ValueRef::Real(*value),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
            Cell::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Appends a value's JSON, the same as [`Cell`] has, without a copy of the value.
pub fn write(out: &mut Vec<u8>, value: ValueRef<'_>) {
    // Writing into memory does not fail, and these values always have a JSON form.
    let _ = match value {
        ValueRef::Null => out.write_all(b"null"),
        ValueRef::Integer(value) if value.abs_diff(0) > SAFE_MAX.unsigned_abs() => {
            write!(out, "{{\"integer\":\"{value}\"}}")
        }
        ValueRef::Integer(value) => write!(out, "{value}"),
        ValueRef::Real(value) if value.is_infinite() => write!(out, "{{\"real\":\"{}\"}}", infinite(value)),
        ValueRef::Real(value) => serde_json::to_writer(&mut *out, &value).map_err(Into::into),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => serde_json::to_writer(&mut *out, text).map_err(Into::into),
            Err(_) => write_hex(out, bytes),
        },
        ValueRef::Blob(bytes) => write_hex(out, bytes),
    };
}

fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) -> std::io::Result<()> {
    out.reserve(bytes.len() * 2 + 10);
    out.extend_from_slice(b"{\"hex\":\"");
    out.extend(bytes.iter().flat_map(|byte| digits(*byte)));
    out.extend_from_slice(b"\"}");
    Ok(())
}

fn infinite(value: f64) -> &'static str {
    if value > 0.0 { "Infinity" } else { "-Infinity" }
}

fn digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| digits(*byte)).map(char::from).collect()
}

/// The bytes of hex digits, two for each.
pub fn unhex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    rest.is_empty().then_some(())?;
    pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // A program that reads JSON's numbers as floats must be given nothing that a float rounds.
    #[test]
    fn every_value_is_the_same_after_its_json() {
        let check = |value: ValueRef<'_>, expected: &str| {
            let mut written = Vec::new();
            write(&mut written, value);
            assert_eq!(String::from_utf8(written).unwrap(), expected);
            let cell = Cell::from(value);
            assert_eq!(serde_json::to_string(&cell).unwrap(), expected);
            assert_eq!(serde_json::from_str::<Cell>(expected).unwrap(), cell);
        };
        check(ValueRef::Null, "null");
        check(ValueRef::Integer(-7), "-7");
        check(ValueRef::Integer(SAFE_MAX), "9007199254740991");
        check(ValueRef::Integer(-SAFE_MAX), "-9007199254740991");
        check(ValueRef::Integer(SAFE_MAX + 1), r#"{"integer":"9007199254740992"}"#);
        check(ValueRef::Integer(i64::MIN), r#"{"integer":"-9223372036854775808"}"#);
        check(ValueRef::Real(1.0), "1.0");
        check(ValueRef::Real(-0.0), "-0.0");
        check(ValueRef::Real(1e300), "1e+300");
        check(ValueRef::Real(f64::NEG_INFINITY), r#"{"real":"-Infinity"}"#);
        check(ValueRef::Text("ä\u{0}\"".as_bytes()), r#""ä\u0000\"""#);
        check(ValueRef::Blob(b"\x00\xff"), r#"{"hex":"00ff"}"#);
        check(ValueRef::Blob(b""), r#"{"hex":""}"#);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        assert_eq!(serde_json::from_str::<Cell>("true").unwrap(), Cell::Integer(1));
        assert_eq!(serde_json::from_str::<Cell>("9223372036854775807").unwrap(), Cell::Integer(i64::MAX));
        let refused = [
            r#"{"hex":"0"}"#,
            r#"{"hex":"0g"}"#,
            r#"{"integer":"1.5"}"#,
            r#"{"integer":"9223372036854775808"}"#,
            r#"{"real":"NaN"}"#,
            r#"{"hex":"00","integer":"1"}"#,
            r#"{"text":"x"}"#,
            "18446744073709551615",
            "[1]",
            "{}",
            "1e999",
        ];
        for text in refused {
            assert!(serde_json::from_str::<Cell>(text).is_err(), "{text}");
        }
    }
}
