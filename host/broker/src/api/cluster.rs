//! What clients and tools ask about the broker: coordinators, brokers, folders, producers.

use std::collections::{BTreeMap, HashSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    BrokerId, DescribeAclsRequest, DescribeAclsResponse, DescribeClusterRequest, DescribeClusterResponse,
    DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeProducersRequest, DescribeProducersResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    ProducerId, TopicName,
};

use super::fetch::check_epoch;
use super::{NODE_ID, Session, once, text};
use crate::log::batch::LEADER_EPOCH;
use crate::topics::Topic;

/// Kinds of coordinators.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// The first version that asks for several coordinators.
const SEVERAL_FROM: i16 = 4;
/// `DescribeCluster` asks about brokers with this, about controllers with 2.
const BROKERS: i8 = 1;

pub(crate) async fn find_coordinator(
    session: &Session,
    version: i16,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let host = session.host.clone();
    let port = i32::from(session.port);
    let known = matches!(request.key_type, GROUP | TRANSACTION);
    let error = match known {
        true => 0,
        false => ResponseError::InvalidRequest.code(),
    };
    if version < SEVERAL_FROM {
        return match known {
            true => FindCoordinatorResponse::default()
                .with_node_id(BrokerId(NODE_ID))
                .with_host(host)
                .with_port(port),
            false => FindCoordinatorResponse::default()
                .with_error_code(error)
                .with_node_id(BrokerId(-1))
                .with_port(-1),
        };
    }
    let coordinators = request
        .coordinator_keys
        .into_iter()
        .map(|key| {
            let coordinator = Coordinator::default().with_key(key);
            match known {
                true => coordinator.with_node_id(BrokerId(NODE_ID)).with_host(host.clone()).with_port(port),
                false => coordinator.with_error_code(error).with_node_id(BrokerId(-1)).with_port(-1),
            }
        })
        .collect();
    FindCoordinatorResponse::default().with_coordinators(coordinators)
}

pub(crate) async fn describe(
    session: &Session,
    version: i16,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    if version >= 1 && request.endpoint_type != BROKERS {
        return DescribeClusterResponse::default()
            .with_error_code(ResponseError::UnsupportedEndpointType.code())
            .with_endpoint_type(request.endpoint_type);
    }
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE_ID))
        .with_host(session.host.clone())
        .with_port(i32::from(session.port));
    DescribeClusterResponse::default()
        .with_cluster_id(text(session.core.topics.cluster_id().to_string()))
        .with_controller_id(BrokerId(NODE_ID))
        .with_brokers(vec![broker])
}

pub(crate) async fn log_dirs(
    session: &Session,
    version: i16,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let of = |topic: &Topic, indexes: Option<&HashSet<i32>>| {
        let partitions = topic
            .partitions
            .iter()
            .enumerate()
            .map(|(index, partition)| (index as i32, partition))
            .filter(|(index, _)| indexes.is_none_or(|wanted| wanted.contains(index)))
            .map(|(index, partition)| {
                DescribeLogDirsPartition::default()
                    .with_partition_index(index)
                    .with_partition_size(partition.bytes() as i64)
            })
            .collect();
        DescribeLogDirsTopic::default()
            .with_name(TopicName(text(topic.name.as_str())))
            .with_partitions(partitions)
    };
    let topics = match request.topics {
        None => session.core.topics.all().iter().map(|topic| of(topic, None)).collect(),
        Some(asked) => {
            let mut wanted: BTreeMap<TopicName, HashSet<i32>> = BTreeMap::new();
            for asked in asked {
                wanted.entry(asked.topic).or_default().extend(asked.partitions);
            }
            let known =
                wanted.iter().filter_map(|(name, indexes)| Some((session.core.topics.get(name)?, indexes)));
            known.map(|(topic, indexes)| of(&topic, Some(indexes))).collect()
        }
    };
    let dir =
        std::path::absolute(&session.core.options.dir).unwrap_or_else(|_| session.core.options.dir.clone());
    let result =
        DescribeLogDirsResult::default().with_log_dir(text(dir.to_string_lossy())).with_topics(topics);
    let result = match version {
        ..4 => result,
        // Unknown, as the protocol lets a broker say.
        _ => result.with_total_bytes(-1).with_usable_bytes(-1),
    };
    DescribeLogDirsResponse::default().with_results(vec![result])
}

pub(crate) async fn producers(
    session: &Session,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut is_first = once(|place: &(TopicName, i32)| place.clone());
    let topics = request
        .topics
        .into_iter()
        .map(|asked| {
            let topic = session.core.topics.get(&asked.name);
            let partitions = asked
                .partition_indexes
                .iter()
                .filter(|index| is_first(&(asked.name.clone(), **index)))
                .map(|index| partition_producers(topic.as_deref(), *index))
                .collect();
            TopicResponse::default().with_name(asked.name).with_partitions(partitions)
        })
        .collect();
    DescribeProducersResponse::default().with_topics(topics)
}

fn partition_producers(topic: Option<&Topic>, index: i32) -> PartitionResponse {
    let response = PartitionResponse::default().with_partition_index(index);
    let Some(partition) = topic.and_then(|topic| topic.partition(index)) else {
        return response.with_error_code(ResponseError::UnknownTopicOrPartition.code());
    };
    let producers = partition
        .producers()
        .into_iter()
        .map(|producer| {
            ProducerState::default()
                .with_producer_id(ProducerId(producer.producer_id))
                .with_producer_epoch(i32::from(producer.epoch))
                .with_last_sequence(producer.last_sequence)
                .with_last_timestamp(producer.last_seen_ms)
                .with_coordinator_epoch(LEADER_EPOCH)
                .with_current_txn_start_offset(producer.open_from.unwrap_or(-1))
        })
        .collect();
    response.with_active_producers(producers)
}

pub(crate) async fn epoch_end(
    session: &Session,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request
        .topics
        .into_iter()
        .map(|asked| {
            let topic = session.core.topics.get(&asked.topic);
            let partitions = asked
                .partitions
                .iter()
                .map(|partition| {
                    let response = EpochEndOffset::default().with_partition(partition.partition);
                    let found = topic.as_deref().and_then(|topic| topic.partition(partition.partition));
                    let Some(found) = found else {
                        let error = ResponseError::UnknownTopicOrPartition;
                        return response.with_error_code(error.code());
                    };
                    if let Err(error) = check_epoch(partition.current_leader_epoch) {
                        return response.with_error_code(error.code());
                    }
                    match partition.leader_epoch {
                        LEADER_EPOCH => response
                            .with_leader_epoch(LEADER_EPOCH)
                            .with_end_offset(found.positions().high_watermark),
                        // There never was another epoch.
                        _ => response,
                    }
                })
                .collect();
            OffsetForLeaderTopicResult::default().with_topic(asked.topic).with_partitions(partitions)
        })
        .collect();
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}

/// There is nowhere to move partitions to, so none are being moved.
pub(crate) async fn reassignments(
    _request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default()
}

/// There are no access rules to list.
pub(crate) async fn acls(_request: DescribeAclsRequest) -> DescribeAclsResponse {
    DescribeAclsResponse::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(text("this broker has no access control")))
}
