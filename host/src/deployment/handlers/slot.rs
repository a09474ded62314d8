//! One command handler. What is done to it is done one after the other.

use crate::command::{self, Handler, Status};
use crate::deployment::report;
use crate::plugin::Plugin;
use crate::upcast::Upcasters;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One command handler, by its name.
pub(in crate::deployment) struct Slot {
    pub name: String,
    /// Held by whoever changes something, for as long as that takes.
    pub state: tokio::sync::Mutex<State>,
    view: Mutex<View>,
}

/// What runs of a command handler.
#[derive(Default)]
pub(in crate::deployment) struct State {
    /// The plugin that decides; none while it is not known to be needed.
    pub plugin: Option<Arc<Plugin>>,
    /// The upcasters that its events come through.
    pub upcasters: Upcasters,
    /// The tasks that write its status for other processes.
    pub persisting: Vec<JoinHandle<()>>,
}

/// What can be seen without waiting for whoever changes something.
#[derive(Clone)]
pub(in crate::deployment) struct View {
    pub status: watch::Receiver<Status>,
    /// What takes commands; none while it is paused or removed.
    pub handler: Option<Handler>,
    /// The digest that a rollback goes back to.
    pub previous: Option<String>,
}

impl Slot {
    pub fn new(name: &str) -> Self {
        let status = watch::channel(Status::starting(name, "")).1;
        Slot {
            name: name.to_owned(),
            state: tokio::sync::Mutex::default(),
            view: Mutex::new(View { status, handler: None, previous: None }),
        }
    }

    pub fn view(&self) -> View {
        self.lock().clone()
    }

    pub fn change_view(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.lock());
    }

    /// What takes commands, if anything does.
    pub fn handler(&self) -> Option<Handler> {
        self.lock().handler.clone()
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn report(&self) -> report::Handler {
        let View { status, previous, .. } = self.view();
        let status = status.borrow().clone();
        report::Handler { status, previous }
    }

    /// Waits until it takes commands, or never will.
    pub async fn settled(&self) {
        let mut status = self.view().status;
        let is_settled = |now: &Status| now.is_over() || now.state == command::State::Live;
        // A closed channel is a handler that does not run.
        let _ = status.wait_for(is_settled).await;
    }

    /// Stops it, when those commands are answered that it has taken.
    pub async fn stop(&self) {
        let mut state = self.state.lock().await;
        self.end(&mut state).await;
    }

    /// Stops what runs, for who holds the state. Commands are refused from the first moment on.
    pub async fn end(&self, state: &mut State) {
        let handler = self.lock().handler.take();
        if let Some(handler) = handler {
            handler.stop().await;
        }
        for writer in state.persisting.drain(..) {
            // Ends with the handler, after its last status.
            let _ = writer.await;
        }
    }
}
