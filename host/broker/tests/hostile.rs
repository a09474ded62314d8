//! Sessions of real clients, recorded on their way and sent again with something wrong about them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::Offset;
use rdkafka::admin::{AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseRecord, Producer};

use support::{
    Host, PATIENCE, Random, block_on, client, create, payloads, producer, read_to_end, send, send_all,
    transactional,
};

/// How many kinds of requests the clients send at least.
const APIS_MIN: usize = 22;
const THREADS: u64 = 8;
/// Of each thread.
const SESSIONS: usize = 100;
/// A broker that has nothing to say for so long waits for something.
const SILENCE: Duration = Duration::from_millis(10);
/// What mangled sessions may take of the process's memory, which is the test's too.
const MEMORY_BYTES_MAX: usize = 64 << 20;

/// The requests of one connection, each without its length.
type Session = Vec<Vec<u8>>;

/// What one connection's client has sent so far.
type Sent = Arc<Mutex<Vec<u8>>>;

/// A socket before the broker that writes down what clients send.
struct Recorder {
    address: String,
    connections: Arc<Mutex<Vec<Sent>>>,
}

impl Recorder {
    /// Listens at once; records when it is told where the broker is.
    fn start() -> (Recorder, impl FnOnce(&str)) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connections = Arc::<Mutex<Vec<Sent>>>::default();
        let recorder = Recorder { address, connections: Arc::clone(&connections) };
        let begin = move |broker: &str| {
            let broker = broker.to_owned();
            // Ends with the test's process.
            std::thread::spawn(move || {
                for client in listener.incoming() {
                    let client = client.unwrap();
                    let broker = TcpStream::connect(&broker).unwrap();
                    let sent = Sent::default();
                    connections.lock().unwrap().push(Arc::clone(&sent));
                    let (to_client, from_broker) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
                    std::thread::spawn(move || {
                        pass(client, broker, |bytes| sent.lock().unwrap().extend(bytes))
                    });
                    std::thread::spawn(move || pass(from_broker, to_client, |_| {}));
                }
            });
        };
        (recorder, begin)
    }

    fn sessions(&self) -> Vec<Session> {
        let connections = self.connections.lock().unwrap();
        let sessions = connections.iter().map(|sent| frames(&sent.lock().unwrap()));
        sessions.filter(|session| !session.is_empty()).collect()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, seen: impl Fn(&[u8])) {
    let mut buffer = [0; 16 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        seen(&buffer[..bytes]);
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _gone = to.shutdown(Shutdown::Both);
}

fn frames(mut bytes: &[u8]) -> Session {
    let mut frames = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let Some((frame, rest)) = rest.split_at_checked(u32::from_be_bytes(*length) as usize) else { break };
        frames.push(frame.to_vec());
        bytes = rest;
    }
    frames
}

/// What clients do in a day, all at the same time.
fn live(address: &str) {
    create(address, "day", 2);
    std::thread::scope(|scope| {
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            scope.spawn(move || {
                let settings = [("compression.type", codec), ("enable.idempotence", "true")];
                send_all(&producer(address, &settings), "day", ["abc".repeat(100).as_str(), codec]);
            });
        }
        scope.spawn(|| read_and_write(address));
        scope.spawn(|| look(address));
        scope.spawn(|| administer(address));
    });
}

fn read_and_write(address: &str) {
    let writer = transactional(address, "writer", 20_000);
    writer.init_transactions(PATIENCE).unwrap();
    let settings =
        [("group.id", "readers"), ("auto.offset.reset", "earliest"), ("session.timeout.ms", "6000")];
    let reader: BaseConsumer = client(address, &settings).create().unwrap();
    reader.subscribe(&["day"]).unwrap();
    for commit in [true, false] {
        let read = support::next(&reader).unwrap();
        writer.begin_transaction().unwrap();
        writer.send(BaseRecord::<(), _>::to("day").partition(1).payload(&read.offset.to_string())).unwrap();
        let (position, group) = (reader.position().unwrap(), reader.group_metadata().unwrap());
        writer.send_offsets_to_transaction(&position, &group, PATIENCE).unwrap();
        writer.flush(PATIENCE).unwrap();
        match commit {
            true => writer.commit_transaction(PATIENCE).unwrap(),
            false => writer.abort_transaction(PATIENCE).unwrap(),
        }
    }
    reader.commit_consumer_state(CommitMode::Sync).unwrap();
    reader.committed(PATIENCE).unwrap();
}

fn look(address: &str) {
    let reader: BaseConsumer = client(address, &[("group.id", "lookers")]).create().unwrap();
    reader.fetch_watermarks("day", 0, PATIENCE).unwrap();
    let mut times = rdkafka::TopicPartitionList::new();
    times.add_partition_offset("day", 0, Offset::Offset(1)).unwrap();
    reader.offsets_for_times(times, PATIENCE).unwrap();
    reader.fetch_group_list(None, PATIENCE).unwrap();
}

fn administer(address: &str) {
    create(address, "doomed", 1);
    let admin: rdkafka::admin::AdminClient<_> = client(address, &[]).create().unwrap();
    let options = AdminOptions::new();
    block_on(async {
        let day = ResourceSpecifier::Topic("day");
        admin.describe_configs([&day], &options).await.unwrap();
        admin
            .alter_configs([&AlterConfig::new(day).set("retention.ms", "1000000000")], &options)
            .await
            .unwrap();
        admin.create_partitions([&NewPartitions::new("doomed", 2)], &options).await.unwrap();
        admin.delete_topics(&["doomed"], &options).await.unwrap();
    });
}

/// A session as it goes onto the wire, with one to three things wrong about it.
fn mangled(session: &Session, random: &mut Random) -> Vec<u8> {
    let mut requests: Vec<Vec<u8>> =
        session.iter().map(|frame| [&(frame.len() as u32).to_be_bytes()[..], frame].concat()).collect();
    for _ in 0..=random.below(3) {
        let which = random.below(requests.len() as u64) as usize;
        let request = &mut requests[which];
        // One that is cut to less than its length says all it can.
        if request.len() <= 4 {
            continue;
        }
        // The length, the key and the version are mostly left alone, so that the rest is looked at.
        let from = if random.below(4) == 0 { 0 } else { 8.min(request.len() - 1) };
        let at = from + random.below((request.len() - from) as u64) as usize;
        let end = (at + 4).min(request.len());
        match random.below(7) {
            0 => request[at] ^= 1 << random.below(8),
            1 => request[at..end].fill([0, 0x7f, 0x80, 0xff][random.below(4) as usize]),
            2 => request.truncate(at.max(1)),
            3 => {
                request.truncate(at.max(5));
                let length = (request.len() - 4) as u32;
                request[..4].copy_from_slice(&length.to_be_bytes());
            }
            4 => request[..4].copy_from_slice(&(random.below(1 << 32) as u32).to_be_bytes()),
            5 => {
                let again = request.clone();
                requests.splice(which..which, (0..random.below(30)).map(|_| again.clone()));
            }
            _ => {
                let other = random.below(requests.len() as u64) as usize;
                requests.swap(which, other);
            }
        }
    }
    requests.concat()
}

/// Sends it whole, and takes what is answered until there is no more.
fn replay(address: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let _closed_early = stream.write_all(bytes);
    let mut buffer = [0; 64 << 10];
    while let Ok(1..) = stream.read(&mut buffer) {}
}

/// Bytes of memory that a line of the process's status names.
fn memory(line: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib =
        status.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(':')?.trim().strip_suffix(" kB"));
    kib.unwrap().parse::<usize>().unwrap() << 10
}

// The port is open to whatever connects to it, also to what was a client once: no panic, no hang, no memory without
// bound, and others are served.
#[test]
fn mangled_sessions_of_real_clients_harm_nobody_else() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some("broker") {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        before(panic);
    }));

    let (recorder, record) = Recorder::start();
    let advertise = recorder.address.clone();
    let mut host = Host::with(move |options| {
        options.advertise = Some(advertise.clone());
        options.partitions_max = 16;
    });
    record(host.address());
    live(&recorder.address);
    // Clients do not wait for all that they say, such as that they leave.
    support::eventually("the clients have asked for enough", || {
        let sessions = recorder.sessions();
        let keys = sessions.iter().flatten().map(|frame| i16::from_be_bytes([frame[0], frame[1]]));
        keys.collect::<BTreeSet<_>>().len() >= APIS_MIN
    });
    let sessions = recorder.sessions();
    if let Some(folder) = std::env::var_os("LANTERN_TESTS_CORPUS") {
        let folder = std::path::Path::new(&folder).join("request");
        std::fs::create_dir_all(&folder).unwrap();
        for (n, frame) in sessions.iter().flatten().enumerate() {
            std::fs::write(folder.join(format!("session-{n:04}")), frame).unwrap();
        }
    }

    let first_seed = std::env::var("LANTERN_TESTS_SEED").map_or(0, |seed| seed.parse::<u64>().unwrap());
    // From here on the peak counts.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let began = memory("VmRSS");
    let address = host.address().to_owned();
    std::thread::scope(|scope| {
        for seed in (0..THREADS).map(|thread| first_seed + thread) {
            let (sessions, address) = (&sessions, &address);
            scope.spawn(move || {
                let mut random = Random(seed);
                for _ in 0..SESSIONS {
                    let session = &sessions[random.below(sessions.len() as u64) as usize];
                    replay(address, &mangled(session, &mut random));
                }
            });
        }
    });
    let grown = memory("VmHWM").saturating_sub(began);
    assert!(
        grown < MEMORY_BYTES_MAX,
        "{} MiB more at the peak, LANTERN_TESTS_SEED={first_seed}",
        grown >> 20
    );
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "panics of the broker, LANTERN_TESTS_SEED={first_seed}");
    println!("{} recorded sessions, {} MiB more at the peak", sessions.len(), grown >> 20);

    host.create("afterwards", 1);
    send(&host.producer(&[]), "afterwards", "as ever").unwrap();
    host.restart();
    let consumer = host.consumer("afterwards", Offset::Beginning, &[]);
    assert_eq!(payloads(&read_to_end(&consumer, 1)), ["as ever"]);
}
