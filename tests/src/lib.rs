//! What the promise tests stand on: brokers, the binary under test, and independent readers.
//!
//! # Layout
//!
//! - [`log`]: the brokers that every promise is tested on; [`kafka`] runs a real Apache Kafka.
//! - [`broker`]: the embedded broker in a process of its own.
//! - [`site`]: an installation of Lantern, and the real process that runs on it.
//! - [`page`]: pages of the documentation, followed; [`python`]: clients and tools that are written in it;
//!   [`native`]: what native tests of plugins need.
//! - [`guest`]: the plugins under `tests/guests`, built by `lantern build`.
//! - [`api`], [`http`]: what asks a running host; [`generations`]: the files that it deploys into.
//! - [`client`], [`stream`]: what writes to a log and reads it, sharing nothing with Lantern.
//! - [`read_model`], [`fold`], [`whole`]: what reads the tables, and what must be in them.
//! - [`writes`]: when a process writes, which is when it should be killed; [`disk`]: disks that are full or read-only.
//! - [`report`], [`wait`], [`seed`], [`target`]: how a test is skipped, waits, is repeated, and
//!   where it caches.

pub mod api;
pub mod broker;
pub mod client;
pub mod disk;
pub mod fold;
pub mod generations;
pub mod guest;
pub mod http;
pub mod kafka;
pub mod log;
pub mod native;
pub mod page;
pub mod python;
pub mod read_model;
pub mod report;
pub mod seed;
pub mod site;
pub mod stream;
pub mod target;
pub mod wait;
pub mod whole;
pub mod writes;
