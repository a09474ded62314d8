//! The thread that writes a batch while the plugin runs on the next one.
//!
//! The [`read_model::Writer`] belongs to this thread. A plugin that reads its tables needs it in the middle
//! of a batch: then it is lent, after everything before has been written, and comes back when the batch is
//! done. A plugin that never reads never waits. Measured: 1.2 to 1.8 times as many events per second.

use crate::fault;
use crate::read_model::{self, Advance, Refusal};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Batches that wait for the writer, beside the one that it writes. Bounds memory, and lets batches grow
/// when the writer is the slower one.
const QUEUE_MAX: usize = 1;

/// What the writer is asked to do.
pub enum Job {
    /// Write the rows of a batch and move the checkpoints, as one transaction.
    Write(Write),
    /// Hand over the read model once everything before is written; nothing comes when that failed.
    Lend(Sender<Option<read_model::Writer>>),
    /// Take it back.
    Return(Box<read_model::Writer>),
    /// After a failure: the asker has seen it and goes on from the checkpoint.
    Reset,
}

/// One transaction.
pub struct Write {
    /// The frame of writes that the plugin answered; empty when there are none.
    pub ops: Vec<u8>,
    /// How the checkpoints move.
    pub runs: Vec<Advance>,
    /// How long its statements may take.
    pub time_max: Duration,
}

/// Why a transaction was not done. Nothing of it is left.
#[derive(Debug)]
pub enum Error {
    /// A write is refused: the plugin's or an event's fault.
    Refused(Refusal),
    /// The read model cannot be written.
    ReadModel(read_model::Error),
    /// An earlier one failed, so this was not tried.
    Skipped,
    /// The thread has panicked, which is its last outcome.
    Panicked(String),
}

/// The thread and the ways to it. It ends when every sender of jobs is dropped.
pub struct Thread {
    /// What it shall do, in order.
    pub jobs: SyncSender<Job>,
    /// One outcome for every [`Job::Write`].
    pub outcomes: Receiver<Result<(), Error>>,
    /// To wait for its end.
    pub handle: JoinHandle<()>,
}

/// Starts the thread.
pub fn spawn(name: &str, writer: read_model::Writer) -> std::io::Result<Thread> {
    let (jobs, inbox) = sync_channel(QUEUE_MAX);
    let (outbox, outcomes) = channel();
    let handle = std::thread::Builder::new().name(format!("{name}-writer")).spawn(move || {
        if let Err(panicked) = fault::caught("writer's", || run(writer, &inbox, &outbox)) {
            // Who waits may have gone.
            let _ = outbox.send(Err(Error::Panicked(panicked)));
        }
    })?;
    Ok(Thread { jobs, outcomes, handle })
}

fn run(writer: read_model::Writer, inbox: &Receiver<Job>, outbox: &Sender<Result<(), Error>>) {
    let mut writer = Some(writer);
    let mut failed = false;
    // A closed channel means that nobody waits for the rest.
    while let Ok(job) = inbox.recv() {
        match job {
            Job::Write(write) => {
                let outcome = match &mut writer {
                    Some(writer) if !failed => commit(writer, &write),
                    _ => Err(Error::Skipped),
                };
                failed |= outcome.is_err();
                if outbox.send(outcome).is_err() {
                    return;
                }
            }
            Job::Lend(reply) => {
                let lent = if failed { None } else { writer.take() };
                if let Err(unsent) = reply.send(lent) {
                    writer = unsent.0;
                }
            }
            Job::Return(returned) => writer = Some(*returned),
            Job::Reset => failed = false,
        }
    }
}

/// Writes one batch as one transaction; none is needed for nothing.
pub fn commit(writer: &mut read_model::Writer, write: &Write) -> Result<(), Error> {
    if write.ops.is_empty() && write.runs.is_empty() {
        return Ok(());
    }
    writer.begin().map_err(Error::ReadModel)?;
    finish(writer, write)
}

/// Writes what is left of a batch whose transaction has begun, and commits it.
pub fn finish(writer: &mut read_model::Writer, write: &Write) -> Result<(), Error> {
    writer.set_deadline(Some(Instant::now() + write.time_max));
    if !write.ops.is_empty()
        && let Err(refusal) = writer.apply(&write.ops)
    {
        writer.rollback();
        return Err(Error::Refused(refusal));
    }
    writer.commit(&write.runs).map_err(Error::ReadModel)
}
