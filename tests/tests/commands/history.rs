//! Whether a history of one aggregate could be that of a single thread: what was done concurrently has an order that agrees
//! with what everybody saw and when.
//!
//! Every accepted command has a version of its own, and everything else has seen one, so there is only one order that can
//! be right: by version. What is left to check is time: what had ended before something began is not behind it.
//!
//! What got no answer may have happened: the log tells whether, and its version. It has a beginning and no end.

use std::time::Instant;

use anyhow::{Result, ensure};

/// Something that was asked, from when it was sent until it was answered, if it ever was.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    pub from: Instant,
    pub to: Option<Instant>,
    pub seen: Seen,
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It made this version, of one that it expected if it did.
    Made { version: u64, expected: Option<u64> },
    /// It found this version, and these cents if it looked.
    Found { version: u64, cents: Option<i64> },
}

impl Seen {
    pub fn version(self) -> u64 {
        match self {
            Seen::Made { version, .. } | Seen::Found { version, .. } => version,
        }
    }
}

/// Checks a history; `cents` is what the account holds after each version, from 0 on.
pub fn check(operations: &[Operation], cents: &[i64]) -> Result<()> {
    let mut made = vec![false; cents.len()];
    for operation in operations {
        match operation.seen {
            Seen::Made { version, expected } => {
                let free = made.get_mut(usize::try_from(version)?);
                ensure!(
                    free.is_some_and(|made| !std::mem::replace(made, true)),
                    "{operation:?}: twice, or not in the log"
                );
                ensure!(
                    expected.is_none_or(|expected| expected + 1 == version),
                    "{operation:?}: not what it expected"
                );
            }
            Seen::Found { version, cents: found } => {
                let there = cents.get(usize::try_from(version)?);
                ensure!(there.is_some(), "{operation:?}: there is no such version");
                ensure!(
                    found.is_none_or(|found| there == Some(&found)),
                    "{operation:?}: the log has {there:?}"
                );
            }
        }
    }
    // In the order of their ends, the highest version that had been seen by then.
    let mut ended: Vec<(Instant, u64)> =
        operations.iter().filter_map(|it| Some((it.to?, it.seen.version()))).collect();
    ended.sort_unstable();
    let mut highest = 0;
    for (_, version) in &mut ended {
        highest = highest.max(*version);
        *version = highest;
    }
    for operation in operations {
        let before = ended.partition_point(|(to, _)| *to < operation.from);
        let Some((_, seen)) = before.checked_sub(1).and_then(|last| ended.get(last)) else { continue };
        let is_behind = match operation.seen {
            Seen::Made { version, .. } => version > *seen,
            Seen::Found { version, .. } => version >= *seen,
        };
        ensure!(is_behind, "{operation:?} began when version {seen} had been seen");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CENTS: [i64; 4] = [0, 5, 3, 9];

    /// What ends at the time of [`NEVER`] does not end.
    const NEVER: u64 = 1_000;

    fn at(start: Instant, from: u64, to: u64, seen: Seen) -> Operation {
        let at = |ms| start + Duration::from_millis(ms);
        Operation { from: at(from), to: (to != NEVER).then(|| at(to)), seen }
    }

    // A checker that finds nothing would pass every history.
    #[test]
    fn what_no_single_thread_could_have_done_is_found() {
        let start = Instant::now();
        let made = |version| Seen::Made { version, expected: Some(version - 1) };
        let found = |version| Seen::Found { version, cents: Some(CENTS[version as usize]) };
        let passes = |operations: &[(u64, u64, Seen)], is_right: bool| {
            let operations: Vec<_> =
                operations.iter().map(|(from, to, seen)| at(start, *from, *to, *seen)).collect();
            assert_eq!(check(&operations, &CENTS).is_ok(), is_right, "{operations:?}");
        };
        passes(
            &[(0, 9, made(1)), (1, 8, made(2)), (2, 3, found(0)), (2, 4, found(2)), (10, 11, found(2))],
            true,
        );
        // Nobody was told of version 1, so it may come whenever; a version that was seen before it was asked for did not.
        passes(&[(0, NEVER, made(1)), (1, 2, found(0)), (3, 4, found(0)), (5, 6, found(1))], true);
        passes(&[(0, 1, found(1)), (2, NEVER, made(1))], false);
        passes(&[(0, 9, made(1)), (1, NEVER, made(1))], false);
        // A read that is behind what had been answered, and one behind another read.
        passes(&[(0, 1, made(1)), (2, 3, found(0))], false);
        passes(&[(0, 9, made(1)), (1, 2, found(1)), (3, 4, found(0))], false);
        // A write behind one that had ended, one that was lost, and one of another version than it expected.
        passes(&[(0, 1, made(2)), (2, 3, made(1))], false);
        passes(&[(0, 1, made(4))], false);
        passes(&[(0, 1, made(1)), (0, 1, made(1))], false);
        passes(&[(0, 1, Seen::Made { version: 2, expected: Some(0) })], false);
        // Cents that were never there.
        passes(&[(0, 1, Seen::Found { version: 1, cents: Some(4) })], false);
    }
}
