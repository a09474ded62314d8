//! Frames of writes: no panic, no more work than the frame is long, and what is read is written the same.
#![no_main]

use lantern_contract::frame::ops::{Ops, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    let Ok(ops) = Ops::parse(frame) else { return };
    let mut writer = Writer::new();
    let mut count = 0;
    for op in ops.iter() {
        let Ok(op) = op else { return };
        let Ok(values) = op.values.collect::<Result<Vec<_>, _>>() else { return };
        count += values.len();
        writer.push(op.statement, op.event, values);
    }
    assert!(count <= frame.len());
    let mut written = Vec::new();
    writer.finish(&mut written);
    let again = Ops::parse(&written).expect("what was read can be written");
    let same = ops.iter().flatten().zip(again.iter().flatten()).all(|(one, two)| {
        // By their text, in which NaN is equal to itself.
        (one.statement, one.event) == (two.statement, two.event)
            && one.values.map(|value| format!("{value:?}")).eq(two.values.map(|value| format!("{value:?}")))
    });
    assert!(same && ops.len() == again.len());
});
