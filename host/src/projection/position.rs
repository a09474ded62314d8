//! Positions in the log as people write them: `orders/0@25,orders/1@30` is the next offset of each partition, as in
//! errors and in `lantern status`.

use crate::read_model::Checkpoints;
use std::collections::BTreeSet;

/// Why a text is no position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no position: write topic/partition@offset, several with commas, such as orders/0@25,orders/1@30"
)]
pub struct Error {
    /// The part at fault.
    pub text: String,
}

/// Reads a position.
///
/// # Errors
/// When it is none, or names a partition twice.
pub fn parse(text: &str) -> Result<Checkpoints, Error> {
    let mut position = Checkpoints::new();
    for part in text.split(',') {
        let wrong = || Error { text: part.trim().to_owned() };
        let (place, offset) = part.trim().rsplit_once('@').ok_or_else(wrong)?;
        let (topic, partition) = place.rsplit_once('/').ok_or_else(wrong)?;
        let partition: u16 = partition.parse().map_err(|_| wrong())?;
        let offset: u64 = offset.parse().map_err(|_| wrong())?;
        let offset = i64::try_from(offset).map_err(|_| wrong())?;
        let place = (topic.to_owned(), i32::from(partition));
        if topic.is_empty() || position.insert(place, offset).is_some() {
            return Err(wrong());
        }
    }
    Ok(position)
}

/// Writes a position.
pub fn show(position: &Checkpoints) -> String {
    let parts = position.iter().map(|((topic, partition), next)| format!("{topic}/{partition}@{next}"));
    parts.collect::<Vec<_>>().join(",")
}

/// Adds what another position has, or has further.
pub fn join(position: &mut Checkpoints, other: Checkpoints) {
    for (place, next) in other {
        let there = position.entry(place).or_insert(next);
        *there = next.max(*there);
    }
}

/// What of a position is not applied yet by who has applied this much of these topics; of others nothing is missing.
pub fn missing(position: &Checkpoints, topics: &BTreeSet<String>, applied: &Checkpoints) -> Checkpoints {
    let is_missing = |place: &(String, i32), next: i64| {
        topics.contains(&place.0) && applied.get(place).copied().unwrap_or(0) < next
    };
    let missing = position.iter().filter(|(place, next)| is_missing(place, **next));
    missing.map(|(place, next)| (place.clone(), *next)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // What an error or the status shows can be given back as it is.
    #[test]
    fn a_position_is_read_as_it_is_written() {
        for text in ["orders/0@25", "a.b_c-d/0@0,orders/1@30,orders/12@3000000000"] {
            assert_eq!(show(&parse(text).unwrap()), text);
        }
        assert_eq!(parse(" orders/1@2, orders/0@1 ").unwrap(), parse("orders/0@1,orders/1@2").unwrap());
    }

    #[test]
    fn what_is_no_position_is_refused_with_the_part_at_fault() {
        let check = |text: &str, part: &str| {
            assert_eq!(parse(text), Err(Error { text: part.into() }), "{text}");
        };
        check("", "");
        check("orders", "orders");
        check("orders@1", "orders@1");
        check("orders/0@1,orders/x@2", "orders/x@2");
        check("orders/0@-1", "orders/0@-1");
        check("orders/-1@1", "orders/-1@1");
        check("/0@1", "/0@1");
        check("orders/0@1,orders/0@2", "orders/0@2");
        check("orders/0@99999999999999999999", "orders/0@99999999999999999999");
    }

    // Who waits for what nobody will apply waits in vain; who does not wait for what is missing reads the past.
    #[test]
    fn what_is_missing_is_what_is_read_and_not_yet_applied() {
        let check = |wanted: &str, applied: &str, expected: &str| {
            let applied = if applied.is_empty() { Checkpoints::new() } else { parse(applied).unwrap() };
            let topics = ["orders", "users"].map(str::to_owned).into();
            assert_eq!(show(&missing(&parse(wanted).unwrap(), &topics, &applied)), expected);
        };
        check("orders/0@5", "orders/0@5", "");
        check("orders/0@5", "orders/0@4", "orders/0@5");
        check("orders/0@5,orders/1@1,users/0@0", "orders/0@9", "orders/1@1");
        check("orders/0@5", "", "orders/0@5");
        check("payments/0@5,orders/0@1", "orders/0@1", "");
        let mut joined = parse("a/0@1,a/1@5").unwrap();
        join(&mut joined, parse("a/0@3,a/1@2,b/0@1").unwrap());
        assert_eq!(show(&joined), "a/0@3,a/1@5,b/0@1");
    }
}
