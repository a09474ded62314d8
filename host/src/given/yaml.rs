//! YAML, and JSON as a part of it, as a tree that knows its lines.
//!
//! Numbers stay the digits that were written: a float would round a large integer, and nobody would see it.

use super::Error;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

/// Lists and maps within each other; more is no test, and is walked by recursion.
const DEPTH_MAX: usize = 64;
/// Nodes of a file, with those that aliases repeat.
const NODES_MAX: usize = 1_000_000;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Counted from 1.
    pub line: usize,
    /// What stands there.
    pub value: Value,
}

/// What a file is made of.
#[derive(Clone, Debug)]
pub enum Value {
    /// A text, or what is written without quotes and may be something else.
    Scalar { text: String, is_plain: bool },
    /// Values in order.
    List(Vec<Node>),
    /// Values by name, in the order in which they are written.
    Map(Vec<Entry>),
}

/// A name and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name's line.
    pub line: usize,
    /// The name.
    pub key: String,
    /// Its value.
    pub node: Node,
}

/// What a scalar is, by YAML's core schema.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'n> {
    /// Nothing.
    Null,
    /// Yes or no.
    Flag(bool),
    /// Decimal digits, perhaps with a `-` before them.
    Integer(Cow<'n, str>),
    /// A number with a fraction or an exponent, or one that is infinite.
    Real(&'n str),
    /// Anything else.
    Text(&'n str),
}

/// Reads all documents of a file.
pub fn parse(text: &str) -> Result<Vec<Node>, Error> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| Error::new(error.marker().line(), error.info()))?;
        builder.take(event, span)?;
    }
    Ok(builder.documents)
}

/// A list or a map that is not closed yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The name that a map's next value belongs to.
    key: Option<(String, usize)>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    documents: Vec<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Error> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = match tag {
                    None => false,
                    Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => true,
                    Some(tag) => return Err(Error::new(line, format!("the tag {tag} means nothing here"))),
                };
                let is_plain = style == ScalarStyle::Plain && !is_text;
                let value = Value::Scalar { text: text.into_owned(), is_plain };
                self.finish(Node { line, value }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.start(line, Value::List(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.start(line, Value::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { node, anchor, .. }) => self.finish(node, anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Error::new(line, "the alias stands within what it names"));
                };
                self.count(line, size(&node))?;
                self.finish(Node { line, ..node }, 0)
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, line: usize, more: usize) -> Result<(), Error> {
        self.nodes += more;
        if self.nodes > NODES_MAX {
            return Err(Error::new(line, format!("the file has more than {NODES_MAX} values")));
        }
        Ok(())
    }

    fn start(&mut self, line: usize, value: Value, anchor: usize) -> Result<(), Error> {
        if self.open.len() >= DEPTH_MAX {
            return Err(Error::new(line, format!("more than {DEPTH_MAX} lists and maps within each other")));
        }
        self.open.push(Open { node: Node { line, value }, anchor, key: None });
        Ok(())
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Error> {
        self.count(node.line, 1)?;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(Open { node: parent, key, .. }) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut parent.value {
            Value::List(list) => list.push(node),
            Value::Map(entries) => match key.take() {
                Some((key, line)) => entries.push(Entry { line, key, node }),
                None => {
                    let Value::Scalar { text, .. } = node.value else {
                        return Err(Error::new(node.line, "a name should be a text, and is a list or a map"));
                    };
                    if entries.iter().any(|entry| entry.key == text) {
                        return Err(Error::new(node.line, format!("`{text}` stands here twice")));
                    }
                    *key = Some((text, node.line));
                }
            },
            // Only lists and maps are opened.
            Value::Scalar { .. } => {}
        }
        Ok(())
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::List(list) => 1 + list.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.node)).sum::<usize>(),
    }
}

impl Node {
    /// What a scalar is; `None` for lists and maps.
    pub fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.value {
            Value::Scalar { text, is_plain: true } => Some(plain(text)),
            Value::Scalar { text, is_plain: false } => Some(Scalar::Text(text)),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether it is `null`, or nothing.
    pub fn is_null(&self) -> bool {
        self.scalar() == Some(Scalar::Null)
    }

    /// The text of a scalar as it is written, so that `007` stays what it is.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// The value as JSON, on one line.
    pub fn json(&self) -> Result<String, Error> {
        let mut out = String::new();
        self.write_json(&mut out)?;
        Ok(out)
    }

    fn write_json(&self, out: &mut String) -> Result<(), Error> {
        match &self.value {
            Value::Scalar { .. } => match self.scalar() {
                Some(Scalar::Flag(flag)) => out.push_str(if flag { "true" } else { "false" }),
                Some(Scalar::Integer(digits)) => out.push_str(&digits),
                Some(Scalar::Real(text)) => out.push_str(&self.real(text)?),
                Some(Scalar::Text(text)) => quote(text, out),
                Some(Scalar::Null) | None => out.push_str("null"),
            },
            Value::List(list) => {
                for (index, node) in list.iter().enumerate() {
                    out.push(if index == 0 { '[' } else { ',' });
                    node.write_json(out)?;
                }
                out.push_str(if list.is_empty() { "[]" } else { "]" });
            }
            Value::Map(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    out.push(if index == 0 { '{' } else { ',' });
                    quote(&entry.key, out);
                    out.push(':');
                    entry.node.write_json(out)?;
                }
                out.push_str(if entries.is_empty() { "{}" } else { "}" });
            }
        }
        Ok(())
    }

    /// A number with a fraction as JSON writes it: as it stands, where JSON has that form.
    fn real(&self, text: &str) -> Result<String, Error> {
        if serde_json::from_str::<serde_json::Number>(text).is_ok() {
            return Ok(text.to_owned());
        }
        let number = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
        let none =
            || Error::new(self.line, format!("JSON has no number {text}: write it as a text, in quotes"));
        number.map(|number| number.to_string()).ok_or_else(none)
    }
}

fn quote(text: &str, out: &mut String) {
    // A text always has a JSON form, and writing to a string does not fail.
    let _ = write!(out, "{}", serde_json::Value::from(text));
}

fn plain(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Flag(true),
        "false" | "False" | "FALSE" => return Scalar::Flag(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |text: &str, digit: fn(char) -> bool| !text.is_empty() && text.chars().all(digit);
    if all(unsigned, |c| c.is_ascii_digit()) {
        let digits = unsigned.trim_start_matches('0');
        return Scalar::Integer(match (text.starts_with('-'), digits) {
            (_, "") => "0".into(),
            (false, digits) => digits.into(),
            (true, digits) if digits.len() + 1 == text.len() => text.into(),
            (true, digits) => format!("-{digits}").into(),
        });
    }
    let radix = |prefix: &str, radix| u64::from_str_radix(text.strip_prefix(prefix)?, radix).ok();
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Scalar::Integer(number.to_string().into());
    }
    if is_real(unsigned) { Scalar::Real(text) } else { Scalar::Text(text) }
}

/// Whether a text without its sign is a number with a fraction or an exponent, or infinite, or none.
fn is_real(unsigned: &str) -> bool {
    if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && !exponent.is_empty()
        && digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        match parse(text) {
            Ok(documents) => documents.iter().map(|node| node.json().unwrap()).collect::<Vec<_>>().join(";"),
            Err(error) => format!("{error}"),
        }
    }

    // A test of a plugin must give it exactly what is written, above all large integers.
    #[test]
    fn yaml_becomes_the_json_that_it_means() {
        let check = |text: &str, expected: &str| assert_eq!(json(text), expected, "{text}");
        check(
            "{a: 9223372036854775807, b: -9223372036854775808}",
            r#"{"a":9223372036854775807,"b":-9223372036854775808}"#,
        );
        check("123456789012345678901234567890", "123456789012345678901234567890");
        check("[007, +5, -0, 0x1F, 0o17]", "[7,5,0,31,15]");
        check("[1.50, .5, 1., 1e3, -2.5E-3]", "[1.50,0.5,1.0,1e3,-2.5E-3]");
        check(
            "[true, no, ~, null, '', 'null', \"5\", !!str 5]",
            r#"[true,"no",null,null,"","null","5","5"]"#,
        );
        check("- 2026-01-01T00:00:00Z\n- 1-2\n- e5\n- .", r#"["2026-01-01T00:00:00Z","1-2","e5","."]"#);
        check("a: &x {k: [1]}\nb: *x", r#"{"a":{"k":[1]},"b":{"k":[1]}}"#);
        check("text: |\n  two\n  lines\nempty:", "{\"text\":\"two\\nlines\\n\",\"empty\":null}");
        check("{\"json\": [\"is\\u00e4\", {}, []]}", r#"{"json":["isä",{},[]]}"#);
        check("1\n---\n2", "1;2");
    }

    // Whoever wrote a test must find the place.
    #[test]
    fn what_is_no_yaml_is_told_with_its_line() {
        let check = |text: &str, line: usize, part: &str| {
            let error = match parse(text) {
                Ok(documents) => documents.iter().find_map(|node| node.json().err()).expect(text),
                Err(error) => error,
            };
            assert!(error.line == line && error.reason.contains(part), "{error:?}");
        };
        check("a: 1\nb: 2\na: 3\n", 3, "`a` stands here twice");
        check("a: 1\nb: [1, 2\n", 3, "");
        check("a:\n  - !binary x", 2, "tag");
        check("a: 1\nb: .inf", 2, "in quotes");
        check(&"[".repeat(100), 1, "64");
        check("a: &a [*a]", 1, "within");
    }
}
