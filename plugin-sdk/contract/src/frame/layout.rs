//! The part that every kind of frame shares: header, dictionary, index, arena.

use super::value::Values;
use std::fmt;

/// The first four bytes of every frame.
pub const MAGIC: [u8; 4] = *b"LTRN";
/// The layout that this crate writes, and the newest that it reads.
pub const LAYOUT_VERSION: u16 = 1;
/// Bytes before the dictionary.
pub const HEADER_BYTES: usize = 32;
/// A length or an index that says "there is none".
pub const NONE: u32 = u32::MAX;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// Events of a batch: see [`super::events`].
    Events = 1,
    /// Writes: see [`super::ops`].
    Ops = 2,
    /// Rows, or the parameters of a query: see [`super::rows`].
    Rows = 3,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Events => "events",
            Kind::Ops => "writes",
            Kind::Rows => "rows",
        })
    }
}

/// Why some bytes are not the frame that was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Fewer bytes than a header has.
    Short {
        /// How many there are.
        bytes: usize,
    },
    /// The first four bytes are others.
    Magic([u8; 4]),
    /// A layout that this reader does not know.
    Version(u16),
    /// A frame of another kind, by its number.
    Kind {
        /// The kind that the caller expected.
        expected: Kind,
        /// The number that was found.
        found: u16,
    },
    /// The index's items are smaller than layout 1 has them.
    Stride {
        /// Bytes per item, as the header has it.
        found: u32,
        /// The least that this kind needs.
        least: u32,
    },
    /// The lengths in the header do not add up to the frame's.
    Length {
        /// What the header adds up to.
        stated: u64,
        /// The frame's own.
        actual: usize,
    },
    /// An item points outside of the arena or of the dictionary.
    Bounds {
        /// The item, counted from 0; `None` is the dictionary.
        item: Option<u32>,
        /// What was being read.
        what: &'static str,
    },
    /// A text is not UTF-8.
    Utf8 {
        /// The item, counted from 0; `None` is the dictionary.
        item: Option<u32>,
        /// What was being read.
        what: &'static str,
    },
    /// A value has a tag that is none of the five.
    Tag {
        /// The item, counted from 0.
        item: u32,
        /// The tag that was found.
        found: u8,
    },
    /// A column that has to be there is not.
    Column {
        /// Its name.
        missing: &'static str,
    },
    /// A column has a value of another kind than it is to have.
    Value {
        /// The item, counted from 0.
        item: u32,
        /// The column's name.
        column: &'static str,
    },
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |item: &Option<u32>| match item {
            Some(item) => format!("item {item}"),
            None => "the dictionary".to_owned(),
        };
        match self {
            Error::Short { bytes } => {
                write!(f, "mangled frame: {bytes} bytes, its header alone has {HEADER_BYTES}")
            }
            Error::Magic(found) => write!(f, "mangled frame: starts with {found:02x?}, not \"LTRN\""),
            Error::Version(found) => write!(
                f,
                "frame of layout {found}, this side reads up to {LAYOUT_VERSION}: build the plugin with the SDK of this Lantern"
            ),
            Error::Kind { expected, found } => {
                write!(f, "mangled frame: expected {expected}, found a frame of kind {found}")
            }
            Error::Stride { found, least } => {
                write!(f, "mangled frame: {found} bytes per item, at least {least} expected")
            }
            Error::Length { stated, actual } => {
                write!(f, "mangled frame: its header states {stated} bytes, it has {actual}")
            }
            Error::Bounds { item, what } => {
                write!(f, "mangled frame: {what} of {} points outside of the frame", place(item))
            }
            Error::Utf8 { item, what } => {
                write!(f, "mangled frame: {what} of {} is not UTF-8", place(item))
            }
            Error::Column { missing } => {
                write!(f, "mangled frame: it has rows, and not the column or value `{missing}`")
            }
            Error::Value { item, column } => {
                write!(f, "mangled frame: the column `{column}` of item {item} has a value of another kind")
            }
            Error::Tag { item, found } => {
                write!(f, "mangled frame: item {item} has a value with the unknown tag {found}")
            }
        }
    }
}

/// Reads a little-endian `u32`; the caller has checked that four bytes are there.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

/// Reads a little-endian `i64`; the caller has checked that eight bytes are there.
pub(super) fn i64_at(bytes: &[u8], at: usize) -> i64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    i64::from_le_bytes(eight)
}

/// A frame whose lengths add up and whose dictionary is valid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'a> {
    pub count: u32,
    stride: usize,
    dictionary_count: u32,
    dictionary: &'a [u8],
    index: &'a [u8],
    pub arena: &'a [u8],
}

impl<'a> Layout<'a> {
    /// Checks header, lengths and dictionary. `stride_least` is what layout 1 has for this kind.
    pub fn parse(bytes: &'a [u8], expected: Kind, stride_least: u32) -> Result<Self, Error> {
        if bytes.len() < HEADER_BYTES {
            return Err(Error::Short { bytes: bytes.len() });
        }
        let magic = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if magic != MAGIC {
            return Err(Error::Magic(magic));
        }
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        if version == 0 || version > LAYOUT_VERSION {
            return Err(Error::Version(version));
        }
        let kind = u16::from_le_bytes([bytes[6], bytes[7]]);
        if kind != expected as u16 {
            return Err(Error::Kind { expected, found: kind });
        }
        let count = u32_at(bytes, 8);
        let stride = u32_at(bytes, 12);
        let dictionary_count = u32_at(bytes, 16);
        let arena_bytes = u32_at(bytes, 20);
        if stride < stride_least {
            return Err(Error::Stride { found: stride, least: stride_least });
        }
        let dictionary_bytes = u64::from(dictionary_count) * 8;
        let index_bytes = u64::from(count) * u64::from(stride);
        let stated = (HEADER_BYTES as u64)
            .saturating_add(dictionary_bytes)
            .saturating_add(index_bytes)
            .saturating_add(u64::from(arena_bytes));
        if stated != bytes.len() as u64 {
            return Err(Error::Length { stated, actual: bytes.len() });
        }
        // Both fit: their sum is the length of a slice.
        let (dictionary, rest) = bytes[HEADER_BYTES..].split_at(dictionary_bytes as usize);
        let (index, arena) = rest.split_at(index_bytes as usize);
        let layout = Layout { count, stride: stride as usize, dictionary_count, dictionary, index, arena };
        // Texts that overlap could add up to far more than the frame: checking them must not take longer than reading it.
        let mut texts_bytes = 0;
        for id in 0..dictionary_count {
            texts_bytes += layout.dictionary_text(id)?.len();
            if texts_bytes > arena.len() {
                return Err(Error::Bounds { item: None, what: "a text" });
            }
        }
        Ok(layout)
    }

    /// The index's items by their number.
    pub fn items(&self) -> impl Iterator<Item = (u32, &'a [u8])> + use<'a> {
        // The index holds `count` items exactly: that was checked.
        (0..self.count).zip(self.index.chunks_exact(self.stride))
    }

    /// The values of an item. Where they begin and how many they are stands at `at` in its part of the index.
    pub fn values(&self, item: u32, row: &'a [u8], at: usize) -> Result<Values<'a>, Error> {
        let next = (item as usize + 1) * self.stride + at;
        let end = if item + 1 < self.count { u32_at(self.index, next) } else { self.arena.len() as u32 };
        Values::new(self.arena, u32_at(row, at), end, u32_at(row, at + 4), item)
    }

    fn dictionary_text(&self, id: u32) -> Result<&'a str, Error> {
        let at = id as usize * 8;
        let (pos, len) = (u32_at(self.dictionary, at), u32_at(self.dictionary, at + 4));
        let bytes = slice(self.arena, pos, len).ok_or(Error::Bounds { item: None, what: "a text" })?;
        std::str::from_utf8(bytes).map_err(|_| Error::Utf8 { item: None, what: "a text" })
    }

    /// A text of the dictionary, named by `item` as its `what`.
    pub fn text(&self, id: u32, item: u32, what: &'static str) -> Result<&'a str, Error> {
        if id >= self.dictionary_count {
            return Err(Error::Bounds { item: Some(item), what });
        }
        self.dictionary_text(id)
    }

    /// All of the dictionary, in order.
    pub fn texts(&self) -> impl Iterator<Item = Result<&'a str, Error>> + use<'a> {
        let layout = *self;
        (0..layout.dictionary_count).map(move |id| layout.dictionary_text(id))
    }

    /// Bytes of the arena; `None` where the length says that there are none.
    pub fn bytes(
        &self,
        pos: u32,
        len: u32,
        item: u32,
        what: &'static str,
    ) -> Result<Option<&'a [u8]>, Error> {
        if len == NONE {
            return Ok(None);
        }
        slice(self.arena, pos, len).map(Some).ok_or(Error::Bounds { item: Some(item), what })
    }
}

fn slice(arena: &[u8], pos: u32, len: u32) -> Option<&[u8]> {
    let start = pos as usize;
    arena.get(start..start.checked_add(len as usize)?)
}
