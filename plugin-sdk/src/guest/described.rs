//! What every plugin exports beside what it is, generated once: its macro has its name at the crate's root.

wit_bindgen::generate!({
    path: "wit",
    inline: "
        package lantern:sdk;
        world described { export lantern:plugin/meta@0.1.0; }
    ",
    world: "lantern:sdk/described",
    pub_export_macro: true,
});
