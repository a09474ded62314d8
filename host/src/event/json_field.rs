//! A string out of a field of a JSON payload, without building a tree and without reading behind it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Problem;

/// The string at `path`, whose dots lead into objects.
///
/// The payload is read up to the field only: what stands behind it may be of any form. Of a key that
/// stands twice in an object, the first counts.
pub(super) fn find<'a>(payload: &'a [u8], path: &str) -> Result<Cow<'a, str>, Problem> {
    let mut found = None;
    let mut json = serde_json::Deserializer::from_slice(payload);
    let read = Field { path: Some(path), found: &mut found }.deserialize(&mut json);
    match (found, read) {
        // Leaving an object before its end makes the parser complain; what was found counts.
        (Some(Found::Text(text)), _) => Ok(text),
        (Some(Found::Other(found)), _) => Err(Problem::FieldNotText { field: path.to_owned(), found }),
        (None, Ok(())) => Err(Problem::FieldMissing { field: path.to_owned() }),
        (None, Err(error)) => Err(not_json(&error)),
    }
}

pub(super) fn not_json(error: &serde_json::Error) -> Problem {
    // The parser ends its message with the place, which is told apart.
    let message = error.to_string();
    let reason = message.rsplit_once(" at line ").map_or(message.as_str(), |(reason, _)| reason);
    Problem::NotJson { line: error.line(), column: error.column(), reason: reason.to_owned() }
}

enum Found<'de> {
    Text(Cow<'de, str>),
    Other(&'static str),
}

/// Walks into the value: `path` is what is left of the way, `None` at its end.
struct Field<'p, 'f, 'de> {
    path: Option<&'p str>,
    found: &'f mut Option<Found<'de>>,
}

impl<'de> Field<'_, '_, 'de> {
    /// Notes what stands at the end of the way; on the way, a value that is no object leads nowhere.
    fn note(self, found: Found<'de>) {
        if self.path.is_none() {
            *self.found = Some(found);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Field<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Field<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.note(Found::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.note(Found::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.note(Found::Other("true or false"));
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.note(Found::Other("a number"));
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.note(Found::Other("a number"));
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.note(Found::Other("a number"));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.note(Found::Other("null"));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.note(Found::Other("an array"));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Some(path) = self.path else {
            while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            self.note(Found::Other("an object"));
            return Ok(());
        };
        let (name, rest) = match path.split_once('.') {
            Some((name, rest)) => (name, Some(rest)),
            None => (path, None),
        };
        while let Some(is_it) = fields.next_key_seed(KeyIs(name))? {
            if is_it {
                return fields.next_value_seed(Field { path: rest, found: self.found });
            }
            fields.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Whether a key is the one looked for, without copying it.
struct KeyIs<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIs<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}
