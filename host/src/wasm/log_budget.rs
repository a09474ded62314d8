//! How many messages a plugin may log.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// Counts log messages in windows of one second.
#[derive(Debug)]
pub(super) struct LogBudget {
    lines_max: u32,
    window_start: Option<Instant>,
    lines: u32,
    dropped: u64,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is logged.
    Logged,
    /// It is logged, and that so many were dropped before it is to be said first.
    LoggedAfter {
        /// How many were dropped.
        dropped: u64,
    },
    /// It is dropped and counted.
    Dropped,
}

impl LogBudget {
    pub(super) fn new(lines_per_second_max: u32) -> Self {
        Self { lines_max: lines_per_second_max, window_start: None, lines: 0, dropped: 0 }
    }

    /// Decides about a message that comes at `now`.
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        self.roll(now);
        if self.lines >= self.lines_max {
            self.dropped += 1;
            return Admission::Dropped;
        }
        self.lines += 1;
        match std::mem::take(&mut self.dropped) {
            0 => Admission::Logged,
            dropped => Admission::LoggedAfter { dropped },
        }
    }

    /// How many messages were dropped, once their window is over. Asked between calls, so that a flood
    /// which was a plugin's last word is still told of.
    pub(super) fn take_dropped(&mut self, now: Instant) -> Option<u64> {
        self.roll(now);
        if self.lines > 0 || self.dropped == 0 {
            return None;
        }
        Some(std::mem::take(&mut self.dropped))
    }

    fn roll(&mut self, now: Instant) {
        let over = self.window_start.is_none_or(|start| now.saturating_duration_since(start) >= WINDOW);
        if over {
            self.window_start = Some(now);
            self.lines = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A plugin that floods its log must cost neither the disk nor the messages of calmer times, and what
    // was dropped is counted, since nothing is swallowed.
    #[test]
    fn a_flood_is_cut_to_the_rate_and_counted() {
        let start = Instant::now();
        let mut budget = LogBudget::new(2);
        assert_eq!(budget.admit(start), Admission::Logged);
        assert_eq!(budget.admit(start), Admission::Logged);
        for _ in 0..5 {
            assert_eq!(budget.admit(start + Duration::from_millis(999)), Admission::Dropped);
        }
        assert_eq!(budget.admit(start + WINDOW), Admission::LoggedAfter { dropped: 5 });
        assert_eq!(budget.admit(start + WINDOW), Admission::Logged);
        assert_eq!(budget.admit(start + WINDOW), Admission::Dropped);
        assert_eq!(budget.take_dropped(start + WINDOW), None);
        assert_eq!(budget.take_dropped(start + 2 * WINDOW), Some(1));
        assert_eq!(budget.take_dropped(start + 3 * WINDOW), None);
    }
}
