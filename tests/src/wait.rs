//! Waiting for an event that another process brings about and does not announce: it is asked for
//! again and again, up to a deadline.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything may take that a test waits for: far beyond what it takes, since other tests and compilers may run beside it.
pub const WAIT_MS_MAX: u64 = 180_000;

/// Time between two questions: short beside what is waited for, long beside a question.
pub const POLL_MS: u64 = 3;

/// The same where a question is dear, such as one that starts a process.
pub const DEAR_POLL_MS: u64 = 50;

/// Asks until there is an answer.
///
/// # Errors
///
/// The question's own, or that there was no answer within [`WAIT_MS_MAX`].
pub fn until<T>(what: &str, ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    until_every(POLL_MS, what, ask)
}

/// The same, with so much time between two questions.
///
/// # Errors
///
/// The question's own, or that there was no answer within [`WAIT_MS_MAX`].
pub fn until_every<T>(poll_ms: u64, what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + Duration::from_millis(WAIT_MS_MAX);
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("waited {WAIT_MS_MAX} ms in vain: {what}");
        }
        thread::sleep(Duration::from_millis(poll_ms));
    }
}
