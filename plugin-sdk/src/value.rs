//! How Rust's types become SQLite's five kinds of value, and back.

use crate::error::{Error, Fault, Result};
use std::borrow::Cow;

pub use lantern_contract::frame::value::Value;

/// A type that can be a value of a row.
///
/// A `u64` above `i64::MAX` is an error, since SQLite's integers are signed. NaN becomes NULL.
pub trait ToValue {
    /// The value, borrowed from `self`.
    ///
    /// # Errors
    /// When SQLite has no such value.
    fn to_value(&self) -> Result<Value<'_>>;
}

/// A type that a value of a row can become.
pub trait FromValue<'a>: Sized {
    /// What is said to have been expected when it does not fit.
    const EXPECTED: &'static str;

    /// The value as this type; `None` when it does not fit.
    fn from_value(value: Value<'a>) -> Option<Self>;
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl ToValue for $type {
            fn to_value(&self) -> Result<Value<'_>> {
                match i64::try_from(*self) {
                    Ok(value) => Ok(Value::Integer(value)),
                    Err(_) => Err(too_large(u128::try_from(*self).unwrap_or_default())),
                }
            }
        }

        impl FromValue<'_> for $type {
            const EXPECTED: &'static str = concat!("an integer that fits ", stringify!($type));

            fn from_value(value: Value<'_>) -> Option<Self> {
                match value {
                    Value::Integer(value) => value.try_into().ok(),
                    _ => None,
                }
            }
        }
    )*};
}

integer!(i8, i16, i32, i64, u8, u16, u32, u64, usize);

#[cold]
fn too_large(value: u128) -> Error {
    Error::new(
        Fault::BadInput,
        format!("{value} is above the largest integer that SQLite holds, {}: write it as text", i64::MAX),
    )
}

impl ToValue for bool {
    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Integer(i64::from(*self)))
    }
}

impl FromValue<'_> for bool {
    const EXPECTED: &'static str = "0 or 1";

    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Integer(0) => Some(false),
            Value::Integer(1) => Some(true),
            _ => None,
        }
    }
}

impl ToValue for f64 {
    fn to_value(&self) -> Result<Value<'_>> {
        Ok(if self.is_nan() { Value::Null } else { Value::Real(*self) })
    }
}

impl FromValue<'_> for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Real(value) => Some(value),
            Value::Integer(value) => Some(value as f64),
            _ => None,
        }
    }
}

impl ToValue for str {
    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Text(self))
    }
}

impl ToValue for String {
    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Text(self))
    }
}

impl ToValue for Cow<'_, str> {
    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Text(self))
    }
}

impl<'a> FromValue<'a> for &'a str {
    const EXPECTED: &'static str = "a text";

    fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }
}

impl FromValue<'_> for String {
    const EXPECTED: &'static str = "a text";

    fn from_value(value: Value<'_>) -> Option<Self> {
        <&str>::from_value(value).map(str::to_owned)
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Blob(self))
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Result<Value<'_>> {
        Ok(Value::Blob(self))
    }
}

impl<'a> FromValue<'a> for &'a [u8] {
    const EXPECTED: &'static str = "a blob";

    fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Blob(value) => Some(value),
            _ => None,
        }
    }
}

impl FromValue<'_> for Vec<u8> {
    const EXPECTED: &'static str = "a blob";

    fn from_value(value: Value<'_>) -> Option<Self> {
        <&[u8]>::from_value(value).map(<[u8]>::to_vec)
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Result<Value<'_>> {
        self.as_ref().map_or(Ok(Value::Null), ToValue::to_value)
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl ToValue for Value<'_> {
    fn to_value(&self) -> Result<Value<'_>> {
        Ok(*self)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Result<Value<'_>> {
        (**self).to_value()
    }
}

/// The values of a statement's parameters or of a row's columns, in order: one value, a tuple, an array or a slice.
pub trait Params {
    /// Gives the values one by one; answers how many.
    ///
    /// # Errors
    /// The first error of a value or of `each`.
    fn for_each(&self, each: impl FnMut(Value<'_>) -> Result<()>) -> Result<u32>;

    /// Appends the values to an arena; answers how many.
    ///
    /// # Errors
    /// When SQLite has no such value. What is in the arena then is to be dropped.
    fn write(&self, arena: &mut Vec<u8>) -> Result<u32> {
        self.for_each(|value| {
            value.write(arena);
            Ok(())
        })
    }
}

impl<T: ToValue> Params for T {
    fn for_each(&self, mut each: impl FnMut(Value<'_>) -> Result<()>) -> Result<u32> {
        each(self.to_value()?)?;
        Ok(1)
    }
}

impl Params for &[Value<'_>] {
    fn for_each(&self, mut each: impl FnMut(Value<'_>) -> Result<()>) -> Result<u32> {
        for value in *self {
            each(*value)?;
        }
        Ok(self.len() as u32)
    }
}

impl<T: ToValue, const N: usize> Params for [T; N] {
    fn for_each(&self, mut each: impl FnMut(Value<'_>) -> Result<()>) -> Result<u32> {
        for value in self {
            each(value.to_value()?)?;
        }
        Ok(N as u32)
    }
}

impl Params for () {
    fn for_each(&self, _: impl FnMut(Value<'_>) -> Result<()>) -> Result<u32> {
        Ok(0)
    }
}

/// A type that can be a part of a row's key. Reals and NULL cannot: what is equal must be equal byte for byte.
pub trait KeyPart: ToValue {}

impl KeyPart for i8 {}
impl KeyPart for i16 {}
impl KeyPart for i32 {}
impl KeyPart for i64 {}
impl KeyPart for u8 {}
impl KeyPart for u16 {}
impl KeyPart for u32 {}
impl KeyPart for u64 {}
impl KeyPart for usize {}
impl KeyPart for bool {}
impl KeyPart for str {}
impl KeyPart for String {}
impl KeyPart for Cow<'_, str> {}
impl KeyPart for [u8] {}
impl KeyPart for Vec<u8> {}
impl<T: KeyPart + ?Sized> KeyPart for &T {}

/// The key of a row: one part, or a tuple of them in the order of the table's key columns.
pub trait Key: Params {}

impl<T: KeyPart> Key for T {}

macro_rules! tuples {
    ($($name:ident $index:tt),+) => {
        impl<$($name: ToValue),+> Params for ($($name,)+) {
            fn for_each(&self, mut each: impl FnMut(Value<'_>) -> Result<()>) -> Result<u32> {
                let mut count = 0;
                $(
                    each(self.$index.to_value()?)?;
                    count += 1;
                )+
                Ok(count)
            }
        }

        impl<$($name: KeyPart),+> Key for ($($name,)+) {}
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);
