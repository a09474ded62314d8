//! Frames of upcast events: what `upcast` answers. They are frames of rows, read by the names of their columns, so that
//! more can be added.

use super::commands::{bytes, optional, pick, places, text};
use super::layout::Error;
use super::rows;
use super::value::Value;

const COLUMNS: [&str; 2] = ["type", "payload"];

/// An event as it is today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// Its type.
    pub kind: &'a str,
    /// Its data; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
}

/// Writes frames of upcast events.
#[derive(Debug)]
pub struct Writer {
    rows: rows::Writer,
}

impl Writer {
    /// A writer of no events yet.
    #[allow(clippy::new_without_default, reason = "it is not empty: it has named its columns")]
    pub fn new() -> Self {
        let mut rows = rows::Writer::new();
        for column in COLUMNS {
            rows.column(column);
        }
        Writer { rows }
    }

    /// Adds an event: what became of the next that was given.
    pub fn push(&mut self, event: NewEvent<'_>) {
        self.rows.push([Value::Text(event.kind), event.payload.map_or(Value::Null, Value::Blob)]);
    }

    /// The frame.
    pub fn finish(mut self) -> Vec<u8> {
        let mut frame = Vec::new();
        self.rows.finish(&mut frame);
        frame
    }
}

/// A frame of upcast events that was checked as a whole; its events are checked as they are read.
#[derive(Clone, Copy, Debug)]
pub struct Upcasted<'a> {
    rows: rows::Rows<'a>,
    places: [usize; COLUMNS.len()],
}

impl<'a> Upcasted<'a> {
    /// Reads a frame's header and its columns.
    ///
    /// # Errors
    /// When the bytes are not a frame of rows, or have events and not the columns.
    pub fn parse(frame: &'a [u8]) -> Result<Self, Error> {
        let rows = rows::Rows::parse(frame)?;
        // Without events there is nothing to name.
        let places = if rows.is_empty() { [0; COLUMNS.len()] } else { places(&rows, &COLUMNS)? };
        Ok(Upcasted { rows, places })
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The events in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<NewEvent<'a>, Error>> + use<'a> {
        let places = self.places;
        self.rows.iter().enumerate().map(move |(item, row)| {
            // A frame counts its items in 32 bits.
            let item = item as u32;
            let [kind, payload] = pick(row?, &places, &COLUMNS)?;
            Ok(NewEvent {
                kind: text(kind, item, "type")?,
                payload: optional(payload, |value| bytes(value, item, "payload"))?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let events = [
            NewEvent { kind: "A", payload: Some(b"{}") },
            NewEvent { kind: "B", payload: Some(b"") },
            NewEvent { kind: "A", payload: None },
        ];
        let mut writer = Writer::new();
        events.into_iter().for_each(|event| writer.push(event));
        let frame = writer.finish();
        let upcasted = Upcasted::parse(&frame).unwrap();
        assert_eq!(upcasted.len(), 3);
        assert_eq!(upcasted.iter().collect::<Result<Vec<_>, _>>().unwrap(), events);
    }

    // What an upcaster answers is hostile input: it is refused by name, never by a panic.
    #[test]
    fn what_is_no_answer_is_refused() {
        let check = |columns: &[&str], row: &[Value<'_>], part: &str| {
            let mut writer = rows::Writer::new();
            columns.iter().for_each(|column| writer.column(column));
            writer.push(row.iter().copied());
            let mut frame = Vec::new();
            writer.finish(&mut frame);
            let read =
                Upcasted::parse(&frame).and_then(|events| events.iter().collect::<Result<Vec<_>, _>>());
            let message = read.unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        };
        check(&["type"], &[Value::Text("A")], "payload");
        check(&["type", "payload"], &[Value::Text("A")], "payload");
        check(&["type", "payload"], &[Value::Null, Value::Null], "type");
        check(&["type", "payload"], &[Value::Text("A"), Value::Integer(1)], "payload");
        assert!(Upcasted::parse(b"no frame").is_err());
    }
}
