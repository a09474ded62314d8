//! Creating, deleting and growing topics, and deleting records.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use uuid::Uuid;

use super::{Session, text};
use crate::broker::Core;
use crate::log::Partition;
use crate::topics::{CONFIGS, Config, Error};

/// `DescribeConfigs` and its kin say where a value comes from with these numbers.
pub(crate) const SOURCE_TOPIC: i8 = 1;
pub(crate) const SOURCE_BROKER: i8 = 4;
pub(crate) const SOURCE_DEFAULT: i8 = 5;

impl Error {
    /// The error that a client is told.
    pub(crate) fn response(&self) -> ResponseError {
        match self {
            Error::Exists(_) => ResponseError::TopicAlreadyExists,
            Error::Unknown(_) => ResponseError::UnknownTopicOrPartition,
            Error::Name(_) => ResponseError::InvalidTopicException,
            Error::Partitions { .. } => ResponseError::InvalidPartitions,
            Error::Config(_) => ResponseError::InvalidConfig,
            Error::Partition { .. }
            | Error::Io { .. }
            | Error::Catalog { .. }
            | Error::Damaged(_)
            | Error::Unlisted(_) => ResponseError::KafkaStorageError,
        }
    }
}

/// An error with the sentence that explains it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ResponseError,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(error: ResponseError, message: impl Into<String>) -> Failure {
        Failure { error, message: message.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::new(error.response(), error.to_string())
    }
}

impl From<ResponseError> for Failure {
    fn from(error: ResponseError) -> Failure {
        Failure::new(error, error.to_string())
    }
}

pub(crate) async fn create(
    session: &Session,
    version: i16,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let mut named = HashMap::new();
    for topic in &request.topics {
        *named.entry(topic.name.clone()).or_insert(0) += 1;
    }
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = topic.name.clone();
        let outcome = if named.get(&name).is_some_and(|count| *count > 1) {
            Err(Failure::new(ResponseError::InvalidRequest, "the request names the topic more than once"))
        } else {
            create_one(session, topic, request.validate_only).await
        };
        let result = CreatableTopicResult::default().with_name(name);
        results.push(match outcome {
            Ok(created) => created.describe(version, result),
            Err(failure) => {
                result.with_error_code(failure.error.code()).with_error_message(Some(text(failure.message)))
            }
        });
    }
    CreateTopicsResponse::default().with_topics(results)
}

struct Created {
    id: Uuid,
    partitions: usize,
    config: Config,
}

impl Created {
    fn describe(&self, version: i16, result: CreatableTopicResult) -> CreatableTopicResult {
        let result = match version {
            ..5 => return result,
            _ => result
                .with_num_partitions(self.partitions as i32)
                .with_replication_factor(1)
                .with_configs(Some(self.configs())),
        };
        match version {
            ..7 => result,
            _ => result.with_topic_id(self.id),
        }
    }

    fn configs(&self) -> Vec<CreatableTopicConfigs> {
        CONFIGS
            .iter()
            .map(|known| {
                let set = self.config.overrides().get(known.name);
                let value = set.map_or(known.default, String::as_str);
                CreatableTopicConfigs::default()
                    .with_name(text(known.name))
                    .with_value(Some(text(value)))
                    .with_config_source(match set {
                        Some(_) => SOURCE_TOPIC,
                        None => SOURCE_DEFAULT,
                    })
            })
            .collect()
    }
}

async fn create_one(
    session: &Session,
    topic: CreatableTopic,
    validate_only: bool,
) -> Result<Created, Failure> {
    let partitions = partition_count(session, &topic)?;
    let mut config = BTreeMap::new();
    for entry in topic.configs {
        if let Some(value) = entry.value {
            config.insert(entry.name.to_string(), value.to_string());
        }
    }
    let name = topic.name.to_string();
    session
        .blocking(move |core: &Core| -> Result<Created, Failure> {
            if validate_only {
                let config = core.topics.check_new(&name, partitions, config)?;
                return Ok(Created { id: Uuid::nil(), partitions: partitions as usize, config });
            }
            let topic = core.topics.create(&name, partitions, config)?;
            Ok(Created { id: topic.id, partitions: topic.partitions.len(), config: topic.config.clone() })
        })
        .await?
}

/// How many partitions a new topic is to have, by number or by assigned replicas.
fn partition_count(session: &Session, topic: &CreatableTopic) -> Result<i32, Failure> {
    if !topic.assignments.is_empty() {
        if topic.num_partitions != -1 || topic.replication_factor != -1 {
            return Err(Failure::new(
                ResponseError::InvalidRequest,
                "replicas are assigned by hand or counted, not both",
            ));
        }
        let mut indexes: Vec<i32> = Vec::with_capacity(topic.assignments.len());
        for assignment in &topic.assignments {
            check_replicas(&assignment.broker_ids)?;
            indexes.push(assignment.partition_index);
        }
        indexes.sort_unstable();
        if indexes.iter().enumerate().any(|(at, index)| at as i32 != *index) {
            return Err(Failure::new(
                ResponseError::InvalidReplicaAssignment,
                "partitions are numbered from 0 without gaps",
            ));
        }
        return Ok(indexes.len() as i32);
    }
    if !matches!(topic.replication_factor, -1 | 1) {
        return Err(Failure::new(
            ResponseError::InvalidReplicationFactor,
            "there is one broker, so a partition has one replica",
        ));
    }
    Ok(match topic.num_partitions {
        -1 => session.core.options.default_partitions,
        count => count,
    })
}

/// Checks that a partition is assigned to the one broker there is.
pub(crate) fn check_replicas(replicas: &[kafka_protocol::messages::BrokerId]) -> Result<(), Failure> {
    match replicas {
        [id] if id.0 == super::NODE_ID => Ok(()),
        _ => Err(Failure::new(
            ResponseError::InvalidReplicaAssignment,
            format!("there is one broker, with id {}", super::NODE_ID),
        )),
    }
}

pub(crate) async fn delete(
    session: &Session,
    version: i16,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    // Up to version 5 topics are named in one list, afterwards by name or id in another.
    let asked: Vec<(Option<TopicName>, Uuid)> = match version {
        ..6 => request.topic_names.into_iter().map(|name| (Some(name), Uuid::nil())).collect(),
        _ => request.topics.into_iter().map(|topic| (topic.name, topic.topic_id)).collect(),
    };
    let mut responses = Vec::with_capacity(asked.len());
    for (name, id) in asked {
        let topic = match &name {
            Some(name) => session.core.topics.get(name),
            None => session.core.topics.get_by_id(id),
        };
        let outcome = match &topic {
            Some(topic) => delete_one(session, topic.name.clone()).await,
            None if name.is_some() => Err(ResponseError::UnknownTopicOrPartition.into()),
            None => Err(ResponseError::UnknownTopicId.into()),
        };
        let found = topic.as_ref().map(|topic| TopicName(text(topic.name.as_str())));
        let response = DeletableTopicResult::default().with_name(name.or(found));
        let response = match version {
            ..6 => response,
            _ => response.with_topic_id(topic.as_ref().map_or(id, |topic| topic.id)),
        };
        responses.push(match (outcome, version) {
            (Ok(()), _) => response,
            (Err(failure), ..5) => response.with_error_code(failure.error.code()),
            (Err(failure), _) => {
                response.with_error_code(failure.error.code()).with_error_message(Some(text(failure.message)))
            }
        });
    }
    DeleteTopicsResponse::default().with_responses(responses)
}

async fn delete_one(session: &Session, name: String) -> Result<(), Failure> {
    let topic = name.clone();
    session.blocking(move |core| core.topics.delete(&topic)).await??;
    if !session.core.groups.offsets.delete_topic(&name).await {
        tracing::warn!(topic = name, "offsets of a deleted topic remain until the next start");
    }
    Ok(())
}

pub(crate) async fn grow(session: &Session, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = topic.name.clone();
        let outcome = grow_one(session, topic, request.validate_only).await;
        let result = CreatePartitionsTopicResult::default().with_name(name);
        results.push(match outcome {
            Ok(()) => result,
            Err(failure) => {
                result.with_error_code(failure.error.code()).with_error_message(Some(text(failure.message)))
            }
        });
    }
    CreatePartitionsResponse::default().with_results(results)
}

async fn grow_one(
    session: &Session,
    topic: CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), Failure> {
    for assignment in topic.assignments.iter().flatten() {
        check_replicas(&assignment.broker_ids)?;
    }
    let name = topic.name.to_string();
    session.blocking(move |core| core.topics.grow(&name, topic.count, validate_only)).await??;
    Ok(())
}

pub(crate) async fn delete_records(
    session: &Session,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let topic = session.core.topics.get(&asked.name);
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for partition in asked.partitions {
            let found =
                topic.as_deref().and_then(|topic| topic.partition(partition.partition_index)).cloned();
            let outcome = match found {
                None => Err(ResponseError::UnknownTopicOrPartition),
                Some(found) => delete_before(session, found, partition.offset).await,
            };
            let result =
                DeleteRecordsPartitionResult::default().with_partition_index(partition.partition_index);
            partitions.push(match outcome {
                Ok(log_start) => result.with_low_watermark(log_start),
                Err(error) => result.with_low_watermark(-1).with_error_code(error.code()),
            });
        }
        topics.push(DeleteRecordsTopicResult::default().with_name(asked.name).with_partitions(partitions));
    }
    DeleteRecordsResponse::default().with_topics(topics)
}

async fn delete_before(
    session: &Session,
    partition: Arc<Partition>,
    offset: i64,
) -> Result<i64, ResponseError> {
    // -1 is everything up to the high watermark.
    let offset = match offset {
        -1 => partition.positions().high_watermark,
        offset => offset,
    };
    let outcome = session.blocking(move |core| core.topics.delete_records(&partition, offset)).await?;
    match outcome {
        Ok(Some(log_start)) => Ok(log_start),
        Ok(None) => Err(ResponseError::OffsetOutOfRange),
        Err(error) => {
            tracing::error!(%error, "records could not be deleted");
            Err(ResponseError::KafkaStorageError)
        }
    }
}
