//! The client of the log: Kafka's protocol, through librdkafka. What answers may be Apache Kafka, the
//! embedded broker, or anything else that speaks the protocol. No other module knows librdkafka.
//!
//! * [`Options`]: every setting of librdkafka, and those that Lantern chooses.
//! * [`Client`]: looks at topics, creates them, and makes consumers.
//! * [`Admin`]: changes topics, their settings and groups.
//! * [`Groups`]: who reads, and how far they are.
//! * [`Consumer`]: reads assigned partitions from given offsets, committed records only.
//! * [`Partitions`]: reads one partition after the other, as the caller chooses.
//! * [`Producer`]: appends records, idempotently.
//! * [`Appender`]: the same, for many callers at once.
//! * [`TransactionalProducer`]: appends in transactions, and fences whoever did so before.
//!
//! Everything here but the appender blocks, with a bound, and belongs on a thread that may. A broker that is away is a
//! transient [`Error`]: the same object works again when the broker is back.

mod admin;
mod appender;
mod batch;
mod client;
mod consumer;
mod context;
mod delivery;
mod error;
mod groups;
mod link;
mod options;
mod partitioner;
mod partitions;
mod producer;
mod round;
mod settings;
mod transaction;

pub use admin::{Admin, Setting, Source};
pub use appender::{Appender, NewRecord, NotAppended, Place};
pub use client::{Client, PartitionInfo, TopicInfo};
pub use consumer::{Consumer, Fetched, Position};
pub use error::Error;
pub use groups::{Group, Groups, Member, Read};
pub use options::Options;
pub use partitioner::partition_of;
pub use partitions::Partitions;
pub use producer::{Producer, Report};
pub use transaction::{TransactionError, TransactionRecord, TransactionalProducer};

/// A place in a partition: the next record to read, or the one that would come next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assignment {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The offset of the next record.
    pub next_offset: i64,
}
