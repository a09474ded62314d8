//! What a frame means, as JSON.

use super::to_hex;
use lantern_contract::frame::value::{Value, Values};
use lantern_contract::frame::{Error, events, ops, rows};
use serde_json::{Value as Json, json};

/// The meaning of a frame of this kind.
pub fn frame(kind: &str, bytes: &[u8]) -> Result<Json, Error> {
    match kind {
        "events" => events::Events::parse(bytes)?.iter().map(|item| event(&item?)).collect(),
        "ops" => ops::Ops::parse(bytes)?.iter().map(|item| op(item?)).collect(),
        _ => {
            let frame = rows::Rows::parse(bytes)?;
            let columns: Vec<&str> = frame.columns().collect::<Result<_, _>>()?;
            let rows: Vec<Json> = frame.iter().map(|row| values(row?)).collect::<Result<_, _>>()?;
            Ok(json!({ "columns": columns, "rows": rows }))
        }
    }
}

/// The name of an error in the vectors.
pub fn name(error: &Error) -> &'static str {
    match error {
        Error::Short { .. } => "short",
        Error::Magic(_) => "magic",
        Error::Version(_) => "version",
        Error::Kind { .. } => "kind",
        Error::Stride { .. } => "stride",
        Error::Length { .. } => "length",
        Error::Bounds { .. } => "bounds",
        Error::Utf8 { .. } => "utf8",
        Error::Tag { .. } => "tag",
        Error::Column { .. } => "column",
        Error::Value { .. } => "value",
    }
}

fn event(event: &events::Event<'_>) -> Result<Json, Error> {
    let headers: Vec<Json> = event
        .headers()
        .map(|header| header.map(|(name, value)| json!([name, value.map(to_hex)])))
        .collect::<Result<_, _>>()?;
    Ok(json!({
        "type": event.kind,
        "topic": event.topic,
        "partition": event.partition,
        "offset": event.offset.to_string(),
        "timestamp_ms": event.timestamp_ms.to_string(),
        "key": event.key.map(to_hex),
        "payload": event.payload.map(to_hex),
        "headers": headers,
    }))
}

fn op(op: ops::Op<'_>) -> Result<Json, Error> {
    Ok(json!({ "statement": op.statement, "event": op.event, "values": values(op.values)? }))
}

fn values(values: Values<'_>) -> Result<Json, Error> {
    values.map(|value| Ok(self::value(value?))).collect()
}

/// The meaning of a value.
pub fn value(value: Value<'_>) -> Json {
    match value {
        Value::Null => json!(null),
        Value::Integer(value) => json!({ "integer": value.to_string() }),
        Value::Real(value) => json!({ "real": format!("{:016x}", value.to_bits()) }),
        Value::Text(value) => json!({ "text": value }),
        Value::Blob(value) => json!({ "blob": to_hex(value) }),
    }
}
