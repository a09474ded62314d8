//! Positions in the log as people write them: `orders/0@25,orders/1@30` is the next offset of each partition, as in
//! errors and in `lantern status`.

use crate::read_model::Checkpoints;

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
}
