//! Frames of rows: no panic, and no more work than the frame is long.
#![no_main]

use lantern_contract::frame::rows::Rows;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    let Ok(rows) = Rows::parse(frame) else { return };
    let names: usize = rows.columns().flatten().map(str::len).sum();
    assert!(names <= frame.len());
    let mut count = 0;
    for row in rows.iter() {
        let Ok(row) = row else { return };
        for value in row {
            let Ok(_) = value else { return };
            count += 1;
        }
    }
    assert!(count <= frame.len());
});
