//! Maps with names that are known: whoever mistypes one is told, with the one that was meant.

use super::Error;
use super::yaml::{Entry, Node, Scalar, Value};
use crate::config;
use jiff::Timestamp;

/// The entries of a map, all of whose names are known.
pub struct Fields<'n> {
    /// What the map is, for messages: "a case".
    what: &'static str,
    /// Its line.
    pub line: usize,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// Reads a map.
    ///
    /// # Errors
    /// When it is none, or has a name that is not `known`.
    pub fn of(node: &'n Node, what: &'static str, known: &[&str]) -> Result<Self, Error> {
        let Value::Map(entries) = &node.value else {
            let known = list(known);
            return Err(Error::new(
                node.line,
                format!("{what} is a map with {known}; this is {}", form(node)),
            ));
        };
        for entry in entries {
            if !known.contains(&entry.key.as_str()) {
                return Err(Error::new(entry.line, unknown(&entry.key, what, known)));
            }
        }
        Ok(Fields { what, line: node.line, entries })
    }

    /// The value of a name; one that is null counts, too.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The value of a name that has to be there.
    pub fn need(&self, key: &str) -> Result<&'n Node, Error> {
        self.get(key).ok_or_else(|| Error::new(self.line, format!("{} needs `{key}`", self.what)))
    }

    /// A text, or a number as it is written.
    pub fn text(&self, key: &str) -> Result<Option<String>, Error> {
        self.get(key).map(|node| text(node, key)).transpose()
    }

    /// An integer.
    pub fn integer<T: TryFrom<i64>>(&self, key: &str) -> Result<Option<T>, Error> {
        let read = |node: &Node| {
            let number = match node.scalar() {
                Some(Scalar::Integer(digits)) => digits.parse::<i64>().ok(),
                _ => None,
            };
            let wrong =
                || Error::new(node.line, format!("`{key}` should be an integer, and is {}", form(node)));
            number.and_then(|number| T::try_from(number).ok()).ok_or_else(wrong)
        };
        self.get(key).map(read).transpose()
    }

    /// Yes or no.
    pub fn flag(&self, key: &str) -> Result<bool, Error> {
        match self.get(key).map(|node| (node.line, node.scalar(), form(node))) {
            None => Ok(false),
            Some((_, Some(Scalar::Flag(flag)), _)) => Ok(flag),
            Some((line, _, form)) => {
                Err(Error::new(line, format!("`{key}` should be true or false, and is {form}")))
            }
        }
    }

    /// A time in Unix milliseconds.
    pub fn time_ms(&self, key: &str) -> Result<Option<i64>, Error> {
        self.get(key).map(|node| time_ms(node, key)).transpose()
    }
}

/// A text, or a number as it is written.
pub fn text(node: &Node, key: &str) -> Result<String, Error> {
    let wrong = || Error::new(node.line, format!("`{key}` should be a text, and is {}", form(node)));
    node.text().map(str::to_owned).ok_or_else(wrong)
}

/// A time: RFC 3339, or milliseconds since 1970.
pub fn time_ms(node: &Node, key: &str) -> Result<i64, Error> {
    let time = match node.scalar() {
        Some(Scalar::Integer(digits)) => digits.parse().ok(),
        Some(Scalar::Text(text)) => text.parse().ok().map(Timestamp::as_millisecond),
        _ => None,
    };
    let wrong = || {
        let form = form(node);
        format!(
            "`{key}` should be a time like 2026-03-01T12:00:00Z, or milliseconds since 1970, and is {form}"
        )
    };
    time.ok_or_else(|| Error::new(node.line, wrong()))
}

/// The elements of a list.
pub fn elements<'n>(node: &'n Node, what: &str) -> Result<&'n [Node], Error> {
    match &node.value {
        Value::List(list) => Ok(list),
        _ if node.is_null() => Ok(&[]),
        _ => Err(Error::new(node.line, format!("{what} should be a list, and is {}", form(node)))),
    }
}

/// What stands somewhere, in words.
pub fn form(node: &Node) -> String {
    match (&node.value, node.scalar()) {
        (Value::List(_), _) => "a list".to_owned(),
        (Value::Map(_), _) => "a map".to_owned(),
        (_, Some(Scalar::Null)) => "empty".to_owned(),
        (Value::Scalar { text, .. }, _) => format!("`{text}`"),
    }
}

/// That a name is not known, with what is, and what was meant.
pub fn unknown(key: &str, what: &str, known: &[&str]) -> String {
    let meant = config::closest(key, known.iter().copied());
    let meant = meant.map(|meant| format!(". Did you mean `{meant}`?")).unwrap_or_default();
    format!("`{key}` does not belong into {what}, which has {}{meant}", list(known))
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
