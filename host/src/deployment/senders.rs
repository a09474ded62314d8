//! Process managers and the handlers that their commands are for.

use super::Deployments;
use super::slot::{Slot, State};
use crate::command::dispatch::{Dispatcher, Reply, Send};
use crate::command::{Command, Error};
use crate::projection::Status;
use crate::read_model::outbox::Message;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The task that sends what a projection wants sent; dropped, it ends.
pub(super) struct Sending(JoinHandle<()>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Deployments {
    /// Sends what the projection wants sent, as long as it is not paused or removed.
    pub(super) fn send_for(&self, slot: &Slot, state: &mut State, status: watch::Receiver<Status>) {
        let this = self.clone();
        let send: Send = Arc::new(move |message, key| {
            let this = this.clone();
            Box::pin(async move { this.send(message, key).await })
        });
        let read_model = self.inner.data.read_model(&slot.name);
        let dispatcher = Dispatcher { plugin: slot.name.clone(), read_model, status, send };
        state.sending = Some(Sending(tokio::spawn(dispatcher.run())));
    }

    /// Gives a command to its handler.
    async fn send(&self, message: Message, key: String) -> Reply {
        let Message { aggregate, id, command: name, payload, correlation, causation, .. } = message;
        let handler = match self.handler(&aggregate) {
            Ok(handler) => handler,
            // It may be deployed, resumed or mended: until then the command waits.
            Err(error) => return Reply::NotYet(error.to_string()),
        };
        let command = Command { id, name, payload, key: Some(key), expected: None, correlation, causation };
        match handler.submit(command).await {
            Ok(_) => Reply::Decided,
            Err(error @ (Error::BadCommand { .. } | Error::KeyReused | Error::WrongVersion { .. })) => {
                Reply::Refused(error.to_string())
            }
            Err(error) => Reply::NotYet(error.to_string()),
        }
    }
}
