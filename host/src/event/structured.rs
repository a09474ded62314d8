//! CloudEvents in structured mode: the whole event, its attributes and its data, is the payload.
//!
//! The form is the JSON Event Format of CloudEvents 1.0; what comes out is what the binary mode of the
//! Kafka Protocol Binding would have sent: `ce_*` headers, and the data alone as the payload.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json_field::not_json;
use super::{EventHeaders, Headers, Problem};

/// What a structured CloudEvent holds.
pub(super) struct Opened<'a> {
    pub kind: Cow<'a, str>,
    pub payload: Option<Cow<'a, [u8]>>,
    pub headers: EventHeaders<'a>,
}

/// Takes a structured CloudEvent apart. `headers` are those of the record; its `content-type` gives way
/// to that of the data.
pub(super) fn open<'a>(payload: &'a [u8], headers: &Headers<'a>) -> Result<Opened<'a>, Problem> {
    let event: Fields<'a> = serde_json::from_slice(payload).map_err(|error| not_json(&error))?;
    let wrong =
        |name: &str, reason: &str| Problem::Attribute { name: name.to_owned(), reason: reason.to_owned() };
    let find = |name: &str| event.attributes.iter().find(|(each, _)| each == name).map(|(_, value)| value);

    match find("specversion") {
        Some(version) if version.starts_with("1.") => {}
        Some(version) => {
            return Err(wrong("specversion", &format!("is {version:?}, and only 1.x is read here")));
        }
        None => return Err(wrong("specversion", "is missing")),
    }
    let kind = match find("type") {
        Some(kind) if !kind.is_empty() => kind.clone(),
        Some(_) => return Err(wrong("type", "is empty")),
        None => return Err(wrong("type", "is missing")),
    };
    let is_json = find("datacontenttype").is_none_or(|media_type| is_json(media_type));
    let payload = match (event.data, event.data_base64) {
        (Some(_), Some(_)) => {
            return Err(wrong("data_base64", "stands beside `data`, and only one of them may"));
        }
        (None, Some(text)) => {
            let bytes = BASE64_STANDARD
                .decode(text.as_bytes())
                .map_err(|error| wrong("data_base64", &format!("is not Base64: {error}")))?;
            Some(Cow::Owned(bytes))
        }
        // Text of another media type travels as a JSON string; JSON travels as itself.
        (Some(data), None) if !is_json && data.get().starts_with('"') => {
            let Text(text) = serde_json::from_str(data.get()).map_err(|error| not_json(&error))?;
            Some(match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            })
        }
        (Some(data), None) => Some(Cow::Borrowed(data.get().as_bytes())),
        (None, None) => None,
    };

    let mut all = Vec::with_capacity(event.attributes.len() + 1);
    for (name, value) in event.attributes {
        let name = if name == "datacontenttype" {
            Cow::Borrowed("content-type")
        } else {
            Cow::Owned(format!("ce_{name}"))
        };
        let value = match value {
            Cow::Borrowed(value) => Cow::Borrowed(value.as_bytes()),
            Cow::Owned(value) => Cow::Owned(value.into_bytes()),
        };
        all.push((name, Some(value)));
    }
    let others = headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
    all.extend(others.map(|(name, value)| (Cow::Borrowed(name), value.map(Cow::Borrowed))));
    Ok(Opened { kind, payload, headers: EventHeaders::Structured(all) })
}

/// Whether data of this media type is JSON: `*/json` or `*/*+json`.
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

#[derive(Default)]
struct Fields<'a> {
    attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    data: Option<&'a RawValue>,
    data_base64: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor).map(|fields: Fields<'de>| fields)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CloudEvent, which is a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Text(name)) = map.next_key()? {
            match name.as_ref() {
                // A null is the same as nothing, in data as in attributes.
                "data" => {
                    fields.data = Some(map.next_value::<&RawValue>()?).filter(|data| data.get() != "null")
                }
                "data_base64" => {
                    fields.data_base64 = map.next_value::<Option<Text<'de>>>()?.map(|text| text.0)
                }
                _ => match map.next_value()? {
                    Attribute::Text(value) => fields.attributes.push((name, value)),
                    Attribute::Absent => {}
                    Attribute::Composite => {
                        let reason =
                            format!("the attribute `{name}` is neither text, a number nor a boolean");
                        return Err(A::Error::custom(reason));
                    }
                },
            }
        }
        Ok(fields)
    }
}

/// A string, borrowed when it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(AttributeVisitor)? {
            Attribute::Text(text) => Ok(Text(text)),
            Attribute::Absent | Attribute::Composite => Err(D::Error::custom("expected a string")),
        }
    }
}

/// The value of an attribute, in the text form that headers have.
enum Attribute<'a> {
    Text(Cow<'a, str>),
    Absent,
    Composite,
}

impl<'de> Deserialize<'de> for Attribute<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AttributeVisitor)
    }
}

struct AttributeVisitor;

impl<'de> Visitor<'de> for AttributeVisitor {
    type Value = Attribute<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Attribute<'de>, E> {
        Ok(Attribute::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Attribute<'de>, E> {
        Ok(Attribute::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Attribute<'de>, E> {
        Ok(Attribute::Text(Cow::Borrowed(if value { "true" } else { "false" })))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Attribute<'de>, E> {
        Ok(Attribute::Text(Cow::Owned(value.to_string())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Attribute<'de>, E> {
        Ok(Attribute::Text(Cow::Owned(value.to_string())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Attribute<'de>, E> {
        Ok(Attribute::Text(Cow::Owned(value.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Attribute<'de>, E> {
        Ok(Attribute::Absent)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Attribute<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Attribute::Composite)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Attribute<'de>, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Attribute::Composite)
    }
}
