//! A command handler's functions, generated. What both kinds of plugin have is in `bindings`.

wit_bindgen::generate!({
    path: "wit",
    world: "command-handler",
    pub_export_macro: true,
    with: {
        "lantern:plugin/types@0.1.0": crate::guest::bindings::lantern::plugin::types,
        "lantern:plugin/logger@0.1.0": crate::guest::bindings::lantern::plugin::logger,
    },
});

pub use exports::lantern::plugin::commands::{Decision, Rejection};
