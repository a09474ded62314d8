//! What can go wrong between two logs.

use crate::log::{self, TransactionError};
use crate::{aggregate_store, data_dir, read_model};
use std::io;
use std::path::PathBuf;

/// Why an export or a switch did not come to its end. What was committed stays, and the same command goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of the logs.
    #[error("{which}: {error}")]
    Log {
        /// Which one.
        which: &'static str,
        /// What it said.
        error: log::Error,
    },
    /// A transaction of the copy.
    #[error("the copy: {0}. Run the same command again: it goes on where the last committed chunk ended")]
    Transaction(#[from] TransactionError),
    /// Both are the same.
    #[error("{to} is the log that would be copied: name another cluster with --to")]
    Same {
        /// What was named.
        to: String,
    },
    /// A cluster does not say which it is.
    #[error(
        "{which} does not say its cluster id, by which an export knows its copy again: it is too old, or no Kafka"
    )]
    Nameless {
        /// Which one.
        which: &'static str,
    },
    /// A topic that was named is not there.
    #[error("there is no topic `{topic}` to copy: `lantern topics` shows which there are")]
    TopicMissing {
        /// The topic.
        topic: String,
    },
    /// The copy's topic was not made by this export.
    #[error(
        "the topic `{topic}` in the target {reason}: delete it there, or leave it out by naming the others with --topic"
    )]
    NotOurs {
        /// The topic.
        topic: String,
        /// Why it cannot be a copy.
        reason: String,
    },
    /// A record that cannot be copied as it is.
    #[error(
        "topic {topic}, partition {partition}, offset {offset}: its time is 0, which librdkafka sends as the present: it cannot be copied"
    )]
    Time {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
    },
    /// The copy is not what was read.
    #[error("topic {topic}, partition {partition}: the copy differs at its offset {offset}: {reason}. Delete the topic in the target, with the group `{group}`, and the map {}, and export again", map.display())]
    Differs {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where in the copy.
        offset: i64,
        /// How.
        reason: String,
        /// What says how far the export is.
        group: String,
        /// The map.
        map: PathBuf,
    },
    /// A signal.
    #[error("stopped: run the same command again, and it goes on where it was")]
    Stopped,
    /// The map cannot be read or written.
    #[error("{}: {source}. Check that the folder exists, is writable and has space", path.display())]
    Map {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The map is damaged.
    #[error("{}, line {line}: {reason}. It cannot be used: restore it, or delete it with what was copied, and export again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The map is of another log.
    #[error("{} is the map of the log {source_id}, not of this one: was the data folder's log replaced? Move it away, and export to other topics", path.display())]
    OtherSource {
        /// The file.
        path: PathBuf,
        /// The log that it is of.
        source_id: String,
    },
    /// The copy is further than the map.
    #[error(
        "topic {topic}, partition {partition}: the copy has everything up to {there}, but the map {} only knows it up to {known}. \
         Restore the map, or delete the copied topics and the export's group in the target, and export again", path.display()
    )]
    MapLost {
        /// The map.
        path: PathBuf,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// How far the map goes.
        known: i64,
        /// How far the copy goes.
        there: i64,
    },
    /// Nothing is configured to switch to.
    #[error(
        "there is no cluster to switch to: set `bootstrap.servers` under [kafka] (or LANTERN_KAFKA_BOOTSTRAP_SERVERS) to the one that was exported to"
    )]
    NoTarget,
    /// It was not exported to.
    #[error(
        "the log was not exported to the cluster at {servers} ({cluster}): `lantern log export --to {servers}` does it"
    )]
    NotExported {
        /// The configured brokers.
        servers: String,
        /// Their cluster.
        cluster: String,
    },
    /// It was moved already.
    #[error("the log of this data folder is the cluster {cluster} already: there is nothing to switch")]
    Switched {
        /// The cluster.
        cluster: String,
    },
    /// The export is of another kind of log.
    #[error(
        "the export to {cluster} is of a cluster, not of the data folder's own log: what reads that cannot be switched yet"
    )]
    NotEmbedded {
        /// The cluster.
        cluster: String,
    },
    /// The copy lacks something.
    #[error("{what}: `lantern log export --to {servers}` copies the rest, then switch")]
    Uncovered {
        /// What is not covered.
        what: String,
        /// The configured brokers.
        servers: String,
    },
    /// A read model.
    #[error(transparent)]
    ReadModel(#[from] read_model::Error),
    /// The aggregates of one type.
    #[error(transparent)]
    Aggregates(#[from] aggregate_store::Error),
    /// The data folder.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    /// The embedded broker.
    #[error("the embedded broker does not start: {0}")]
    Broker(#[from] lantern_broker::Error),
}

/// Names the log that an error is of.
pub(super) fn of(which: &'static str) -> impl Fn(log::Error) -> Error {
    move |error| Error::Log { which, error }
}

/// The log that is copied.
pub(super) const SOURCE: &str = "the log";
/// The copy.
pub(super) const TARGET: &str = "the target";
