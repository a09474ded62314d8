//! Frames of writes: (statement, values) one after the other.

use super::build::Builder;
use super::layout::{Error, Kind, Layout, NONE, u32_at};
use super::value::{Value, Values};
use std::convert::Infallible;

/// Bytes per write in layout 1.
pub const STRIDE: u32 = 16;

/// Writes frames of writes, reusing its memory.
#[derive(Debug, Default)]
pub struct Writer {
    builder: Builder,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a write. `event` is the event of the batch that caused it, so that an error can name it.
    pub fn push<'v>(
        &mut self,
        statement: u32,
        event: Option<u32>,
        values: impl IntoIterator<Item = Value<'v>>,
    ) {
        let Ok(()) = self.push_with(statement, event, |arena| {
            let mut count = 0;
            for value in values {
                value.write(arena);
                count += 1;
            }
            Ok::<_, Infallible>(count)
        });
    }

    /// Adds a write whose values `write` appends to the arena by [`Value::write`], answering how many.
    ///
    /// # Errors
    /// What `write` answers; the write is then not added.
    pub fn push_with<E>(
        &mut self,
        statement: u32,
        event: Option<u32>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<u32, E>,
    ) -> Result<(), E> {
        let builder = &mut self.builder;
        let pos = builder.arena.len();
        let count = match write(&mut builder.arena) {
            Ok(count) => count,
            Err(error) => {
                builder.arena.truncate(pos);
                return Err(error);
            }
        };
        let mut item = [0; STRIDE as usize];
        for (field, value) in
            item.chunks_exact_mut(4).zip([statement, event.unwrap_or(NONE), pos as u32, count])
        {
            field.copy_from_slice(&value.to_le_bytes());
        }
        builder.index.extend_from_slice(&item);
        builder.count += 1;
        Ok(())
    }

    /// Forgets what it holds and keeps its memory.
    pub fn clear(&mut self) {
        self.builder.clear();
    }

    /// How many writes it holds.
    pub fn len(&self) -> usize {
        self.builder.count as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.builder.count == 0
    }

    /// About how many bytes the frame will have.
    pub fn size_bytes(&self) -> usize {
        self.builder.size()
    }

    /// Writes the frame into `out`, replacing what it held, and starts over.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.builder.finish(Kind::Ops, STRIDE, out);
    }
}

/// One write.
#[derive(Clone, Debug)]
pub struct Op<'a> {
    /// The statement's id, as `prepare` gave it.
    pub statement: u32,
    /// The event that caused it, counted from 0 within the batch.
    pub event: Option<u32>,
    /// What is bound to its parameters, in order.
    pub values: Values<'a>,
}

/// A frame of writes that was checked as a whole; its writes are checked as they are read.
#[derive(Clone, Copy, Debug)]
pub struct Ops<'a> {
    layout: Layout<'a>,
}

impl<'a> Ops<'a> {
    /// Reads a frame's header.
    ///
    /// # Errors
    /// When the bytes are not a frame of writes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        Ok(Ops { layout: Layout::parse(bytes, Kind::Ops, STRIDE)? })
    }

    /// How many writes it holds.
    pub fn len(&self) -> usize {
        self.layout.count as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.layout.count == 0
    }

    /// The writes in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<Op<'a>, Error>> + use<'a> {
        let layout = self.layout;
        layout.items().map(move |(item, row)| {
            let event = u32_at(row, 4);
            Ok(Op {
                statement: u32_at(row, 0),
                event: (event != NONE).then_some(event),
                values: layout.values(item, row, 8)?,
            })
        })
    }
}
