//! An [`Applier`] on a thread of its own, so that the next batch is read and decoded while the plugin runs on this one.

use super::applier::{Applier, Committed, Error, ended};
use super::batch::Batch;
use crate::fault;
use crate::plugin::Plugin;
use crate::read_model;
use crate::wasm::{Engine, Limits};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Batches that wait for the plugin, beside the one that it runs on. Bounds memory.
const QUEUE_MAX: usize = 1;

/// What the thread is asked to do. Each is answered once, in order.
enum Ask {
    Submit(Batch),
    Drain,
}

/// How the applier stands after something that was asked of it.
struct Stands {
    committed: Committed,
    is_idle: bool,
    /// Memory for the next batch's frame.
    spare: Vec<u8>,
    /// How long it took.
    took: Duration,
}

/// Runs batches in order. After an error nothing more is applied.
pub(super) struct Pipeline {
    /// There until it is dropped.
    asks: Option<SyncSender<Ask>>,
    answers: Receiver<Result<Stands, Error>>,
    /// Asks that are not answered yet.
    unanswered: usize,
    is_idle: bool,
    committed: Committed,
    spare: Vec<Vec<u8>>,
    took: Duration,
    thread: Option<JoinHandle<Option<read_model::Writer>>>,
}

impl Pipeline {
    /// Starts the threads and the plugin.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(
        engine: &Engine,
        plugin: &Arc<Plugin>,
        limits: &Limits,
        writer: read_model::Writer,
    ) -> Result<Self, Error> {
        let (asks, inbox) = sync_channel(QUEUE_MAX);
        let (outbox, answers) = channel();
        let (engine, plugin, limits) = (engine.clone(), Arc::clone(plugin), limits.clone());
        let thread = std::thread::Builder::new()
            .name(format!("{}-plugin", plugin.manifest.name))
            .stack_size(limits.thread_stack_bytes())
            .spawn(move || {
                let body = || run(Applier::start(&engine, &plugin, &limits, writer), &inbox, &outbox);
                fault::caught("plugin's", body).unwrap_or_else(|panicked| {
                    // Who asks may have gone.
                    let _ = outbox.send(Err(Error::Ended(panicked)));
                    None
                })
            })
            .map_err(Error::NoThread)?;
        let mut pipeline = Pipeline {
            asks: Some(asks),
            answers,
            // The start itself is answered too.
            unanswered: 1,
            is_idle: true,
            committed: Committed::default(),
            spare: Vec::new(),
            took: Duration::ZERO,
            thread: Some(thread),
        };
        pipeline.await_all()?;
        Ok(pipeline)
    }

    /// What is known to be committed.
    pub fn committed(&self) -> Committed {
        self.committed
    }

    /// How long the plugin and what it waited for took with the last batch that is known to be through.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Memory for the next batch's frame.
    pub fn spare(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Applies a batch, which may be still on its way when this returns; [`Pipeline::drain`] waits. Waits itself as long as another
    /// batch waits for the plugin.
    ///
    /// # Errors
    /// Why one before it cannot be applied. Everything before the event at fault is committed.
    pub fn submit(&mut self, batch: Batch) -> Result<(), Error> {
        self.ask(Ask::Submit(batch))?;
        self.look()
    }

    /// Waits until everything that was submitted is committed.
    ///
    /// # Errors
    /// As [`Pipeline::submit`].
    pub fn drain(&mut self) -> Result<(), Error> {
        self.await_all()?;
        if !self.is_idle {
            self.ask(Ask::Drain)?;
            self.await_all()?;
        }
        Ok(())
    }

    /// Whether everything that was submitted is known to be committed.
    pub fn is_idle(&self) -> bool {
        self.unanswered == 0 && self.is_idle
    }

    /// Ends it and gives the read model back, everything that was submitted being committed. `None` when something failed
    /// before.
    pub fn into_writer(mut self) -> Option<read_model::Writer> {
        self.asks = None;
        self.thread.take()?.join().ok().flatten()
    }

    fn ask(&mut self, ask: Ask) -> Result<(), Error> {
        let sent = self.asks.as_ref().is_some_and(|asks| asks.send(ask).is_ok());
        if !sent {
            // It has ended, and said why before.
            self.await_all()?;
            return Err(ended());
        }
        self.unanswered += 1;
        Ok(())
    }

    /// Takes in what is answered already.
    fn look(&mut self) -> Result<(), Error> {
        while let Ok(answer) = self.answers.try_recv() {
            self.take(answer?);
        }
        Ok(())
    }

    fn await_all(&mut self) -> Result<(), Error> {
        while self.unanswered > 0 {
            let answer = self.answers.recv().map_err(|_| ended())?;
            self.take(answer?);
        }
        Ok(())
    }

    fn take(&mut self, stands: Stands) {
        self.unanswered -= 1;
        (self.committed, self.is_idle, self.took) = (stands.committed, stands.is_idle, stands.took);
        if stands.spare.capacity() > 0 && self.spare.len() <= QUEUE_MAX {
            self.spare.push(stands.spare);
        }
    }
}

impl Drop for Pipeline {
    /// Waits for the threads: who opens the read model next must find it at rest.
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            // A panic was among the answers.
            let _ = thread.join();
        }
    }
}

/// Answers every ask until the first error, or until nobody asks any more; gives the read model back in the second case.
fn run(
    started: Result<Applier, Error>,
    inbox: &Receiver<Ask>,
    outbox: &Sender<Result<Stands, Error>>,
) -> Option<read_model::Writer> {
    let mut applier = match started {
        Ok(applier) => applier,
        Err(error) => {
            // Who asks may have gone.
            let _ = outbox.send(Err(error));
            return None;
        }
    };
    outbox.send(Ok(stands(&mut applier, Duration::ZERO))).ok()?;
    while let Ok(ask) = inbox.recv() {
        let since = Instant::now();
        let done = match ask {
            Ask::Submit(batch) => applier.submit(batch),
            Ask::Drain => applier.drain(),
        };
        let is_over = done.is_err();
        let answer = done.map(|()| stands(&mut applier, since.elapsed()));
        if outbox.send(answer).is_err() || is_over {
            return None;
        }
    }
    applier.into_writer()
}

fn stands(applier: &mut Applier, took: Duration) -> Stands {
    Stands { committed: applier.committed(), is_idle: applier.is_idle(), spare: applier.spare(), took }
}
