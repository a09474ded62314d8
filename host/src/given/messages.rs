//! Commands that a process manager has sent, compared with those that it should.

use super::Problem;
use super::then::Sent;
use super::values::{is_same, shown_json};
use crate::read_model::outbox::Message;
use jiff::Timestamp;

/// Compares what was sent, in order.
pub fn compare(line: usize, expected: &[Sent], sent: &[Message]) -> Option<Problem> {
    let is_equal = expected.len() == sent.len() && expected.iter().zip(sent).all(|(e, s)| fits(e, s));
    if is_equal {
        return None;
    }
    let mut problem = Problem::new(line, "it sends other commands");
    for index in 0..expected.len().max(sent.len()) {
        let pair = (expected.get(index), sent.get(index));
        if let (Some(expected), Some(sent)) = pair
            && fits(expected, sent)
        {
            problem.details.push(format!("  {}", show(sent)));
            continue;
        }
        problem.details.extend(pair.0.map(|expected| format!("- {}", show_expected(expected))));
        problem.details.extend(pair.1.map(|sent| format!("+ {}", show(sent))));
    }
    Some(problem)
}

fn fits(expected: &Sent, sent: &Message) -> bool {
    let text_fits = |(name, text): &(&str, String)| {
        text == match *name {
            "aggregate" => &sent.aggregate,
            "id" => &sent.id,
            "command" => &sent.command,
            _ => &sent.key,
        }
    };
    let data_fits = |expected: &serde_json::Value| {
        serde_json::from_slice(&sent.payload).is_ok_and(|data| is_same(expected, &data))
    };
    expected.texts.iter().all(text_fits)
        && expected.data.as_ref().is_none_or(data_fits)
        && expected.due_ms.is_none_or(|due_ms| due_ms == sent.due_ms)
}

/// A message as a test would write it.
fn show(sent: &Message) -> String {
    let Message { aggregate, id, command, key, payload, .. } = sent;
    let data = shown_json(payload);
    let due = sent.due_ms.map(|due| format!(", due: {}", time(due))).unwrap_or_default();
    format!("{{ aggregate: {aggregate}, id: {id}, command: {command}, data: {data}, key: {key}{due} }}")
}

fn show_expected(expected: &Sent) -> String {
    let mut parts: Vec<String> =
        expected.texts.iter().map(|(name, text)| format!("{name}: {text}")).collect();
    parts.extend(expected.data.as_ref().map(|data| format!("data: {data}")));
    parts.extend(expected.due_ms.map(|due| format!("due: {}", due.map_or("null".to_owned(), time))));
    format!("{{ {} }}", parts.join(", "))
}

fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}
