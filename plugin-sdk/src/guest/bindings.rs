//! A projection's functions, generated. What every plugin exports is in `described`.

wit_bindgen::generate!({
    path: "wit",
    inline: "
        package lantern:sdk;
        world projecting {
            import lantern:plugin/logger@0.1.0;
            import lantern:plugin/config@0.1.0;
            import lantern:plugin/sql@0.1.0;
            export lantern:plugin/projection@0.1.0;
        }
    ",
    world: "lantern:sdk/projecting",
    generate_all,
    pub_export_macro: true,
});

pub use lantern::plugin::types::Failure;
