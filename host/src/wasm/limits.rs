//! What a plugin may use.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The largest stack that the engine can be given.
pub(super) const STACK_BYTES_MAX: u64 = 2 << 20;

/// What one plugin may use. Every limit can be set; the defaults suit a projection of ordinary size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Linear memory of one instance, in bytes, all its memories together. Default: 128 MiB.
    pub memory_bytes_max: u64,
    /// Stack of WebAssembly code, in bytes. The engine takes it once, at its start, for all plugins; a
    /// thread that calls plugins needs [`Limits::thread_stack_bytes`]. At most 2 MiB. Default: 1 MiB.
    pub stack_bytes_max: u64,
    /// Time for one event, in milliseconds, with the statements that it runs. A batch of `n` events may take
    /// `n` times as long, but never longer than `call_ms_max`. Default: 1,000.
    pub event_ms_max: u64,
    /// Time for one call, in milliseconds: of a whole batch, or of a plugin's start. A batch that takes
    /// longer is rolled back and tried in smaller parts, so that a plugin which is slow but not stuck goes on. Default: 5,000.
    pub call_ms_max: u64,
    /// Bytes that a plugin may hand over in one call, as an argument of the host's functions or as a result.
    /// Default: 64 MiB.
    pub output_bytes_max: u64,
    /// Events that a command handler may decide for one command. Default: 1,000.
    pub decided_events_max: u64,
    /// Log messages in one second; later ones are dropped and counted. Default: 200.
    pub log_lines_per_second_max: u32,
    /// Bytes of one log message; the rest is cut off. Default: 8 KiB.
    pub log_message_bytes_max: u64,
    /// Elements of one table of functions. Default: 100,000.
    pub table_elements_max: u64,
    /// Core instances, and likewise memories and tables, that one plugin may consist of. Default: 100.
    pub instances_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 128 << 20,
            stack_bytes_max: 1 << 20,
            event_ms_max: 1_000,
            call_ms_max: 5_000,
            output_bytes_max: 64 << 20,
            decided_events_max: 1_000,
            log_lines_per_second_max: 200,
            log_message_bytes_max: 8 << 10,
            table_elements_max: 100_000,
            instances_max: 100,
        }
    }
}

impl Limits {
    /// The stack that a thread needs for calling plugins: theirs, and 1 MiB for the host's own functions,
    /// which run on top of it.
    pub fn thread_stack_bytes(&self) -> usize {
        bytes(self.stack_bytes_max).saturating_add(1 << 20)
    }

    /// The time that a batch may take.
    pub(super) fn batch_time(&self, event_count: usize) -> Duration {
        let events = u64::try_from(event_count.max(1)).unwrap_or(u64::MAX);
        let batch_ms = self.event_ms_max.saturating_mul(events);
        Duration::from_millis(batch_ms.min(self.call_ms_max.max(self.event_ms_max)))
    }

    /// The time that any other call may take.
    pub(super) fn call_time(&self) -> Duration {
        Duration::from_millis(self.call_ms_max)
    }
}

/// A limit as a size in memory; one that does not fit is no limit.
pub(super) fn bytes(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    // A batch is given the time of its events, so that one event alone is never given less than when it
    // stood in a batch, and a stuck batch is noticed soon.
    #[test]
    fn a_batch_has_the_time_of_its_events_up_to_the_time_of_a_call() {
        let limits = Limits { event_ms_max: 100, call_ms_max: 1_000, ..Limits::default() };
        let check = |events, milliseconds| {
            assert_eq!(limits.batch_time(events), Duration::from_millis(milliseconds), "{events} events");
        };
        check(0, 100);
        check(1, 100);
        check(7, 700);
        check(10, 1_000);
        check(usize::MAX, 1_000);

        let patient = Limits { event_ms_max: 60_000, ..limits };
        assert_eq!(patient.batch_time(2), Duration::from_millis(60_000));
    }
}
