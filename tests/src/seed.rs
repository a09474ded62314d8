//! Where a test's randomness comes from, so that a failure can be repeated.

use std::env;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::report::say;

/// A generator seeded by `LANTERN_TESTS_SEED`, or anew for each run; the seed is printed, and so shown
/// when the test fails. Threads and processes still run as they like: a seed repeats the decisions
/// of a test, not the moments they meet.
#[must_use]
pub fn seeded() -> (u64, StdRng) {
    let given = env::var("LANTERN_TESTS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random::<u32>).into();
    say(&format!("LANTERN_TESTS_SEED={seed}"));
    (seed, StdRng::seed_from_u64(seed))
}
