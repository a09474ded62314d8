//! Reads what the log has and the store has not.

use super::record::{self, Read};
use super::writer::Left;
use crate::aggregate_store::{Decision, Outcome, Position, Store, Transaction};
use crate::event::Record;
use crate::log::{Assignment, Client};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;

/// Records of one transaction of the store.
const RECORDS_MAX: usize = 10_000;
/// Bytes of one transaction of the store.
const BYTES_MAX: usize = 8 << 20;
/// How long a fetch waits, and so how soon it is noticed that the handler shall stop.
const WAIT: Duration = Duration::from_millis(50);

/// What is read: the topic of an aggregate type, and that of its decisions.
pub(super) struct Topics<'a> {
    pub name: &'a str,
    pub events: &'a str,
    pub decisions: &'a str,
}

/// Reads up to where the log ends now, and answers where that is. `each` is told after every transaction how many records
/// are left, and breaks to stop.
pub(super) fn run(
    client: &Client,
    store: &mut Store,
    topics: &Topics<'_>,
    mut each: impl FnMut(u64) -> ControlFlow<Left>,
) -> Result<Position, Left> {
    let ends = client.end_offsets(&[topics.events, topics.decisions])?;
    let mut known = store.position()?;
    let mut start = Vec::new();
    for Assignment { topic, partition, .. } in &ends {
        let next_offset = match known.get(&(topic.clone(), *partition)) {
            Some(next) => *next,
            None => client.watermarks(topic, *partition)?.start,
        };
        start.push(Assignment { topic: topic.clone(), partition: *partition, next_offset });
    }
    let ends: HashMap<(String, i32), i64> =
        ends.into_iter().map(|end| ((end.topic, end.partition), end.next_offset)).collect();
    if start
        .iter()
        .all(|at| ends.get(&(at.topic.clone(), at.partition)).is_none_or(|end| at.next_offset == *end))
    {
        return Ok(start.into_iter().map(|at| ((at.topic, at.partition), at.next_offset)).collect());
    }
    let mut consumer = client.consumer(&format!("{}-commands", topics.name), &start)?;
    let source = record::source(topics.name);
    let mut foreign = 0_u64;
    loop {
        let transaction = store.begin()?;
        let mut failed = None;
        consumer.fetch(RECORDS_MAX, BYTES_MAX, WAIT, |record| {
            match take(&transaction, &record, topics, &source) {
                Ok(true) => ControlFlow::Continue(()),
                Ok(false) => {
                    foreign += 1;
                    if foreign == 1 {
                        tracing::warn!(
                            aggregate = topics.name,
                            "topic {}, partition {}, offset {}: not an event that Lantern appended, nor the next version of its aggregate; \
                             it and others like it are passed over",
                            record.topic, record.partition, record.offset
                        );
                    }
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let mut behind = 0;
        for at in consumer.positions() {
            let place = (at.topic.clone(), at.partition);
            if known.get(&place) != Some(&at.next_offset) {
                transaction.keep_position(&at.topic, at.partition, at.next_offset)?;
            }
            let end = ends.get(&place).copied().unwrap_or_default();
            behind += u64::try_from(end - at.next_offset).unwrap_or_default();
            known.insert(place, at.next_offset);
        }
        transaction.commit()?;
        if let ControlFlow::Break(left) = each(behind) {
            return Err(left);
        }
        if behind == 0 {
            return Ok(known);
        }
    }
}

/// Takes one record up; answers false when it is passed over.
fn take(
    transaction: &Transaction<'_>,
    record: &Record<'_>,
    topics: &Topics<'_>,
    source: &str,
) -> Result<bool, Left> {
    let Some(read) = record::read(record, source) else { return Ok(false) };
    if record.topic == topics.decisions {
        // What others say was decided was not.
        let Some((key, decision)) = record::decision(&read).filter(|_| read.is_own) else { return Ok(false) };
        transaction.keep_decision(&read.id, key, &decision)?;
        return Ok(true);
    }
    let Read { id, event, key, is_own } = read;
    if !transaction.append(&id, &event)? {
        if !is_own {
            return Ok(false);
        }
        // Where another program appended beside a handler, what that decided stands: it did not know of the other's.
        if !transaction.take_back(&id, event.version)? || !transaction.append(&id, &event)? {
            return Err(Left::Halt(format!(
                "topic {}, partition {}, offset {}: version {} of `{id}` is not the one that follows; records were deleted, or appended \
                 by another program. Restore the topic, or move the store away if it is of another log",
                record.topic, record.partition, record.offset, event.version
            )));
        }
    }
    if let Some(key) = key.filter(|_| is_own) {
        let outcome = Outcome::Appended { first: event.version, last: event.version };
        transaction.keep_decision(&id, &key.key, &Decision { digest: key.digest, outcome })?;
    }
    Ok(true)
}
