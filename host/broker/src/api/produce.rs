//! `Produce`.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};

use super::{Session, text};
use crate::log::batch::{self, Flaw, Header};
use crate::log::records::all_have_keys;
use crate::log::{AppendError, Appended, Partition};
use crate::topics::Topic;

/// The first version in which zstd may be used.
const ZSTD_FROM: i16 = 7;

/// Batches that were written and whose answer waits for the disk.
#[derive(Debug)]
pub(crate) struct Pending {
    version: i16,
    topics: Vec<(TopicName, Vec<(i32, Written)>)>,
}

type Written = Result<(Arc<Partition>, Appended), Failure>;

#[derive(Debug)]
struct Failure {
    error: ResponseError,
    message: String,
}

impl Failure {
    fn new(error: ResponseError, message: impl Into<String>) -> Failure {
        Failure { error, message: message.into() }
    }
}

/// Appends every batch of the request, in order.
pub(crate) async fn append(session: &Session, version: i16, request: ProduceRequest) -> Pending {
    let acks_valid = (-1..=1).contains(&request.acks);
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for data in request.topic_data {
        let topic = session.core.topics.get(&data.name);
        let partitions = data
            .partition_data
            .into_iter()
            .map(|partition| {
                let written = if acks_valid {
                    append_one(session, version, topic.as_deref(), partition.index, partition.records)
                } else {
                    Err(Failure::new(ResponseError::InvalidRequiredAcks, "acks must be -1, 0 or 1"))
                };
                (partition.index, written)
            })
            .collect();
        topics.push((data.name, partitions));
    }
    Pending { version, topics }
}

fn append_one(
    session: &Session,
    version: i16,
    topic: Option<&Topic>,
    index: i32,
    records: Option<Bytes>,
) -> Written {
    let options = &session.core.options;
    let unknown = || Failure::new(ResponseError::UnknownTopicOrPartition, "there is no such partition");
    let topic = topic.ok_or_else(unknown)?;
    let partition = topic.partition(index).ok_or_else(unknown)?;
    let records = records.unwrap_or_default();
    let header = checked(&records, version)?;
    let bytes_max = topic.config.message_bytes_max().unwrap_or(options.message_bytes_max);
    if records.len() > bytes_max {
        return Err(Failure::new(
            ResponseError::MessageTooLarge,
            format!("the batch has {} bytes, and the topic's limit is {bytes_max}", records.len()),
        ));
    }
    if topic.config.is_compacted() && !all_have_keys(&records, &header) {
        return Err(Failure::new(
            ResponseError::InvalidRecord,
            "the topic is compacted by key, and a record has none",
        ));
    }
    let segment_bytes = topic.config.segment_bytes().unwrap_or(options.segment_bytes_max);
    match partition.append(&records, &header, segment_bytes) {
        Ok(appended) => Ok((Arc::clone(partition), appended)),
        Err(error) => {
            if let AppendError::Storage(error) = &error {
                tracing::error!(topic = %topic.name, partition = index, %error, "a batch could not be stored");
            }
            Err(Failure::new(error.response(), error.to_string()))
        }
    }
}

/// The header of the one valid data batch that `records` must be.
fn checked(records: &[u8], version: i16) -> Result<Header, Failure> {
    let header = Header::check(records).map_err(|flaw| {
        let error = match flaw {
            Flaw::Magic => ResponseError::UnsupportedForMessageFormat,
            Flaw::Checksum | Flaw::Short => ResponseError::CorruptMessage,
            Flaw::Length if is_several(records) => ResponseError::InvalidRecord,
            Flaw::Length => ResponseError::CorruptMessage,
            Flaw::Count => ResponseError::InvalidRecord,
            Flaw::Codec => ResponseError::UnsupportedCompressionType,
        };
        Failure::new(error, format!("the batch cannot be stored: {}", flaw.reason()))
    })?;
    if header.is_control() {
        return Err(Failure::new(ResponseError::InvalidRecord, "only the broker writes control batches"));
    }
    if header.record_count < 1 || header.record_count - 1 != header.last_offset_delta {
        return Err(Failure::new(
            ResponseError::InvalidRecord,
            "the record count and the last offset of the batch disagree",
        ));
    }
    // Without a producer id, the other two say nothing: some clients leave zeros there.
    let half_idempotent = header.producer_id >= 0 && (header.producer_epoch < 0 || header.base_sequence < 0);
    if half_idempotent || (header.is_transactional() && header.producer_id < 0) {
        return Err(Failure::new(
            ResponseError::InvalidRecord,
            "a producer id, its epoch and a sequence number come together",
        ));
    }
    if header.codec() == batch::CODEC_ZSTD && version < ZSTD_FROM {
        return Err(Failure::new(
            ResponseError::UnsupportedCompressionType,
            "zstd needs version 7 of Produce",
        ));
    }
    Ok(header)
}

/// Whether the bytes begin with a whole batch and go on after it.
fn is_several(records: &[u8]) -> bool {
    Header::parse(records).is_ok_and(|header| header.total_bytes < records.len())
}

impl Pending {
    /// Waits until everything that was written is safe.
    pub(crate) async fn settle(self) -> ProduceResponse {
        let mut responses = Vec::with_capacity(self.topics.len());
        for (name, partitions) in self.topics {
            let mut partition_responses = Vec::with_capacity(partitions.len());
            for (index, written) in partitions {
                let settled = match written {
                    Ok((partition, appended)) if partition.durable(appended).await => Ok(appended),
                    Ok(_) => Err(Failure::new(
                        ResponseError::KafkaStorageError,
                        "the disk refused to keep what was written",
                    )),
                    Err(failure) => Err(failure),
                };
                partition_responses.push(response(self.version, index, settled));
            }
            responses.push(
                TopicProduceResponse::default().with_name(name).with_partition_responses(partition_responses),
            );
        }
        ProduceResponse::default().with_responses(responses)
    }
}

fn response(version: i16, index: i32, settled: Result<Appended, Failure>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index);
    match settled {
        Ok(appended) => {
            let response = response.with_base_offset(appended.base_offset);
            match version {
                ..5 => response,
                _ => response.with_log_start_offset(appended.log_start),
            }
        }
        Err(failure) => {
            let response = response.with_error_code(failure.error.code()).with_base_offset(-1);
            match version {
                ..8 => response,
                _ => response.with_error_message(Some(text(failure.message))),
            }
        }
    }
}
