//! Values as tests write them: bytes, and cells of rows.

use super::Error;
use super::fields::{Fields, form};
use super::yaml::{Node, Scalar, Value};
use crate::read_model::{self, Cell};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// How a value is written that is no text, number or null.
const SPECIAL: [&str; 4] = ["base64", "hex", "real", "json"];

/// What a cell has to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// This value, of this kind.
    Cell(Cell),
    /// A text that is this JSON, however it is written.
    Json(serde_json::Value),
}

impl Expected {
    /// Reads what a cell has to be.
    ///
    /// # Errors
    /// When it cannot be in a cell.
    pub fn read(node: &Node) -> Result<Self, Error> {
        let wrong = |reason: String| Err(Error::new(node.line, reason));
        Ok(Expected::Cell(match node.scalar() {
            Some(Scalar::Null) => Cell::Null,
            Some(Scalar::Flag(flag)) => Cell::Integer(i64::from(flag)),
            Some(Scalar::Integer(digits)) => match digits.parse() {
                Ok(integer) => Cell::Integer(integer),
                Err(_) => return wrong(format!("{digits} is beyond the integers of 64 bits")),
            },
            Some(Scalar::Real(text)) => return real(node, text),
            Some(Scalar::Text(text)) => Cell::Text(text.to_owned()),
            None => return special(node),
        }))
    }

    /// Whether this is what it has to be. Kinds count: 3 is not 3.0.
    pub fn fits(&self, cell: &Cell) -> bool {
        match (self, cell) {
            (Expected::Cell(Cell::Real(expected)), Cell::Real(real)) => expected.to_bits() == real.to_bits(),
            (Expected::Cell(expected), cell) => expected == cell,
            (Expected::Json(expected), Cell::Text(text)) => {
                serde_json::from_str(text).is_ok_and(|json| is_same(expected, &json))
            }
            (Expected::Json(_), _) => false,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Cell(cell) => f.write_str(&shown(cell)),
            Expected::Json(json) => write!(f, "{{json: {json}}}"),
        }
    }
}

/// A cell as a test would write it.
pub fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".to_owned(),
        Cell::Integer(integer) => integer.to_string(),
        Cell::Real(real) if real.is_infinite() => if *real > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
        Cell::Real(real) => format!("{real:?}"),
        Cell::Text(text) => {
            let plain = Node { line: 0, value: Value::Scalar { text: text.clone(), is_plain: true } };
            let is_word = text.chars().all(|c| c.is_alphanumeric() || "-_./@+ :".contains(c));
            let is_text = matches!(plain.scalar(), Some(Scalar::Text(_))) && !text.contains(": ");
            let ends = |c: char| c.is_alphanumeric();
            if is_text && is_word && text.starts_with(ends) && text.ends_with(ends) {
                text.clone()
            } else {
                serde_json::Value::from(text.as_str()).to_string()
            }
        }
        Cell::Blob(bytes) => {
            format!("{{hex: {}}}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
    }
}

fn real(node: &Node, text: &str) -> Result<Expected, Error> {
    let unsigned = text.trim_start_matches(['-', '+']);
    let number = match unsigned {
        ".inf" | ".Inf" | ".INF" if text.starts_with('-') => Some(f64::NEG_INFINITY),
        ".inf" | ".Inf" | ".INF" => Some(f64::INFINITY),
        _ => text.parse::<f64>().ok().filter(|number| number.is_finite()),
    };
    let wrong = || Error::new(node.line, format!("{text} cannot be in a row: SQLite keeps no such number"));
    Ok(Expected::Cell(Cell::Real(number.ok_or_else(wrong)?)))
}

/// A value in a map of one name.
fn special(node: &Node) -> Result<Expected, Error> {
    let Value::Map(entries) = &node.value else {
        let reason = "a value of a row is a text, a number, null, {base64: …} or {hex: …}, and this is a list; \
                      a column that holds JSON is {json: …}";
        return Err(Error::new(node.line, reason));
    };
    Fields::of(node, "a value", &SPECIAL)?;
    let [entry] = entries.as_slice() else {
        return Err(Error::new(
            node.line,
            "a value has one name: {base64: …}, {hex: …}, {real: …} or {json: …}",
        ));
    };
    match entry.key.as_str() {
        "json" => {
            let json = entry.node.json()?;
            let read =
                serde_json::from_str(&json).map_err(|error| Error::new(node.line, error.to_string()))?;
            Ok(Expected::Json(read))
        }
        // So that 3 in a column of reals can be written without a point.
        "real" => match entry.node.text() {
            Some(text) => real(&entry.node, text),
            None => {
                Err(Error::new(node.line, format!("`real` should be a number, and is {}", form(&entry.node))))
            }
        },
        _ => Ok(Expected::Cell(Cell::Blob(bytes(node)?))),
    }
}

/// Bytes: a text, `{base64: …}` or `{hex: …}`.
///
/// # Errors
/// When it is something else.
pub fn bytes(node: &Node) -> Result<Vec<u8>, Error> {
    if let Some(text) = node.text() {
        return Ok(text.as_bytes().to_vec());
    }
    let fields = Fields::of(node, "a text of bytes", &["base64", "hex"])?;
    let wrong = |line, what: &str| Error::new(line, format!("this is no {what}"));
    match (fields.text("base64")?, fields.text("hex")?) {
        (Some(text), None) => base64(&text, node.line),
        (None, Some(text)) => unhex(&text).ok_or_else(|| wrong(node.line, "hex: two digits for each byte")),
        _ => Err(Error::new(node.line, "bytes are a text, {base64: …} or {hex: …}")),
    }
}

/// Bytes in base64.
pub fn base64(text: &str, line: usize) -> Result<Vec<u8>, Error> {
    let joined: String = text.split_whitespace().collect();
    STANDARD.decode(joined).map_err(|error| Error::new(line, format!("this is no base64: {error}")))
}

/// The bytes of hex digits, two for each; spaces between them do not matter.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    read_model::unhex(&text.split_whitespace().collect::<String>())
}

/// JSON in the form that expectations are shown in: names in their order. What is no JSON stays as it is.
pub fn shown_json(bytes: &[u8]) -> String {
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(json) => json.to_string(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Whether two JSON values say the same. JSON has one kind of number, so 3 is 3.0.
pub fn is_same(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            // Both as integers if both are: beyond 2^53 a float would not tell them apart.
            a == b || (a.is_f64() != b.is_f64() && a.as_f64() == b.as_f64() && is_exact(a) && is_exact(b))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_same(a, b)))
        }
        (one, other) => one == other,
    }
}

/// Whether a float holds this number as it is.
fn is_exact(number: &serde_json::Number) -> bool {
    const SAFE_MAX: u64 = 1 << 53;
    number.is_f64()
        || number.as_i64().map(i64::unsigned_abs).or(number.as_u64()).is_some_and(|n| n <= SAFE_MAX)
}

#[cfg(test)]
mod tests {
    use super::super::yaml::parse;
    use super::*;

    fn read(text: &str) -> Result<Expected, Error> {
        Expected::read(&parse(text).unwrap()[0])
    }

    // What a test expects is a value of SQLite, exactly.
    #[test]
    fn a_value_of_a_row_is_of_its_kind() {
        let check = |text: &str, fits: &[Cell], differs: &[Cell]| {
            let expected = read(text).unwrap();
            assert!(fits.iter().all(|cell| expected.fits(cell)), "{text}");
            assert!(!differs.iter().any(|cell| expected.fits(cell)), "{text}");
        };
        let text = |text: &str| Cell::Text(text.into());
        check("3", &[Cell::Integer(3)], &[Cell::Real(3.0), text("3"), Cell::Null]);
        check("3.0", &[Cell::Real(3.0)], &[Cell::Integer(3)]);
        check("{real: 3}", &[Cell::Real(3.0)], &[Cell::Integer(3)]);
        check("-.inf", &[Cell::Real(f64::NEG_INFINITY)], &[Cell::Real(f64::INFINITY)]);
        check("9223372036854775807", &[Cell::Integer(i64::MAX)], &[Cell::Integer(i64::MAX - 1)]);
        check("'3'", &[text("3")], &[Cell::Integer(3)]);
        check("true", &[Cell::Integer(1)], &[text("true")]);
        check("null", &[Cell::Null], &[text("null"), text("")]);
        check("{hex: 00 fF}", &[Cell::Blob(vec![0, 255])], &[text("00ff")]);
        check("{base64: AP8=}", &[Cell::Blob(vec![0, 255])], &[Cell::Blob(vec![0])]);
        check(
            "{json: {a: [1, x]}}",
            &[text("{ \"a\": [1.0,\"x\"] }")],
            &[text("{}"), text("no"), Cell::Null],
        );
        for refused in
            ["[1]", "{blob: x}", "{hex: 0}", "{hex: 0g}", "9223372036854775808", ".nan", "{real: x}"]
        {
            assert!(read(refused).is_err(), "{refused}");
        }
    }

    // A difference shows a value in the form that a test would write it in.
    #[test]
    fn a_shown_value_is_the_same_value_when_it_is_read() {
        let texts =
            ["a", "", "3", "null", "a b", "2026-01-01T00:00:00Z", "a: b", "x\ny", "\"q\"", "- a", "-", "isä"];
        let cells = [
            Cell::Null,
            Cell::Integer(i64::MIN),
            Cell::Real(0.1),
            Cell::Real(1e300),
            Cell::Real(3.0),
            Cell::Real(f64::NEG_INFINITY),
            Cell::Blob(vec![1, 2]),
        ];
        for cell in cells.into_iter().chain(texts.map(|text| Cell::Text(text.into()))) {
            let shown = shown(&cell);
            let node = parse(&format!("{{x: {shown}}}")).unwrap().remove(0);
            let Value::Map(mut entries) = node.value else { panic!("{shown}") };
            assert!(Expected::read(&entries.remove(0).node).unwrap().fits(&cell), "{shown}");
        }
    }

    #[test]
    fn numbers_of_json_are_compared_by_their_value() {
        let check = |one: &str, other: &str, same: bool| {
            let (a, b) = (serde_json::from_str(one).unwrap(), serde_json::from_str(other).unwrap());
            assert_eq!(is_same(&a, &b), same, "{one} {other}");
        };
        check("3", "3.0", true);
        check("9007199254740993", "9007199254740992", false);
        check("9007199254740993", "9007199254740992.0", false);
        check(r#"{"a":1,"b":[null]}"#, r#"{"b":[null],"a":1}"#, true);
        check(r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false);
    }
}
