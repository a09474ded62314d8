//! A fault of Lantern's own: a thread that panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the body of a thread. What a panic may leave half done must be gone with the body.
///
/// # Errors
/// What it panicked with, for whoever looks at what the thread was to show: nothing looks as healthy as a thread that is
/// gone, whose status stays what it was.
pub fn caught<T>(thread: &str, body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|panic| {
        format!(
            "the {thread} thread panicked: {}. This is a fault of Lantern: please report it. What was committed is whole",
            said(&*panic)
        )
    })
}

/// The message of a panic.
fn said(panic: &(dyn Any + Send)) -> &str {
    let formatted = || panic.downcast_ref::<String>().map(String::as_str);
    panic.downcast_ref::<&str>().copied().or_else(formatted).unwrap_or("it does not say why")
}
