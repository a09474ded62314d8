//! An enum as the name of its variant and the JSON of its content: what `decode` reads.

use serde::ser::{
    Error as _, Impossible, Serialize, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleVariant, Serializer,
};
use serde_json::Error;

/// The variant's name, and the JSON of its content. Of a variant without one it is an empty object, so that fields can
/// be added to it.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<(&'static str, Vec<u8>), Error> {
    let mut json = Vec::new();
    let name = value.serialize(Tagging { content: &mut serde_json::Serializer::new(&mut json) })?;
    Ok((name, json))
}

type Json<'j> = serde_json::Serializer<&'j mut Vec<u8>>;

/// Writes a variant's content, and answers its name. Knows nothing but enums.
struct Tagging<'s, 'j> {
    content: &'s mut Json<'j>,
}

/// A variant's name beside its fields, which are being written.
struct Fields<S> {
    name: &'static str,
    content: S,
}

fn not_an_enum<T>() -> Result<T, Error> {
    Err(Error::custom(
        "an enum is expected, whose variants name it: derive `Serialize` on it without `tag`, `content` or `untagged`",
    ))
}

macro_rules! not_an_enum {
    ($($method:ident($($type:ty),*))*) => {$(
        fn $method(self, $(_: $type),*) -> Result<Self::Ok, Error> {
            not_an_enum()
        }
    )*};
}

impl<'s, 'j> Serializer for Tagging<'s, 'j> {
    type Ok = &'static str;
    type Error = Error;
    type SerializeSeq = Impossible<&'static str, Error>;
    type SerializeTuple = Impossible<&'static str, Error>;
    type SerializeTupleStruct = Impossible<&'static str, Error>;
    type SerializeTupleVariant = Fields<<&'s mut Json<'j> as Serializer>::SerializeTuple>;
    type SerializeMap = Impossible<&'static str, Error>;
    type SerializeStruct = Impossible<&'static str, Error>;
    type SerializeStructVariant = Fields<<&'s mut Json<'j> as Serializer>::SerializeStruct>;

    not_an_enum! {
        serialize_bool(bool)
        serialize_i8(i8)
        serialize_i16(i16)
        serialize_i32(i32)
        serialize_i64(i64)
        serialize_u8(u8)
        serialize_u16(u16)
        serialize_u32(u32)
        serialize_u64(u64)
        serialize_f32(f32)
        serialize_f64(f64)
        serialize_char(char)
        serialize_str(&str)
        serialize_bytes(&[u8])
        serialize_none()
        serialize_unit()
        serialize_unit_struct(&'static str)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Self::Ok, Error> {
        SerializeStruct::end(self.content.serialize_struct("", 0)?)?;
        Ok(variant)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Self::Ok, Error> {
        value.serialize(self.content)?;
        Ok(variant)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Ok(Fields { name: variant, content: self.content.serialize_tuple(len)? })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Ok(Fields { name: variant, content: self.content.serialize_struct(name, len)? })
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Self::Ok, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Self::Ok, Error> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        not_an_enum()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        not_an_enum()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        not_an_enum()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        not_an_enum()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Error> {
        not_an_enum()
    }
}

impl<S: SerializeStruct> SerializeStructVariant for Fields<S> {
    type Ok = &'static str;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), S::Error> {
        self.content.serialize_field(key, value)
    }

    fn end(self) -> Result<Self::Ok, S::Error> {
        self.content.end()?;
        Ok(self.name)
    }
}

impl<S: SerializeTuple> SerializeTupleVariant for Fields<S> {
    type Ok = &'static str;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.content.serialize_element(value)
    }

    fn end(self) -> Result<Self::Ok, S::Error> {
        self.content.end()?;
        Ok(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Line {
        sku: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Cart {
        Opened {
            customer: String,
            cents: Option<i64>,
        },
        Added(Line),
        Moved(i32, i32),
        #[serde(rename = "closed")]
        Closed,
    }

    // What an aggregate writes, projections and the aggregate itself have to read for years.
    #[test]
    fn every_variant_is_read_as_it_was_written() {
        let check = |event: Cart, name: &str, json: &str| {
            let (kind, content) = encode(&event).unwrap();
            assert_eq!((kind, std::str::from_utf8(&content).unwrap()), (name, json));
            assert_eq!(decode::<Cart>(kind, &content).unwrap(), event);
        };
        check(
            Cart::Opened { customer: "Zoë \"Z\"".into(), cents: None },
            "Opened",
            r#"{"customer":"Zoë \"Z\"","cents":null}"#,
        );
        check(Cart::Added(Line { sku: "s-1".into() }), "Added", r#"{"sku":"s-1"}"#);
        check(Cart::Moved(-1, 2), "Moved", "[-1,2]");
        check(Cart::Closed, "closed", "{}");
    }

    #[test]
    fn what_has_no_name_is_refused_with_what_to_do() {
        #[derive(Serialize)]
        #[serde(tag = "type")]
        enum Tagged {
            A { n: i32 },
        }
        fn check(value: &(impl Serialize + ?Sized)) {
            let message = encode(value).unwrap_err().to_string();
            assert!(message.contains("an enum is expected"), "{message}");
        }
        check(&Tagged::A { n: 1 });
        check("text");
        check(&[1, 2][..]);
        check(&Line { sku: String::new() });
        check(&());
    }
}
