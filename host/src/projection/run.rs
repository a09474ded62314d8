//! The loop of one projection: fetch, batch, apply, commit, until told to stop.

mod opening;

pub(super) use opening::assignments;

use super::applier;
use super::pipeline::Pipeline;
use super::round::Round;
use super::status::{PutBack, State, Status};
use super::worker::{Projection, Request, Switch};
use crate::log::{self, Client, Consumer};
use crate::read_model::{self, Checkpoints};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// How long a fetch waits for a first event, and so how soon the worker notices that it shall stop.
pub(super) const IDLE_WAIT: Duration = Duration::from_millis(50);
/// The first pause after a sick dependency; it doubles.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// The longest pause.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Events that a plugin has to apply after a swap until it counts as one that works.
const TRIAL_EVENTS: u64 = 1_000;

/// Why the loop was left.
pub(super) enum Left {
    /// It was told to stop, or is done.
    Stopped,
    /// Somebody asks for something; everything is committed.
    Asked,
    /// It has to start again from what is stored, such as with a new partition.
    Again,
    /// The log failed; [`may_pass`] says what that means.
    Log(log::Error),
    /// A dependency is sick; the same may work later.
    Pause(String),
    /// Somebody has to look at it.
    Halt(String),
}

impl From<log::Error> for Left {
    fn from(error: log::Error) -> Self {
        Left::Log(error)
    }
}

/// Whether what the log failed by is waited for. Who asked for one pass waits only for brokers that are away: what somebody has
/// to do is said at once.
fn may_pass(error: &log::Error, once: bool, was_let_in: bool) -> bool {
    if once { error.is_transient() } else { error.may_pass(was_let_in) }
}

impl From<read_model::Error> for Left {
    fn from(error: read_model::Error) -> Self {
        if error.is_transient() { Left::Pause(error.to_string()) } else { Left::Halt(error.to_string()) }
    }
}

impl From<applier::Error> for Left {
    fn from(error: applier::Error) -> Self {
        match error {
            applier::Error::ReadModel(error) => error.into(),
            error @ applier::Error::NoThread(_) => Left::Pause(error.to_string()),
            applier::Error::Poison(poison) => Left::Halt(format!(
                "{poison}\n  Everything before it is applied and nothing is lost: deploy a plugin that can apply it, \
                 and the projection goes on there"
            )),
            error => Left::Halt(error.to_string()),
        }
    }
}

/// The next offset behind the last record, by topic and partition.
type Ends = BTreeMap<(String, i32), i64>;

/// A switch on its way.
struct Switching {
    reply: oneshot::Sender<Result<Duration, String>>,
    /// Since when no event is applied.
    since: Instant,
}

/// A projection while it runs: what the rounds of its loop share.
pub(super) struct Run {
    pub projection: Projection,
    pub status: watch::Sender<Status>,
    stop: Arc<AtomicBool>,
    inbox: mpsc::Receiver<Request>,
    request: Option<Request>,
    switching: Option<Switching>,
    /// How many events are applied when the trial of a plugin with a fallback ends.
    trial_end: u64,
    /// Plugins that were put back so far.
    put_backs: u32,
    /// Whether brokers have answered before.
    was_let_in: bool,
    /// The way to the log that the last round left in order.
    source: Option<(Client, Consumer)>,
    /// The read model that it left in order, and its file.
    sink: Option<(read_model::Writer, PathBuf)>,
    /// With `once`: the log's ends when it was first seen.
    pub target: Option<Ends>,
}

impl Run {
    /// A projection that is about to run.
    pub fn new(
        projection: Projection,
        status: watch::Sender<Status>,
        stop: Arc<AtomicBool>,
        inbox: mpsc::Receiver<Request>,
    ) -> Self {
        projection.show_topics();
        Run {
            projection,
            status,
            stop,
            inbox,
            request: None,
            switching: None,
            trial_end: TRIAL_EVENTS,
            put_backs: 0,
            was_let_in: false,
            source: None,
            sink: None,
            target: None,
        }
    }

    /// Runs the loop, again after every pause, until it is over. Every round starts at what is stored, so
    /// that nothing in memory can be wrong after a fault.
    pub fn supervise(mut self) {
        let mut backoff = BACKOFF_FIRST;
        // Said once, however often it is tried.
        let mut said = None;
        loop {
            if self.is_asked() {
                self.serve();
            }
            let before = self.status.borrow().events;
            let (reason, passes) = match self.round() {
                Left::Stopped => return self.show(State::Stopped, None),
                Left::Again | Left::Asked => continue,
                Left::Pause(reason) => (reason, true),
                Left::Halt(reason) => (reason, false),
                Left::Log(error) => {
                    (error.to_string(), may_pass(&error, self.projection.once, self.was_let_in))
                }
            };
            if !passes && self.projection.fallback.is_some() {
                self.put_back(reason);
                continue;
            }
            if !passes {
                tracing::error!(projection = self.name(), "halted: {reason}");
                self.answer_switch(Err(reason.clone()));
                return self.show(State::Halted, Some(reason));
            }
            // It has taken over, and what it waits for is not its fault.
            self.answer_switch(Ok(()));
            if self.status.borrow().events > before {
                backoff = BACKOFF_FIRST;
                said = None;
            }
            if said.as_ref() != Some(&reason) {
                tracing::warn!(projection = self.name(), "paused, trying again: {reason}");
                said = Some(reason.clone());
            }
            self.show(State::Paused, Some(reason));
            if self.wait(backoff) {
                return self.show(State::Stopped, None);
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Whether somebody asks for something.
    pub fn is_asked(&mut self) -> bool {
        if self.request.is_none() {
            self.request = self.inbox.try_recv().ok();
        }
        self.request.is_some()
    }

    /// Does what was asked for, at rest between two batches.
    fn serve(&mut self) {
        let since = Instant::now();
        while !self.is_stopping() {
            match self.request.take() {
                Some(Request::Hold(reply)) => {
                    // Who asked may have gone: then nobody will ask to go on either.
                    if reply.send(()).is_err() {
                        return;
                    }
                }
                Some(Request::Release) => return,
                Some(Request::Switch(Switch { author, read_model, on_trial, reply })) => {
                    let before = std::mem::replace(&mut self.projection.author, author);
                    self.projection.read_model = read_model;
                    self.projection.show_topics();
                    self.projection.fallback = on_trial.then_some(before);
                    self.trial_end = self.status.borrow().events + TRIAL_EVENTS;
                    self.switching = Some(Switching { reply, since });
                    return self.show_plugin();
                }
                None => match self.inbox.recv_timeout(IDLE_WAIT) {
                    Ok(request) => self.request = Some(request),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                },
            }
        }
    }

    /// Tells who asked for a switch what became of it.
    fn answer_switch(&mut self, answer: Result<(), String>) {
        if let Some(Switching { reply, since }) = self.switching.take() {
            // Who asked may have gone.
            let _ = reply.send(answer.map(|()| since.elapsed()));
        }
    }

    /// Goes back to the plugin that ran before.
    fn put_back(&mut self, error: String) {
        let Some(before) = self.projection.fallback.take() else { return };
        let failed = std::mem::replace(&mut self.projection.author, before);
        self.projection.show_topics();
        tracing::error!(
            projection = self.name(),
            "the plugin {} is put back, {} runs again: {error}",
            failed.plugin.digest.short(),
            self.projection.author.plugin.digest.short()
        );
        self.answer_switch(Err(error.clone()));
        self.put_backs += 1;
        let put_back =
            PutBack { digest: failed.plugin.digest.to_string(), reason: error, number: self.put_backs };
        // At once: who sees that the trial is over sees how it ended.
        self.status.send_modify(|status| {
            status.digest = self.projection.author.plugin.digest.to_string();
            status.on_trial = false;
            status.put_back = Some(put_back);
        });
    }

    /// Ends the trial of a plugin that has applied enough.
    pub fn end_trial_when_passed(&mut self) {
        if self.projection.fallback.is_some() && self.status.borrow().events >= self.trial_end {
            self.projection.fallback = None;
            self.show_plugin();
        }
    }

    fn show_plugin(&self) {
        self.status.send_modify(|status| {
            status.digest = self.projection.author.plugin.digest.to_string();
            status.on_trial = self.projection.fallback.is_some();
            if status.on_trial {
                status.put_back = None;
            }
        });
    }

    pub fn name(&self) -> &str {
        &self.projection.author.plugin.manifest.name
    }

    pub fn show(&self, state: State, error: Option<String>) {
        self.status.send_modify(|status| {
            status.state = state;
            status.error = error;
        });
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits, but not when somebody asks for something; answers whether it was told to stop.
    fn wait(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !self.is_stopping() && !self.is_asked() && Instant::now() < until {
            std::thread::sleep(IDLE_WAIT.min(until.saturating_duration_since(Instant::now())));
        }
        self.is_stopping()
    }

    fn round(&mut self) -> Left {
        match self.try_round() {
            Ok(()) => Left::Stopped,
            Err(left) => left,
        }
    }

    fn try_round(&mut self) -> Result<(), Left> {
        let author = self.projection.author.clone();
        let mut writer = self.open_sink(&author.blueprint())?;
        let (start, client, mut consumer) = self.open_source(&writer)?;
        self.was_let_in = true;
        self.show_checkpoint(&start);
        let progress = self.projection.progress.clone();
        progress.stands_at(&start);
        writer.on_commit(move |runs| progress.advance(runs));
        if self.projection.once && self.target.is_none() {
            self.target = Some(self.ends(&client, &start)?);
        }
        let pipeline =
            Pipeline::start(&self.projection.engine, &author.plugin, &self.projection.limits, writer)?;
        let mut round = Round::new(self, pipeline, start);
        // A swap in the middle of live events is not worth a change of state.
        if self.switching.is_none() {
            self.show(State::CatchingUp, None);
        }
        self.answer_switch(Ok(()));
        let ended = round.run(self, &client, &mut consumer);
        if matches!(ended, Err(Left::Asked)) {
            self.source = Some((client, consumer));
            let file = self.projection.read_model.clone();
            self.sink = round.into_writer().map(|writer| (writer, file));
        }
        ended
    }

    fn show_checkpoint(&self, positions: &Checkpoints) {
        self.status.send_modify(|status| {
            status.checkpoint = positions
                .iter()
                .map(|((topic, partition), next)| (format!("{topic}/{partition}"), *next))
                .collect();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A broker that is restarted, or a topic that is made anew, must not need somebody to restart what reads it; and one pass in a
    // script must not wait for somebody who does not come.
    #[test]
    fn what_the_log_failed_by_is_waited_for_where_it_may_be_over_by_itself() {
        let missing = log::Error::TopicMissing { topic: "t".into() };
        let refused = log::Error::Authentication { reason: "handshake failed".into() };
        let away = log::Error::Unavailable { servers: "a:1".into(), reason: "refused".into() };
        let gone = log::Error::PartitionMissing { topic: "t".into(), partition: 3 };
        let check = |error: &log::Error, expected: [bool; 4]| {
            let at = |once, was_let_in| may_pass(error, once, was_let_in);
            let found = [at(false, false), at(false, true), at(true, false), at(true, true)];
            assert_eq!(found, expected, "{error}");
        };
        check(&missing, [true, true, false, false]);
        check(&refused, [false, true, false, false]);
        check(&away, [true; 4]);
        check(&gone, [false; 4]);
    }
}
