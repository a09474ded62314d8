//! Answers to commands that came by the log.

use super::{Desk, Planned, Round, Sent};
use crate::command::inlet::Origin;
use crate::command::record::{self, Named, Place, Reply};
use crate::command::{Answer, Command, Error};
use crate::log::TransactionError;

impl Round {
    /// Answers a command that came by the log, in the transaction of what it appends and of how far was read.
    pub(super) fn answer_in_log(
        &mut self,
        desk: &Desk<'_>,
        command: &Command,
        origin: &Origin,
        planned: &Planned,
    ) -> Result<(), TransactionError> {
        let reply = self.reply(command, planned);
        if let Planned::Answer(Err(error)) = planned {
            if error.retry_after().is_some() {
                return Err(TransactionError::NotAppended { reason: error.to_string() });
            }
            let place = &origin.place;
            tracing::warn!(aggregate = desk.domain.name, "the command at {place} is passed over: {error}");
        }
        self.begin(desk)?;
        self.read.insert(origin.partition, origin.offset + 1);
        if let Some((topic, partition)) = &origin.reply {
            let time_ms = jiff::Timestamp::now().as_millisecond();
            let place = Place { topic, source: desk.source, id: &command.id, partition: *partition };
            record::send_reply(desk.producer, &place, &origin.place, command, &reply, time_ms)?;
            self.sent.push(Sent::Reply);
        }
        Ok(())
    }

    fn reply(&self, command: &Command, planned: &Planned) -> Reply {
        let base = |kind| Reply {
            kind,
            command: command.name.clone(),
            key: command.key.clone().unwrap_or_default(),
            ..Reply::default()
        };
        match planned {
            Planned::As(earlier) => match self.slots.get(*earlier) {
                Some((_, planned)) => self.reply(command, planned),
                None => base("lantern.failed"),
            },
            Planned::KeyReused => Reply { message: Error::KeyReused.to_string(), ..base("lantern.failed") },
            Planned::Appended { first, count } => {
                let events = self.sent.iter().skip(*first).take(*count).filter_map(|sent| match sent {
                    Sent::Event { event, .. } => {
                        Some(Named { version: event.version, kind: event.kind.clone() })
                    }
                    _ => None,
                });
                let events: Vec<Named> = events.collect();
                Reply { version: events.last().map(|last| last.version), events, ..base("lantern.accepted") }
            }
            Planned::Answer(Ok(Answer::Accepted(accepted))) => {
                let events = accepted.events.iter();
                let events = events.map(|event| Named { version: event.version, kind: event.kind.clone() });
                Reply {
                    version: Some(accepted.version),
                    events: events.collect(),
                    ..base("lantern.accepted")
                }
            }
            Planned::Answer(Ok(Answer::Rejected(rejected))) => Reply {
                version: Some(rejected.version),
                code: rejected.code.clone(),
                message: rejected.message.clone(),
                detail: rejected.detail.clone().map(record::raw),
                ..base(record::REJECTED)
            },
            Planned::Answer(Err(error)) => Reply { message: error.to_string(), ..base("lantern.failed") },
        }
    }
}
