//! Rounds of commands: together, and apart when the log does not take them together.

use super::{Inlet, Left, Request, Writer};
use crate::aggregate_store::Store;
use crate::command::handler::Queued;
use crate::command::round::{Desk, Failed, Refusal, Round, Tally};
use crate::command::{Error, State};
use crate::log::TransactionError;
use std::collections::VecDeque;
use std::time::Duration;

impl Writer {
    /// One group commit, beginning with these commands, to which others come if nobody else read them. Answers what else
    /// was asked meanwhile.
    pub(super) fn round(
        &mut self,
        store: &mut Store,
        partitions: i32,
        inlet: Option<&Inlet>,
        mut first: VecDeque<Queued>,
    ) -> Result<Option<Request>, Left> {
        if self.aggregates.is_over(&self.options) {
            self.aggregates.clear();
        }
        // Those that were read from the log have rounds of their own.
        let (ended, other) = self.decide(store, partitions, inlet, &mut first, inlet.is_none());
        if inlet.is_some() {
            self.pending = first;
        }
        let left = match ended {
            Ok(tally) => {
                self.last_round = tally.commands;
                self.count(&tally);
                return Ok(other);
            }
            Err(Failed::Refused(refusal)) => match self.apart(store, partitions, inlet, refusal) {
                Ok(()) => return Ok(other),
                Err(left) => left,
            },
            Err(failed) => self.failed(failed),
        };
        if let Some(request) = other {
            self.show(State::CatchingUp, None);
            self.refuse(request);
        }
        Err(left)
    }

    /// Decides and appends what is at the front of the queue, as much as a round takes, and, if it is open, what others ask
    /// meanwhile.
    fn decide(
        &mut self,
        store: &mut Store,
        partitions: i32,
        inlet: Option<&Inlet>,
        first: &mut VecDeque<Queued>,
        is_open: bool,
    ) -> (Result<Tally, Failed>, Option<Request>) {
        let Writer { domain, aggregates, options, inbox, decisions_topic, source, ends, .. } = self;
        let Some(producer) = &self.producer else {
            first.drain(..).for_each(|queued| queued.answer(Err(Error::CatchingUp { behind: 0 })));
            let reason = "the log has not been taken over".into();
            return (Err(Failed::Log(TransactionError::NotAppended { reason })), None);
        };
        let mut desk = Desk {
            domain,
            aggregates,
            store,
            producer,
            options,
            decisions_topic,
            source,
            partitions,
            inlet,
            ends,
        };
        let mut round = Round::after(self.last_round, self.may_repeat);
        let (failed, other) = loop {
            let next = match (first.pop_front(), round.gather_left(desk.options)) {
                (Some(queued), _) => Some(Request::Command(queued)),
                (None, _) if !is_open => None,
                (None, Duration::ZERO) => inbox.try_recv().ok(),
                (None, left) => inbox.recv_timeout(left).ok(),
            };
            match next {
                Some(Request::Command(queued)) => {
                    if let Err(failed) = round.decide(&mut desk, queued) {
                        break (Some(failed), None);
                    }
                }
                other => break (None, other),
            }
            if round.is_full(&desk) {
                break (None, None);
            }
        };
        let ended = match failed {
            None => round.commit(&mut desk),
            Some(failed) => Err(round.fail(failed)),
        };
        (ended, other)
    }

    /// Decides commands anew of which the log has refused a record: by halves, until the one at fault is alone. The others
    /// must not notice.
    fn apart(
        &mut self,
        store: &mut Store,
        partitions: i32,
        inlet: Option<&Inlet>,
        refusal: Refusal,
    ) -> Result<(), Left> {
        let mut refusal = Some(refusal);
        // What is decided next is last.
        let mut parts: Vec<VecDeque<Queued>> = Vec::new();
        let left = loop {
            if let Some(Refusal { topic, reason, mut commands }) = refusal.take() {
                self.aggregates.clear();
                // What was taken back has left its marks.
                self.ends.clear();
                let aborted = self.abort();
                let later = commands.split_off(commands.len().div_ceil(2));
                match (aborted, topic) {
                    (Ok(()), Some(topic)) if later.is_empty() => {
                        let refused = |queued: Queued| queued.refused(&topic, &reason);
                        parts.push(commands.into_iter().filter_map(refused).collect());
                        self.may_repeat = true;
                    }
                    (Ok(()), Some(_)) => {
                        parts.extend([later, commands]);
                        self.may_repeat = true;
                    }
                    (Ok(()), None) if self.may_repeat => {
                        parts.extend([later, commands]);
                        self.may_repeat = false;
                    }
                    (aborted, _) => {
                        parts.extend([later, commands]);
                        break aborted.err().unwrap_or(Left::Pause(reason));
                    }
                }
            }
            let Some(mut part) = parts.pop() else { return Ok(()) };
            if part.is_empty() {
                continue;
            }
            let (ended, _) = self.decide(store, partitions, inlet, &mut part, false);
            parts.push(part);
            match ended {
                Ok(tally) => self.count(&tally),
                Err(Failed::Refused(again)) => refusal = Some(again),
                Err(failed) => break self.failed(failed),
            }
        };
        let reason = match &left {
            Left::Pause(reason) | Left::Again(reason) | Left::Fenced(reason) | Left::Halt(reason) => {
                reason.clone()
            }
            Left::Log(error) => error.to_string(),
            Left::Stopped => String::new(),
        };
        for queued in parts.into_iter().flatten() {
            queued.answer(Err(Error::Unavailable { reason: reason.clone() }));
        }
        Err(left)
    }

    pub(super) fn count(&self, tally: &Tally) {
        self.status.send_modify(|status| {
            status.commands += tally.commands;
            status.rejected += tally.rejected;
            status.events += tally.events;
            status.aggregates += tally.new_aggregates;
            status.rounds += 1;
        });
    }
}
