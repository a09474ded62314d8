//! One group commit: commands decided one after the other, appended together, kept together, answered.

mod answers;
mod failed;
mod in_log;
mod kept;

use super::aggregates::{Aggregates, Current, bounded};
use super::domain::{Domain, Verdict};
use super::handler::Queued;
use super::inlet::Inlet;
use super::record::{self, Key, Place};
use super::{Answer, Command, Error, Options};
use crate::aggregate_store::{Event, Outcome, Position, Store};
use crate::log::{TransactionError, TransactionalProducer};
use answers::{answer, repeated, reply};
use failed::Stopped;
pub(super) use failed::{Failed, Refusal};
use kept::{NotKept, keep, spans};
use lantern_contract::frame::commands::Request;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Deciding takes no longer before what was decided is appended: one slow command holds few others up.
const DECIDING_MAX: Duration = Duration::from_millis(10);

/// What a round works with.
pub(super) struct Desk<'w> {
    pub domain: &'w mut Domain,
    pub aggregates: &'w mut Aggregates,
    pub store: &'w mut Store,
    pub producer: &'w TransactionalProducer,
    pub options: &'w Options,
    pub decisions_topic: &'w str,
    pub source: &'w str,
    /// Of the topic, when the writer caught up.
    pub partitions: i32,
    /// Where commands come from beside those who wait.
    pub inlet: Option<&'w Inlet>,
    /// Where the next record comes to, by topic and partition, unless another program appends. Where it is not known there
    /// is none.
    pub ends: &'w mut Position,
}

/// What became of a round.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub commands: u64,
    pub rejected: u64,
    pub events: u64,
    pub new_aggregates: u64,
}

/// A record that was sent, in the order of sending.
enum Sent {
    Event { id: Arc<str>, event: Event, key: Option<Arc<Key>> },
    Decision { id: Arc<str>, partition: i32, key: Arc<Key>, outcome: Outcome },
    Reply,
}

/// What a command will be answered when the round is in the log.
enum Planned {
    /// This, or, where it says so much, not before the round is in the log.
    Answer(Result<Answer, Error>),
    /// So many records from this one on.
    Appended { first: usize, count: usize },
    /// As an earlier command of this round, which has the same key.
    As(usize),
    /// That its key was used for another command, an earlier one of this round.
    KeyReused,
}

/// A round on its way.
pub(super) struct Round {
    since: Instant,
    slots: Vec<(Queued, Planned)>,
    sent: Vec<Sent>,
    /// The commands with a key that were decided in this round.
    keys: HashMap<(Arc<str>, String), usize>,
    /// How far the commands' topic was read: the next offset of each partition.
    read: BTreeMap<i32, i64>,
    bytes: usize,
    /// So many commands are worth waiting for.
    expected: u64,
    /// Whether its commands are given back when nothing was appended, to be tried again.
    gives_back: bool,
}

impl Round {
    /// A round that follows one of so many commands, and may be tried again.
    pub fn after(commands: u64, gives_back: bool) -> Self {
        Round {
            since: Instant::now(),
            slots: Vec::new(),
            sent: Vec::new(),
            keys: HashMap::new(),
            read: BTreeMap::new(),
            bytes: 0,
            expected: commands,
            gives_back,
        }
    }

    /// Whether it should be appended before more is decided.
    pub fn is_full(&self, desk: &Desk<'_>) -> bool {
        self.slots.len() >= desk.options.commands_max
            || self.bytes >= desk.options.bytes_max
            || self.since.elapsed() >= DECIDING_MAX.max(desk.options.gather_max())
            || desk.aggregates.is_over(desk.options)
    }

    /// How long it may wait for more commands.
    pub fn gather_left(&self, options: &Options) -> Duration {
        let is_enough = self.slots.len() as u64 >= self.expected;
        if is_enough { Duration::ZERO } else { options.gather_max().saturating_sub(self.since.elapsed()) }
    }

    /// Decides a command, and hands what it appends to the log. After an error the round has to be given up by
    /// [`Self::fail`].
    pub fn decide(&mut self, desk: &mut Desk<'_>, queued: Queued) -> Result<(), Failed> {
        let considered = match queued.origin().and_then(|origin| origin.refused.clone()) {
            Some(error) => Err(error.into()),
            None => self.consider(desk, &queued.command),
        };
        // What fails is answered with the others.
        let unsettled = Planned::Appended { first: 0, count: 0 };
        let (planned, mut told) = match considered {
            Ok(planned) => (planned, Ok(())),
            Err(Stopped::Command(Error::Halted { reason })) => (unsettled, Err(Failed::Halt(reason))),
            Err(Stopped::Command(error)) => (Planned::Answer(Err(error)), Ok(())),
            Err(Stopped::Log(error)) => (unsettled, Err(Failed::Log(error))),
        };
        if let (Some(origin), Ok(())) = (queued.origin(), &told) {
            told = self.answer_in_log(desk, &queued.command, origin, &planned).map_err(Failed::Log);
        }
        self.slots.push((queued, planned));
        told
    }

    fn consider(&mut self, desk: &mut Desk<'_>, command: &Command) -> Result<Planned, Stopped> {
        let id: Arc<str> = command.id.as_str().into();
        let key = command.key.as_ref().map(|key| Key { key: key.clone(), digest: command.digest() });
        if let Some(key) = &key {
            if let Some(earlier) = self.keys.get(&(Arc::clone(&id), key.key.clone())) {
                return match self.slots.get(*earlier) {
                    Some((queued, _)) if queued.command.digest() == key.digest => Ok(Planned::As(*earlier)),
                    _ => Ok(Planned::KeyReused),
                };
            }
            if let Some(decision) = desk.store.decision(&id, &key.key).map_err(Error::from)? {
                if decision.digest != key.digest {
                    return Err(Error::KeyReused.into());
                }
                return Ok(Planned::Answer(Ok(repeated(desk, &id, decision.outcome)?)));
            }
        }
        let current = desk.aggregates.get(&id, desk.store, desk.domain, desk.partitions, desk.options)?;
        if let Some(expected) = command.expected
            && expected != current.version
        {
            return Err(Error::WrongVersion { expected, actual: current.version }.into());
        }
        let time_ms = jiff::Timestamp::now().as_millisecond();
        let aggregate = desk.domain.name.clone();
        let request = Request {
            aggregate: &aggregate,
            id: &id,
            version: current.version,
            state: current.state.as_deref(),
            command: &command.name,
            payload: &command.payload,
            time_ms,
            correlation: command.correlation.as_deref(),
        };
        let verdict = desk.domain.decide(&request, desk.options)?;
        let key = key.map(Arc::new);
        let planned = match verdict {
            Verdict::Events(events) if !events.is_empty() => {
                let events = name_events(command, &current, time_ms, events);
                self.append(desk, &id, current, events, key.clone())?
            }
            Verdict::Events(_) => {
                let outcome = Outcome::Unchanged { version: current.version };
                self.note(desk, command, &id, &current, time_ms, key.clone(), outcome)?
            }
            Verdict::Rejected(rejection) => {
                let outcome = Outcome::Rejected {
                    version: current.version,
                    code: rejection.code,
                    message: rejection.message,
                    detail: rejection.detail,
                };
                self.note(desk, command, &id, &current, time_ms, key.clone(), outcome)?
            }
        };
        if let Some(key) = key {
            self.keys.insert((id, key.key.clone()), self.slots.len());
        }
        Ok(planned)
    }

    /// Appends events, after which the aggregate is what the plugin makes of them.
    fn append(
        &mut self,
        desk: &mut Desk<'_>,
        id: &Arc<str>,
        current: Current,
        events: Vec<Event>,
        key: Option<Arc<Key>>,
    ) -> Result<Planned, Stopped> {
        let state = desk.domain.evolve(id, current.state.as_deref(), &events)?;
        let state = bounded(state, desk.options)?;
        let (first, count) = (self.sent.len(), events.len());
        let topic = desk.domain.topic.clone();
        let place = Place { topic: &topic, source: desk.source, id, partition: current.partition };
        self.begin(desk)?;
        for event in events {
            record::send_event(desk.producer, &place, &event, key.as_deref())?;
            self.bytes += event.kind.len() + event.payload.len();
            self.sent.push(Sent::Event { id: Arc::clone(id), event, key: key.clone() });
        }
        let version = current.version + count as u64;
        desk.aggregates.set(id, Current { version, state: Some(state.into()), ..current }, true);
        Ok(Planned::Appended { first, count })
    }

    /// Takes a decision that appends no event down, if the command has a key; a retry will find it.
    #[allow(clippy::too_many_arguments, reason = "each is another part of one record")]
    fn note(
        &mut self,
        desk: &Desk<'_>,
        command: &Command,
        id: &Arc<str>,
        current: &Current,
        time_ms: i64,
        key: Option<Arc<Key>>,
        outcome: Outcome,
    ) -> Result<Planned, Stopped> {
        let answer = answer(&outcome, false);
        if let Some(key) = key {
            let partition = current.partition;
            let place = Place { topic: desk.decisions_topic, source: desk.source, id, partition };
            let correlation = command.correlation.as_deref();
            self.begin(desk)?;
            record::send_decision(
                desk.producer,
                &place,
                &command.name,
                &key,
                &outcome,
                time_ms,
                correlation,
            )?;
            if let Outcome::Rejected { message, detail, .. } = &outcome {
                self.bytes += message.len() + detail.as_ref().map_or(0, String::len);
            }
            self.sent.push(Sent::Decision { id: Arc::clone(id), partition, key, outcome });
        }
        Ok(Planned::Answer(Ok(answer)))
    }

    /// The log's transaction begins with the first record, or the first that was read.
    fn begin(&self, desk: &Desk<'_>) -> Result<(), TransactionError> {
        if self.is_begun() { Ok(()) } else { desk.producer.begin() }
    }

    fn is_begun(&self) -> bool {
        !self.sent.is_empty() || !self.read.is_empty()
    }

    /// Appends what was sent, and how far was read with it.
    fn append_all(&self, desk: &Desk<'_>) -> Result<Vec<i64>, TransactionError> {
        if !self.is_begun() {
            return Ok(Vec::new());
        }
        let time_max = desk.options.append_max();
        if let Some(inlet) = desk.inlet.filter(|_| !self.read.is_empty()) {
            inlet.commit(desk.producer, &self.read, time_max)?;
        }
        desk.producer.commit(time_max)
    }

    /// Appends, keeps and answers.
    pub fn commit(self, desk: &mut Desk<'_>) -> Result<Tally, Failed> {
        let offsets = match self.append_all(desk) {
            Ok(offsets) => offsets,
            Err(error) => return Err(self.fail(Failed::Log(error))),
        };
        let Round { slots, mut sent, .. } = self;
        for (sent, at) in sent.iter_mut().zip(&offsets) {
            if let Sent::Event { event, .. } = sent {
                event.offset = *at;
            }
        }
        let spans = spans(desk, &sent, &offsets);
        let kept =
            if sent.is_empty() && !desk.aggregates.has_unsaved() { Ok(()) } else { keep(desk, &sent, spans) };
        let tally = reply(slots, sent, &desk.domain.topic);
        match kept {
            Ok(()) => Ok(tally),
            Err(NotKept::Store(error)) => Err(Failed::Store(error)),
            Err(NotKept::Overtaken { reason, ends }) => Err(Failed::Overtaken { reason, ends, tally }),
        }
    }
}

/// Decided events as they will be in the log.
fn name_events(
    command: &Command,
    current: &Current,
    time_ms: i64,
    events: Vec<(String, Vec<u8>)>,
) -> Vec<Event> {
    let id = &command.id;
    // What began here begins with its first event.
    let correlation = command.correlation.clone().unwrap_or_else(|| format!("{id}/{}", current.version + 1));
    let causation = command.causation.clone().or_else(|| command.key.clone());
    let versions = current.version + 1..;
    let named = versions.zip(events).map(|(version, (kind, payload))| Event {
        version,
        kind,
        time_ms,
        partition: current.partition,
        offset: -1,
        payload,
        event_id: format!("{id}/{version}"),
        correlation: Some(correlation.clone()),
        causation: causation.clone(),
    });
    named.collect()
}
