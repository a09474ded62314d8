//! What is hostile, handed to what has to bear it: the work of the fuzz targets in `fuzz`, and of the seeded tests
//! below, which do the same for a moment in every run.
//!
//! Nothing here asserts: a panic, a hang or the end of the memory is what is looked for.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a fuzz target fails by a panic")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{InitProducerIdRequest, TransactionalId};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::api::{Session, text, transactions};
use crate::broker::Core;
use crate::group::Committed;
use crate::log::batch::{self, Header};
use crate::log::{log_start_sum, records};
use crate::options::{Fsync, Options};
use crate::wire::dispatch::{Reply, dispatch};

const TOPIC: &str = "topic";
/// A request that waits is left to itself after this time.
const REQUEST_MAX: Duration = Duration::from_millis(5);

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.to_path_buf(),
        auto_create_topics: false,
        partitions_max: 4,
        fsync: Fsync::Never,
        ..Options::default()
    }
}

/// A broker without a port.
#[derive(Debug)]
pub struct Port {
    runtime: Runtime,
    session: Session,
    _closing: watch::Sender<bool>,
}

impl Port {
    /// On an empty folder.
    pub fn open(dir: &Path) -> Port {
        let core = Core::open(options(dir)).unwrap();
        core.topics.create(TOPIC, 1, Default::default()).unwrap();
        let (_closing, closing) = watch::channel(false);
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 9092));
        let session = Session { core: Arc::new(core), host: text("127.0.0.1"), port: 9092, peer, closing };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Port { runtime, session, _closing }
    }

    /// A request without its length, from its bytes to those of its answer.
    pub fn request(&self, frame: &[u8]) {
        let frame = Bytes::copy_from_slice(frame);
        let answering = async {
            match dispatch(&self.session, frame).await {
                Ok(Reply::Later(answer)) => answer.await.map(drop),
                Ok(Reply::Ready(_) | Reply::None) => Ok(()),
                Err(refused) => Err(refused),
            }
        };
        let _answered_or_not = self.runtime.block_on(async { timeout(REQUEST_MAX, answering).await });
    }
}

/// A batch of records as a producer sends it; once as it is, and once with the length and the checksum that it should
/// have, so that what is inside is looked at.
pub fn records(bytes: &[u8]) {
    let mut sealed = bytes.to_vec();
    seal_batch(&mut sealed);
    for bytes in [bytes, &sealed] {
        let Ok(header) = Header::check(bytes) else { continue };
        records::all_have_keys(bytes, &header);
        records::first_at(bytes, i64::MAX, 0);
        records::max_timestamp(bytes);
        batch::commits(bytes);
    }
}

/// The folder of a broker that was in use, to be damaged again and again.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    /// Every file of interest as it was.
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Folder {
    /// Fills an empty folder.
    pub fn new(dir: &Path) -> Folder {
        let port = Port::open(dir);
        let core = Arc::clone(&port.session.core);
        let topic = core.topics.get(TOPIC).unwrap();
        let partition = topic.partition(0).unwrap();
        for n in 0..8 {
            let batch = one_record(n);
            partition.append(&batch, &Header::check(&batch).unwrap(), 300).unwrap();
        }
        let committed = Committed {
            topic: TOPIC.to_owned(),
            partition: 0,
            offset: 3,
            leader_epoch: 0,
            metadata: String::new(),
        };
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text("writer"))))
            .with_transaction_timeout_ms(1_000);
        port.runtime.block_on(async {
            assert!(core.groups.offsets.commit("group", vec![committed]).await);
            transactions::init_producer_id(&port.session, 4, request).await;
        });
        partition.delete_before(2).unwrap();
        core.topics.settle().unwrap();
        drop((topic, core, port));
        let partition = dir.join("topics").join(TOPIC).join("0");
        let mut paths: Vec<PathBuf> = fs::read_dir(partition).unwrap().map(|it| it.unwrap().path()).collect();
        paths.extend(["transactions.journal", "offsets.journal", "catalog.json"].map(|name| dir.join(name)));
        paths.sort();
        let files = paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        Folder { dir: dir.to_path_buf(), files }
    }

    /// The file of this number, counted round and round.
    pub fn file(&self, number: usize) -> &[u8] {
        &self.files[number % self.files.len()].1
    }

    /// Opens the folder with other bytes in one file, with `sealed` under checksums that are right, and uses what there
    /// is then.
    pub fn open(&self, number: usize, bytes: &[u8], sealed: bool) {
        let partition = self.dir.join("topics").join(TOPIC).join("0");
        fs::remove_dir_all(&partition).unwrap();
        fs::create_dir(&partition).unwrap();
        for (path, content) in &self.files {
            fs::write(path, content).unwrap();
        }
        let (path, _) = &self.files[number % self.files.len()];
        let mut bytes = bytes.to_vec();
        if sealed {
            seal(path, &mut bytes);
        }
        fs::write(path, bytes).unwrap();
        let Ok(core) = Core::open(options(&self.dir)) else { return };
        let topic = core.topics.get(TOPIC).unwrap();
        let partition = topic.partition(0).unwrap();
        let mut offset = partition.positions().log_start;
        while let Ok(slice) = partition.read(offset, 1, true, true) {
            let Ok(header) = Header::parse(&slice.records) else { break };
            offset = header.last_offset() + 1;
        }
        let _named = partition.find_time(1_003, true);
        let _named = partition.find_max_time();
        let batch = one_record(8);
        let _refused = partition.append(&batch, &Header::check(&batch).unwrap(), 300);
        core.topics.maintain();
        let _refused = core.topics.settle();
    }
}

/// The batch of this number that a producer sends.
fn one_record(number: i32) -> Vec<u8> {
    // A marker has every field; what is left is to make it none.
    let mut batch = batch::control(7, 0, true, 1_000 + i64::from(number));
    batch[21..23].fill(0);
    batch[53..57].copy_from_slice(&number.to_be_bytes());
    seal_batch(&mut batch);
    batch
}

/// Gives the bytes the length, the format and the checksum of a batch.
fn seal_batch(bytes: &mut [u8]) {
    let length = u32::try_from(bytes.len().saturating_sub(12)).unwrap_or(u32::MAX);
    if bytes.len() >= batch::HEADER_BYTES {
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        let sum = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Makes the checksums of a file right, as far as its content has any.
fn seal(path: &Path, bytes: &mut Vec<u8>) {
    /// A magic number of eight bytes is before everything but batches.
    const MAGIC_BYTES: usize = 8;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let sum = |bytes: &[u8]| crc32c::crc32c(bytes).to_le_bytes();
    if name.ends_with(".log") {
        let mut rest = &mut bytes[..];
        while let Some(field) = rest.get(8..12) {
            let length = 12 + u32::from_be_bytes([field[0], field[1], field[2], field[3]]) as usize;
            let Some((batch, after)) = rest.split_at_mut_checked(length) else { break };
            seal_batch(batch);
            rest = after;
        }
    } else if name.ends_with(".journal") && bytes.len() > MAGIC_BYTES {
        let mut rest = &mut bytes[MAGIC_BYTES..];
        while let Some((head, after)) = rest.split_at_mut_checked(8) {
            let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let Some((payload, after)) = after.split_at_mut_checked(length) else { break };
            head[4..].copy_from_slice(&sum(payload));
            rest = after;
        }
    } else if name == "log-start" {
        if let Some(offset) = std::str::from_utf8(bytes).ok().and_then(|text| text.split_whitespace().next())
        {
            *bytes = format!("{offset} {}\n", log_start_sum(offset)).into_bytes();
        }
    } else if name == "checkpoint" && bytes.len() > MAGIC_BYTES + 4 {
        let (head, payload) = bytes.split_at_mut(MAGIC_BYTES + 4);
        head[MAGIC_BYTES..].copy_from_slice(&sum(payload));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Repeatable random numbers (splitmix64).
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
        }

        /// A few bytes of it become others, or numbers, or go.
        fn damaged(&mut self, bytes: &[u8]) -> Vec<u8> {
            let mut bytes = bytes.to_vec();
            for _ in 0..=self.below(3) {
                let at = self.below(bytes.len());
                let end = (at + 1 + self.below(8)).min(bytes.len());
                match self.below(5) {
                    0 => bytes.truncate(at),
                    1 if at < end => bytes[at] ^= 1 << self.below(8),
                    2 => bytes[at..end].fill([0, 0x7f, 0x80, 0xff, b'9'][self.below(5)]),
                    3 => drop(bytes.splice(at..at, (0..self.below(20)).map(|n| b"0-9e\"[]{}null,:"[n % 15]))),
                    _ => {
                        let piece = bytes[at..end].to_vec();
                        bytes.splice(at..at, piece);
                    }
                }
            }
            bytes
        }
    }

    /// Leaves something to start from for the fuzz targets, when it is told where.
    fn leave(target: &str, name: &str, bytes: &[u8]) {
        if let Some(corpus) = std::env::var_os("LANTERN_TESTS_CORPUS") {
            let folder = Path::new(&corpus).join(target);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    // What a disk gives back may be anything. Damage is named or cut off; it never ends the process.
    #[test]
    fn a_damaged_file_ends_nothing_but_its_start() {
        let check = |seed: u64| {
            let dir = tempfile::tempdir().unwrap();
            let folder = Folder::new(dir.path());
            for n in 0..folder.files.len() {
                leave("stored", &format!("file-{n}"), &[&[n as u8, 1], folder.file(n)].concat());
            }
            let mut random = Random(seed);
            for n in 0..20 {
                let bytes = random.damaged(folder.file(n));
                folder.open(n, &bytes, random.below(2) == 0);
            }
        };
        // Most of the time goes to waiting for the disk.
        std::thread::scope(|scope| (0..6).for_each(|seed| drop(scope.spawn(move || check(seed)))));
    }

    // The checksum is the producer's own, so that it vouches for nothing.
    #[test]
    fn a_batch_with_a_right_checksum_may_hold_anything() {
        let mut random = Random(3);
        let good = one_record(0);
        leave("records", "good", &good);
        for _ in 0..20_000 {
            records(&random.damaged(&good));
        }
    }

    // A batch of a megabyte can hold gigabytes; to look for keys must not take memory for them.
    #[test]
    fn a_batch_that_unpacks_to_too_much_is_refused() {
        let zeros = zstd::encode_all(std::io::repeat(0).take(300 << 20), 1).unwrap();
        let mut bytes = one_record(0);
        bytes.truncate(batch::HEADER_BYTES);
        bytes.extend_from_slice(&zeros);
        bytes[22] = 4;
        bytes[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
        seal_batch(&mut bytes);
        let header = Header::check(&bytes).unwrap();
        assert!(!records::all_have_keys(&bytes, &header));
    }
}
