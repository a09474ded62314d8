//! Frames of commands: what `decide` is given, and the events that it answers. Both are frames of rows, read by the
//! names of their columns, so that more can be added.

use super::layout::Error;
use super::rows;
use super::value::{Value, Values};

const REQUEST: [&str; 8] =
    ["aggregate", "id", "version", "state", "command", "payload", "time_ms", "correlation"];
const EVENT: [&str; 2] = ["type", "payload"];

/// A command, with what it is decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The aggregate's type.
    pub aggregate: &'a str,
    /// Which of them.
    pub id: &'a str,
    /// How many events it has had.
    pub version: u64,
    /// Its state after them, as JSON; `None` before the first.
    pub state: Option<&'a [u8]>,
    /// The command's name.
    pub command: &'a str,
    /// The command's data.
    pub payload: &'a [u8],
    /// The host's clock in Unix milliseconds.
    pub time_ms: i64,
    /// What belongs together carries the same.
    pub correlation: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Writes the frame into `out`, replacing what it held.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut writer = rows::Writer::new();
        for column in REQUEST {
            writer.column(column);
        }
        writer.push([
            Value::Text(self.aggregate),
            Value::Text(self.id),
            // More events than that no aggregate has.
            Value::Integer(i64::try_from(self.version).unwrap_or(i64::MAX)),
            self.state.map_or(Value::Null, Value::Blob),
            Value::Text(self.command),
            Value::Blob(self.payload),
            Value::Integer(self.time_ms),
            self.correlation.map_or(Value::Null, Value::Text),
        ]);
        writer.finish(out);
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// When the bytes are not a frame of rows, or have no row with these columns.
    pub fn read(frame: &'a [u8]) -> Result<Self, Error> {
        let rows = rows::Rows::parse(frame)?;
        let places = places(&rows, &REQUEST)?;
        let row = rows.iter().next().ok_or(Error::Column { missing: "command" })??;
        let [aggregate, id, version, state, command, payload, time_ms, correlation] =
            pick(row, &places, &REQUEST)?;
        Ok(Request {
            aggregate: text(aggregate, 0, "aggregate")?,
            id: text(id, 0, "id")?,
            version: u64::try_from(integer(version, 0, "version")?).map_err(|_| wrong(0, "version"))?,
            state: optional(state, |value| bytes(value, 0, "state"))?,
            command: text(command, 0, "command")?,
            payload: bytes(payload, 0, "payload")?,
            time_ms: integer(time_ms, 0, "time_ms")?,
            correlation: optional(correlation, |value| text(value, 0, "correlation"))?,
        })
    }
}

/// An event that was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// Its type.
    pub kind: &'a str,
    /// Its data.
    pub payload: &'a [u8],
}

/// Writes frames of decided events.
#[derive(Debug)]
pub struct Writer {
    rows: rows::Writer,
}

impl Writer {
    /// An empty writer.
    #[allow(clippy::new_without_default, reason = "it is not empty: it has named its columns")]
    pub fn new() -> Self {
        let mut rows = rows::Writer::new();
        for column in EVENT {
            rows.column(column);
        }
        Writer { rows }
    }

    /// Adds an event.
    pub fn push(&mut self, event: NewEvent<'_>) {
        self.rows.push([Value::Text(event.kind), Value::Blob(event.payload)]);
    }

    /// The frame.
    pub fn finish(mut self) -> Vec<u8> {
        let mut frame = Vec::new();
        self.rows.finish(&mut frame);
        frame
    }
}

/// A frame of decided events that was checked as a whole; its events are checked as they are read.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    rows: rows::Rows<'a>,
    places: [usize; EVENT.len()],
}

impl<'a> Decided<'a> {
    /// Reads a frame's header and its columns.
    ///
    /// # Errors
    /// When the bytes are not a frame of rows, or have events and not the columns.
    pub fn parse(frame: &'a [u8]) -> Result<Self, Error> {
        let rows = rows::Rows::parse(frame)?;
        // Without events there is nothing to name.
        let places = if rows.is_empty() { [0; EVENT.len()] } else { places(&rows, &EVENT)? };
        Ok(Decided { rows, places })
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
            let [kind, payload] = pick(row?, &places, &EVENT)?;
            Ok(NewEvent { kind: text(kind, item, "type")?, payload: bytes(payload, item, "payload")? })
        })
    }
}

/// Where the columns of these names stand.
pub(super) fn places<const N: usize>(
    rows: &rows::Rows<'_>,
    names: &[&'static str; N],
) -> Result<[usize; N], Error> {
    let mut places = [usize::MAX; N];
    for (at, column) in rows.columns().enumerate() {
        let column = column?;
        if let Some(known) = names.iter().position(|name| *name == column) {
            places[known] = at;
        }
    }
    match places.iter().position(|at| *at == usize::MAX) {
        Some(missing) => Err(Error::Column { missing: names[missing] }),
        None => Ok(places),
    }
}

/// The values of a row that stand at these places, in the order of `names`.
pub(super) fn pick<'a, const N: usize>(
    row: Values<'a>,
    places: &[usize; N],
    names: &[&'static str; N],
) -> Result<[Value<'a>; N], Error> {
    let mut picked = [None; N];
    for (at, value) in row.enumerate() {
        let value = value?;
        if let Some(known) = places.iter().position(|place| *place == at) {
            picked[known] = Some(value);
        }
    }
    if let Some(missing) = picked.iter().position(Option::is_none) {
        return Err(Error::Column { missing: names[missing] });
    }
    Ok(picked.map(|value| value.unwrap_or(Value::Null)))
}

pub(super) fn optional<'a, T>(
    value: Value<'a>,
    read: impl FnOnce(Value<'a>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    match value {
        Value::Null => Ok(None),
        value => read(value).map(Some),
    }
}

pub(super) fn text<'a>(value: Value<'a>, item: u32, what: &'static str) -> Result<&'a str, Error> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err(wrong(item, what)),
    }
}

pub(super) fn bytes<'a>(value: Value<'a>, item: u32, what: &'static str) -> Result<&'a [u8], Error> {
    match value {
        Value::Blob(bytes) => Ok(bytes),
        Value::Text(text) => Ok(text.as_bytes()),
        _ => Err(wrong(item, what)),
    }
}

fn integer(value: Value<'_>, item: u32, what: &'static str) -> Result<i64, Error> {
    match value {
        Value::Integer(value) => Ok(value),
        _ => Err(wrong(item, what)),
    }
}

pub(super) fn wrong(item: u32, column: &'static str) -> Error {
    Error::Value { item, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Request<'_> = Request {
        aggregate: "account",
        id: "a-1",
        version: 7,
        state: Some(b"{}"),
        command: "Withdraw",
        payload: br#"{"cents":5}"#,
        time_ms: -1,
        correlation: None,
    };

    fn frame(columns: &[&str], rows: &[&[Value<'_>]]) -> Vec<u8> {
        let mut writer = rows::Writer::new();
        for column in columns {
            writer.column(column);
        }
        for row in rows {
            writer.push(row.iter().copied());
        }
        let mut frame = Vec::new();
        writer.finish(&mut frame);
        frame
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut frame = Vec::new();
        for request in [REQUEST, Request { state: None, correlation: Some("c"), payload: b"", ..REQUEST }] {
            request.write(&mut frame);
            assert_eq!(Request::read(&frame).unwrap(), request);
        }
        let events = [NewEvent { kind: "A", payload: b"{}" }, NewEvent { kind: "B", payload: b"" }];
        let mut writer = Writer::new();
        events.into_iter().for_each(|event| writer.push(event));
        let frame = writer.finish();
        let read: Result<Vec<_>, _> = Decided::parse(&frame).unwrap().iter().collect();
        assert_eq!(read.unwrap(), events);
    }

    // The contract grows by columns: a reader takes those that it knows, wherever they stand.
    #[test]
    fn columns_are_found_by_their_names() {
        let row = [Value::Blob(b"{}"), Value::Null, Value::Text("A")];
        let frame = frame(&["payload", "more", "type"], &[&row]);
        let decided = Decided::parse(&frame).unwrap();
        let event = decided.iter().next().unwrap().unwrap();
        assert_eq!(event, NewEvent { kind: "A", payload: b"{}" });
    }

    // What a plugin decides is hostile input: it is refused by name, never by a panic.
    #[test]
    fn what_is_no_decision_is_refused() {
        let check = |columns: &[&str], row: &[Value<'_>], part: &str| {
            let frame = frame(columns, &[row]);
            let read =
                Decided::parse(&frame).and_then(|decided| decided.iter().collect::<Result<Vec<_>, _>>());
            let message = read.unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        };
        check(&["type"], &[Value::Text("A")], "payload");
        check(&["type", "payload"], &[Value::Text("A")], "payload");
        check(&["type", "payload"], &[Value::Integer(1), Value::Null], "type");
        check(&["type", "payload"], &[Value::Text("A"), Value::Null], "payload");
        assert!(Decided::parse(b"no frame").is_err());
        assert!(Decided::parse(&frame(&[], &[])).unwrap().is_empty());
        assert!(Request::read(&frame(&[], &[])).is_err());
    }
}
