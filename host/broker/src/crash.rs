//! Places at which a test has the process end, as abruptly as a kill does: between two steps of which the second must
//! not be needed for the first to be whole. Kills at random moments seldom fall there.

use std::sync::OnceLock;

use rustix::process::{Signal, getpid, kill_process};

/// Names the place. It is for tests (tests/crash.rs) and read once.
const VARIABLE: &str = "LANTERN_CRASH_AT";

/// Ends the process, if this is the place.
pub(crate) fn here(place: &str) {
    static AT: OnceLock<Option<String>> = OnceLock::new();
    if AT.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref() == Some(place) {
        let _nobody_is_left_to_tell = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
