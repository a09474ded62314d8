//! An upcaster's function, generated. What every plugin exports is in `described`, and what all kinds use in `bindings`.

wit_bindgen::generate!({
    path: "wit",
    inline: "
        package lantern:sdk;
        world upcasting {
            import lantern:plugin/logger@0.1.0;
            export lantern:plugin/upcast@0.1.0;
        }
    ",
    world: "lantern:sdk/upcasting",
    pub_export_macro: true,
    with: {
        "lantern:plugin/types@0.1.0": crate::guest::bindings::lantern::plugin::types,
        "lantern:plugin/logger@0.1.0": crate::guest::bindings::lantern::plugin::logger,
    },
    generate_all,
});
