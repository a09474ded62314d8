//! A generation on its way: a thread that applies the log beside the live projection, in the live one's order.

use super::generations;
use super::report::{Rebuild, RebuildState};
use crate::projection::Author;
use crate::projection::replay::{Control, Error, Followed, Progress, Replayer, Setup};
use crate::read_model::{self, Diff, Durability, Snapshot};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// How often one that is ready looks for what the live projection has applied since.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);
/// How long to wait before a sick dependency is tried again.
const BACKOFF: Duration = Duration::from_secs(1);
/// Over how long its speed is averaged.
const SPEED_OVER: Duration = Duration::from_secs(5);
/// While live projections are behind, it works for one part of its time and leaves them as many.
const THROTTLED_REST: u32 = 3;
/// Rows of a table that a preview shows.
const EXAMPLES_MAX: usize = 5;

/// What a rebuild needs.
pub struct Order {
    /// Its generation's number.
    pub generation: u32,
    /// The file of that generation.
    pub path: PathBuf,
    /// The live read model, whose order it follows.
    pub live: PathBuf,
    /// Its plugin, and the upcasters that its events come through.
    pub author: Author,
    /// How the log is replayed by it.
    pub setup: Setup,
    /// Whether live projections are behind, so that it should leave them the machine.
    pub is_pressed: Box<dyn Fn() -> bool + Send>,
    /// Whether what would change is to be found out when it is ready.
    pub preview: bool,
}

enum Request {
    /// Apply the rest and make all of it durable: the live one is at rest.
    Finish(oneshot::Sender<Result<(), String>>),
    /// Compare with the live one.
    Compare(oneshot::Sender<Result<Diff, String>>),
}

/// A rebuild that runs.
pub struct Rebuilder {
    /// How far it is.
    pub status: watch::Receiver<Rebuild>,
    /// Its plugin, and the upcasters that its events come through.
    pub author: Author,
    requests: mpsc::Sender<Request>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Rebuilder {
    /// Starts a rebuild on a thread of its own. It begins when `permit` comes, which it gives back when it has
    /// caught up.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn spawn(
        order: Order,
        permit: oneshot::Receiver<tokio::sync::OwnedSemaphorePermit>,
    ) -> std::io::Result<Self> {
        let author = order.author.clone();
        let (sender, status) = watch::channel(Rebuild {
            generation: order.generation,
            digest: author.plugin.digest.to_string(),
            state: RebuildState::Waiting,
            preview: order.preview,
            done: 0,
            total: 0,
            per_second: 0,
            eta_s: None,
            error: None,
            changes: None,
        });
        let (requests, inbox) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let build = Build { order, status: sender, inbox, stop: Arc::clone(&stop), speed: Speed::default() };
        let stack = build.order.setup.limits.thread_stack_bytes();
        let thread = std::thread::Builder::new()
            .name(format!("{}-rebuild", author.plugin.name))
            .stack_size(stack)
            .spawn(move || {
                // Without a permit the host is going down.
                if let Ok(permit) = permit.blocking_recv() {
                    build.run(permit);
                }
            })?;
        Ok(Rebuilder { status, author, requests, stop, thread: Some(thread) })
    }

    /// Applies what is left, makes all of it durable and closes the file. The live projection must be at rest.
    ///
    /// # Errors
    /// Why it cannot be finished.
    pub async fn finish(&self) -> Result<(), String> {
        self.ask(Request::Finish).await?
    }

    /// What would change if it became the live one now.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub async fn compare(&self) -> Result<Diff, String> {
        self.ask(Request::Compare).await?
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, String> {
        let over = || {
            let error = self.status.borrow().error.clone();
            error.unwrap_or_else(|| "the rebuild is over".into())
        };
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).map_err(|_| over())?;
        answer.await.map_err(|_| over())
    }

    /// Tells it to stop between two batches; it can be resumed.
    pub fn tell_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Stops it and waits for that. Blocks.
    pub fn stop(mut self) {
        self.tell_to_stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a rebuild's thread panicked: this is a fault of Lantern");
        }
    }
}

/// A rebuild, on its thread.
struct Build {
    order: Order,
    status: watch::Sender<Rebuild>,
    inbox: mpsc::Receiver<Request>,
    stop: Arc<AtomicBool>,
    speed: Speed,
}

impl Build {
    fn run(mut self, permit: tokio::sync::OwnedSemaphorePermit) {
        let mut permit = Some(permit);
        loop {
            let ended = self.build(&mut permit);
            match ended {
                Ok(()) => return,
                Err(error) if error.is_transient() => {
                    tracing::warn!("rebuild of {}: trying again: {error}", self.order.author.plugin.name);
                    self.status.send_modify(|status| status.error = Some(error.to_string()));
                    let until = Instant::now() + BACKOFF;
                    while !self.is_stopping() && Instant::now() < until {
                        std::thread::sleep(FOLLOW_EVERY);
                    }
                    if self.is_stopping() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!("rebuild of {} failed: {error}", self.order.author.plugin.name);
                    self.status.send_modify(|status| {
                        status.state = RebuildState::Failed;
                        status.error = Some(error.to_string());
                    });
                    return;
                }
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Builds, then follows the live one until it is finished or stopped.
    fn build(&mut self, permit: &mut Option<tokio::sync::OwnedSemaphorePermit>) -> Result<(), Error> {
        let mut replayer = self.open()?;
        self.show(RebuildState::Building);
        if self.follow(&mut replayer)? == Followed::Stopped {
            return Ok(());
        }
        // Before the live one has to wait for it, since there is much to write out.
        replayer.settle()?;
        if self.follow(&mut replayer)? == Followed::Stopped {
            return Ok(());
        }
        // From here on it does no more work than a live projection.
        drop(permit.take());
        self.show(RebuildState::Ready);
        while !self.is_stopping() {
            match self.inbox.recv_timeout(FOLLOW_EVERY) {
                Ok(Request::Finish(reply)) => {
                    let finished = self.follow(&mut replayer).and_then(|_| replayer.settle());
                    let is_done = finished.is_ok();
                    // Who asked may have gone; then it is resumed at the next start.
                    let _ = reply.send(finished.map_err(|error| error.to_string()));
                    if is_done {
                        return Ok(());
                    }
                }
                Ok(Request::Compare(reply)) => {
                    let compared = self.compare(&mut replayer);
                    if let Ok(diff) = &compared {
                        self.status.send_modify(|status| status.changes = Some(diff.clone()));
                    }
                    let _ = reply.send(compared.map_err(|error| error.to_string()));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.follow(&mut replayer)?;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Opens what is there of it. What was damaged by a crash of the machine is begun anew.
    fn open(&self) -> Result<Replayer, Error> {
        let Order { path, setup, .. } = &self.order;
        match Replayer::open(setup.clone(), path, Durability::Relaxed) {
            Err(Error::ReadModel(read_model::Error::Unsettled { .. }))
                if generations::delete(path).is_ok() =>
            {
                tracing::warn!("the machine went down while {} was built: it is begun anew", path.display());
                Replayer::open(setup.clone(), path, Durability::Relaxed)
            }
            other => other,
        }
    }

    /// Applies all that the live one has applied by now.
    fn follow(&mut self, replayer: &mut Replayer) -> Result<Followed, Error> {
        let live = self.order.live.clone();
        self.controlled(|control| replayer.follow(&live, control))
    }

    /// Runs a part of the replay, shows how far it is, and rests where live projections should go first.
    fn controlled(
        &mut self,
        run: impl FnOnce(Control<'_>) -> Result<Followed, Error>,
    ) -> Result<Followed, Error> {
        let Build { order, status, stop, speed, .. } = self;
        let mut since = Instant::now();
        run(&mut |progress| {
            if stop.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            let per_second = speed.after(&progress);
            let pressed = (order.is_pressed)();
            status.send_modify(|status| {
                status.error = None;
                status.done = progress.done;
                status.total = progress.total;
                status.per_second = per_second;
                status.eta_s = progress.total.saturating_sub(progress.done).checked_div(per_second);
                if status.state != RebuildState::Ready {
                    status.state = if pressed { RebuildState::Throttled } else { RebuildState::Building };
                }
            });
            if pressed {
                rest(since.elapsed() * THROTTLED_REST, stop);
            }
            since = Instant::now();
            ControlFlow::Continue(())
        })
    }

    /// What differs between the live one and this, at the same position.
    fn compare(&mut self, replayer: &mut Replayer) -> Result<Diff, Error> {
        self.follow(replayer)?;
        let live = Snapshot::of(&self.order.live)?;
        self.controlled(|control| replayer.follow_to(&live, control))?;
        let own = Snapshot::of(&self.order.path)?;
        Ok(read_model::diff(&live, &own, EXAMPLES_MAX)?)
    }

    fn show(&self, state: RebuildState) {
        self.status.send_modify(|status| {
            status.state = state;
            status.error = None;
            if state == RebuildState::Ready {
                status.done = status.total;
                status.eta_s = None;
            }
        });
    }
}

/// Sleeps, but not on when it shall stop.
fn rest(time: Duration, stop: &AtomicBool) {
    let until = Instant::now() + time;
    while !stop.load(Ordering::Relaxed) && Instant::now() < until {
        std::thread::sleep(FOLLOW_EVERY.min(until.saturating_duration_since(Instant::now())));
    }
}

/// How fast it goes, over its last seconds.
#[derive(Default)]
struct Speed {
    samples: VecDeque<(Instant, u64)>,
}

impl Speed {
    fn after(&mut self, progress: &Progress) -> u64 {
        let now = Instant::now();
        self.samples.push_back((now, progress.done));
        while self.samples.front().is_some_and(|(at, _)| now.duration_since(*at) > SPEED_OVER) {
            self.samples.pop_front();
        }
        let Some((since, before)) = self.samples.front() else { return 0 };
        let seconds = now.duration_since(*since).as_secs_f64();
        if seconds > 0.0 { (progress.done.saturating_sub(*before) as f64 / seconds) as u64 } else { 0 }
    }
}
