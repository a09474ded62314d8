//! A disk that takes no more: producers wait, consumers go on, and nobody needs a restart.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lantern_tests::disk::Disk;
use lantern_tests::report::skip;
use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{self, Host, block_on, payloads, read_to_end};

/// What the broker keeps for a full disk, once it has written all of it.
const RESERVE_BYTES: u64 = 1 << 20;
/// Blocks of 512 bytes that a file may have.
const BLOCKS_MAX: u32 = 200;

/// A broker whose files cannot grow beyond a limit, as on a full disk.
struct Limited(Child);

impl Limited {
    fn start(dir: &Path) -> (Limited, String) {
        let script = format!("trap '' XFSZ; ulimit -S -f {BLOCKS_MAX}; exec \"$@\"");
        let mut child = Command::new("sh")
            .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_lantern-broker"), "--dir"])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        (Limited(child), address.trim().to_owned())
    }

    /// Makes room; `false` where the tool for it is missing.
    fn make_room(&self) -> bool {
        Command::new("prlimit")
            .args(["--fsize=unlimited:", "--pid", &self.0.id().to_string()])
            .status()
            .is_ok_and(|status| status.success())
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

// A full disk is an everyday accident; it must cost nothing but time.
#[test]
fn a_full_disk_refuses_producers_until_there_is_room_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, address) = Limited::start(dir.path());
    support::create(&address, "full", 1);
    let producer = support::producer(&address, &[("message.timeout.ms", "10000"), ("linger.ms", "0")]);
    let mut written = Vec::new();
    let mut refused = 0;
    for n in 0..40 {
        let payload = format!("{n}:{}", "x".repeat(5_000));
        match support::send(&producer, "full", &payload) {
            Ok((_, offset)) => {
                assert_eq!(offset, written.len() as i64);
                written.push(payload);
            }
            Err(_) => refused += 1,
        }
        if refused == 2 {
            break;
        }
    }
    assert!(refused > 0, "the limit was never reached");
    assert!(!written.is_empty());
    let read = || {
        let consumer = support::consumer(&address, "full", &[0], Offset::Beginning, &[]);
        let seen = read_to_end(&consumer, 1);
        payloads(&seen).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(read(), written);
    if !broker.make_room() {
        skip("prlimit, to make room on the disk");
        return;
    }
    support::send(&producer, "full", "after").unwrap();
    written.push("after".to_owned());
    assert_eq!(read(), written);
}

// Who deletes records because the disk is full must not be told that the disk is full.
#[test]
fn room_can_be_made_on_a_disk_that_is_full_to_the_last_block() {
    let Some(disk) = Disk::mount("6m").unwrap() else {
        return;
    };
    let dir = disk.path().join("log");
    let reserve = dir.join("reserve");
    let host = Host::with(move |options| {
        options.dir.clone_from(&dir);
        options.segment_bytes_max = 200_000;
        options.maintain_every_ms = 10;
    });
    for topic in ["records", "topic"] {
        host.create(topic, 1);
    }
    let producer = host.producer(&[("message.timeout.ms", "5000"), ("linger.ms", "0")]);
    let admin = host.admin();
    let payload = "x".repeat(50_000);
    for topic in ["topic", "records"] {
        for _ in 0..8 {
            support::send(&producer, topic, &payload).unwrap();
        }
    }
    disk.fill().unwrap();
    while support::send(&producer, "records", &payload).is_ok() {}

    let mut before = TopicPartitionList::new();
    before.add_partition_offset("records", 0, Offset::Offset(7)).unwrap();
    let deleted = block_on(admin.delete_records(&before, &AdminOptions::new())).unwrap();
    assert_eq!(deleted.elements()[0].offset(), Offset::Offset(7));
    support::send(&producer, "records", "after").unwrap();

    let kept = || reserve.metadata().is_ok_and(|file| file.len() == RESERVE_BYTES);
    support::eventually("there is room to keep again", kept);
    disk.fill().unwrap();
    while support::send(&producer, "records", &payload).is_ok() {}
    block_on(admin.delete_topics(&["topic"], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
    support::send(&producer, "records", "after").unwrap();
}
