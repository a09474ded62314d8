//! What the log has, in the store.

use super::{Desk, Sent};
use crate::aggregate_store::{self, Decision, Outcome};
use std::collections::HashMap;

/// Keeps what the log has: events, decisions, states, and how far it is.
pub(super) fn keep(
    desk: &mut Desk<'_>,
    sent: &[Sent],
    offsets: &[i64],
) -> Result<(), aggregate_store::Error> {
    let state_version = desk.domain.state_version();
    let transaction = desk.store.begin()?;
    let mut ends: HashMap<(bool, i32), i64> = HashMap::new();
    for (sent, at) in sent.iter().zip(offsets) {
        let (is_event, partition) = match sent {
            Sent::Event { id, event, key } => {
                transaction.append(id, event)?;
                if let Some(key) = key {
                    let outcome = Outcome::Appended { first: event.version, last: event.version };
                    let decision = Decision { digest: key.digest.clone(), outcome };
                    transaction.keep_decision(id, &key.key, &decision)?;
                }
                (true, event.partition)
            }
            Sent::Decision { id, partition, key, outcome } => {
                let decision = Decision { digest: key.digest.clone(), outcome: outcome.clone() };
                transaction.keep_decision(id, &key.key, &decision)?;
                (false, *partition)
            }
            Sent::Reply => continue,
        };
        ends.insert((is_event, partition), at + 1);
    }
    for ((is_event, partition), end) in ends {
        let topic = if is_event { &desk.domain.topic } else { desk.decisions_topic };
        transaction.keep_position(topic, partition, end)?;
    }
    desk.aggregates.save(&transaction, state_version)?;
    transaction.commit()
}
