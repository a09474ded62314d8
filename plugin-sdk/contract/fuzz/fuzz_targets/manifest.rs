//! Manifests: no panic, and what is read is written the same.
#![no_main]

use lantern_contract::manifest::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &str| {
    let Ok(manifest) = Manifest::parse(json) else { return };
    let again = Manifest::parse(&manifest.to_json()).expect("what was read can be written");
    assert_eq!(manifest, again);
});
