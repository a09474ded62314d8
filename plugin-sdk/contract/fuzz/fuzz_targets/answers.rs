//! Rows that are read by the names of their columns: what a command is decided on, events that were decided, and events of
//! today. No panic, no more work than the frame is long, and what is read is written the same.
#![no_main]

use lantern_contract::frame::{commands, upcast};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    if let Ok(request) = commands::Request::read(frame) {
        let mut written = Vec::new();
        request.write(&mut written);
        assert_eq!(commands::Request::read(&written), Ok(request));
    }
    if let Ok(decided) = commands::Decided::parse(frame)
        && let Ok(events) = decided.iter().collect::<Result<Vec<_>, _>>()
    {
        assert!(events.len() <= frame.len());
        let mut writer = commands::Writer::new();
        events.iter().for_each(|event| writer.push(*event));
        let written = writer.finish();
        let again = commands::Decided::parse(&written).expect("what was read can be written");
        assert!(again.iter().flatten().eq(events));
    }
    if let Ok(upcasted) = upcast::Upcasted::parse(frame)
        && let Ok(events) = upcasted.iter().collect::<Result<Vec<_>, _>>()
    {
        assert!(events.len() <= frame.len());
        let mut writer = upcast::Writer::new();
        events.iter().for_each(|event| writer.push(*event));
        let written = writer.finish();
        let again = upcast::Upcasted::parse(&written).expect("what was read can be written");
        assert!(again.iter().flatten().eq(events));
    }
});
