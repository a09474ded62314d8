//! An enum whose variant is named outside of its JSON: by the event's envelope.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, VariantAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::Error;
use serde_json::de::{Read, SliceRead, StrRead};

/// Reads the variant of this name from the JSON of its content.
pub(crate) fn decode<'a, T: Deserialize<'a>>(variant: &'a str, json: &'a [u8]) -> Result<T, Error> {
    // A look at all of it is cheaper than one at each of its texts. What is not UTF-8 where nobody reads it is no error.
    match std::str::from_utf8(json) {
        Ok(text) => T::deserialize(Tagged { variant, json: StrRead::new(text) }),
        Err(_) => T::deserialize(Tagged { variant, json: SliceRead::new(json) }),
    }
}

/// The name of a variant beside the JSON of its content. Reads nothing but enums, and allocates nothing itself.
struct Tagged<'a, R> {
    variant: &'a str,
    json: R,
}

impl<'a, R: Read<'a>> Tagged<'a, R> {
    /// Reads the content, and that nothing is behind it.
    fn content<T>(
        self,
        read: impl FnOnce(&mut serde_json::Deserializer<R>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut content = serde_json::Deserializer::new(self.json);
        let value = read(&mut content)?;
        content.end()?;
        Ok(value)
    }
}

impl<'a, R: Read<'a>> Deserializer<'a> for Tagged<'a, R> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        <V: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'a, R: Read<'a>> EnumAccess<'a> for Tagged<'a, R> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed.deserialize(BorrowedStrDeserializer::new(self.variant))?;
        Ok((variant, self))
    }
}

impl<'a, R: Read<'a>> VariantAccess<'a> for Tagged<'a, R> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Error> {
        self.content(|content| seed.deserialize(content))
    }

    fn tuple_variant<V: Visitor<'a>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.content(|content| content.deserialize_tuple(len, visitor))
    }

    fn struct_variant<V: Visitor<'a>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.content(|content| content.deserialize_struct("", fields, visitor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    enum Shop<'a> {
        Paid { order: &'a str },
    }

    // Some producers write names in another encoding. A projection that does not read them must not halt at them.
    #[test]
    fn only_texts_that_are_read_must_be_utf8() {
        let check = |json: &[u8], expected: &str| {
            let decoded = decode("Paid", json)
                .map_or_else(|error| error.to_string(), |Shop::Paid { order }| order.to_owned());
            assert!(decoded.starts_with(expected), "{}: {decoded}", json.escape_ascii());
        };
        check(br#"{"order":"o-1","name":"Ada"}"#, "o-1");
        check("{\"name\":\"Zoë\",\"order\":\"o-ë\"}".as_bytes(), "o-ë");
        check(b"{\"order\":\"o-1\",\"name\":\"Zo\xeb\"}", "o-1");
        check(b"{\"order\":\"o-\xeb\",\"name\":\"Ada\"}", "invalid unicode code point at line 1 column");
        check(br#"{"order":"o-1"} x"#, "trailing characters at line 1 column 17");
    }
}
