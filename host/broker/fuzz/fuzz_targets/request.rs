//! Requests, from their bytes to those of the answer: no panic, no hang, bounded memory.
#![no_main]

use std::cell::RefCell;

use lantern_broker::hostile::Port;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// After so many requests the broker begins anew, so that what they left does not gather.
const REQUESTS_MAX: u32 = 1_000;

thread_local! {
    static PORT: RefCell<Option<(Port, TempDir, u32)>> = const { RefCell::new(None) };
}

fuzz_target!(|frame: &[u8]| {
    PORT.with_borrow_mut(|held| {
        if held.as_ref().is_none_or(|(_, _, requests)| *requests >= REQUESTS_MAX) {
            let dir = TempDir::new().expect("a temporary folder can be made");
            *held = Some((Port::open(dir.path()), dir, 0));
        }
        if let Some((port, _, requests)) = held {
            port.request(frame);
            *requests += 1;
        }
    });
});
