//! What a user can set. The host composes [`Options`] into its own configuration.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::security::{Credential, Door, Error};

/// When written bytes are forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fsync {
    /// Before a write is acknowledged and before it is shown to consumers. One fsync serves every
    /// write that waits at that moment. The default.
    Always,
    /// At this interval in milliseconds. Writes are acknowledged at once: they survive the death of
    /// the process, but those of the last interval may not survive the death of the machine.
    EveryMs(u64),
    /// Only at shutdown. For tests and benchmarks.
    Never,
}

/// Settings of the broker. Every field has a default, so `Options { dir, ..Default::default() }` is
/// enough.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The folder that holds everything the broker stores. It is made if it is missing, and it
    /// belongs to one process at a time.
    pub dir: PathBuf,
    /// Where clients connect. Port 0 takes a free port; [`crate::Broker::address`] tells which.
    pub listen: SocketAddr,
    /// Where clients are told to connect, as `host:port`, when that is another address than the one
    /// that they reached: a name in the certificate, or the outside of a container.
    pub advertise: Option<String>,
    /// Whether whoever reaches the address may do everything, also from other machines.
    pub allow_anonymous: bool,
    /// A PEM file with the server's certificate and those that signed it. With it, and the key,
    /// clients need TLS.
    pub tls_certificate: Option<PathBuf>,
    /// A PEM file with the certificate's private key.
    pub tls_key: Option<PathBuf>,
    /// What is kept of each user's password. With one, every client has to name itself.
    pub users: BTreeMap<String, Credential>,
    /// How long a client may take for TLS and for saying who it is, in milliseconds.
    pub handshake_ms_max: u64,
    /// Partitions of a topic that is created without saying how many.
    pub default_partitions: i32,
    /// Whether a topic is created when a client that asks for it allows that, as in Kafka.
    pub auto_create_topics: bool,
    /// When written bytes are forced to the disk.
    pub fsync: Fsync,
    /// A segment file that has reached this many bytes is closed and the next one begun. A topic
    /// overrides it with `segment.bytes`.
    pub segment_bytes_max: u64,
    /// How often segments are looked through for what retention and compaction ask for, in
    /// milliseconds.
    pub maintain_every_ms: u64,
    /// The largest record batch accepted, in bytes. A topic overrides it with `max.message.bytes`.
    pub message_bytes_max: usize,
    /// The largest request accepted, in bytes. A longer one closes its connection.
    pub request_bytes_max: usize,
    /// The most bytes of records that one fetch answers with.
    pub fetch_bytes_max: usize,
    /// Connections served at a time. Further ones are closed at once.
    pub connections_max: usize,
    /// A connection whose client sends nothing for this long, in milliseconds, is closed.
    pub idle_ms_max: u64,
    /// A client that does not take its answer, or a further MiB of it, within this time, in milliseconds, is
    /// disconnected; so is one that does not send a further MiB of a large request.
    pub write_ms_max: u64,
    /// The most partitions that a topic can have.
    pub partitions_max: i32,
    /// The longest transaction timeout that a producer may ask for, in milliseconds.
    pub transaction_ms_max: i32,
    /// The shortest session timeout that a group member may ask for, in milliseconds.
    pub group_session_ms_min: i32,
    /// The longest session timeout that a group member may ask for, in milliseconds.
    pub group_session_ms_max: i32,
    /// How long the first member of an empty group waits for others before the first assignment,
    /// in milliseconds. Kafka waits 3,000; on one machine nothing is gained by it.
    pub group_initial_delay_ms: u64,
    /// Members that one group can have.
    pub group_members_max: usize,
}

impl Options {
    /// Whether a broker would listen by these settings; reads the certificate and the key, and starts nothing.
    ///
    /// # Errors
    /// When it would not, such as where strangers would reach it.
    pub fn check(&self) -> Result<(), Error> {
        Door::of(self).map(drop)
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            dir: PathBuf::from("log"),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            advertise: None,
            allow_anonymous: false,
            tls_certificate: None,
            tls_key: None,
            users: BTreeMap::new(),
            handshake_ms_max: 10_000,
            default_partitions: 1,
            auto_create_topics: true,
            fsync: Fsync::Always,
            segment_bytes_max: 1 << 30,
            maintain_every_ms: 10_000,
            message_bytes_max: 1_048_588,
            request_bytes_max: 100 << 20,
            fetch_bytes_max: 55 << 20,
            connections_max: 1_000,
            idle_ms_max: 600_000,
            write_ms_max: 30_000,
            partitions_max: 10_000,
            transaction_ms_max: 900_000,
            group_session_ms_min: 1_000,
            group_session_ms_max: 1_800_000,
            group_initial_delay_ms: 0,
            group_members_max: 1_000,
        }
    }
}
