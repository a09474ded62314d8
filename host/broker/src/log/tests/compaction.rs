//! Compaction, against a plain fold of the records.

use std::collections::BTreeMap;
use std::fs;

use kafka_protocol::records::RecordBatchDecoder;

use super::super::maintenance::Compaction;
use super::super::{Rules, swap};
use super::files::{rules, segments};
use super::*;

/// Rules that compact whatever is closed.
fn compacting(delete_retention_ms: i64) -> Rules {
    let compaction =
        Compaction { dirty_ratio: 0.0, lag_ms_min: 0, lag_ms_max: i64::MAX, delete_retention_ms };
    Rules { compaction: Some(compaction), ..rules() }
}

/// One record: key and value; `None` is a tombstone.
type Pair = (u8, Option<u16>);

/// How a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    Committed,
    Aborted,
}

fn keyed(pairs: &[Pair], compression: Compression, producer: Option<i64>, sequence: i32) -> Bytes {
    let transactional = producer.is_some();
    let producer = producer.unwrap_or(-1);
    let records: Vec<Record> = (0..)
        .zip(pairs)
        .map(|(n, (key, value))| Record {
            transactional,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: producer,
            producer_epoch: if transactional { 0 } else { -1 },
            timestamp_type: TimestampType::Creation,
            offset: n,
            sequence: if transactional { sequence + n as i32 } else { n as i32 - 1 },
            timestamp: 1_000 + n,
            key: Some(Bytes::from(vec![*key])),
            value: value.map(|value| Bytes::from(vec![value as u8; 40 + usize::from(value % 50)])),
            headers: Default::default(),
        })
        .collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.freeze()
}

/// What a reader of committed records sees: offset, key, value; as a client would filter it.
fn committed(partition: &Partition) -> Vec<(i64, u8, Option<Bytes>)> {
    let mut seen = Vec::new();
    let mut offset = partition.positions().log_start;
    let mut dropping = false;
    let mut entered: Vec<i64> = Vec::new();
    loop {
        let slice = partition.read(offset, 1, true, true).unwrap();
        if slice.records.is_empty() {
            return seen;
        }
        let header = Header::check(&slice.records).unwrap();
        offset = header.last_offset() + 1;
        for aborted in slice.aborted {
            if aborted.first_offset <= header.last_offset() && !entered.contains(&aborted.first_offset) {
                entered.push(aborted.first_offset);
                dropping = true;
            }
        }
        if header.is_control() {
            dropping = false;
            continue;
        }
        if dropping && header.is_transactional() {
            continue;
        }
        let set = RecordBatchDecoder::decode(&mut slice.records.clone()).unwrap();
        for record in set.records {
            seen.push((record.offset, record.key.unwrap()[0], record.value));
        }
    }
}

fn fold(records: &[(i64, u8, Option<Bytes>)]) -> BTreeMap<u8, Bytes> {
    let mut state = BTreeMap::new();
    for (_, key, value) in records {
        match value {
            Some(value) => state.insert(*key, value.clone()),
            None => state.remove(key),
        };
    }
    state
}

fn way() -> impl Strategy<Value = Way> {
    prop::sample::select(vec![Way::Plain, Way::Committed, Way::Aborted])
}

fn pairs() -> impl Strategy<Value = Vec<Pair>> {
    prop::collection::vec((0..12_u8, prop::option::weighted(0.8, 0..500_u16)), 1..6)
}

struct Writer {
    producer: i64,
    sequence: i32,
}

impl Writer {
    fn write(&mut self, partition: &Partition, pairs: &[Pair], compression: Compression, way: Way) {
        let transactional = way != Way::Plain;
        if transactional {
            partition.admit(self.producer, 0).unwrap();
        }
        append(partition, &keyed(pairs, compression, transactional.then_some(self.producer), self.sequence))
            .unwrap();
        if transactional {
            self.sequence += pairs.len() as i32;
            let marker =
                Marker { producer_id: self.producer, producer_epoch: 0, commit: way == Way::Committed };
            partition.end_transaction(marker, SEGMENT_BYTES).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    // Whatever was written and however often it is compacted: readers of committed records get the
    // same newest values in the same order, at the offsets and in the bytes they had, before and
    // after the files are opened again, with and without the checkpoint.
    #[test]
    fn compaction_keeps_the_newest_committed_record_of_every_key(
        rounds in prop::collection::vec(
            prop::collection::vec((pairs(), compression(), way()), 1..30),
            1..4,
        ),
        delete_retention_ms in prop::sample::select(vec![0, 1_000_000]),
        forget in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut partition = open(dir.path());
        let mut writer = Writer { producer: 7, sequence: 0 };
        for round in &rounds {
            for (pairs, compression, way) in round {
                writer.write(&partition, pairs, *compression, *way);
            }
            let before = committed(&partition);
            let end = partition.positions();
            partition.maintain(&compacting(delete_retention_ms)).unwrap();
            // A second pass finds nothing new, apart from tombstones whose time has come.
            partition.maintain(&compacting(delete_retention_ms)).unwrap();
            let after = committed(&partition);
            prop_assert_eq!(fold(&after), fold(&before));
            prop_assert!(after.iter().all(|record| before.contains(record)));
            prop_assert!(after.is_sorted_by_key(|(offset, ..)| *offset));
            prop_assert_eq!(partition.positions(), end);
            if forget {
                partition.settle().unwrap();
                fs::remove_file(dir.path().join("checkpoint")).unwrap();
                // What the producer wrote last may have been compacted away; it begins anew.
                writer = Writer { producer: writer.producer + 1, sequence: 0 };
            }
            partition = open(dir.path());
            prop_assert_eq!(committed(&partition), after);
            prop_assert_eq!(partition.positions(), end);
        }
    }
}

fn overwrite(partition: &Partition, rounds: u16) {
    let mut writer = Writer { producer: 7, sequence: 0 };
    for n in 0..rounds {
        writer.write(partition, &[((n % 5) as u8, Some(n))], Compression::None, Way::Plain);
    }
}

// Space is what compaction is for.
#[test]
fn a_compacted_log_is_as_large_as_its_keys_are_many() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    overwrite(&partition, 500);
    let before = partition.bytes();
    partition.maintain(&compacting(0)).unwrap();
    assert!(partition.bytes() < before / 10 + SEGMENT_BYTES, "{} of {before}", partition.bytes());
    assert_eq!(fold(&committed(&partition)).len(), 5);
    // What is left is in few files, and nothing is begun again while nothing is written.
    assert!(segments(dir.path()).len() <= 3);
    let modified = || fs::metadata(dir.path().join("checkpoint")).unwrap().modified().unwrap();
    let quiet = modified();
    partition.maintain(&compacting(0)).unwrap();
    assert_eq!(modified(), quiet);
}

// A reader who is on the way must see that a key is gone; one who comes much later need not.
#[test]
fn tombstones_stay_for_their_time_and_then_go() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    let mut writer = Writer { producer: 7, sequence: 0 };
    writer.write(&partition, &[(1, Some(1)), (2, Some(2))], Compression::Lz4, Way::Committed);
    writer.write(&partition, &[(1, None)], Compression::Zstd, Way::Committed);
    overwrite(&partition, 100);
    let tombstones = || committed(&partition).iter().filter(|(_, key, _)| *key == 1).count();
    let markers = || content(&partition).iter().filter(|(_, bytes)| bytes[6] & 0x20 != 0).count();
    partition.maintain(&compacting(1_000_000)).unwrap();
    partition.maintain(&compacting(1_000_000)).unwrap();
    assert!(tombstones() > 0 && markers() == 2);
    partition.maintain(&compacting(0)).unwrap();
    partition.maintain(&compacting(0)).unwrap();
    assert!(committed(&partition).iter().all(|(_, _, value)| value.is_some()));
    assert_eq!(markers(), 0);
}

// The newest record may be the next one to be compared with, so it stays until there is a newer one.
#[test]
fn what_is_younger_than_the_lag_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    overwrite(&partition, 100);
    let before = partition.bytes();
    let mut rules = compacting(0);
    rules.compaction.as_mut().unwrap().lag_ms_min = i64::MAX;
    partition.maintain(&rules).unwrap();
    assert_eq!(partition.bytes(), before);
}

// A crash at any step of the swap leaves the old segments or the new one, and never both.
#[test]
fn a_swap_that_is_interrupted_is_undone_or_finished() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    overwrite(&partition, 200);
    partition.settle().unwrap();
    let old: Vec<_> = segments(dir.path());
    let saved: Vec<_> = old.iter().map(|path| fs::read(path).unwrap()).collect();
    let checkpoint = fs::read(dir.path().join("checkpoint")).unwrap();
    let whole = committed(&partition);
    partition.maintain(&compacting(0)).unwrap();
    let compacted = committed(&partition);
    drop(partition);
    let new: Vec<_> = segments(dir.path());
    assert!(new.len() < old.len() && compacted.len() < whole.len());

    // Before the rename: the unfinished file is thrown away.
    let built = fs::read(&new[0]).unwrap();
    let to: i64 = new[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    for (path, bytes) in old.iter().zip(&saved) {
        fs::write(path, bytes).unwrap();
    }
    fs::write(dir.path().join("checkpoint"), &checkpoint).unwrap();
    fs::write(swap::unfinished_path(dir.path(), 0), &built[..built.len() / 2]).unwrap();
    assert_eq!(committed(&open(dir.path())), whole);
    assert!(!swap::unfinished_path(dir.path(), 0).exists());

    // After it: whatever of the old files is left goes. The checkpoint lists them no more then.
    for left in [old.len(), 3, 1] {
        for (path, bytes) in old.iter().zip(&saved).filter(|(path, _)| !new[1..].contains(path)) {
            fs::write(path, bytes).unwrap();
        }
        for path in old.iter().skip(left).filter(|path| !new.contains(path)) {
            fs::remove_file(path).unwrap();
        }
        fs::remove_file(dir.path().join("checkpoint")).unwrap_or(());
        fs::write(dir.path().join(format!("{:020}-{to:020}.swap", 0)), &built).unwrap();
        assert_eq!(fold(&committed(&open(dir.path()))), fold(&whole), "{left} left");
        assert_eq!(fs::read(&new[0]).unwrap(), built);
    }
}
