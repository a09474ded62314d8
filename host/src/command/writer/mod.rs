//! The thread that writes the aggregates of a type: takes the log over, catches up, serves.

mod log_side;
mod rounds;
mod states;

use super::aggregates::Aggregates;
use super::domain::{Domain, Source};
use super::handler::{Queued, unready};
use super::inlet::Inlet;
use super::record;
use super::{Error, Options, State, Status};
use crate::aggregate_store::{self, Aggregate, Position, Store};
use crate::log::{self, Client, TransactionalProducer};
use crate::upcast::Chain;
use log_side::Open;
use std::collections::VecDeque;
use std::convert::Infallible;
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

/// What the writer is asked.
pub(super) enum Request {
    Command(Queued),
    /// Goes on with another plugin; answers how long nothing was decided.
    Swap(Box<dyn Source>, oneshot::Sender<Result<Duration, Error>>),
    /// Has events come through other upcasters.
    Upcast(Box<Chain>, oneshot::Sender<Result<(), Error>>),
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
    /// It has to read the log again from what is kept: somebody else appended, or there are other partitions.
    Again(String),
    /// The log failed.
    Log(log::Error),
    /// A dependency is sick; the same may work later.
    Pause(String),
    /// Another process has taken over.
    Fenced(String),
    /// Somebody has to look at it.
    Halt(String),
}

impl From<log::Error> for Left {
    fn from(error: log::Error) -> Self {
        Left::Log(error)
    }
}

impl From<aggregate_store::Error> for Left {
    fn from(error: aggregate_store::Error) -> Self {
        if error.is_transient() { Left::Pause(error.to_string()) } else { Left::Halt(error.to_string()) }
    }
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
    /// Where the next records come to, if nobody else appends.
    ends: Position,
    /// The broker has refused a record. It has not counted it, and the client has: for the broker the next records are out of
    /// order, once, and may be sent again.
    may_repeat: bool,
    /// How far the log has to be read before anything is decided, beside what it shows.
    unread: Position,
    /// Whether brokers have answered before.
    was_let_in: bool,
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
            ends: Position::new(),
            may_repeat: false,
            unread: Position::new(),
            was_let_in: false,
        }
    }

    /// Serves, again after every pause, until it is over. Every time it begins with what the log has.
    pub fn supervise(mut self) {
        let mut backoff = BACKOFF_FIRST;
        // Said once, however often it is tried.
        let mut said = None;
        let mut was_again = false;
        loop {
            let rounds = self.status.borrow().rounds;
            // A session whose log is away ends by that before it looks whether it shall stop.
            let left = match self.is_stopping() {
                true => Left::Stopped,
                false => {
                    let Err(left) = self.session();
                    left
                }
            };
            self.aggregates.clear();
            // They are read again.
            self.pending.clear();
            let (reason, passes) = match left {
                Left::Stopped => {
                    self.show(State::Stopped, None);
                    return self.refuse_waiting();
                }
                Left::Fenced(reason) => {
                    tracing::error!(aggregate = self.domain.name, "fenced: {reason}");
                    return self.end(State::Fenced, reason);
                }
                Left::Again(reason) => {
                    if !std::mem::replace(&mut was_again, true) {
                        tracing::warn!(aggregate = self.domain.name, "reading the log again: {reason}");
                    }
                    continue;
                }
                Left::Pause(reason) => (reason, true),
                Left::Halt(reason) => (reason, false),
                Left::Log(error) => (error.to_string(), error.may_pass(self.was_let_in)),
            };
            if !passes {
                tracing::error!(aggregate = self.domain.name, "halted: {reason}");
                return self.end(State::Halted, reason);
            }
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
            // The next session begins with them.
            Request::Upcast(upcasters, reply) => {
                self.domain.upcast_by(*upcasters);
                drop(reply.send(Ok(())));
            }
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
        self.was_let_in = true;
        store.make_of(self.domain.upcast_version())?;
        let mut inlet = match self.options.from_topics {
            true => Some(Inlet::open(client, &self.domain, partitions)?),
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
            if inlet.has_changed()? {
                return Err(Left::Again("the commands' topic has other partitions than before".into()));
            }
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
                Request::Upcast(upcasters, reply) => {
                    self.domain.upcast_by(*upcasters);
                    self.aggregates.clear();
                    let made = store.make_of(self.domain.upcast_version());
                    // What is wrong with the store is told by the next session, which begins with this.
                    let _ = reply.send(Ok(()));
                    made?;
                }
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
}
