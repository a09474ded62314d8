//! Where to begin and to end, as people write it, and which offsets that is.

use crate::log::{self, Assignment, Client};
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::str::FromStr;
use std::time::Duration;

/// How long a fetch waits while records are counted.
const WAIT: Duration = Duration::from_millis(200);
/// How many records are counted at a time.
const COUNTED_MAX: usize = 10_000;
/// How many bytes of them.
const BYTES_MAX: usize = 8 << 20;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At the first record.
    Beginning,
    /// Behind the last record.
    End,
    /// At an offset.
    Offset(i64),
    /// At the first record of this time or later.
    Time(Timestamp),
    /// At the last but so many.
    Last(usize),
}

/// Where to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Before an offset.
    Offset(i64),
    /// Before the first record of this time or later.
    Time(Timestamp),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(count) = text.strip_prefix('-').and_then(|count| count.parse().ok()) {
            return Ok(From::Last(count));
        }
        match (text, text.parse::<i64>(), text.parse()) {
            ("beginning", ..) => Ok(From::Beginning),
            ("end", ..) => Ok(From::End),
            (_, Ok(offset @ 0..), _) => Ok(From::Offset(offset)),
            (.., Ok(time)) => Ok(From::Time(time)),
            _ => Err("write beginning, end, an offset such as 120, a time such as 2026-01-31T08:00:00Z, or -N for the last N".into()),
        }
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(From::Offset(offset)) => Ok(Until::Offset(offset)),
            Ok(From::Time(time)) => Ok(Until::Time(time)),
            _ => Err("write an offset such as 120, or a time such as 2026-01-31T08:00:00Z".into()),
        }
    }
}

impl From {
    /// The offset in each partition.
    ///
    /// # Errors
    /// When the log cannot be asked.
    pub fn offsets(
        self,
        client: &Client,
        topic: &str,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, i64>, log::Error> {
        match self {
            From::Beginning => firsts(client, topic, partitions),
            From::End => ends(client, topic, partitions),
            From::Offset(offset) => {
                let (firsts, ends) = (firsts(client, topic, partitions)?, ends(client, topic, partitions)?);
                // What is no longer there, or not yet, cannot be read.
                Ok(firsts
                    .into_iter()
                    .map(|(id, first)| (id, offset.clamp(first, ends[&id].max(first))))
                    .collect())
            }
            From::Time(time) => at(client, topic, partitions, time),
            From::Last(count) => {
                let (firsts, ends) = (firsts(client, topic, partitions)?, ends(client, topic, partitions)?);
                let last = |id: i32| last(client, topic, id, firsts[&id]..ends[&id], count);
                partitions.iter().map(|id| Ok((*id, last(*id)?))).collect()
            }
        }
    }
}

impl Until {
    /// The offset in each partition; the end of the log where that is nearer.
    ///
    /// # Errors
    /// When the log cannot be asked.
    pub fn offsets(
        self,
        client: &Client,
        topic: &str,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, i64>, log::Error> {
        let mut ends = ends(client, topic, partitions)?;
        match self {
            Until::Offset(offset) => ends.values_mut().for_each(|end| *end = offset.min(*end)),
            Until::Time(time) => {
                let at = at(client, topic, partitions, time)?;
                ends.iter_mut().for_each(|(id, end)| *end = at[id].min(*end));
            }
        }
        Ok(ends)
    }
}

/// The end of each partition.
///
/// # Errors
/// When the log cannot be asked.
pub fn ends(client: &Client, topic: &str, partitions: &[i32]) -> Result<BTreeMap<i32, i64>, log::Error> {
    Ok(client.held(topic, partitions)?.into_iter().map(|partition| (partition.id, partition.high)).collect())
}

fn firsts(client: &Client, topic: &str, partitions: &[i32]) -> Result<BTreeMap<i32, i64>, log::Error> {
    Ok(client.held(topic, partitions)?.into_iter().map(|partition| (partition.id, partition.low)).collect())
}

fn at(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    time: Timestamp,
) -> Result<BTreeMap<i32, i64>, log::Error> {
    Ok(client.offsets_at(topic, partitions, time.as_millisecond())?.into_iter().collect())
}

/// The offset of the last record but `count`. Offsets are not records: markers of transactions, aborted records and what was
/// compacted away have some too. So records are counted in ever larger parts of the end.
fn last(
    client: &Client,
    topic: &str,
    partition: i32,
    all: std::ops::Range<i64>,
    count: usize,
) -> Result<i64, log::Error> {
    let mut span = i64::try_from(count).unwrap_or(i64::MAX);
    loop {
        let from = all.end.saturating_sub(span).max(all.start);
        let mut offsets = VecDeque::new();
        let start = Assignment { topic: topic.to_owned(), partition, next_offset: from };
        let mut consumer = client.consumer("consume", &[start])?;
        while count > 0 && consumer.positions().iter().any(|it| it.next_offset < all.end) {
            consumer.fetch(COUNTED_MAX, BYTES_MAX, WAIT, |record| {
                if record.offset < all.end {
                    offsets.push_back(record.offset);
                }
                if offsets.len() > count {
                    offsets.pop_front();
                }
                ControlFlow::Continue(())
            })?;
        }
        match offsets.front() {
            _ if count == 0 => return Ok(all.end),
            Some(first) if offsets.len() == count => return Ok(*first),
            _ if from == all.start => return Ok(from),
            _ => span = span.saturating_mul(4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What is misread begins somewhere else without anybody noticing.
    #[test]
    fn a_place_is_read_as_it_was_meant_or_refused() {
        let check = |text: &str, expected: Option<From>| assert_eq!(text.parse().ok(), expected, "{text}");
        check("beginning", Some(From::Beginning));
        check("end", Some(From::End));
        check("0", Some(From::Offset(0)));
        check("9223372036854775807", Some(From::Offset(i64::MAX)));
        check("-25", Some(From::Last(25)));
        check("2026-01-31T08:00:00Z", Some(From::Time("2026-01-31T08:00:00Z".parse().unwrap())));
        for odd in ["", "-", "-x", "1.5", "yesterday", "2026-01-31", "99999999999999999999"] {
            check(odd, None);
        }
        assert!("end".parse::<Until>().is_err());
        assert_eq!("7".parse(), Ok(Until::Offset(7)));
    }
}
