//! What can go wrong between Lantern and the log.

use std::ops::Range;

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

/// Why an operation on the log failed. Every message says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that librdkafka does not know, a value that it refuses, or one that Lantern relies on.
    #[error("the log's setting `{key}` {reason}")]
    Setting {
        /// The setting's name.
        key: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// No broker answers. It may come back: try again.
    #[error(
        "no broker answers at {servers}: {reason}; check that it runs and that `bootstrap.servers` names it, Lantern goes on as soon as it answers"
    )]
    Unavailable {
        /// The configured `bootstrap.servers`.
        servers: String,
        /// What the client said last.
        reason: String,
    },
    /// The topic does not exist, or is not visible to this user.
    #[error(
        "there is no topic `{topic}`; create it, for example with `lantern produce {topic}`, which creates what is missing, or check its name with `lantern topics`"
    )]
    TopicMissing {
        /// The topic's name.
        topic: String,
    },
    /// The topic exists, but has no such partition.
    #[error(
        "topic `{topic}` has no partition {partition}; a topic's partitions never become fewer, so it was probably deleted and created anew: reset what reads it"
    )]
    PartitionMissing {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
    },
    /// The record to read next is not in the log: records were deleted that had not been read, or the
    /// log is another than the one that was read before.
    #[error(
        "topic {topic}, partition {partition}: offset {offset} should be read next, but the log {}; records were deleted \
         before they were read, or this is another log than before: restore it, or rebuild the read model from what is left",
        describe(.range.as_ref())
    )]
    OffsetOutOfRange {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
        /// The offset that was asked for.
        offset: i64,
        /// What the log holds, when it could be told.
        range: Option<Range<i64>>,
    },
    /// The broker refuses who we are.
    #[error(
        "the broker refuses the connection: {reason}; check the `security.protocol`, `sasl.*` and `ssl.*` settings"
    )]
    Authentication {
        /// What the client said.
        reason: String,
    },
    /// The broker knows who we are and does not allow what we asked for.
    #[error("the broker does not allow {what}: {reason}; give this user the right to")]
    Forbidden {
        /// What was asked for.
        what: String,
        /// What the broker said.
        reason: String,
    },
    /// A partition could not be read.
    #[error(
        "topic {topic}, partition {partition}, offset {offset}: {reason}; if trying again does not help, look at the broker's log"
    )]
    Read {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i32,
        /// The offset at fault.
        offset: i64,
        /// What the client said.
        reason: String,
    },
    /// A record was not appended.
    #[error("a record for topic {topic}{} was not appended: {reason}; what was sent after it may be missing too", describe_partition(*.partition))]
    Delivery {
        /// The topic's name.
        topic: String,
        /// The partition, when one had been chosen.
        partition: Option<i32>,
        /// What the client said.
        reason: String,
    },
    /// Some records were not acknowledged in time; they may still arrive.
    #[error(
        "{pending} records were not acknowledged within {timeout_ms} ms; check the broker and look with `lantern topics` how far it came"
    )]
    Unacknowledged {
        /// How many.
        pending: usize,
        /// How long was waited, in milliseconds.
        timeout_ms: u128,
    },
    /// Anything else.
    #[error("{what} failed: {reason}")]
    Other {
        /// What was asked for.
        what: String,
        /// What the client said.
        reason: String,
    },
}

fn describe(range: Option<&Range<i64>>) -> String {
    match range {
        Some(range) if range.is_empty() => format!("is empty, and its next record will be {}", range.end),
        Some(range) => format!("holds {} to {}", range.start, range.end - 1),
        None => "does not hold it".to_owned(),
    }
}

fn describe_partition(partition: Option<i32>) -> String {
    partition.map(|partition| format!(", partition {partition},")).unwrap_or_default()
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Unavailable { .. } | Error::Read { .. } | Error::Unacknowledged { .. })
    }

    /// Whether it may be over by itself, for who goes on for long: a topic may come, or come again. Who was let in before has the right
    /// settings: librdkafka says the same of a broker that goes away while it shakes hands, and passwords and certificates are
    /// renewed on either side first.
    pub fn may_pass(&self, was_let_in: bool) -> bool {
        match self {
            Error::TopicMissing { .. } => true,
            Error::Authentication { .. } => was_let_in,
            error => error.is_transient(),
        }
    }

    /// What a setting is told to be wrong for.
    pub(super) fn creation(error: &KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(_, reason, key, value) => {
                // Secrets are settings too, and this ends up in logs.
                let value =
                    if super::options::is_secret(key) { String::new() } else { format!(" to {value:?}") };
                let reason = format!(
                    "cannot be set{value}: {reason}; see librdkafka's CONFIGURATION.md for what it may be"
                );
                Error::Setting { key: key.clone(), reason }
            }
            other => Error::Other { what: "creating a client of the log".into(), reason: reason(other) },
        }
    }
}

/// What kind of trouble a code means, wherever it turns up.
pub(super) enum Trouble {
    Away,
    Authentication,
    Forbidden,
    TopicMissing,
    PartitionMissing,
    OutOfRange,
    Else,
}

impl Trouble {
    pub(super) fn of(code: Code) -> Self {
        match code {
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::MessageTimedOut
            | Code::Resolve
            | Code::NodeUpdate
            | Code::WaitingForCoordinator
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator => Trouble::Away,
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::SSL
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState => Trouble::Authentication,
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed => Trouble::Forbidden,
            Code::UnknownTopicOrPartition | Code::UnknownTopic => Trouble::TopicMissing,
            Code::UnknownPartition => Trouble::PartitionMissing,
            Code::AutoOffsetReset | Code::OffsetOutOfRange => Trouble::OutOfRange,
            _ => Trouble::Else,
        }
    }
}

/// An error of librdkafka in its own words, without the wrapping's.
pub(super) fn reason(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(code) => code.to_string(),
        None => error.to_string(),
    }
}
