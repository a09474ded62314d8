//! A generation on its way: a thread that applies the log beside the live projection, in the live one's order.

mod request;
mod speed;

use super::generations;
use super::report::{Rebuild, RebuildState};
use crate::fault;
use crate::projection::Author;
use crate::projection::replay::{Control, Error, Followed, Replayer, Setup};
use crate::read_model::{self, Diff, Durability, Snapshot};
use request::{Request, answer};
use speed::Speed;
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
    /// Topics that its plugin reads and the live one does not.
    pub beyond: Vec<String>,
    /// Its plugin, and the upcasters that its events come through.
    pub author: Author,
    /// How the log is replayed by it.
    pub setup: Setup,
    /// Whether live projections are behind, so that it should leave them the machine.
    pub is_pressed: Box<dyn Fn() -> bool + Send>,
    /// Whether what would change is to be found out when it is ready.
    pub preview: bool,
}

/// A rebuild that runs.
pub struct Rebuilder {
    /// How far it is.
    pub status: watch::Receiver<Rebuild>,
    /// Its plugin, and the upcasters that its events come through.
    pub author: Author,
    requests: mpsc::Sender<Request>,
    stop: Arc<AtomicBool>,
    /// Whether a comparison that is going on is to be given up.
    hurry: Arc<AtomicBool>,
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
        let hurry = Arc::new(AtomicBool::new(false));
        let (own_stop, own_hurry) = (Arc::clone(&stop), Arc::clone(&hurry));
        let speed = Speed::default();
        let build = Build { order, status: sender, inbox, stop: own_stop, hurry: own_hurry, speed };
        let stack = build.order.setup.limits.thread_stack_bytes();
        let name = author.plugin.name.clone();
        let thread = std::thread::Builder::new().name(format!("{name}-rebuild")).stack_size(stack).spawn(
            move || {
                let shown = build.status.clone();
                // Without a permit the host is going down.
                let Ok(permit) = permit.blocking_recv() else { return };
                if let Err(panicked) = fault::caught("rebuild's", || build.run(permit)) {
                    fail(
                        &shown,
                        &name,
                        format!("{panicked}; have it built again by `lantern rebuild {name}`"),
                    );
                }
            },
        )?;
        Ok(Rebuilder { status, author, requests, stop, hurry, thread: Some(thread) })
    }

    /// Applies what is left, makes all of it durable and closes the file. The live projection must be at rest. When the
    /// generation does not go live after that, say so by [`Rebuilder::go_on`].
    ///
    /// # Errors
    /// Why it cannot be finished.
    pub async fn finish(&self) -> Result<(), String> {
        // The live projection waits, and nobody needs to know any more what would change.
        self.hurry.store(true, Ordering::Relaxed);
        let finished = self.ask(Request::Finish);
        // Looked at after it was asked: one that begins again refuses what it was asked before.
        if self.status.borrow().state != RebuildState::Ready {
            return Err(why_over(&self.status));
        }
        finished.await
    }

    /// After it was finished: it did not go live, for this reason.
    pub fn go_on(&self, reason: &str) {
        // One that is over has a reason of its own.
        let _ = self.requests.send(Request::GoOn(reason.to_owned()));
    }

    /// What would change if it became the live one now. Nothing of the rebuild is held meanwhile.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn compare(&self) -> impl Future<Output = Result<Diff, String>> + use<> {
        self.ask(Request::Compare)
    }

    fn ask<T, R>(&self, request: R) -> impl Future<Output = Result<T, String>> + use<T, R>
    where
        R: FnOnce(oneshot::Sender<Result<T, String>>) -> Request,
    {
        let (reply, answer) = oneshot::channel();
        let is_sent = self.requests.send(request(reply)).is_ok();
        let status = self.status.clone();
        async move {
            match answer.await {
                Ok(answer) if is_sent => answer,
                _ => Err(why_over(&status)),
            }
        }
    }

    /// Tells it to stop between two batches; it can be resumed.
    pub fn tell_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Stops it and waits for that. Blocks.
    pub fn stop(mut self) {
        self.tell_to_stop();
        if let Some(thread) = self.thread.take() {
            // A panic is in the status.
            let _ = thread.join();
        }
    }
}

fn fail(status: &watch::Sender<Rebuild>, name: &str, error: String) {
    tracing::error!("rebuild of {name} failed: {error}");
    status.send_modify(|status| {
        status.state = RebuildState::Failed;
        status.error = Some(error);
    });
}

fn why_over(status: &watch::Receiver<Rebuild>) -> String {
    status.borrow().error.clone().unwrap_or_else(|| "the rebuild is not at its end, or is over".into())
}

/// A rebuild, on its thread.
struct Build {
    order: Order,
    status: watch::Sender<Rebuild>,
    inbox: mpsc::Receiver<Request>,
    stop: Arc<AtomicBool>,
    hurry: Arc<AtomicBool>,
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
                    self.status.send_modify(|status| {
                        status.state = RebuildState::Building;
                        status.error = Some(error.to_string());
                    });
                    // The live projection may be held for who asked.
                    self.inbox.try_iter().for_each(|request| request.refuse(&error.to_string()));
                    self.hurry.store(false, Ordering::Relaxed);
                    let until = Instant::now() + BACKOFF;
                    while !self.is_stopping() && Instant::now() < until {
                        std::thread::sleep(FOLLOW_EVERY);
                    }
                    if self.is_stopping() {
                        return;
                    }
                }
                Err(error) => {
                    return fail(&self.status, &self.order.author.plugin.name, error.to_string());
                }
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Builds, then follows the live one until it is stopped.
    fn build(&mut self, permit: &mut Option<tokio::sync::OwnedSemaphorePermit>) -> Result<(), Error> {
        let mut replayer = self.open()?;
        self.show(RebuildState::Building);
        if self.follow(&mut replayer)? == Followed::Stopped
            || self.follow_beyond(&mut replayer)? == Followed::Stopped
        {
            return Ok(());
        }
        // Before the live one has to wait for it, since there is much to write out.
        replayer.settle()?;
        if self.follow(&mut replayer)? == Followed::Stopped {
            return Ok(());
        }
        self.show(RebuildState::Ready);
        // From here on it does no more work than a live projection.
        drop(permit.take());
        self.serve(&mut replayer)
    }

    /// Follows the live one, and does what is asked for. Finished, it writes nothing: it may be the live one by then.
    fn serve(&mut self, replayer: &mut Replayer) -> Result<(), Error> {
        let mut is_finished = false;
        while !self.is_stopping() {
            match self.inbox.recv_timeout(FOLLOW_EVERY) {
                Ok(Request::Finish(reply)) => {
                    self.hurry.store(false, Ordering::Relaxed);
                    let finished = self.finish(replayer);
                    // Who asked may have gone; then it does not go live.
                    is_finished = reply.send(answer(&finished)).is_ok() && matches!(finished, Ok(Some(())));
                    finished?;
                }
                Ok(Request::GoOn(reason)) => {
                    is_finished = false;
                    self.status.send_modify(|status| status.error = Some(reason));
                }
                Ok(Request::Compare(reply)) => {
                    let compared = self.compare(replayer);
                    self.status.send_modify(|status| match &compared {
                        Ok(Some(diff)) => {
                            status.error = None;
                            status.changes = Some(diff.clone());
                        }
                        Ok(None) => {}
                        Err(error) => status.error = Some(error.to_string()),
                    });
                    let _ = reply.send(answer(&compared));
                    compared?;
                }
                Err(mpsc::RecvTimeoutError::Timeout) if is_finished => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if replayer.has_more(&self.order.live)? {
                        self.follow(replayer)?;
                    }
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

    /// Applies what the live one does not read, up to where the log ends by now.
    fn follow_beyond(&mut self, replayer: &mut Replayer) -> Result<Followed, Error> {
        let (live, topics) = (self.order.live.clone(), self.order.beyond.clone());
        self.controlled(|control| replayer.follow_beyond(&live, &topics, control))
    }

    /// Applies the rest and makes all of it durable, while the live one is held. `None` when it was told to stop.
    fn finish(&mut self, replayer: &mut Replayer) -> Result<Option<()>, Error> {
        let live = self.order.live.clone();
        if self.controlled(|control| replayer.follow(&live, control))? == Followed::Stopped {
            return Ok(None);
        }
        replayer.settle().map(Some)
    }

    /// Runs a part of the replay, shows how far it is, and rests where live projections should go first; one that is ready
    /// has little to do, and may be waited for.
    fn controlled(
        &mut self,
        run: impl FnOnce(Control<'_>) -> Result<Followed, Error>,
    ) -> Result<Followed, Error> {
        let Build { order, status, stop, speed, .. } = self;
        let is_ready = status.borrow().state == RebuildState::Ready;
        let mut since = Instant::now();
        run(&mut |progress| {
            if stop.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            let per_second = speed.after(Instant::now(), progress.done);
            let pressed = !is_ready && (order.is_pressed)();
            status.send_modify(|status| {
                status.done = progress.done;
                status.total = progress.total;
                status.per_second = per_second;
                status.eta_s = progress.total.saturating_sub(progress.done).checked_div(per_second);
                // One that is ready says why it is not live.
                if !is_ready {
                    status.error = None;
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

    /// What differs between the live one and this, at the same position. `None` when it was told to stop or to finish.
    fn compare(&mut self, replayer: &mut Replayer) -> Result<Option<Diff>, Error> {
        if self.follow(replayer)? == Followed::Stopped {
            return Ok(None);
        }
        let mut live = Snapshot::of(&self.order.live)?;
        if self.controlled(|control| replayer.follow_to(&live, control))? == Followed::Stopped {
            return Ok(None);
        }
        let mut own = Snapshot::of(&self.order.path)?;
        for snapshot in [&mut live, &mut own] {
            let (stop, hurry) = (Arc::clone(&self.stop), Arc::clone(&self.hurry));
            let is_enough = move || stop.load(Ordering::Relaxed) || hurry.load(Ordering::Relaxed);
            snapshot.give_up_when(is_enough)?;
        }
        match read_model::diff(&live, &own, EXAMPLES_MAX) {
            Err(_) if self.is_stopping() || self.hurry.load(Ordering::Relaxed) => Ok(None),
            compared => Ok(Some(compared?)),
        }
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
