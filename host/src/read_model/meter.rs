//! What a query may take of the machine while it runs, checked from inside of SQLite.

#![allow(unsafe_code, reason = "SQLite's count of its memory has no safe wrapping")]

use rusqlite::{Connection, Result, ffi};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// SQLite's steps between two looks: few, as each may make a value of the largest size.
const STEPS_PER_LOOK: i32 = 100;

/// Why a query was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stopped {
    /// It ran too long.
    Time = 1,
    /// It took more steps than a first try may.
    Steps = 2,
    /// SQLite's memory grew too much meanwhile.
    Memory = 3,
}

/// Shared with SQLite's progress handler, which runs on the thread of the query.
#[derive(Clone, Debug)]
pub struct Meter(Arc<State>);

#[derive(Debug)]
struct State {
    start: Instant,
    deadline_us: AtomicU64,
    steps_left: AtomicU64,
    memory_max: AtomicI64,
    stopped: AtomicU8,
}

impl Meter {
    /// Installs it on a connection; nothing is bounded before [`Meter::set`].
    pub fn install(connection: &mut Connection) -> Result<Self> {
        let meter = Meter(Arc::new(State {
            start: Instant::now(),
            deadline_us: AtomicU64::new(u64::MAX),
            steps_left: AtomicU64::new(u64::MAX),
            memory_max: AtomicI64::new(i64::MAX),
            stopped: AtomicU8::new(0),
        }));
        let seen = meter.clone();
        connection.progress_handler(STEPS_PER_LOOK, Some(move || seen.look()))?;
        Ok(meter)
    }

    /// What may be taken from now on.
    pub fn set(&self, time_max: Duration, steps_max: u64, memory_bytes_max: u64) {
        let state = &*self.0;
        let deadline = (state.start.elapsed() + time_max).as_micros();
        state.deadline_us.store(u64::try_from(deadline).unwrap_or(u64::MAX), Ordering::Relaxed);
        state.steps_left.store(steps_max, Ordering::Relaxed);
        let memory_max = memory_used().saturating_add_unsigned(memory_bytes_max);
        state.memory_max.store(memory_max, Ordering::Relaxed);
        state.stopped.store(0, Ordering::Relaxed);
    }

    /// Why it was stopped, if it was.
    pub fn stopped(&self) -> Option<Stopped> {
        let all = [Stopped::Time, Stopped::Steps, Stopped::Memory];
        let code = self.0.stopped.load(Ordering::Relaxed);
        all.into_iter().find(|reason| *reason as u8 == code)
    }

    /// Whether to stop.
    fn look(&self) -> bool {
        let state = &*self.0;
        let steps = state.steps_left.load(Ordering::Relaxed);
        let left = steps.checked_sub(STEPS_PER_LOOK.unsigned_abs().into());
        state.steps_left.store(left.unwrap_or(0), Ordering::Relaxed);
        let reason = if left.is_none() {
            Stopped::Steps
        } else if memory_used() > state.memory_max.load(Ordering::Relaxed) {
            Stopped::Memory
        } else if state.start.elapsed().as_micros() >= u128::from(state.deadline_us.load(Ordering::Relaxed)) {
            Stopped::Time
        } else {
            return false;
        };
        state.stopped.store(reason as u8, Ordering::Relaxed);
        true
    }
}

/// Bytes that SQLite holds, for all connections of the process.
fn memory_used() -> i64 {
    // SAFETY: it reads a counter under a lock of SQLite's own, and may be called from anywhere.
    unsafe { ffi::sqlite3_memory_used() }
}
