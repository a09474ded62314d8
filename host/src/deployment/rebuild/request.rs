//! What a rebuild is asked for while it runs.

use crate::projection::replay::Error;
use crate::read_model::Diff;
use tokio::sync::oneshot;

/// What who asked is told when it stops in the middle.
const STOPPED: &str = "the rebuild was stopped before that was done";

pub enum Request {
    /// Apply the rest and make all of it durable: the live one is at rest. After that nothing is written, since this
    /// generation may be the live one.
    Finish(oneshot::Sender<Result<(), String>>),
    /// It did not go live after all, for this reason: follow the live one again.
    GoOn(String),
    /// Compare with the live one.
    Compare(oneshot::Sender<Result<Diff, String>>),
}

impl Request {
    /// Answers that it cannot be done now, for this reason.
    pub fn refuse(self, reason: &str) {
        // Who asked may have gone.
        match self {
            Request::Finish(reply) => drop(reply.send(Err(reason.to_owned()))),
            Request::Compare(reply) => drop(reply.send(Err(reason.to_owned()))),
            Request::GoOn(_) => {}
        }
    }
}

/// What who asked is told.
pub fn answer<T: Clone>(done: &Result<Option<T>, Error>) -> Result<T, String> {
    match done {
        Ok(Some(done)) => Ok(done.clone()),
        Ok(None) => Err(STOPPED.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
