//! `Metadata`: where topics are, which here is always the same place.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use uuid::Uuid;

use super::{NODE_ID, Session, once, text};
use crate::log::batch::LEADER_EPOCH;
use crate::topics::{self, Topic};

pub(crate) async fn answer(session: &Session, version: i16, request: MetadataRequest) -> MetadataResponse {
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE_ID))
        .with_host(session.host.clone())
        .with_port(i32::from(session.port));
    // Version 0 has no way to ask for no topics: an empty list asks for all.
    let asked = request.topics.filter(|topics| version > 0 || !topics.is_empty());
    let may_create = version < 4 || request.allow_auto_topic_creation;
    let topics = match asked {
        None => session.core.topics.all().iter().map(|topic| known(version, topic)).collect(),
        Some(asked) => {
            let mut topics = Vec::new();
            let mut is_first = once(|topic: &MetadataRequestTopic| (topic.name.clone(), topic.topic_id));
            for topic in asked.into_iter().filter(|topic| is_first(topic)) {
                topics.push(one(session, version, topic, may_create).await);
            }
            topics
        }
    };
    let response = MetadataResponse::default().with_brokers(vec![broker]).with_topics(topics);
    let response = match version {
        ..1 => response,
        _ => response.with_controller_id(BrokerId(NODE_ID)),
    };
    match version {
        ..2 => response,
        _ => response.with_cluster_id(Some(text(session.core.topics.cluster_id().to_string()))),
    }
}

async fn one(
    session: &Session,
    version: i16,
    asked: MetadataRequestTopic,
    may_create: bool,
) -> MetadataResponseTopic {
    let Some(name) = asked.name else {
        return match session.core.topics.get_by_id(asked.topic_id) {
            Some(topic) => known(version, &topic),
            None => failed(version, None, asked.topic_id, ResponseError::UnknownTopicId),
        };
    };
    if let Some(topic) = session.core.topics.get(&name) {
        return known(version, &topic);
    }
    if !(may_create && session.core.options.auto_create_topics) {
        let error = ResponseError::UnknownTopicOrPartition;
        return failed(version, Some(name), Uuid::nil(), error);
    }
    match create(session, name.to_string()).await {
        Ok(topic) => known(version, &topic),
        Err(error) => failed(version, Some(name), Uuid::nil(), error),
    }
}

async fn create(session: &Session, name: String) -> Result<Arc<Topic>, ResponseError> {
    let outcome = session
        .blocking(move |core| {
            let partitions = core.options.default_partitions;
            match core.topics.create(&name, partitions, Default::default()) {
                // Somebody else was faster.
                Err(topics::Error::Exists(_)) => core.topics.get(&name).ok_or(topics::Error::Unknown(name)),
                outcome => outcome,
            }
        })
        .await?;
    outcome.map_err(|error| {
        tracing::warn!(%error, "a topic was not created");
        error.response()
    })
}

fn known(version: i16, topic: &Topic) -> MetadataResponseTopic {
    let partitions = (0..topic.partitions.len())
        .map(|index| {
            let partition = MetadataResponsePartition::default()
                .with_partition_index(index as i32)
                .with_leader_id(BrokerId(NODE_ID))
                .with_replica_nodes(vec![BrokerId(NODE_ID)])
                .with_isr_nodes(vec![BrokerId(NODE_ID)]);
            match version {
                ..7 => partition,
                _ => partition.with_leader_epoch(LEADER_EPOCH),
            }
        })
        .collect();
    let response = MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(topic.name.as_str()))))
        .with_partitions(partitions);
    match version {
        ..10 => response,
        _ => response.with_topic_id(topic.id),
    }
}

fn failed(version: i16, name: Option<TopicName>, id: Uuid, error: ResponseError) -> MetadataResponseTopic {
    // A name may be absent from version 12 only.
    let name = match (version, name) {
        (..12, None) => Some(TopicName::default()),
        (_, name) => name,
    };
    let response = MetadataResponseTopic::default().with_error_code(error.code()).with_name(name);
    match version {
        ..10 => response,
        _ => response.with_topic_id(id),
    }
}
