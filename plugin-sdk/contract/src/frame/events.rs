//! Frames of events: what `apply` is given.

use super::build::Builder;
use super::layout::{Error, Kind, Layout, NONE, i64_at, u32_at};

/// Bytes per event in layout 1.
pub const STRIDE: u32 = 56;
/// Bytes per header of an event in the arena.
const HEADER_ENTRY_BYTES: usize = 12;

/// An event to be written, borrowed from wherever it was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewEvent<'a> {
    /// The event's type, as its envelope has it.
    pub kind: &'a str,
    /// The topic that it was read from.
    pub topic: &'a str,
    /// The partition of that topic.
    pub partition: i32,
    /// Its offset in that partition.
    pub offset: i64,
    /// The record's time in Unix milliseconds; -1 when it has none.
    pub timestamp_ms: i64,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The event's data; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
}

/// Where an event of the index has the position of its headers, and how many there are.
const HEADERS_POS: usize = 44;
const HEADERS_COUNT: usize = 48;
/// What headers of a frame are aligned to within the arena.
const HEADERS_ALIGN: usize = 4;

/// Writes frames of events, reusing its memory.
///
/// The headers of all events stand one behind the other at the end of the arena, as words: before them there is then only what
/// events consist of, which is often ASCII as a whole, and a reader in an interpreted language goes through either in few steps.
#[derive(Debug, Default)]
pub struct Writer {
    builder: Builder,
    headers: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event with those of its headers that the plugin reads.
    pub fn push<'h>(
        &mut self,
        event: NewEvent<'_>,
        headers: impl IntoIterator<Item = (&'h str, Option<&'h [u8]>)>,
    ) {
        let builder = &mut self.builder;
        let topic = builder.intern(event.topic, 0);
        let kind = builder.intern(event.kind, 1);
        let mut optional = |bytes: Option<&[u8]>| bytes.map_or((0, NONE), |bytes| builder.append(bytes));
        let (key_pos, key_len) = optional(event.key);
        let (payload_pos, payload_len) = optional(event.payload);
        let mut headers_count = 0;
        // Counted from the first header of the frame, until it is known where that stands.
        let headers_at = self.headers.len() as u32;
        for (name, value) in headers {
            let name = builder.intern(name, 2 + headers_count as usize);
            let (pos, len) = value.map_or((0, NONE), |bytes| builder.append(bytes));
            for field in [name, pos, len] {
                self.headers.extend_from_slice(&field.to_le_bytes());
            }
            headers_count += 1;
        }
        let headers_pos = if headers_count == 0 { 0 } else { headers_at };
        let index = &mut builder.index;
        index.extend_from_slice(&event.offset.to_le_bytes());
        index.extend_from_slice(&event.timestamp_ms.to_le_bytes());
        index.extend_from_slice(&topic.to_le_bytes());
        index.extend_from_slice(&event.partition.to_le_bytes());
        for field in [kind, key_pos, key_len, payload_pos, payload_len, headers_pos, headers_count, 0] {
            index.extend_from_slice(&field.to_le_bytes());
        }
        builder.count += 1;
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.builder.count as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.builder.count == 0
    }

    /// About how many bytes the frame will have.
    pub fn size_bytes(&self) -> usize {
        self.builder.size() + self.headers_padding() + self.headers.len()
    }

    /// Writes the frame into `out`, replacing what it held, and starts over.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.headers.is_empty() {
            self.place_headers();
        }
        self.builder.finish(Kind::Events, STRIDE, out);
    }

    fn place_headers(&mut self) {
        let padding = self.headers_padding();
        let builder = &mut self.builder;
        builder.append(&[0; HEADERS_ALIGN][..padding]);
        let (start, _) = builder.append(&self.headers);
        self.headers.clear();
        for row in builder.index.chunks_exact_mut(STRIDE as usize) {
            if u32_at(row, HEADERS_COUNT) > 0 {
                let pos = start + u32_at(row, HEADERS_POS);
                row[HEADERS_POS..HEADERS_COUNT].copy_from_slice(&pos.to_le_bytes());
            }
        }
    }

    fn headers_padding(&self) -> usize {
        if self.headers.is_empty() {
            return 0;
        }
        self.builder.arena.len().next_multiple_of(HEADERS_ALIGN) - self.builder.arena.len()
    }
}

/// A frame of events that was checked as a whole; its events are checked as they are read.
#[derive(Clone, Copy, Debug)]
pub struct Events<'a> {
    layout: Layout<'a>,
}

impl<'a> Events<'a> {
    /// Reads a frame's header and dictionary.
    ///
    /// # Errors
    /// When the bytes are not a frame of events.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        Ok(Events { layout: Layout::parse(bytes, Kind::Events, STRIDE)? })
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.layout.count as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.layout.count == 0
    }

    /// The events in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<Event<'a>, Error>> + use<'a> {
        let layout = self.layout;
        // Checked when the frame was parsed. Looked up once per frame, since every event names two of them.
        let texts: Vec<&'a str> = layout.texts().map_while(|text| text.ok()).collect();
        let mut bytes_left = layout.arena.len();
        layout.items().map(move |(item, row)| Event::read(layout, item, row, &texts, &mut bytes_left))
    }
}

/// An event of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    layout: Layout<'a>,
    item: u32,
    /// The event's type.
    pub kind: &'a str,
    /// The topic that it was read from.
    pub topic: &'a str,
    /// The partition of that topic.
    pub partition: i32,
    /// Its offset in that partition.
    pub offset: i64,
    /// The record's time in Unix milliseconds; -1 when it has none.
    pub timestamp_ms: i64,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The event's data; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    headers: &'a [u8],
}

impl<'a> Event<'a> {
    /// Reads an event. `bytes_left` is what of the arena is not yet taken by the events before it: as for values, no
    /// two events share bytes, so that whoever reads or copies all of a frame does work in proportion to its length.
    fn read(
        layout: Layout<'a>,
        item: u32,
        row: &'a [u8],
        texts: &[&'a str],
        bytes_left: &mut usize,
    ) -> Result<Self, Error> {
        let bounds = |what| Error::Bounds { item: Some(item), what };
        let text = |at, what| texts.get(u32_at(row, at) as usize).copied().ok_or(bounds(what));
        let mut take = |pos, len, what| {
            let bytes = layout.bytes(pos, len, item, what)?;
            let len = bytes.map_or(0, <[u8]>::len);
            *bytes_left = bytes_left.checked_sub(len).ok_or(bounds(what))?;
            Ok(bytes)
        };
        let key = take(u32_at(row, 28), u32_at(row, 32), "the key")?;
        let payload = take(u32_at(row, 36), u32_at(row, 40), "the payload")?;
        let headers_bytes = u64::from(u32_at(row, HEADERS_COUNT)) * HEADER_ENTRY_BYTES as u64;
        let headers_bytes =
            u32::try_from(headers_bytes).ok().filter(|bytes| *bytes != NONE).ok_or(bounds("the headers"))?;
        let headers = take(u32_at(row, HEADERS_POS), headers_bytes, "the headers")?.unwrap_or_default();
        for entry in headers.chunks_exact(HEADER_ENTRY_BYTES) {
            take(u32_at(entry, 4), u32_at(entry, 8), "a header")?;
        }
        Ok(Event {
            layout,
            item,
            offset: i64_at(row, 0),
            timestamp_ms: i64_at(row, 8),
            topic: text(16, "the topic")?,
            partition: u32_at(row, 20) as i32,
            kind: text(24, "the type")?,
            key,
            payload,
            headers,
        })
    }

    /// The event's place in its batch, counted from 0.
    pub fn index(&self) -> u32 {
        self.item
    }

    /// The headers in order, by name and value; a name may repeat.
    pub fn headers(&self) -> impl Iterator<Item = Result<(&'a str, Option<&'a [u8]>), Error>> + use<'a> {
        let (layout, item) = (self.layout, self.item);
        self.headers.chunks_exact(HEADER_ENTRY_BYTES).map(move |entry| {
            let name = layout.text(u32_at(entry, 0), item, "a header's name")?;
            let value = layout.bytes(u32_at(entry, 4), u32_at(entry, 8), item, "a header")?;
            Ok((name, value))
        })
    }
}
