//! The thread that writes the aggregates of a type: takes the log over, catches up, serves.

use super::aggregates::Aggregates;
use super::catch_up::{self, Topics};
use super::domain::{Domain, Source};
use super::handler::{Queued, unready};
use super::inlet::Inlet;
use super::record;
use super::round::{Desk, Failed, Round, Tally};
use super::{Error, Options, State, Status};
use crate::aggregate_store::{self, Aggregate, Store};
use crate::log::{self, Client, TransactionError, TransactionalProducer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// How soon a command that comes by the log is noticed.
const POLLED_WAIT: Duration = Duration::from_millis(2);
/// How soon the thread notices that it shall stop.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// The first pause after a sick dependency; it doubles.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// The longest pause.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How long the log may take to hand a name over, or to take a transaction back, before it is asked again.
const TAKING_OVER_MAX: Duration = Duration::from_secs(5);
/// Aggregates that are folded between two looks at the commands.
const FOLDED_AT_ONCE: usize = 100;

/// What the writer is asked.
pub(super) enum Request {
    Command(Queued),
    /// Goes on with another plugin; answers how long nothing was decided.
    Swap(Box<dyn Source>, oneshot::Sender<Result<Duration, Error>>),
    /// Folds states that are not current, behind this id; answers how many, and the last if there may be more.
    Refold(String, oneshot::Sender<Result<(u64, Option<String>), Error>>),
    Show(String, oneshot::Sender<Result<Option<Aggregate>, Error>>),
    /// Looks whether it shall stop.
    Wake,
}

/// Why serving was left.
pub(super) enum Left {
    /// It was told to stop.
    Stopped,
    /// A dependency is sick; the same may work later.
    Pause(String),
    /// Another process has taken over.
    Fenced(String),
    /// Somebody has to look at it.
    Halt(String),
}

impl From<log::Error> for Left {
    fn from(error: log::Error) -> Self {
        if error.is_transient() { Left::Pause(error.to_string()) } else { Left::Halt(error.to_string()) }
    }
}

impl From<aggregate_store::Error> for Left {
    fn from(error: aggregate_store::Error) -> Self {
        if error.is_transient() { Left::Pause(error.to_string()) } else { Left::Halt(error.to_string()) }
    }
}

/// A transaction that the log has not answered about.
#[derive(Clone, Copy)]
enum Open {
    Commit,
    Abort,
}

/// The writer of one aggregate type.
pub(super) struct Writer {
    domain: Domain,
    store: PathBuf,
    log: log::Options,
    options: Options,
    inbox: mpsc::Receiver<Request>,
    status: watch::Sender<Status>,
    stop: Arc<AtomicBool>,
    aggregates: Aggregates,
    /// Kept as long as it can go on: a new one would fence whoever took over meanwhile.
    producer: Option<TransactionalProducer>,
    /// What the producer's last transaction still needs.
    open: Option<Open>,
    decisions_topic: String,
    source: String,
    /// How many commands the last round had.
    last_round: u64,
    /// Commands that came by the log and have not been decided.
    pending: VecDeque<Queued>,
}

impl Writer {
    pub fn new(
        domain: Domain,
        store: PathBuf,
        log: log::Options,
        options: Options,
        inbox: mpsc::Receiver<Request>,
        status: watch::Sender<Status>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let decisions_topic = record::decisions_topic(&domain.topic);
        let source = record::source(&domain.name);
        let aggregates = Aggregates::default();
        let (producer, open) = (None, None);
        Writer {
            domain,
            store,
            log,
            options,
            inbox,
            status,
            stop,
            aggregates,
            producer,
            open,
            decisions_topic,
            source,
            last_round: 0,
            pending: VecDeque::new(),
        }
    }

    /// Serves, again after every pause, until it is over. Every time it begins with what the log has.
    pub fn supervise(mut self) {
        let mut backoff = BACKOFF_FIRST;
        // Said once, however often it is tried.
        let mut said = None;
        loop {
            let rounds = self.status.borrow().rounds;
            let Err(left) = self.session();
            self.aggregates.clear();
            // They are read again.
            self.pending.clear();
            match left {
                Left::Stopped => {
                    self.show(State::Stopped, None);
                    return self.refuse_waiting();
                }
                Left::Fenced(reason) => {
                    tracing::error!(aggregate = self.domain.name, "fenced: {reason}");
                    return self.end(State::Fenced, reason);
                }
                Left::Halt(reason) => {
                    tracing::error!(aggregate = self.domain.name, "halted: {reason}");
                    return self.end(State::Halted, reason);
                }
                Left::Pause(reason) => {
                    if self.status.borrow().rounds > rounds {
                        backoff = BACKOFF_FIRST;
                        said = None;
                    }
                    if said.as_ref() != Some(&reason) {
                        tracing::warn!(aggregate = self.domain.name, "paused, trying again: {reason}");
                        said = Some(reason.clone());
                    }
                    self.show(State::Paused, Some(reason));
                    self.rest(backoff);
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    fn end(&mut self, state: State, reason: String) {
        // Lets go of the log first, so that who sees the state finds nothing held.
        self.producer = None;
        self.show(state, Some(reason));
        self.refuse_waiting();
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn show(&self, state: State, error: Option<String>) {
        self.status.send_modify(|status| {
            status.state = state;
            status.error = error;
        });
    }

    /// Waits, and refuses meanwhile.
    fn rest(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while !self.is_stopping() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match self.inbox.recv_timeout(left.min(IDLE_WAIT)) {
                Ok(request) => self.refuse(request),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn refuse_waiting(&mut self) {
        while let Ok(request) = self.inbox.try_recv() {
            self.refuse(request);
        }
    }

    /// Answers what cannot be done now. Another plugin can be taken at any time.
    fn refuse(&mut self, request: Request) {
        let error = || unready(&self.status.borrow());
        match request {
            Request::Command(queued) => queued.answer(Err(error())),
            Request::Refold(_, reply) => drop(reply.send(Err(error()))),
            Request::Show(_, reply) => drop(reply.send(Err(error()))),
            Request::Swap(source, reply) => self.swap(source, reply),
            Request::Wake => {}
        }
    }

    /// From taking over to whatever ends it.
    fn session(&mut self) -> Result<Infallible, Left> {
        let client = Client::new(&self.log)?;
        let partitions = self.topics(&client)?;
        self.take_over()?;
        let mut store = Store::open(&self.store, &self.domain.name, &self.domain.topic)?;
        self.catch_up(&client, &mut store)?;
        let mut inlet = match self.options.from_topics {
            true => Some(Inlet::open(client, &self.domain, &self.decisions_topic, partitions)?),
            false => None,
        };
        let position = store.position()?;
        let aggregates = store.count()?;
        self.status.send_modify(|status| {
            let places = position.into_iter();
            status.checkpoint = places.map(|((topic, at), next)| (format!("{topic}/{at}"), next)).collect();
            status.aggregates = aggregates;
            status.lag = 0;
            status.state = State::Live;
            status.error = None;
        });
        loop {
            self.serve(&mut store, partitions, inlet.as_mut())?;
        }
    }

    /// Sees to the topics; answers how many partitions they have.
    fn topics(&self, client: &Client) -> Result<i32, Left> {
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
    fn take_over(&mut self) -> Result<(), Left> {
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

    fn catch_up(&mut self, client: &Client, store: &mut Store) -> Result<(), Left> {
        let decisions = self.decisions_topic.clone();
        let (name, events) = (self.domain.name.clone(), self.domain.topic.clone());
        let topics = Topics { name: &name, events: &events, decisions: &decisions };
        self.show(State::CatchingUp, None);
        catch_up::run(client, store, &topics, |behind| {
            self.status.send_modify(|status| status.lag = behind);
            self.refuse_waiting();
            if self.is_stopping() { ControlFlow::Break(Left::Stopped) } else { ControlFlow::Continue(()) }
        })
    }

    /// Does what is asked next: a round of commands, or something between two of them.
    fn serve(
        &mut self,
        store: &mut Store,
        partitions: i32,
        mut inlet: Option<&mut Inlet>,
    ) -> Result<(), Left> {
        if self.is_stopping() {
            return Err(Left::Stopped);
        }
        let mut wait = IDLE_WAIT;
        if let Some(inlet) = &mut inlet {
            wait = POLLED_WAIT;
            if self.pending.is_empty() {
                self.pending = inlet.take(self.options.commands_max)?;
            }
            if !self.pending.is_empty() {
                wait = Duration::ZERO;
                let pending = std::mem::take(&mut self.pending);
                if let Some(request) = self.round(store, partitions, Some(inlet), pending)? {
                    self.refuse(request);
                }
            }
        }
        let mut next = match self.inbox.recv_timeout(wait) {
            Ok(request) => Some(request),
            Err(mpsc::RecvTimeoutError::Timeout) => return Ok(()),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Left::Stopped),
        };
        while let Some(request) = next.take() {
            match request {
                Request::Command(queued) => next = self.round(store, partitions, None, [queued].into())?,
                Request::Swap(source, reply) => self.swap(source, reply),
                Request::Show(id, reply) => {
                    // Who asked may have gone.
                    let _ = reply.send(self.current(store, partitions, &id));
                }
                Request::Refold(after, reply) => {
                    let _ = reply.send(self.refold(store, partitions, &after));
                }
                Request::Wake => {}
            }
        }
        Ok(())
    }

    /// One group commit, beginning with these commands, to which others come if nobody else read them. Answers what else
    /// was asked meanwhile.
    fn round(
        &mut self,
        store: &mut Store,
        partitions: i32,
        inlet: Option<&Inlet>,
        mut first: VecDeque<Queued>,
    ) -> Result<Option<Request>, Left> {
        if self.aggregates.is_over(&self.options) {
            self.aggregates.clear();
        }
        let Writer { domain, aggregates, options, inbox, decisions_topic, source, pending, .. } = self;
        let Some(producer) = &self.producer else {
            first.into_iter().for_each(|queued| queued.answer(Err(Error::CatchingUp { behind: 0 })));
            return Err(Left::Pause("the log has not been taken over".into()));
        };
        let mut desk =
            Desk { domain, aggregates, store, producer, options, decisions_topic, source, partitions, inlet };
        let mut round = Round::after(self.last_round);
        let (failed, other) = loop {
            let next = match (first.pop_front(), round.gather_left(desk.options)) {
                (Some(queued), _) => Some(Request::Command(queued)),
                // Those who wait have rounds of their own.
                (None, _) if inlet.is_some() => None,
                (None, Duration::ZERO) => inbox.try_recv().ok(),
                (None, left) => inbox.recv_timeout(left).ok(),
            };
            match next {
                Some(Request::Command(queued)) => {
                    if let Err(error) = round.decide(&mut desk, queued) {
                        break (Some(error), None);
                    }
                }
                other => break (None, other),
            }
            if round.is_full(&desk) {
                break (None, None);
            }
        };
        *pending = first;
        let committed = match failed {
            None => round.commit(&mut desk),
            Some(error) => {
                round.fail(&error);
                Err(Failed::Log(error))
            }
        };
        match committed {
            Ok(tally) => {
                self.last_round = tally.commands;
                self.count(&tally);
                Ok(other)
            }
            Err(failed) => {
                let left = self.failed(failed);
                if let Some(request) = other {
                    self.show(State::CatchingUp, None);
                    self.refuse(request);
                }
                Err(left)
            }
        }
    }

    fn count(&self, tally: &Tally) {
        self.status.send_modify(|status| {
            status.commands += tally.commands;
            status.rejected += tally.rejected;
            status.events += tally.events;
            status.aggregates += tally.new_aggregates;
            status.rounds += 1;
        });
    }

    /// What the end of a round means for the writer. Whoever asked has been answered.
    fn failed(&mut self, failed: Failed) -> Left {
        let error = match failed {
            Failed::Store(error) => return error.into(),
            Failed::Log(error) => error,
        };
        let reason = error.to_string();
        match error {
            TransactionError::Fenced { .. } => return Left::Fenced(reason),
            TransactionError::Uncertain { .. } => self.open = Some(Open::Commit),
            TransactionError::Spent { .. } => self.producer = None,
            TransactionError::NotAppended { .. } => {
                let aborted = self.producer.as_ref().map(|producer| producer.abort(TAKING_OVER_MAX));
                match aborted {
                    None | Some(Ok(())) => {}
                    Some(Err(error @ TransactionError::Fenced { .. })) => {
                        return Left::Fenced(error.to_string());
                    }
                    Some(Err(TransactionError::Uncertain { .. })) => self.open = Some(Open::Abort),
                    Some(Err(_)) => self.producer = None,
                }
            }
        }
        Left::Pause(reason)
    }

    fn swap(&mut self, source: Box<dyn Source>, reply: oneshot::Sender<Result<Duration, Error>>) {
        let since = Instant::now();
        let before = self.domain.state_version();
        let swapped = self.domain.swap(source).map_err(Error::plugin);
        if swapped.is_ok() {
            if self.domain.state_version() != before {
                self.aggregates.clear();
            }
            self.status.send_modify(|status| {
                status.digest = self.domain.digest();
                status.state_version = self.domain.state_version();
            });
        }
        // Who asked may have gone.
        let _ = reply.send(swapped.map(|()| since.elapsed()));
    }

    fn current(&mut self, store: &Store, partitions: i32, id: &str) -> Result<Option<Aggregate>, Error> {
        let Writer { domain, aggregates, options, .. } = self;
        let current = aggregates.get(id, store, domain, partitions, options)?;
        Ok(current.state.map(|state| Aggregate {
            id: id.to_owned(),
            partition: current.partition,
            version: current.version,
            state: Some(state.to_vec()),
            state_at: current.version,
            state_version: domain.state_version(),
        }))
    }

    fn refold(
        &mut self,
        store: &mut Store,
        partitions: i32,
        after: &str,
    ) -> Result<(u64, Option<String>), Error> {
        let state_version = self.domain.state_version();
        let stale = store.stale(state_version, after, FOLDED_AT_ONCE)?;
        let mut failed = Ok(());
        for id in &stale {
            if let Err(error) = self.current(store, partitions, id) {
                failed = Err(Error::plugin(format!("aggregate `{id}`: {error}")));
                break;
            }
        }
        let transaction = store.begin()?;
        self.aggregates.save(&transaction, state_version)?;
        transaction.commit()?;
        failed?;
        let is_last = stale.len() < FOLDED_AT_ONCE;
        Ok((stale.len() as u64, stale.into_iter().last().filter(|_| !is_last)))
    }
}
