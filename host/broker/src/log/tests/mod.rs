//! The invariants of a partition's files.

use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use proptest::prelude::*;

mod compaction;
mod files;

use super::batch::{Header, REWRITTEN_BYTES};
use super::{AppendError, Marker, Partition, ReadError, Refusal, Syncer};
use crate::options::Fsync;

const SEGMENT_BYTES: u64 = 2_000;

/// A batch of a producer; -1 is one that is not idempotent.
fn batch(values: &[Vec<u8>], compression: Compression, producer: i64, sequence: i32) -> Bytes {
    transactional_batch(values, compression, producer, sequence, false)
}

fn transactional_batch(
    values: &[Vec<u8>],
    compression: Compression,
    producer: i64,
    sequence: i32,
    transactional: bool,
) -> Bytes {
    let records: Vec<Record> = (0..)
        .zip(values)
        .map(|(n, value)| Record {
            transactional,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: producer,
            producer_epoch: if producer < 0 { -1 } else { 0 },
            timestamp_type: TimestampType::Creation,
            offset: n,
            sequence: if producer < 0 { n as i32 - 1 } else { sequence + n as i32 },
            timestamp: 1_000 + n,
            key: None,
            value: Some(Bytes::from(value.clone())),
            headers: Default::default(),
        })
        .collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.freeze()
}

fn open(dir: &Path) -> Arc<Partition> {
    let syncer = Arc::new(Syncer::start().unwrap());
    Partition::open(dir, Fsync::Never, &syncer).unwrap()
}

fn append(partition: &Partition, batch: &[u8]) -> Result<i64, AppendError> {
    let header = Header::check(batch).unwrap();
    partition.append(batch, &header, SEGMENT_BYTES).map(|appended| appended.base_offset)
}

/// Everything in the partition, batch by batch, without what the broker rewrites.
fn content(partition: &Partition) -> Vec<(i64, Bytes)> {
    let mut batches = Vec::new();
    let mut offset = partition.positions().log_start;
    while offset < partition.positions().high_watermark {
        let slice = partition.read(offset, 1, true, false).unwrap();
        let header = Header::check(&slice.records).unwrap();
        batches.push((header.base_offset, slice.records.slice(REWRITTEN_BYTES..)));
        offset = header.last_offset() + 1;
    }
    batches
}

fn values() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..8)
}

fn compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(vec![
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    // What was appended is what is read, before and after the files are opened again.
    #[test]
    fn batches_come_back_as_they_were(batches in prop::collection::vec((values(), compression()), 1..20)) {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = Vec::new();
        {
            let partition = open(dir.path());
            for (values, compression) in &batches {
                let batch = batch(values, *compression, -1, -1);
                let offset = append(&partition, &batch).unwrap();
                expected.push((offset, batch.slice(REWRITTEN_BYTES..)));
            }
            prop_assert_eq!(content(&partition), expected.clone());
        }
        prop_assert_eq!(content(&open(dir.path())), expected);
    }

    // An interrupted write leaves any number of its bytes: what came before it survives, and the log
    // can be appended to.
    #[test]
    fn a_log_cut_anywhere_keeps_a_prefix_and_goes_on(
        batches in prop::collection::vec(values(), 1..12),
        cut in any::<prop::sample::Index>(),
        garbage in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = Vec::new();
        {
            let partition = open(dir.path());
            for values in &batches {
                let batch = batch(values, Compression::None, -1, -1);
                let offset = append(&partition, &batch).unwrap();
                expected.push((offset, batch.slice(REWRITTEN_BYTES..)));
            }
        }
        let last = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .max()
            .unwrap();
        let mut bytes = std::fs::read(&last).unwrap();
        bytes.truncate(cut.index(bytes.len() + 1));
        bytes.extend_from_slice(&garbage);
        std::fs::write(&last, bytes).unwrap();

        let partition = open(dir.path());
        let kept = content(&partition);
        prop_assert!(kept.len() <= expected.len());
        prop_assert_eq!(&kept[..], &expected[..kept.len()]);
        let end = partition.positions().high_watermark;
        prop_assert_eq!(append(&partition, &batch(&[vec![1]], Compression::None, -1, -1)).unwrap(), end);
    }
}

// A batch sent again, because its answer was lost, is answered with the offsets that it has; also by
// a broker that was started in between.
#[test]
fn a_batch_sent_again_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let batches: Vec<Bytes> = (0..5).map(|n| batch(&[vec![n as u8]], Compression::None, 7, n)).collect();
    for _ in 0..2 {
        let partition = open(dir.path());
        for (expected, batch) in (0..).zip(&batches) {
            assert_eq!(append(&partition, batch).unwrap(), expected);
        }
        assert_eq!(partition.positions().high_watermark, 5);
    }
    let partition = open(dir.path());
    let gap = batch(&[vec![9]], Compression::None, 7, 9);
    assert!(matches!(
        append(&partition, &gap),
        Err(AppendError::Refused(Refusal::OutOfOrder { sequence: 9, last: 4 }))
    ));
}

// Fencing outlives the process, because it follows from the marker in the log.
#[test]
fn a_fenced_producer_stays_fenced_after_the_log_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = transactional_batch(&[vec![1]], Compression::None, 7, 0, true);
    {
        let partition = open(dir.path());
        assert!(matches!(append(&partition, &first), Err(AppendError::Refused(Refusal::NotInTransaction))));
        partition.admit(7, 0).unwrap();
        append(&partition, &first).unwrap();
        assert_eq!(partition.positions().stable, 0);
        let marker = Marker { producer_id: 7, producer_epoch: 1, commit: false };
        partition.end_transaction(marker, SEGMENT_BYTES).unwrap();
        // Twice is once: completion may be repeated.
        partition.end_transaction(marker, SEGMENT_BYTES).unwrap();
        assert_eq!(partition.positions().stable, 2);
    }
    let partition = open(dir.path());
    assert_eq!(partition.positions().stable, 2);
    let aborted = partition.read(0, 1_000, true, true).unwrap().aborted;
    assert_eq!((aborted[0].producer_id, aborted[0].first_offset), (7, 0));
    let second = transactional_batch(&[vec![2]], Compression::None, 7, 1, true);
    assert!(matches!(
        append(&partition, &second),
        Err(AppendError::Refused(Refusal::Fenced { epoch: 0, current: 1 }))
    ));
}

// Readers before the start and behind the end are told so; a reader at the end waits.
#[test]
fn a_read_outside_the_log_is_out_of_range() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    for n in 0..10 {
        append(&partition, &batch(&[vec![n]], Compression::None, -1, -1)).unwrap();
    }
    assert_eq!(partition.delete_before(4).unwrap(), Some(4));
    for offset in [-1, 0, 3, 11] {
        let outcome = partition.read(offset, 100, true, false);
        assert!(matches!(outcome, Err(ReadError::OutOfRange { log_start: 4, end: 10, .. })), "{offset}");
    }
    assert!(partition.read(10, 100, true, false).unwrap().records.is_empty());
    assert_eq!(partition.delete_before(11).unwrap(), None);
}

// Offsets by time are a record's own, in any order of timestamps.
#[test]
fn records_are_found_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    // Batches of three records with timestamps 1000, 1001 and 1002, over several segments.
    for n in 0..100 {
        let values = vec![vec![n; 50]; 3];
        append(&partition, &batch(&values, Compression::Zstd, -1, -1)).unwrap();
    }
    let find = |timestamp, from| {
        let batch = partition.find_time(timestamp, false).unwrap()?;
        super::records::first_at(&batch, timestamp, from)
    };
    assert_eq!(find(0, 0), Some((0, 1_000)));
    assert_eq!(find(1_001, 0), Some((1, 1_001)));
    assert_eq!(find(1_003, 0), None);
    let latest = partition.find_max_time().unwrap().unwrap();
    assert_eq!(super::records::max_timestamp(&latest), Some(1_002));
    partition.delete_before(151).unwrap();
    assert_eq!(find(1_000, 151), Some((151, 1_001)));
}
