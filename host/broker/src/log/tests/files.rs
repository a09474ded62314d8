//! Checkpoints, damaged files, and retention.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::{Error, Rules};
use super::*;

/// Rules under which nothing happens by itself.
pub(super) fn rules() -> Rules {
    Rules {
        segment_bytes: SEGMENT_BYTES,
        segment_ms: i64::MAX,
        retention_ms: None,
        retention_bytes: None,
        compaction: None,
    }
}

pub(super) fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    paths.sort();
    paths
}

/// A log of `count` batches of one record, over several segments.
fn filled(dir: &Path, count: u8) -> Arc<Partition> {
    let partition = open(dir);
    for n in 0..count {
        append(&partition, &batch(&[vec![n; 100]], Compression::None, 7, n.into())).unwrap();
    }
    partition
}

fn opened(dir: &Path) -> Result<Arc<Partition>, Error> {
    let syncer = Arc::new(Syncer::start().unwrap());
    Partition::open(dir, Fsync::Never, &syncer)
}

fn flip(path: &Path, byte: usize, bit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
}

// A checkpoint spares reading, and changes nothing else: neither what is read, nor what producers may
// do, nor what comes after it.
#[test]
fn a_log_opened_by_its_checkpoint_is_the_log_that_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    let partition = filled(dir.path(), 60);
    partition.settle().unwrap();
    for n in 60..90 {
        append(&partition, &batch(&[vec![n; 100]], Compression::None, 7, n.into())).unwrap();
    }
    let expected = content(&partition);
    drop(partition);
    for round in 0..2 {
        let partition = open(dir.path());
        assert_eq!(content(&partition), expected);
        let again = batch(&[vec![89; 100]], Compression::None, 7, 89);
        assert_eq!(append(&partition, &again).unwrap(), 89);
        assert_eq!(partition.positions().high_watermark, 90);
        partition.settle().unwrap();
        // From the second time on there is nothing to go by but the batches.
        match round {
            0 => fs::remove_file(dir.path().join("checkpoint")).unwrap(),
            _ => flip(&dir.path().join("checkpoint"), 30, 3),
        }
    }
    assert_eq!(content(&open(dir.path())), expected);
}

// Whatever bit of a closed log flips, readers get the records that were written, or an error that
// names the place: never anything else.
#[test]
fn a_flipped_bit_is_named_and_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let partition = filled(dir.path(), 40);
    let expected = content(&partition);
    partition.settle().unwrap();
    drop(partition);
    let files = segments(dir.path());
    assert!(files.len() > 2);
    for file in [&files[0], files.last().unwrap()] {
        let bytes = fs::read(file).unwrap();
        // Every byte of a header, and of what lies in the middle.
        let first = bytes.len() / 3;
        for byte in (0..61).chain(first..first + 90).filter(|byte| *byte < bytes.len()) {
            flip(file, byte, (byte % 8) as u8);
            let partition = opened(dir.path()).unwrap();
            let mut offset = 0;
            let error = loop {
                match partition.read(offset, 700, true, false) {
                    Ok(slice) if slice.records.is_empty() => break None,
                    Ok(slice) => offset = served(&slice.records, &expected, byte),
                    Err(ReadError::Storage(error)) => break Some(error),
                    Err(error) => panic!("byte {byte}: {error}"),
                }
            };
            match error.map(|error| error.to_string()) {
                Some(error) => {
                    assert!(error.contains(file.to_str().unwrap()) && error.contains("offset"), "{error}")
                }
                // Nobody's checksum covers the leader's epoch, and nobody reads it.
                None => assert_eq!(offset, 40, "byte {byte} hides the rest"),
            }
            fs::write(file, &bytes).unwrap();
        }
    }
}

// Where the log begins is what was deleted: another number brings it back, or hides what is there.
#[test]
fn no_flipped_bit_changes_where_the_log_begins() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 40).delete_before(25).unwrap();
    let path = dir.path().join("log-start");
    let bytes = fs::read(&path).unwrap();
    for bit in 0..bytes.len() * 8 {
        flip(&path, bit / 8, (bit % 8) as u8);
        match opened(dir.path()) {
            Ok(partition) => assert_eq!(partition.positions().log_start, 25, "bit {bit}"),
            Err(error) => assert!(error.to_string().contains("log-start"), "{error}"),
        }
        fs::write(&path, &bytes).unwrap();
    }
    // That of an earlier format has no checksum.
    fs::write(&path, "25\n").unwrap();
    assert_eq!(opened(dir.path()).unwrap().positions().log_start, 25);
}

/// Checks that `records` are batches of the log, and returns where they end.
fn served(mut records: &[u8], expected: &[(i64, Bytes)], byte: usize) -> i64 {
    let mut end = 0;
    while !records.is_empty() {
        let header = Header::parse(records).unwrap();
        let (batch, rest) = records.split_at(header.total_bytes);
        let written = expected.iter().find(|(offset, _)| *offset == header.base_offset);
        assert_eq!(written.map(|(_, bytes)| &bytes[..]), Some(&batch[REWRITTEN_BYTES..]), "byte {byte}");
        end = header.last_offset() + 1;
        records = rest;
    }
    end
}

// What was on the disk and is not any more must not pass for an interrupted write.
#[test]
fn acknowledged_records_that_are_missing_are_named() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 40).settle().unwrap();
    let files = segments(dir.path());
    let check = |words: &str| {
        let error = opened(dir.path()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    let last = files.last().unwrap();
    let bytes = fs::read(last).unwrap();
    fs::write(last, &bytes[..bytes.len() - 1]).unwrap();
    check("had been on the disk");
    fs::write(last, &bytes).unwrap();
    let first = fs::read(&files[0]).unwrap();
    fs::remove_file(&files[0]).unwrap();
    check(files[0].to_str().unwrap());
    fs::write(&files[0], first).unwrap();
    assert_eq!(content(&opened(dir.path()).unwrap()).len(), 40);
}

// A folder of the first format has no checkpoints and no indexes; it is read as it is.
#[test]
fn indexes_that_are_missing_or_damaged_are_built_anew() {
    let dir = tempfile::tempdir().unwrap();
    let partition = filled(dir.path(), 40);
    let expected = content(&partition);
    partition.settle().unwrap();
    let index = |at: usize| segments(dir.path())[at].with_extension("index");
    fs::remove_file(index(0)).unwrap();
    flip(&index(1), 3, 3);
    assert_eq!(content(&opened(dir.path()).unwrap()), expected);
}

// Old records go by time and by size, whole segments at a time, and stay gone.
#[test]
fn retention_deletes_old_segments_and_the_start_stays_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let partition = filled(dir.path(), 100);
    let total = partition.bytes();
    let by_size = Rules { retention_bytes: Some(total / 2), ..rules() };
    partition.maintain(&by_size).unwrap();
    let log_start = partition.positions().log_start;
    assert!(
        log_start > 0 && partition.bytes() >= total / 2 && partition.bytes() < total / 2 + 2 * SEGMENT_BYTES
    );
    partition.maintain(&rules()).unwrap();
    drop(partition);
    let partition = open(dir.path());
    assert_eq!(partition.positions().log_start, log_start);
    assert_eq!(content(&partition).first().unwrap().0, log_start);
    // The records are of 1970, so all of them are too old, also those of the segment in use.
    let by_time = Rules { retention_ms: Some(1_000), ..rules() };
    partition.maintain(&by_time).unwrap();
    assert_eq!((partition.positions().log_start, partition.bytes()), (100, 0));
    partition.settle().unwrap();
    drop(partition);
    let partition = open(dir.path());
    assert_eq!(partition.positions().high_watermark, 100);
    assert_eq!(append(&partition, &batch(&[vec![1]], Compression::None, 7, 100)).unwrap(), 100);
}

// Whoever waits for an open transaction must find its records when it is decided.
#[test]
fn retention_spares_what_an_open_transaction_holds_up() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    partition.admit(7, 0).unwrap();
    append(&partition, &transactional_batch(&[vec![1]], Compression::None, 7, 0, true)).unwrap();
    for n in 0..60 {
        append(&partition, &batch(&[vec![n; 100]], Compression::None, -1, -1)).unwrap();
    }
    let all = Rules { retention_ms: Some(1_000), ..rules() };
    partition.maintain(&all).unwrap();
    assert_eq!(partition.positions().log_start, 0);
    partition
        .end_transaction(Marker { producer_id: 7, producer_epoch: 0, commit: true }, SEGMENT_BYTES)
        .unwrap();
    partition.maintain(&all).unwrap();
    assert!(partition.positions().log_start > 0);
}
