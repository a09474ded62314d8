//! A command handler's functions, generated. What every plugin exports is in `described`, and what both kinds use in
//! `bindings`.

wit_bindgen::generate!({
    path: "wit",
    inline: "
        package lantern:sdk;
        world deciding {
            import lantern:plugin/logger@0.1.0;
            export lantern:plugin/commands@0.1.0;
        }
    ",
    world: "lantern:sdk/deciding",
    pub_export_macro: true,
    with: {
        "lantern:plugin/types@0.1.0": crate::guest::bindings::lantern::plugin::types,
        "lantern:plugin/logger@0.1.0": crate::guest::bindings::lantern::plugin::logger,
    },
    generate_all,
});

pub use exports::lantern::plugin::commands::{Decision, Rejection};
