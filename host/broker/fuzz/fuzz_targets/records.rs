//! Batches of records, whose checksum is the sender's own: no panic, bounded memory.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|batch: &[u8]| lantern_broker::hostile::records(batch));
