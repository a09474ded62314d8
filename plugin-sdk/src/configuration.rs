//! What was set for a plugin by whoever runs it.

/// What was set for the plugin, as JSON; `None` when nothing was, and natively. It is a part of the deployed artifact, so
/// whatever follows from it follows in a replay too; the manifest may depend on it.
pub fn configuration() -> Option<String> {
    get()
}

#[cfg(target_arch = "wasm32")]
fn get() -> Option<String> {
    crate::guest::bindings::lantern::plugin::config::get()
}

#[cfg(not(target_arch = "wasm32"))]
fn get() -> Option<String> {
    None
}
