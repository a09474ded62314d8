//! Committed offsets: committing, reading and deleting them.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse, TopicName,
};

use super::groups::owned;
use super::{Session, code, once, text};
use crate::group::{Committed, Speaker};

/// The most bytes of metadata that an offset may carry, as in Kafka.
const METADATA_BYTES_MAX: usize = 4_096;
/// The first version that asks for several groups.
const GROUPS_FROM: i16 = 8;
/// The first version that has leader epochs.
const EPOCH_FROM: i16 = 5;

/// The partitions of a topic, each with whether its offset can be committed.
pub(crate) type Checked = (TopicName, Vec<(i32, Result<(), ResponseError>)>);

/// One offset as a request has it.
pub(crate) struct Offered {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Option<String>,
}

impl Offered {
    /// The offset to store, if it may be.
    pub(crate) fn check(self, session: &Session, topic: &str) -> Result<Committed, ResponseError> {
        let exists =
            session.core.topics.get(topic).is_some_and(|topic| topic.partition(self.partition).is_some());
        if !exists {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        let metadata = self.metadata.unwrap_or_default();
        if metadata.len() > METADATA_BYTES_MAX {
            return Err(ResponseError::OffsetMetadataTooLarge);
        }
        Ok(Committed {
            topic: topic.to_owned(),
            partition: self.partition,
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata,
        })
    }
}

pub(crate) async fn commit(session: &Session, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let speaker = Speaker {
        member: request.member_id.to_string(),
        instance: owned(request.group_instance_id),
        generation: request.generation_id_or_member_epoch,
    };
    let group = request.group_id.to_string();
    let allowed = match group.is_empty() && speaker.generation >= 0 {
        true => Err(ResponseError::InvalidGroupId),
        false => session.core.groups.check_commit(&group, &speaker),
    };
    let mut accepted = Vec::new();
    let mut checked: Vec<Checked> = Vec::new();
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let index = partition.partition_index;
            let offered = Offered {
                partition: index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: owned(partition.committed_metadata),
            };
            let outcome = allowed.and_then(|()| offered.check(session, &topic.name));
            partitions.push((index, outcome.map(|committed| accepted.push(committed))));
        }
        checked.push((topic.name, partitions));
    }
    let stored = accepted.is_empty() || session.core.groups.offsets.commit(&group, accepted).await;
    let topics = checked
        .into_iter()
        .map(|(name, partitions)| {
            let partitions = partitions
                .into_iter()
                .map(|(index, outcome)| {
                    let outcome = match stored {
                        true => outcome,
                        false => outcome.and(Err(ResponseError::CoordinatorNotAvailable)),
                    };
                    OffsetCommitResponsePartition::default()
                        .with_partition_index(index)
                        .with_error_code(code(&outcome))
                })
                .collect();
            OffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions)
        })
        .collect();
    OffsetCommitResponse::default().with_topics(topics)
}

/// The offsets of one group; those that are unstable or absent are -1.
struct Fetched {
    topic: TopicName,
    partitions: Vec<(i32, Option<Committed>, bool)>,
}

fn fetch_group(
    session: &Session,
    group: &str,
    topics: Option<Vec<(TopicName, Vec<i32>)>>,
    require_stable: bool,
) -> Vec<Fetched> {
    let offsets = &session.core.groups.offsets;
    let unstable = |topic: &str, index| require_stable && offsets.is_unstable(group, topic, index);
    let Some(topics) = topics else {
        let mut fetched: Vec<Fetched> = Vec::new();
        for committed in offsets.all(group) {
            let unstable = unstable(&committed.topic, committed.partition);
            let entry = (committed.partition, Some(committed.clone()), unstable);
            match fetched.last_mut() {
                Some(last) if **last.topic == *committed.topic => last.partitions.push(entry),
                _ => {
                    fetched.push(Fetched { topic: TopicName(text(committed.topic)), partitions: vec![entry] })
                }
            }
        }
        return fetched;
    };
    topics
        .into_iter()
        .map(|(topic, indexes)| Fetched {
            partitions: indexes
                .into_iter()
                .map(|index| {
                    let committed = offsets.get(group, &topic, index);
                    (index, committed, unstable(&topic, index))
                })
                .collect(),
            topic,
        })
        .collect()
}

pub(crate) async fn fetch(
    session: &Session,
    version: i16,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let stable = request.require_stable;
    if version >= GROUPS_FROM {
        let groups = request
            .groups
            .into_iter()
            .filter(once(|group: &OffsetFetchRequestGroup| group.group_id.clone()))
            .map(|group| {
                let topics = group.topics.map(|topics| {
                    topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect()
                });
                let topics =
                    fetch_group(session, &group.group_id, topics, stable).into_iter().map(grouped).collect();
                OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_topics(topics)
            })
            .collect();
        return OffsetFetchResponse::default().with_groups(groups);
    }
    let topics = request
        .topics
        .map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
    let topics = fetch_group(session, &request.group_id, topics, stable)
        .into_iter()
        .map(|fetched| single(version, fetched))
        .collect();
    OffsetFetchResponse::default().with_topics(topics)
}

fn grouped(fetched: Fetched) -> OffsetFetchResponseTopics {
    let partitions = fetched
        .partitions
        .into_iter()
        .map(|(index, committed, unstable)| {
            let response = OffsetFetchResponsePartitions::default().with_partition_index(index);
            if unstable {
                return response
                    .with_committed_offset(-1)
                    .with_metadata(Some(text("")))
                    .with_error_code(ResponseError::UnstableOffsetCommit.code());
            }
            match committed {
                Some(committed) => response
                    .with_committed_offset(committed.offset)
                    .with_committed_leader_epoch(committed.leader_epoch)
                    .with_metadata(Some(text(committed.metadata))),
                None => response.with_committed_offset(-1).with_metadata(Some(text(""))),
            }
        })
        .collect();
    OffsetFetchResponseTopics::default().with_name(fetched.topic).with_partitions(partitions)
}

fn single(version: i16, fetched: Fetched) -> OffsetFetchResponseTopic {
    let partitions = fetched
        .partitions
        .into_iter()
        .map(|(index, committed, unstable)| {
            let response = OffsetFetchResponsePartition::default().with_partition_index(index);
            if unstable {
                return response
                    .with_committed_offset(-1)
                    .with_metadata(Some(text("")))
                    .with_error_code(ResponseError::UnstableOffsetCommit.code());
            }
            let Some(committed) = committed else {
                return response.with_committed_offset(-1).with_metadata(Some(text("")));
            };
            let response = response
                .with_committed_offset(committed.offset)
                .with_metadata(Some(text(committed.metadata)));
            match version {
                ..EPOCH_FROM => response,
                _ => response.with_committed_leader_epoch(committed.leader_epoch),
            }
        })
        .collect();
    OffsetFetchResponseTopic::default().with_name(fetched.topic).with_partitions(partitions)
}

pub(crate) async fn delete(session: &Session, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let groups = &session.core.groups;
    let group = request.group_id.to_string();
    if !groups.exists(&group) {
        return OffsetDeleteResponse::default().with_error_code(ResponseError::GroupIdNotFound.code());
    }
    let mut gone = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let subscribed = groups.is_subscribed(&group, &topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let response =
                OffsetDeleteResponsePartition::default().with_partition_index(partition.partition_index);
            if subscribed {
                let error = ResponseError::GroupSubscribedToTopic;
                partitions.push(response.with_error_code(error.code()));
            } else {
                gone.push((topic.name.to_string(), partition.partition_index));
                partitions.push(response);
            }
        }
        topics.push(OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions));
    }
    if !groups.offsets.delete(&group, gone).await {
        return OffsetDeleteResponse::default()
            .with_error_code(ResponseError::CoordinatorNotAvailable.code());
    }
    OffsetDeleteResponse::default().with_topics(topics)
}
