//! What a test says beside passing or failing.

use std::env;
use std::io::{self, Write};

/// Says what helps to understand a failure; the test harness shows it with one.
#[allow(clippy::print_stderr, reason = "the test harness keeps it for a failure")]
pub fn say(text: &str) {
    eprintln!("{text}");
}

/// Says that a test is skipped and what to install. The caller returns afterwards.
///
/// On a developer's machine the test says so in one line and passes. In continuous integration a
/// test that did not run is a failure: nobody reads the log of a green run.
///
/// # Panics
///
/// Where the environment has `CI` and does not have `LANTERN_TESTS_ALLOW_SKIP=1`.
pub fn skip(needs: &str) {
    let allowed = env::var("LANTERN_TESTS_ALLOW_SKIP").is_ok_and(|value| value == "1");
    let in_ci = env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false");
    assert!(allowed || !in_ci, "needs {needs} (LANTERN_TESTS_ALLOW_SKIP=1 skips the test instead)");
    // Written to the stream itself, because the test harness hides what passing tests `eprintln`.
    // A closed stderr is no reason to fail.
    let _ = writeln!(io::stderr(), "skipped: needs {needs}");
}
