//! Answers to those who wait.

use super::{Desk, Planned, Sent, Tally};
use crate::aggregate_store::{Event, Outcome, Position};
use crate::command::handler::Queued;
use crate::command::{Accepted, Answer, Appended, Error, Rejected};

/// Answers every command.
pub(super) fn reply(slots: Vec<(Queued, Planned)>, sent: Vec<Sent>, topic: &str) -> Tally {
    let mut tally = Tally { commands: slots.len() as u64, ..Tally::default() };
    let mut sent: Vec<Option<Sent>> = sent.into_iter().map(Some).collect();
    let mut answers: Vec<Result<Answer, Error>> = Vec::with_capacity(slots.len());
    for (_, planned) in &slots {
        let answer = match planned {
            Planned::Answer(answer) => answer.clone(),
            Planned::As(earlier) => match answers.get(*earlier) {
                Some(Ok(answer)) => Ok(again(answer.clone())),
                Some(Err(error)) => Err(error.clone()),
                None => Err(Error::Stopping),
            },
            Planned::KeyReused => Err(Error::KeyReused),
            Planned::Appended { first, count } => {
                let events = sent.iter_mut().skip(*first).take(*count).filter_map(|sent| match sent.take() {
                    Some(Sent::Event { event, .. }) => Some(event),
                    _ => None,
                });
                let accepted = accepted(events.collect(), topic, false);
                tally.events += accepted.events.len() as u64;
                tally.new_aggregates +=
                    u64::from(accepted.events.first().is_some_and(|event| event.version == 1));
                Ok(Answer::Accepted(accepted))
            }
        };
        tally.rejected += u64::from(matches!(answer, Ok(Answer::Rejected(_))));
        answers.push(answer);
    }
    for ((queued, _), answer) in slots.into_iter().zip(answers) {
        queued.answer(answer);
    }
    tally
}

fn accepted(events: Vec<Event>, topic: &str, is_repeated: bool) -> Accepted {
    let mut position = Position::new();
    let mut version = 0;
    let mut appended = Vec::with_capacity(events.len());
    for Event { version: at, kind, payload, partition, offset, .. } in events {
        version = at;
        // All are in one partition, in order.
        position.insert((topic.to_owned(), partition), offset + 1);
        appended.push(Appended { version: at, kind, payload, partition, offset });
    }
    Accepted { version, events: appended, position, is_repeated }
}

/// The answer to a command that appended nothing.
pub(super) fn answer(outcome: &Outcome, is_repeated: bool) -> Answer {
    match outcome.clone() {
        Outcome::Rejected { version, code, message, detail } => {
            Answer::Rejected(Rejected { code, message, detail, version, is_repeated })
        }
        Outcome::Unchanged { version } | Outcome::Appended { last: version, .. } => {
            let (events, position) = (Vec::new(), Position::new());
            Answer::Accepted(Accepted { version, events, position, is_repeated })
        }
    }
}

/// The answer that a command with this key had.
pub(super) fn repeated(desk: &Desk<'_>, id: &str, outcome: Outcome) -> Result<Answer, Error> {
    let Outcome::Appended { first, last } = outcome else { return Ok(answer(&outcome, true)) };
    let count = usize::try_from(last + 1 - first.min(last)).unwrap_or(usize::MAX);
    let events = desk.store.events_after(id, first.saturating_sub(1), count)?;
    Ok(Answer::Accepted(accepted(events, &desk.domain.topic, true)))
}

fn again(mut answer: Answer) -> Answer {
    match &mut answer {
        Answer::Accepted(accepted) => accepted.is_repeated = true,
        Answer::Rejected(rejected) => rejected.is_repeated = true,
    }
    answer
}
