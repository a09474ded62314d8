//! How fast a rebuild goes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Over how long the speed is averaged.
const OVER: Duration = Duration::from_secs(5);

/// How fast it goes, over its last seconds.
#[derive(Default)]
pub struct Speed {
    samples: VecDeque<(Instant, u64)>,
}

impl Speed {
    /// Offsets a second, when so many are behind it now.
    pub fn after(&mut self, now: Instant, done: u64) -> u64 {
        self.samples.push_back((now, done));
        // One that is older stays: batches may come less often than this, and their speed is a speed too.
        while self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) > OVER) {
            self.samples.pop_front();
        }
        let Some((since, before)) = self.samples.front() else { return 0 };
        let seconds = now.duration_since(*since).as_secs_f64();
        if seconds > 0.0 { (done.saturating_sub(*before) as f64 / seconds) as u64 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Somebody who waits for a rebuild wants to know how long, and most of all when it is slow.
    #[test]
    fn the_speed_of_a_slow_rebuild_is_known_and_that_of_long_ago_is_forgotten() {
        let start = Instant::now();
        let check = |samples: &[(u64, u64)], expected: u64| {
            let mut speed = Speed::default();
            let last = samples
                .iter()
                .map(|(second, done)| speed.after(start + Duration::from_secs(*second), *done))
                .last();
            assert_eq!(last, Some(expected), "{samples:?}");
        };
        check(&[(0, 0)], 0);
        check(&[(0, 0), (1, 700)], 700);
        check(&[(0, 0), (8, 800)], 100);
        check(&[(0, 0), (8, 800), (16, 800 + 1_600)], 200);
        // A fast beginning says nothing of the end.
        check(&[(0, 0), (1, 1_000_000), (2, 1_000_100), (7, 1_000_600), (8, 1_000_700)], 100);
    }
}
