//! An enum whose variant is named outside of its JSON: by the event's envelope.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Error;
use serde_json::de::SliceRead;

/// The name of a variant beside the JSON of its content. Reads nothing but enums, and allocates nothing itself.
#[derive(Clone, Copy)]
pub(crate) struct Tagged<'a> {
    pub variant: &'a str,
    pub json: &'a [u8],
}

impl<'a> Tagged<'a> {
    /// Reads the content, and that nothing is behind it.
    fn content<T>(
        self,
        read: impl FnOnce(&mut serde_json::Deserializer<SliceRead<'a>>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut content = serde_json::Deserializer::from_slice(self.json);
        let value = read(&mut content)?;
        content.end()?;
        Ok(value)
    }
}

impl<'a> Deserializer<'a> for Tagged<'a> {
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

impl<'a> EnumAccess<'a> for Tagged<'a> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed.deserialize(BorrowedStrDeserializer::new(self.variant))?;
        Ok((variant, self))
    }
}

impl<'a> VariantAccess<'a> for Tagged<'a> {
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
