//! The log: taking it over, catching up with it, and what it means when it does not answer.

use super::{IDLE_WAIT, Left, Writer};
use crate::aggregate_store::Store;
use crate::command::State;
use crate::command::catch_up::{self, Topics};
use crate::command::record;
use crate::command::round::{Failed, Refusal};
use crate::log::{self, Client, TransactionError, TransactionalProducer};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How long the log may take to hand a name over, or to take a transaction back, before it is asked again.
const TAKING_OVER_MAX: Duration = Duration::from_secs(5);

/// A transaction that the log has not answered about.
#[derive(Clone, Copy)]
pub(super) enum Open {
    Commit,
    Abort,
}

impl Writer {
    /// Sees to the topics; answers how many partitions they have.
    pub(super) fn topics(&self, client: &Client) -> Result<i32, Left> {
        let events = &self.domain.topic;
        let known = client.partitions(events);
        let partitions = match known {
            Ok(partitions) => i32::try_from(partitions.len()).unwrap_or(i32::MAX),
            Err(log::Error::TopicMissing { .. }) => {
                let partitions = record::partitions(&self.options);
                client.create_topic_with(events, partitions, &record::SETTINGS)?;
                partitions
            }
            Err(error) => return Err(error.into()),
        };
        if let Err(log::Error::TopicMissing { .. }) = client.partitions(&self.decisions_topic) {
            client.create_topic_with(&self.decisions_topic, partitions, &record::SETTINGS)?;
        }
        // A topic that was just made is not known everywhere at once.
        let deadline = Instant::now() + TAKING_OVER_MAX;
        for topic in [events, &self.decisions_topic] {
            while let Err(error) = client.partitions(topic) {
                let is_missing = matches!(error, log::Error::TopicMissing { .. });
                if !is_missing || self.is_stopping() || Instant::now() >= deadline {
                    return Err(error.into());
                }
                std::thread::sleep(IDLE_WAIT / 5);
            }
        }
        Ok(partitions)
    }

    /// Makes sure that nobody else appends, and that the log has decided about everything that was.
    pub(super) fn take_over(&mut self) -> Result<(), Left> {
        if let Some(producer) = &self.producer {
            let abort = || producer.abort(TAKING_OVER_MAX).map_err(|error| (error, Open::Abort));
            let resolved = match self.open {
                None => return Ok(()),
                Some(Open::Abort) => abort(),
                Some(Open::Commit) => match producer.commit(self.options.append_max()) {
                    Ok(_) => Ok(()),
                    Err(TransactionError::NotAppended { .. }) => abort(),
                    Err(error) => Err((error, Open::Commit)),
                },
            };
            self.open = None;
            match resolved {
                Ok(()) => return Ok(()),
                Err((error @ TransactionError::Fenced { .. }, _)) => {
                    return Err(Left::Fenced(error.to_string()));
                }
                Err((error @ TransactionError::Uncertain { .. }, open)) => {
                    self.open = Some(open);
                    return Err(Left::Pause(error.to_string()));
                }
                Err(_) => self.producer = None,
            }
        }
        let producer = TransactionalProducer::new(&self.log, &format!("lantern-{}", self.domain.name))?;
        producer.init(TAKING_OVER_MAX)?;
        self.producer = Some(producer);
        Ok(())
    }

    pub(super) fn catch_up(&mut self, client: &Client, store: &mut Store) -> Result<(), Left> {
        let decisions = self.decisions_topic.clone();
        let (name, events) = (self.domain.name.clone(), self.domain.topic.clone());
        let topics = Topics { name: &name, events: &events, decisions: &decisions };
        self.show(State::CatchingUp, None);
        self.ends = catch_up::run(client, store, &topics, |behind| {
            self.status.send_modify(|status| status.lag = behind);
            self.refuse_waiting();
            if self.is_stopping() { ControlFlow::Break(Left::Stopped) } else { ControlFlow::Continue(()) }
        })?;
        let read = &self.ends;
        let unread = self.unread.iter().find(|(place, end)| read.get(*place).is_none_or(|next| next < *end));
        if let Some(((topic, partition), end)) = unread {
            return Err(Left::Pause(format!(
                "topic {topic}, partition {partition} cannot be read up to offset {end}, which this handler has appended: \
                 another program has a transaction open there"
            )));
        }
        self.unread.clear();
        Ok(())
    }

    /// Takes the open transaction back.
    pub(super) fn abort(&mut self) -> Result<(), Left> {
        let Some(producer) = &self.producer else { return Ok(()) };
        match producer.abort(TAKING_OVER_MAX) {
            Ok(()) => Ok(()),
            Err(error @ TransactionError::Fenced { .. }) => Err(Left::Fenced(error.to_string())),
            Err(error) => {
                match &error {
                    TransactionError::Uncertain { .. } => self.open = Some(Open::Abort),
                    _ => self.producer = None,
                }
                Err(Left::Pause(error.to_string()))
            }
        }
    }

    /// What the end of a round means for the writer. Whoever asked has been answered.
    pub(super) fn failed(&mut self, failed: Failed) -> Left {
        let error = match failed {
            Failed::Store(error) => return error.into(),
            Failed::Overtaken { reason, ends, tally } => {
                self.count(&tally);
                self.unread = ends;
                return Left::Again(reason);
            }
            Failed::Halt(reason) => {
                // Readers of the topic would else wait until the broker gives the transaction up.
                return match self.abort() {
                    Err(fenced @ Left::Fenced(_)) => fenced,
                    _ => Left::Halt(reason),
                };
            }
            Failed::Refused(Refusal { reason, .. }) => TransactionError::NotAppended { reason },
            Failed::Log(error) => error,
        };
        let reason = error.to_string();
        match error {
            TransactionError::Fenced { .. } => return Left::Fenced(reason),
            TransactionError::Uncertain { .. } => self.open = Some(Open::Commit),
            TransactionError::Spent { .. } => self.producer = None,
            TransactionError::NotAppended { .. } | TransactionError::Refused { .. } => {
                if let Err(fenced @ Left::Fenced(_)) = self.abort() {
                    return fenced;
                }
            }
        }
        Left::Pause(reason)
    }
}
