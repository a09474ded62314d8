//! Frames of events: no panic, and no more work than the frame is long.
#![no_main]

use lantern_contract::frame::events::Events;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    let Ok(events) = Events::parse(frame) else { return };
    let mut bytes = 0;
    for event in events.iter() {
        let Ok(event) = event else { return };
        bytes += event.key.map_or(0, <[u8]>::len) + event.payload.map_or(0, <[u8]>::len);
        for header in event.headers() {
            let Ok((_, value)) = header else { return };
            bytes += value.map_or(0, <[u8]>::len);
        }
    }
    assert!(bytes <= frame.len());
});
