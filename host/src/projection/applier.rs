//! Batches through the plugin into the read model, and, when one fails, the event at fault.

mod error;
#[cfg(test)]
mod tests;

pub use error::Error;

use super::batch::{Batch, Place};
use super::poison::Poison;
use super::session::Session;
use super::writer::{self, Job, Write};
use crate::plugin::Plugin;
use crate::read_model;
use crate::wasm::{CallError, Engine, Instance, Limits};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::time::Duration;

/// Memory of finished batches that is kept for the next ones.
const SPARE_MAX: usize = 3;

/// Why one try of some events failed. Nothing of it is left.
enum Failed {
    /// An event of them is at fault: this one, if it is known.
    Event { index: Option<usize>, message: String, backtrace: Vec<String> },
    /// Something else is.
    Other(Error),
}

struct InFlight {
    batch: Batch,
    /// Whether the plugin has done its part, so that the writer's outcome is what is waited for.
    queued: bool,
}

/// Runs batches in order. One belongs to one thread, whose stack has
/// [`Limits::thread_stack_bytes`](crate::wasm::Limits::thread_stack_bytes).
pub struct Applier {
    engine: Engine,
    plugin: Arc<Plugin>,
    limits: Limits,
    /// There until it is dropped.
    writer: Option<writer::Thread>,
    instance: Option<Instance<Session>>,
    in_flight: VecDeque<InFlight>,
    spare: Vec<Vec<u8>>,
    committed: Committed,
}

/// What was committed since the applier started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Committed {
    /// Events.
    pub events: u64,
    /// Transactions.
    pub batches: u64,
    /// How often a batch failed and its events did not, in smaller ones.
    pub narrowed: u64,
}

impl Applier {
    /// Starts the plugin and the writer's thread.
    ///
    /// # Errors
    /// When either does not start.
    pub fn start(
        engine: &Engine,
        plugin: &Arc<Plugin>,
        limits: &Limits,
        writer: read_model::Writer,
    ) -> Result<Self, Error> {
        let name = &plugin.manifest.name;
        let writer = writer::spawn(name, writer).map_err(Error::NoThread)?;
        let mut applier = Applier {
            engine: engine.clone(),
            plugin: Arc::clone(plugin),
            limits: limits.clone(),
            writer: Some(writer),
            instance: None,
            in_flight: VecDeque::new(),
            spare: Vec::new(),
            committed: Committed::default(),
        };
        applier.instance()?;
        Ok(applier)
    }

    /// What was committed so far.
    pub fn committed(&self) -> Committed {
        self.committed
    }

    /// Memory for the next batch's frame.
    pub fn spare(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Applies a batch. It may be still on its way to the disk when this returns; [`Applier::drain`] waits.
    ///
    /// # Errors
    /// Why it, or one before it, cannot be applied. Everything before the event at fault is committed.
    pub fn submit(&mut self, batch: Batch) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let tried = self.start_batch(&batch);
        self.in_flight.push_back(InFlight { batch, queued: tried.is_ok() });
        match tried {
            Ok(()) => self.collect(false),
            Err(Failed::Other(error)) => Err(error),
            Err(Failed::Event { .. }) => self.recover(),
        }
    }

    /// Waits until everything that was submitted is committed.
    ///
    /// # Errors
    /// As [`Applier::submit`].
    pub fn drain(&mut self) -> Result<(), Error> {
        self.collect(true)
    }

    /// Whether everything that was submitted is committed.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Ends it and gives the read model back, everything that was submitted being committed. `None` when the writer's
    /// thread is gone, or something failed before.
    pub fn into_writer(self) -> Option<read_model::Writer> {
        let (reply, lent) = mpsc::channel();
        self.send(Job::Lend(reply)).ok()?;
        lent.recv().ok().flatten()
    }

    fn instance(&mut self) -> Result<&mut Instance<Session>, Error> {
        if self.instance.is_none() {
            let session = Session::new(&self.plugin.manifest.name, self.writer()?.jobs.clone());
            self.instance = Some(Instance::new(&self.engine, &self.plugin.component, session, &self.limits)?);
        }
        self.instance.as_mut().ok_or_else(ended)
    }

    fn time_max(&self) -> Duration {
        Duration::from_millis(self.limits.call_ms_max)
    }

    /// Runs the plugin; the rows go to the writer's thread, or straight into the read model when the
    /// plugin has borrowed it.
    fn start_batch(&mut self, batch: &Batch) -> Result<(), Failed> {
        let ops = self.call(batch)?;
        let write = Write { ops, runs: batch.runs.clone(), time_max: self.time_max() };
        let session = self.instance().map_err(Failed::Other)?.imports();
        let Some(held) = session.held() else {
            return self.send(Job::Write(write)).map_err(Failed::Other);
        };
        let finished = writer::finish(held, &write);
        session.release();
        finished.map_err(failed)?;
        // An outcome for it, so that batches are counted in one place.
        let nothing = Write { ops: Vec::new(), runs: Vec::new(), time_max: write.time_max };
        self.send(Job::Write(nothing)).map_err(Failed::Other)
    }

    /// Runs the plugin on a batch; answers its frame of writes.
    fn call(&mut self, batch: &Batch) -> Result<Vec<u8>, Failed> {
        if batch.count == 0 {
            return Ok(Vec::new());
        }
        let instance = self.instance().map_err(Failed::Other)?;
        let done = instance.apply(&batch.frame, batch.count);
        let session = instance.imports();
        let (storage, is_behind) = (session.take_storage_error(), session.take_behind());
        let error = match (done, storage) {
            (Ok(_), None) if is_behind => {
                // It has gone on as if its tables had answered, and remembers what is not so.
                self.instance = None;
                let message = "an earlier batch failed".into();
                return Err(Failed::Event { index: None, message, backtrace: Vec::new() });
            }
            (Ok(ops), None) => return Ok(ops),
            (Err(error), None) => error,
            (done, Some(storage)) => {
                session.release();
                // As above.
                if !matches!(done, Err(CallError::Failure(_))) {
                    self.instance = None;
                }
                return Err(Failed::Other(storage));
            }
        };
        session.release();
        // A failure leaves the instance as it was, a trap does not.
        if matches!(error, CallError::Trap { .. }) {
            self.instance = None;
        }
        Err(match error {
            CallError::Failure(failure) => Failed::Event {
                index: failure.index.map(|index| index as usize),
                message: failure.to_string(),
                backtrace: Vec::new(),
            },
            CallError::Trap { kind, message, backtrace } => {
                Failed::Event { index: None, message: format!("{message} ({kind})"), backtrace }
            }
        })
    }

    fn writer(&self) -> Result<&writer::Thread, Error> {
        self.writer.as_ref().ok_or_else(ended)
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        self.writer()?.jobs.send(job).map_err(|_| ended())
    }

    fn outcome(&self) -> Result<Result<(), writer::Error>, Error> {
        self.writer()?.outcomes.recv().map_err(|_| ended())
    }

    /// Takes in what the writer has done; with `wait`, until nothing is on its way.
    fn collect(&mut self, wait: bool) -> Result<(), Error> {
        while self.in_flight.front().is_some_and(|front| front.queued) {
            let outcome = if wait {
                self.outcome()?
            } else {
                match self.writer()?.outcomes.try_recv() {
                    Ok(outcome) => outcome,
                    Err(TryRecvError::Empty) => return Ok(()),
                    Err(TryRecvError::Disconnected) => return Err(ended()),
                }
            };
            match outcome {
                Ok(()) => self.done(),
                Err(error) => {
                    if let Some(front) = self.in_flight.front_mut() {
                        front.queued = false;
                    }
                    return match failed(error) {
                        Failed::Other(error) => Err(error),
                        Failed::Event { .. } => self.recover(),
                    };
                }
            }
        }
        Ok(())
    }

    fn done(&mut self) {
        if let Some(InFlight { batch, .. }) = self.in_flight.pop_front() {
            self.committed.events += batch.count as u64;
            self.committed.batches += 1;
            if self.spare.len() < SPARE_MAX {
                self.spare.push(batch.frame);
            }
        }
    }

    /// After a failure: lets the writer come to rest, then applies what is left piece by piece.
    fn recover(&mut self) -> Result<(), Error> {
        while let Some(position) = self.in_flight.iter().position(|entry| entry.queued) {
            let outcome = self.outcome()?;
            self.in_flight[position].queued = false;
            // Once one has failed, the writer skips the rest: what is done is always in front.
            if outcome.is_ok() && position == 0 {
                self.done();
            }
        }
        self.send(Job::Reset)?;
        while let Some(entry) = self.in_flight.pop_front() {
            self.narrow(&entry.batch)?;
        }
        self.committed.narrowed += 1;
        Ok(())
    }

    /// Applies a batch in ever smaller parts, each committed, until it is done or the event at fault stands
    /// alone.
    fn narrow(&mut self, batch: &Batch) -> Result<(), Error> {
        let mut start = 0;
        let mut size = batch.count.max(1);
        loop {
            let end = (start + size).min(batch.count);
            let part = batch.part(start, end)?;
            let (index, message, backtrace) = match self.commit(&part) {
                Ok(()) => {
                    self.committed.events += part.count as u64;
                    self.committed.batches += 1;
                    start = end;
                    if start >= batch.count {
                        return Ok(());
                    }
                    size = size.saturating_mul(2);
                    continue;
                }
                Err(Failed::Other(error)) => return Err(error),
                Err(Failed::Event { index, message, backtrace }) => (index, message, backtrace),
            };
            if part.count <= 1 {
                let place = batch.place(start).unwrap_or_else(|| unknown_place(&part));
                return Err(Error::Poison(Poison { place, message, backtrace }));
            }
            size = match index {
                Some(0) => 1,
                // Everything before the event that was named.
                Some(index) if index < part.count => index,
                _ => part.count / 2,
            };
        }
    }

    /// Applies some events and waits for the commit.
    fn commit(&mut self, part: &Batch) -> Result<(), Failed> {
        self.start_batch(part)?;
        match self.outcome().map_err(Failed::Other)? {
            Ok(()) => Ok(()),
            Err(error) => {
                self.send(Job::Reset).map_err(Failed::Other)?;
                Err(failed(error))
            }
        }
    }
}

impl Drop for Applier {
    /// Waits for the writer: who opens the read model next must find it at rest.
    fn drop(&mut self) {
        // The instance's session holds a way to the thread too.
        self.instance = None;
        if let Some(writer::Thread { jobs, outcomes, handle }) = self.writer.take() {
            drop((jobs, outcomes));
            // A panic was among the outcomes.
            let _ = handle.join();
        }
    }
}

pub(super) fn ended() -> Error {
    Error::Ended(
        "a thread of the projection has ended early: what it says is in the log of this process".into(),
    )
}

fn failed(error: writer::Error) -> Failed {
    match error {
        writer::Error::Refused(refusal) if refusal.is_of_storage() => {
            Failed::Other(Error::ReadModel(read_model::Error::Statement(refusal)))
        }
        writer::Error::Refused(refusal) => Failed::Event {
            index: refusal.event.map(|index| index as usize),
            message: refusal.message,
            backtrace: Vec::new(),
        },
        writer::Error::ReadModel(error) => Failed::Other(Error::ReadModel(error)),
        writer::Error::Panicked(panicked) => Failed::Other(Error::Ended(panicked)),
        writer::Error::Skipped => {
            Failed::Event { index: None, message: "an earlier batch failed".into(), backtrace: Vec::new() }
        }
    }
}

/// Where a part without events stands: its plugin is at fault, not an event.
fn unknown_place(part: &Batch) -> Place {
    let first = part.runs.first();
    Place {
        topic: first.map(|run| run.topic.to_string()).unwrap_or_default(),
        partition: first.map_or(0, |run| run.partition),
        offset: first.map_or(0, |run| run.from),
        kind: String::new(),
    }
}
