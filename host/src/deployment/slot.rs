//! One plugin: its projection, and what is built beside it. What is done to it is done one after the other.

use super::generations::Generations;
use super::rebuild::Rebuilder;
use super::report::{self, Previous, Rebuild, RebuildState};
use super::senders::Sending;
use crate::projection::{Author, Progress, Status, Worker};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One plugin, by its name.
pub(super) struct Slot {
    pub name: String,
    /// Held by whoever changes something, for as long as that takes.
    pub state: tokio::sync::Mutex<State>,
    /// How far the live generation is, whichever projection writes it.
    pub progress: Progress,
    generations: Generations,
    view: Mutex<View>,
}

/// What runs of a plugin.
pub(super) struct State {
    pub generations: Generations,
    /// Who writes the live generation; none before the first is deployed.
    pub author: Option<Author>,
    /// Its projection; none while it is paused or removed.
    pub worker: Option<Worker>,
    /// Sends what it wants sent.
    pub sending: Option<Sending>,
    /// What is built beside it.
    pub rebuild: Option<Building>,
    /// The tasks that write its status for other processes.
    pub persisting: Vec<JoinHandle<()>>,
    /// The task that writes the rebuild's.
    pub persisting_rebuild: Option<JoinHandle<()>>,
}

/// A rebuild and the task that promotes it.
pub(super) struct Building {
    pub rebuilder: Rebuilder,
    pub generation: u32,
    pub preview: bool,
    /// Gives the rebuild its turn; dropped, it never begins.
    pub promoter: JoinHandle<()>,
}

/// What can be seen without waiting for whoever changes something.
#[derive(Clone)]
pub(super) struct View {
    pub status: watch::Receiver<Status>,
    pub previous: Option<Previous>,
    pub rebuild: Option<watch::Receiver<Rebuild>>,
}

impl Slot {
    pub fn new(name: &str, generations: Generations) -> Self {
        let state = State {
            generations: generations.clone(),
            author: None,
            worker: None,
            sending: None,
            rebuild: None,
            persisting: Vec::new(),
            persisting_rebuild: None,
        };
        Slot {
            name: name.to_owned(),
            state: tokio::sync::Mutex::new(state),
            progress: Progress::default(),
            generations,
            view: Mutex::new(View {
                status: watch::channel(Status::starting(name, "")).1,
                previous: None,
                rebuild: None,
            }),
        }
    }

    pub fn view(&self) -> View {
        self.lock().clone()
    }

    /// The live generation, as the link says that everybody follows; 0 for none.
    pub fn generation(&self) -> u32 {
        self.generations.live().unwrap_or(0)
    }

    pub fn change_view(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn report(&self) -> report::Plugin {
        let View { status, previous, rebuild } = self.view();
        let generation = self.generation();
        let status = status.borrow().clone();
        let rebuild = rebuild.map(|rebuild| rebuild.borrow().clone());
        report::Plugin { status, generation, previous, rebuild }
    }

    /// Waits until its projection is over and no rebuild is on its way to be promoted.
    pub async fn over(&self) {
        loop {
            let View { mut status, rebuild, .. } = self.view();
            // A closed channel is a projection that does not run.
            let _ = status.wait_for(Status::is_over).await;
            let Some(mut rebuild) = rebuild else { return };
            let waits = |rebuild: &Rebuild| match rebuild.state {
                RebuildState::Failed => true,
                // With an error it goes live when what is wrong is mended, which may be never.
                RebuildState::Ready => rebuild.preview || rebuild.error.is_some(),
                _ => false,
            };
            if rebuild.wait_for(waits).await.is_ok() {
                return;
            }
            // It was finished: whoever promotes it holds the state until the projection goes on.
            drop(self.state.lock().await);
        }
    }

    /// Tells the projection to commit what it has and stop, without waiting for it.
    pub async fn tell_to_stop(&self) {
        let state = self.state.lock().await;
        if let Some(worker) = &state.worker {
            worker.stop();
        }
        if let Some(building) = &state.rebuild {
            building.promoter.abort();
            building.rebuilder.tell_to_stop();
        }
    }

    /// Waits until everything of it has stopped; answers the projection's last status, if it ran.
    pub async fn stop(&self) -> Option<Status> {
        let mut state = self.state.lock().await;
        state.sending = None;
        let (worker, building) = (state.worker.take(), state.rebuild.take());
        let stopped = tokio::task::spawn_blocking(move || {
            if let Some(building) = building {
                building.rebuilder.stop();
            }
            worker.map(Worker::join)
        });
        let last = stopped.await.ok().flatten();
        for writer in state.persisting.drain(..) {
            // Ends with the projection, after its last status.
            let _ = writer.await;
        }
        if let Some(writer) = state.persisting_rebuild.take() {
            writer.abort();
        }
        last
    }
}
