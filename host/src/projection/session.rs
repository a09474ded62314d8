//! The read model as the plugin sees it while it applies a batch.

use super::applier::Error;
use super::writer::Job;
use crate::read_model::{self, Refusal};
use crate::wasm::{Failure, Fault, Imports, Level};
use std::collections::HashMap;
use std::sync::mpsc::{SyncSender, channel};
use std::time::Instant;

/// What one instance may ask of its host. Borrows the read model from the writer's thread at the first
/// question that needs it, and holds it until the batch ends.
pub struct Session {
    plugin: String,
    jobs: SyncSender<Job>,
    held: Option<Box<read_model::Writer>>,
    /// Statements that were checked before: their ids need no read model.
    statements: HashMap<String, u32>,
    deadline: Instant,
    /// What is nobody's fault who could be told: the disk, a lock, damage.
    storage: Option<Error>,
    /// Whether it was not answered, as an earlier batch had failed.
    is_behind: bool,
}

impl Session {
    pub fn new(plugin: &str, jobs: SyncSender<Job>) -> Self {
        Session {
            plugin: plugin.into(),
            jobs,
            held: None,
            statements: HashMap::new(),
            deadline: Instant::now(),
            storage: None,
            is_behind: false,
        }
    }

    /// Borrows the read model and begins the batch's transaction.
    ///
    /// # Errors
    /// When an earlier batch failed, or the database cannot be written.
    pub fn borrow(&mut self) -> Result<&mut read_model::Writer, Failure> {
        if self.held.is_none() {
            let (reply, lent) = channel();
            let asked = self.jobs.send(Job::Lend(reply)).ok().and_then(|()| lent.recv().ok()).flatten();
            let Some(mut writer) = asked else {
                self.is_behind = true;
                return Err(other("an earlier batch was not written; this one is tried again after it"));
            };
            let begun = writer.begin();
            // Held also when it failed: it has to go back.
            self.held = Some(Box::new(writer));
            if let Err(error) = begun {
                let failure = other(&error.to_string());
                self.storage = Some(Error::ReadModel(error));
                return Err(failure);
            }
        }
        match &mut self.held {
            Some(writer) => {
                writer.set_deadline(Some(self.deadline));
                Ok(writer)
            }
            None => Err(other("the read model is not here")),
        }
    }

    /// The read model, if this batch has borrowed it.
    pub fn held(&mut self) -> Option<&mut read_model::Writer> {
        self.held.as_deref_mut()
    }

    /// Ends the batch: what is not committed is rolled back, and the read model goes back to its thread.
    pub fn release(&mut self) {
        if let Some(mut writer) = self.held.take() {
            writer.rollback();
            // The thread ends only after this session's sender is gone.
            let _ = self.jobs.send(Job::Return(writer));
        }
    }

    /// What went wrong in this batch by disk, lock or damage, asked once.
    pub fn take_storage_error(&mut self) -> Option<Error> {
        self.storage.take()
    }

    /// Whether a question of this batch was not answered, as an earlier batch had failed; asked once.
    pub fn take_behind(&mut self) -> bool {
        std::mem::take(&mut self.is_behind)
    }

    fn refuse(&mut self, refusal: Refusal) -> Failure {
        if refusal.is_of_storage() {
            self.storage = Some(Error::ReadModel(read_model::Error::Statement(refusal.clone())));
        }
        let fault = match refusal.fault {
            read_model::Fault::Sql => Fault::Sql,
            read_model::Fault::Conflict => Fault::Conflict,
            read_model::Fault::Frame | read_model::Fault::Storage | read_model::Fault::Damage => Fault::Other,
        };
        Failure { fault, message: refusal.message, index: refusal.event }
    }
}

fn other(message: &str) -> Failure {
    Failure { fault: Fault::Other, message: message.into(), index: None }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.release();
    }
}

impl Imports for Session {
    fn deadline(&mut self, at: Instant) {
        self.deadline = at;
    }

    fn log(&mut self, level: Level, message: &str) {
        level.write(&self.plugin, message);
    }

    fn prepare(&mut self, sql: &str) -> Result<u32, Failure> {
        if let Some(&id) = self.statements.get(sql) {
            return Ok(id);
        }
        let prepared = self.borrow()?.prepare(sql);
        let id = prepared.map_err(|refusal| self.refuse(refusal))?;
        self.statements.insert(sql.into(), id);
        Ok(id)
    }

    fn apply(&mut self, ops: &[u8]) -> Result<u32, Failure> {
        let applied = self.borrow()?.apply(ops);
        applied.map_err(|refusal| self.refuse(refusal))
    }

    fn query(&mut self, statement: u32, params: &[u8], rows_max: u32) -> Result<Vec<u8>, Failure> {
        let answered = self.borrow()?.query(statement, params, rows_max);
        answered.map_err(|refusal| self.refuse(refusal))
    }
}
