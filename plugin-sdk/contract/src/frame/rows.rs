//! Frames of rows: the result of a query, and, as a frame of one row, its parameters.

use super::build::Builder;
use super::layout::{Error, Kind, Layout};
use super::value::{Value, Values};
use std::convert::Infallible;

/// Bytes per row in layout 1.
pub const STRIDE: u32 = 8;

/// Writes frames of rows, reusing its memory.
#[derive(Debug, Default)]
pub struct Writer {
    builder: Builder,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the next column. Columns are named before the first row; parameters have no names.
    ///
    /// A result may have two columns of one name; the later is then named `name:2`, `name:3` and so on,
    /// since the dictionary holds a text once.
    pub fn column(&mut self, name: &str) {
        let known = self.builder.dictionary_len();
        let mut unique = name.to_owned();
        let mut nth = 2;
        while self.builder.intern(&unique, 0) < known {
            unique = format!("{name}:{nth}");
            nth += 1;
        }
    }

    /// Adds a row.
    pub fn push<'v>(&mut self, values: impl IntoIterator<Item = Value<'v>>) {
        let Ok(()) = self.push_with(|arena| {
            let mut count = 0;
            for value in values {
                value.write(arena);
                count += 1;
            }
            Ok::<_, Infallible>(count)
        });
    }

    /// Adds a row whose values `write` appends to the arena by [`Value::write`], answering how many.
    ///
    /// # Errors
    /// What `write` answers; the row is then not added.
    pub fn push_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<u32, E>) -> Result<(), E> {
        let builder = &mut self.builder;
        let pos = builder.arena.len();
        let count = match write(&mut builder.arena) {
            Ok(count) => count,
            Err(error) => {
                builder.arena.truncate(pos);
                return Err(error);
            }
        };
        for field in [pos as u32, count] {
            builder.index.extend_from_slice(&field.to_le_bytes());
        }
        builder.count += 1;
        Ok(())
    }

    /// About how many bytes the frame will have.
    pub fn size_bytes(&self) -> usize {
        self.builder.size()
    }

    /// Writes the frame into `out`, replacing what it held, and starts over.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.builder.finish(Kind::Rows, STRIDE, out);
    }
}

/// A frame of rows that was checked as a whole; its rows are checked as they are read.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    layout: Layout<'a>,
}

impl<'a> Rows<'a> {
    /// Reads a frame's header and column names.
    ///
    /// # Errors
    /// When the bytes are not a frame of rows.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        Ok(Rows { layout: Layout::parse(bytes, Kind::Rows, STRIDE)? })
    }

    /// The names of the columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = Result<&'a str, Error>> + use<'a> {
        self.layout.texts()
    }

    /// How many rows it holds.
    pub fn len(&self) -> usize {
        self.layout.count as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.layout.count == 0
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<Values<'a>, Error>> + use<'a> {
        let layout = self.layout;
        layout.items().map(move |(item, row)| layout.values(item, row, 0))
    }
}
