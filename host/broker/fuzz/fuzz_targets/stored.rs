//! Files as a disk gives them back: segments, indexes, checkpoints, log starts, journals. The first two bytes say
//! which file, and whether its checksums are made right.
#![no_main]

use std::sync::LazyLock;

use lantern_broker::hostile::Folder;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static FOLDER: LazyLock<(Folder, TempDir)> = LazyLock::new(|| {
    let dir = TempDir::new().expect("a temporary folder can be made");
    (Folder::new(dir.path()), dir)
});

fuzz_target!(|bytes: &[u8]| {
    if let [number, sealed, bytes @ ..] = bytes {
        FOLDER.0.open(usize::from(*number), bytes, sealed & 1 == 1);
    }
});
