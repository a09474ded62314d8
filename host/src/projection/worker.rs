//! A projection that runs: started, asked between two batches, stopped.

use super::author::Author;
use super::options::{BatchOptions, Options};
use super::progress::Progress;
use super::run::Run;
use super::status::{State, Status};
use crate::fault;
use crate::log;
use crate::wasm::{Engine, Limits};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// What a projection needs to run.
#[derive(Clone)]
pub struct Projection {
    /// Its plugin, and the upcasters that its events come through.
    pub author: Author,
    /// What is put back when the plugin cannot apply its first events: it was swapped in lately.
    pub fallback: Option<Author>,
    /// Its read model's file.
    pub read_model: PathBuf,
    /// The user's settings of it.
    pub options: Options,
    /// The size of its batches.
    pub batch: BatchOptions,
    /// What its plugin may use.
    pub limits: Limits,
    /// The log.
    pub log: log::Options,
    /// Runs its plugin.
    pub engine: Engine,
    /// Whether it ends when it has applied what the log had at its start.
    pub once: bool,
    /// Where it tells how far it is.
    pub progress: Progress,
}

impl Projection {
    /// Tells who waits for a position which topics it reads.
    pub(super) fn show_topics(&self) {
        self.progress.reads(self.options.topics(&self.author.plugin.manifest));
    }
}

/// What a running projection is asked between two batches.
pub(super) enum Request {
    /// Come to rest: nothing is written until the next request.
    Hold(oneshot::Sender<()>),
    /// Go on as before.
    Release,
    /// Go on with this plugin and these upcasters, on this read model.
    Switch(Switch),
}

/// Another plugin, or another read model, from the next batch on.
pub(super) struct Switch {
    pub author: Author,
    pub read_model: PathBuf,
    /// Whether the plugin is put back when it does not start or cannot apply its first events.
    pub on_trial: bool,
    /// How long no event was applied, or why the plugin does not start.
    pub reply: oneshot::Sender<Result<Duration, String>>,
}

/// The worker is over, so that it cannot be asked: start another.
#[derive(Debug)]
pub struct IsOver;

/// A projection that runs.
pub struct Worker {
    /// What it shows of itself.
    pub status: watch::Receiver<Status>,
    stop: Arc<AtomicBool>,
    requests: mpsc::Sender<Request>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the projection on a thread of its own.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn spawn(projection: Projection) -> std::io::Result<Worker> {
        let name = projection.author.plugin.manifest.name.clone();
        let digest = projection.author.plugin.digest.to_string();
        let on_trial = projection.fallback.is_some();
        let first = Status { on_trial, ..Status::starting(&name, &digest) };
        let stack = projection.limits.thread_stack_bytes();
        Worker::on_thread(first, stack, |status, stop, inbox| {
            let run = Run::new(projection, status, stop, inbox);
            move || run.supervise()
        })
    }

    /// Runs what `made` answers on a thread of its own.
    fn on_thread<B: FnOnce() + Send + 'static>(
        first: Status,
        stack: usize,
        made: impl FnOnce(watch::Sender<Status>, Arc<AtomicBool>, mpsc::Receiver<Request>) -> B,
    ) -> std::io::Result<Worker> {
        let name = first.name.clone();
        let (sender, status) = watch::channel(first);
        let stop = Arc::new(AtomicBool::new(false));
        let (requests, inbox) = mpsc::channel();
        let body = made(sender.clone(), Arc::clone(&stop), inbox);
        let thread = std::thread::Builder::new()
            .name(name)
            .stack_size(stack)
            .spawn(move || halt_on_panic(&sender, body))?;
        Ok(Worker { status, stop, requests, thread })
    }

    /// Has it come to rest between two batches, with everything committed. It goes on by
    /// [`Worker::release`] or [`Worker::switch`].
    ///
    /// # Errors
    /// When it is over.
    pub async fn hold(&self) -> Result<(), IsOver> {
        let (reply, held) = oneshot::channel();
        self.requests.send(Request::Hold(reply)).map_err(|_| IsOver)?;
        held.await.map_err(|_| IsOver)
    }

    /// Lets it go on after [`Worker::hold`].
    pub fn release(&self) {
        // One that is over needs no permission.
        let _ = self.requests.send(Request::Release);
    }

    /// Has it go on with this plugin, these upcasters and this read model, between two batches. On trial, the plugin is put
    /// back when it does not start or cannot apply its first events. Answers how long no event was applied.
    ///
    /// # Errors
    /// When it is over; inside, why the plugin does not start.
    pub async fn switch(
        &self,
        author: Author,
        read_model: PathBuf,
        on_trial: bool,
    ) -> Result<Result<Duration, String>, IsOver> {
        let (reply, switched) = oneshot::channel();
        let switch = Switch { author, read_model, on_trial, reply };
        self.requests.send(Request::Switch(switch)).map_err(|_| IsOver)?;
        switched.await.map_err(|_| IsOver)
    }

    /// Tells it to commit what it has and stop.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until it has stopped; answers its last status.
    pub fn join(self) -> Status {
        // A panic is in the status.
        let _ = self.thread.join();
        self.status.borrow().clone()
    }
}

/// Runs the projection. A panic ends it as any other fault that somebody has to look at.
fn halt_on_panic(status: &watch::Sender<Status>, body: impl FnOnce()) {
    let Err(panicked) = fault::caught("projection's", body) else { return };
    let error = format!("{panicked}; to go on from there, restart the host");
    tracing::error!(projection = status.borrow().name, "halted: {error}");
    status.send_modify(|status| {
        status.state = State::Halted;
        status.error = Some(error);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    // Nothing looks as healthy as a thread that is gone: its status stays what it was, and `run --once` succeeds.
    #[tokio::test]
    async fn a_projection_whose_thread_panics_is_halted_and_says_so() {
        let worker = Worker::on_thread(Status::starting("t", "d"), 1 << 20, |status, _, inbox| {
            move || {
                status.send_modify(|status| status.state = State::Live);
                // As in a run, requests end with it.
                let _inbox = inbox;
                panic!("slot {} is empty", 7);
            }
        });
        let mut worker = worker.unwrap();
        let last = worker.status.wait_for(Status::is_over).await.unwrap().clone();
        assert_eq!(last.state, State::Halted);
        let error = last.error.clone().unwrap();
        for word in ["panicked: slot 7 is empty", "fault of Lantern", "restart the host"] {
            assert!(error.contains(word), "{error}");
        }
        assert!(worker.hold().await.is_err(), "nobody is there to come to rest");
        assert_eq!(worker.join(), last);
    }
}
