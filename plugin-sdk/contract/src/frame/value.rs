//! SQLite's five kinds of value, as they lie in an arena.

use super::layout::{Error, i64_at, u32_at};

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

/// A value of a row, borrowed from a frame or from the plugin. The tags are part of the layout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// SQL's NULL.
    Null,
    /// A 64-bit signed integer.
    Integer(i64),
    /// A 64-bit float. SQLite stores NaN as NULL.
    Real(f64),
    /// UTF-8 text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Reads a value that [`Value::write`] wrote, from the start of `bytes`.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        Values { rest: bytes, left: 1, item: 0 }.read()
    }

    /// Appends the value to an arena.
    pub fn write(self, arena: &mut Vec<u8>) {
        match self {
            Value::Null => arena.push(NULL),
            Value::Integer(value) => number(INTEGER, value.to_le_bytes(), arena),
            Value::Real(value) => number(REAL, value.to_le_bytes(), arena),
            Value::Text(value) => sized(TEXT, value.as_bytes(), arena),
            Value::Blob(value) => sized(BLOB, value, arena),
        }
    }
}

fn number(tag: u8, bytes: [u8; 8], arena: &mut Vec<u8>) {
    // One write of nine bytes: an arena checks its capacity at every write.
    let mut value = [tag; 9];
    value[1..].copy_from_slice(&bytes);
    arena.extend_from_slice(&value);
}

fn sized(tag: u8, bytes: &[u8], arena: &mut Vec<u8>) {
    let mut head = [tag; 5];
    head[1..].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    arena.reserve(head.len() + bytes.len());
    arena.extend_from_slice(&head);
    append(arena, bytes);
}

/// Appends bytes, as [`Vec::extend_from_slice`] does; faster when they are few.
///
/// In WebAssembly a copy of as many bytes as only the program's run tells is a call of the engine, which takes longer than
/// the bytes of a key or of a short text. Two copies of known lengths, which may overlap, need none.
#[inline]
pub fn append(arena: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        4..8 => append_ends::<4>(arena, bytes),
        8..16 => append_ends::<8>(arena, bytes),
        16..=32 => append_ends::<16>(arena, bytes),
        _ => arena.extend_from_slice(bytes),
    }
}

/// Appends at least `N` and at most twice as many bytes: the first `N`, and behind them or over them the last.
fn append_ends<const N: usize>(arena: &mut Vec<u8>, bytes: &[u8]) {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) {
        arena.extend_from_slice(first);
        arena.truncate(arena.len() + bytes.len() - 2 * N);
        arena.extend_from_slice(last);
    }
}

/// The values of one row or one write, read one after the other.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    rest: &'a [u8],
    left: u32,
    item: u32,
}

impl<'a> Values<'a> {
    /// The `count` values of an item, which lie from `pos` to at most `end`, where the next item's begin.
    ///
    /// That no two items share bytes keeps the work for a whole frame in proportion to its length.
    pub(super) fn new(arena: &'a [u8], pos: u32, end: u32, count: u32, item: u32) -> Result<Self, Error> {
        let rest = arena
            .get(pos as usize..end as usize)
            .ok_or(Error::Bounds { item: Some(item), what: "the values" })?;
        // A value has at least its tag: more of them than bytes cannot be.
        if count as usize > rest.len() {
            return Err(Error::Bounds { item: Some(item), what: "the values" });
        }
        Ok(Values { rest, left: count, item })
    }

    /// How many values are left.
    pub fn len(&self) -> usize {
        self.left as usize
    }

    /// Whether no value is left.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Error> {
        let Some((head, rest)) = self.rest.split_at_checked(bytes) else {
            return Err(Error::Bounds { item: Some(self.item), what: "a value" });
        };
        self.rest = rest;
        Ok(head)
    }

    fn sized(&mut self) -> Result<&'a [u8], Error> {
        let len = u32_at(self.take(4)?, 0);
        self.take(len as usize)
    }

    fn read(&mut self) -> Result<Value<'a>, Error> {
        match self.take(1)?[0] {
            NULL => Ok(Value::Null),
            INTEGER => Ok(Value::Integer(i64_at(self.take(8)?, 0))),
            REAL => Ok(Value::Real(f64::from_bits(i64_at(self.take(8)?, 0) as u64))),
            TEXT => {
                let bytes = self.sized()?;
                let text = std::str::from_utf8(bytes)
                    .map_err(|_| Error::Utf8 { item: Some(self.item), what: "a text" })?;
                Ok(Value::Text(text))
            }
            BLOB => Ok(Value::Blob(self.sized()?)),
            found => Err(Error::Tag { item: self.item, found }),
        }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<Value<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let value = self.read();
        // Behind a mangled value nothing can be found.
        self.left = if value.is_ok() { self.left - 1 } else { 0 };
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Every length is copied in its own way; a byte too many or too few would shift all that follows.
    #[test]
    fn bytes_of_any_length_are_appended_whole() {
        for len in 0..100 {
            let bytes: Vec<u8> = (1..=len).collect();
            let mut arena = b"before".to_vec();
            append(&mut arena, &bytes);
            append(&mut arena, b"behind");
            assert_eq!(arena, [b"before", &bytes[..], b"behind"].concat(), "{len} bytes");
        }
    }
}
