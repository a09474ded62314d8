//! Events that a plugin has made, compared with those that it should.

use super::Problem;
use super::then::Made;
use super::values::{is_same, shown_json};

/// Compares events, each of a type and a payload, in order.
pub fn compare(line: usize, expected: &[Made], made: &[(String, Vec<u8>)]) -> Option<Problem> {
    if expected.len() == made.len() && expected.iter().zip(made).all(|(e, m)| fits(e, m)) {
        return None;
    }
    let mut problem = Problem::new(line, "it makes other events");
    for index in 0..expected.len().max(made.len()) {
        let pair = (expected.get(index), made.get(index));
        if let (Some(expected), Some(made)) = pair
            && fits(expected, made)
        {
            problem.details.push(format!("  {}", show(made)));
            continue;
        }
        let show_expected = |expected: &Made| match &expected.data {
            Some(data) => format!("- {{ type: {}, data: {data} }}", expected.kind),
            None => format!("- {{ type: {} }}", expected.kind),
        };
        problem.details.extend(pair.0.map(show_expected));
        problem.details.extend(pair.1.map(|made| format!("+ {}", show(made))));
    }
    if made.is_empty() {
        problem.details.push("  no event came".to_owned());
    }
    Some(problem)
}

fn fits(expected: &Made, (kind, payload): &(String, Vec<u8>)) -> bool {
    let data_fits = |expected: &serde_json::Value| {
        serde_json::from_slice(payload).is_ok_and(|data| is_same(expected, &data))
    };
    expected.kind == *kind && expected.data.as_ref().is_none_or(data_fits)
}

/// An event as a test would write it.
pub fn show((kind, payload): &(String, Vec<u8>)) -> String {
    format!("{{ type: {kind}, data: {} }}", shown_json(payload))
}
