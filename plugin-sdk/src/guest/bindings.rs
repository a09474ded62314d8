//! The contract's functions, generated.

wit_bindgen::generate!({
    path: "wit",
    world: "projection-plugin",
    pub_export_macro: true,
});

pub use lantern::plugin::types::Failure;
