//! What becomes of a round that is not in the log, or not in the store.

use super::{Planned, Round, Tally};
use crate::aggregate_store::{self, Position};
use crate::command::Error;
use crate::command::handler::Queued;
use crate::log::TransactionError;
use std::collections::VecDeque;

/// Why nothing can be decided before it was looked at.
pub(in crate::command) enum Failed {
    Log(TransactionError),
    /// The log takes the commands one by one, perhaps, and not together.
    Refused(Refusal),
    /// The log has it, and the store has not.
    Store(aggregate_store::Error),
    /// The log has it, and has records of another program among it that were not seen when it was decided. The store has
    /// to be read from the log, at least up to these offsets.
    Overtaken {
        reason: String,
        ends: Position,
        tally: Tally,
    },
    /// Somebody has to look at it.
    Halt(String),
}

/// What the log does not take.
pub(in crate::command) struct Refusal {
    /// The topic of the record that is refused; none where nothing was appended for another reason.
    pub topic: Option<String>,
    pub reason: String,
    /// What had been decided, in order, and has not been answered.
    pub commands: VecDeque<Queued>,
}

impl Round {
    /// Ends a round that is not in the log. Its commands are answered with what became of it, or given back where not all of
    /// them need be at fault.
    pub fn fail(self, failed: Failed) -> Failed {
        let (topic, reason) = match failed {
            Failed::Log(TransactionError::Refused { topic, reason }) => (Some(topic), reason),
            Failed::Log(TransactionError::NotAppended { reason }) if self.gives_back => (None, reason),
            failed => return self.answer_all(failed),
        };
        let commands = self.slots.into_iter().map(|(queued, _)| queued).collect();
        Failed::Refused(Refusal { topic, reason, commands })
    }

    fn answer_all(self, failed: Failed) -> Failed {
        let of_all = match failed {
            Failed::Log(ref error) => Error::from(error),
            Failed::Halt(ref reason) => Error::Halted { reason: reason.clone() },
            // Answered already.
            Failed::Refused(_) | Failed::Store(_) | Failed::Overtaken { .. } => return failed,
        };
        for (queued, planned) in self.slots {
            let answer = match planned {
                // These say nothing of what is not in the log.
                Planned::Answer(Err(
                    error @ (Error::BadCommand { .. } | Error::Plugin { .. } | Error::KeyReused),
                )) => error,
                _ => of_all.clone(),
            };
            queued.answer(Err(answer));
        }
        failed
    }
}

/// Why a command gets no further.
pub(super) enum Stopped {
    Command(Error),
    Log(TransactionError),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped::Command(error)
    }
}

impl From<TransactionError> for Stopped {
    fn from(error: TransactionError) -> Self {
        Stopped::Log(error)
    }
}

impl From<&TransactionError> for Error {
    fn from(error: &TransactionError) -> Self {
        match error {
            TransactionError::Fenced { .. } => Error::Fenced { reason: error.to_string() },
            TransactionError::NotAppended { reason } | TransactionError::Refused { reason, .. } => {
                Error::Unavailable { reason: reason.clone() }
            }
            TransactionError::Uncertain { reason } | TransactionError::Spent { reason } => {
                Error::Uncertain { reason: reason.clone() }
            }
        }
    }
}
