//! Files that somebody deploys: those that are no plugin are refused, with a reason and without a panic.
#![no_main]

use std::sync::LazyLock;

use lantern::plugin::Plugin;
use lantern::wasm::{Engine, Limits};
use libfuzzer_sys::fuzz_target;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(None).expect("an engine starts"));

fuzz_target!(|file: &[u8]| {
    let Err(error) = Plugin::load(&ENGINE, file, "fuzzed.wasm", &Limits::default()) else { return };
    let reason = error.to_string();
    assert!(reason.contains("fuzzed.wasm"), "{reason}");
});
