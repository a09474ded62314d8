//! A durable single-node broker that speaks Kafka's protocol, to embed.
//!
//! It is what Lantern runs on when no Kafka is configured: for development, tests and small
//! installations. Every Kafka client can talk to it. It is one node and never will be a cluster;
//! beyond one machine it is Apache Kafka. What it promises:
//!
//! - Acknowledged means on disk ([`Fsync::Always`]), and consumers see nothing that is not.
//! - Idempotent producers write each batch once; transactions are committed as a whole or not at
//!   all, also when the process dies inside a commit; a fenced producer writes nothing.
//! - What is damaged is named, and never served.
//! - A client that asks for something that is not here gets the protocol's own error.
//!
//! It is open on loopback, which is the default, and nowhere else: where other machines reach it,
//! clients need TLS and a password.
//!
//! Deliberately absent so far: groups of the new protocol (KIP-848), transactions of version 2
//! (KIP-890), rules about who may do what.
//!
//! # Layout
//!
//! Data flows downwards; a module uses only those below it.
//!
//! - [`Broker`] (`broker`): start and shutdown; owns everything, holds the folder's lock.
//! - `server`: accepts connections, one reader and one writer task each.
//! - `handshake`: what a client says before it is known who it is.
//! - `wire`: frames, supported versions, from a request's bytes to the answer's.
//! - `api`: what each request does, one file per family.
//! - `transaction`: the transaction coordinator and its journal.
//! - `group`: the group coordinator and committed offsets.
//! - `topics`: the catalog of topics and their settings.
//! - `log`: the storage of a partition: segments, indexes, producers, checkpoints, recovery, group
//!   commit, retention, compaction.
//! - `journal`: an append-only file of small state changes.
//! - `buffers`: memory for large reads, used again.
//! - `memory`: a bound on what large requests and answers take together.
//! - `crash`: where tests have the process end.
//! - `reserve`: room that is kept for a full disk.
//! - `options`: what a user can set.
//! - `security`: what a listener asks for, credentials, SASL, TLS, bounds on strangers.

mod api;
mod broker;
mod buffers;
mod crash;
mod folder;
mod group;
mod handshake;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod hostile;
mod journal;
mod log;
mod memory;
mod options;
mod poison;
mod reserve;
mod security;
mod server;
mod topics;
mod transaction;
mod wire;

pub use broker::{Broker, Error};
pub use folder::Error as FolderError;
pub use journal::Error as JournalError;
pub use log::Error as LogError;
pub use options::{Fsync, Options};
pub use security::{Credential, CredentialError, Error as SecurityError, Inside, Login, TlsError};
pub use topics::{ConfigError, Error as TopicsError};
