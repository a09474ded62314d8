//! What the log has, in the store.

use super::{Desk, Sent};
use crate::aggregate_store::{self, Decision, Outcome, Position};
use std::collections::BTreeMap;

/// Where a round's records are in a partition.
pub(super) struct Span {
    first: i64,
    /// Behind the last.
    next: i64,
    /// Whether nobody else's records are among them.
    is_whole: bool,
}

/// Why the store has not what the log has.
pub(super) enum NotKept {
    Store(aggregate_store::Error),
    /// The log has records of another program among it; see [`Failed::Overtaken`](super::Failed).
    Overtaken {
        reason: String,
        ends: Position,
    },
}

/// Where a round's records are, by topic and partition.
pub(super) fn spans(desk: &Desk<'_>, sent: &[Sent], offsets: &[i64]) -> BTreeMap<(String, i32), Span> {
    let mut spans: BTreeMap<(bool, i32), Span> = BTreeMap::new();
    for (sent, at) in sent.iter().zip(offsets) {
        let place = match sent {
            Sent::Event { event, .. } => (true, event.partition),
            Sent::Decision { partition, .. } => (false, *partition),
            Sent::Reply => continue,
        };
        let span = spans.entry(place).or_insert(Span { first: *at, next: *at, is_whole: true });
        span.is_whole &= span.next == *at;
        span.next = at + 1;
    }
    let topic = |is_event| if is_event { desk.domain.topic.clone() } else { desk.decisions_topic.to_owned() };
    spans.into_iter().map(|((is_event, partition), span)| ((topic(is_event), partition), span)).collect()
}

/// Keeps what the log has: events, decisions, states, and how far it is. Where another program has appended something,
/// nothing is kept: what is kept is always what the log has up to the checkpoint, by whomever.
pub(super) fn keep(
    desk: &mut Desk<'_>,
    sent: &[Sent],
    spans: BTreeMap<(String, i32), Span>,
) -> Result<(), NotKept> {
    let overtaken = spans.iter().find(|(place, span)| {
        !span.is_whole || desk.ends.get(*place).is_some_and(|expected| span.first != *expected)
    });
    if let Some(((topic, partition), Span { first, .. })) = overtaken {
        let reason = format!(
            "topic {topic}, partition {partition}: another program has appended to it beside offset {first}; only this \
             handler should, or what it decides may rest on less than the topic holds"
        );
        let ends = spans.into_iter().map(|(place, span)| (place, span.next)).collect();
        return Err(NotKept::Overtaken { reason, ends });
    }
    write(desk, sent, &spans).map_err(NotKept::Store)?;
    // Behind the records comes the mark that they are committed.
    desk.ends.extend(spans.into_iter().map(|(place, span)| (place, span.next + 1)));
    Ok(())
}

fn write(
    desk: &mut Desk<'_>,
    sent: &[Sent],
    spans: &BTreeMap<(String, i32), Span>,
) -> Result<(), aggregate_store::Error> {
    let state_version = desk.domain.state_version();
    let transaction = desk.store.begin()?;
    for sent in sent {
        match sent {
            Sent::Event { id, event, key } => {
                transaction.append(id, event)?;
                if let Some(key) = key {
                    let outcome = Outcome::Appended { first: event.version, last: event.version };
                    let decision = Decision { digest: key.digest.clone(), outcome };
                    transaction.keep_decision(id, &key.key, &decision)?;
                }
            }
            Sent::Decision { id, key, outcome, .. } => {
                let decision = Decision { digest: key.digest.clone(), outcome: outcome.clone() };
                transaction.keep_decision(id, &key.key, &decision)?;
            }
            Sent::Reply => {}
        }
    }
    for ((topic, partition), span) in spans {
        transaction.keep_position(topic, *partition, span.next)?;
    }
    desk.aggregates.save(&transaction, state_version)?;
    transaction.commit()
}
