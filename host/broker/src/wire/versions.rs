//! Which requests are answered, in which versions.
//!
//! Upper bounds below the codec's keep out what needs more than one node or is not offered:
//! transactions of version 2 (KIP-890), groups of the new protocol (KIP-848), share groups, tiered
//! storage.

use kafka_protocol::messages::ApiKey;

/// An API and the versions of it that are answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Supported {
    pub(crate) key: ApiKey,
    pub(crate) min: i16,
    pub(crate) max: i16,
}

const fn api(key: ApiKey, min: i16, max: i16) -> Supported {
    Supported { key, min, max }
}

/// Everything that is answered, and advertised.
pub(crate) const SUPPORTED: &[Supported] = &[
    api(ApiKey::Produce, 3, 11),
    api(ApiKey::Fetch, 4, 16),
    api(ApiKey::ListOffsets, 1, 7),
    api(ApiKey::Metadata, 0, 12),
    api(ApiKey::OffsetCommit, 2, 8),
    api(ApiKey::OffsetFetch, 1, 8),
    api(ApiKey::FindCoordinator, 0, 4),
    api(ApiKey::JoinGroup, 0, 9),
    api(ApiKey::Heartbeat, 0, 4),
    api(ApiKey::LeaveGroup, 0, 5),
    api(ApiKey::SyncGroup, 0, 5),
    api(ApiKey::DescribeGroups, 0, 5),
    api(ApiKey::ListGroups, 0, 5),
    api(ApiKey::SaslHandshake, 0, 1),
    api(ApiKey::ApiVersions, 0, 4),
    api(ApiKey::CreateTopics, 2, 7),
    api(ApiKey::DeleteTopics, 1, 6),
    api(ApiKey::DeleteRecords, 0, 2),
    api(ApiKey::InitProducerId, 0, 4),
    api(ApiKey::OffsetForLeaderEpoch, 2, 4),
    api(ApiKey::AddPartitionsToTxn, 0, 3),
    api(ApiKey::AddOffsetsToTxn, 0, 3),
    api(ApiKey::EndTxn, 0, 3),
    api(ApiKey::TxnOffsetCommit, 0, 3),
    api(ApiKey::DescribeAcls, 1, 3),
    api(ApiKey::DescribeConfigs, 1, 4),
    api(ApiKey::AlterConfigs, 0, 2),
    api(ApiKey::DescribeLogDirs, 1, 4),
    api(ApiKey::SaslAuthenticate, 0, 2),
    api(ApiKey::CreatePartitions, 0, 3),
    api(ApiKey::DeleteGroups, 0, 2),
    api(ApiKey::IncrementalAlterConfigs, 0, 1),
    api(ApiKey::ListPartitionReassignments, 0, 0),
    api(ApiKey::OffsetDelete, 0, 0),
    api(ApiKey::DescribeCluster, 0, 1),
    api(ApiKey::DescribeProducers, 0, 0),
    api(ApiKey::DescribeTransactions, 0, 0),
    api(ApiKey::ListTransactions, 0, 1),
];

/// The lowest version of `Produce` that is advertised. As in Apache Kafka 4: librdkafka looks for
/// versions 0 to 2 to find out whether the broker knows compression and idempotence, although it
/// sends none of them.
pub(crate) const PRODUCE_ADVERTISED_MIN: i16 = 0;

/// Whether this version of this API is answered.
pub(crate) fn is_supported(key: ApiKey, version: i16) -> bool {
    SUPPORTED.iter().any(|api| api.key as i16 == key as i16 && (api.min..=api.max).contains(&version))
}

/// Whether any version of this API is answered.
pub(crate) fn is_known(key: ApiKey) -> bool {
    SUPPORTED.iter().any(|api| api.key as i16 == key as i16)
}
