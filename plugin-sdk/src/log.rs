//! Messages for the plugin's log. They never reach the read model.
//!
//! ```
//! # let order_id = "o-1";
//! lantern_sdk::log::info("first order");
//! lantern_sdk::log::warn(format_args!("order {order_id} has no customer"));
//! ```

use std::fmt::Display;

/// Something is wrong.
pub fn error(message: impl Display) {
    write(0, message);
}

/// Something may be wrong.
pub fn warn(message: impl Display) {
    write(1, message);
}

/// Something happened that its reader wants to know.
pub fn info(message: impl Display) {
    write(2, message);
}

/// Something happened that helps to find a mistake.
pub fn debug(message: impl Display) {
    write(3, message);
}

/// Everything else.
pub fn trace(message: impl Display) {
    write(4, message);
}

#[cfg(target_arch = "wasm32")]
fn write(level: u32, message: impl Display) {
    crate::guest::bindings::lantern::plugin::logger::write(level, &message.to_string());
}

#[cfg(not(target_arch = "wasm32"))]
#[allow(clippy::print_stderr, reason = "natively there is no host, and a test wants to see what was logged")]
fn write(level: u32, message: impl Display) {
    const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    eprintln!("{}: {message}", LEVELS[level as usize]);
}
