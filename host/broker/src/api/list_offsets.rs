//! `ListOffsets`: offsets by time, and the ends of a log.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::Session;
use super::fetch::check_epoch;
use crate::log::batch::LEADER_EPOCH;
use crate::log::{Partition, records};
use crate::topics::Topic;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// The first version that knows [`MAX_TIMESTAMP`].
const MAX_TIMESTAMP_FROM: i16 = 7;
/// The first version that has leader epochs.
const EPOCH_FROM: i16 = 4;

/// An offset and the timestamp of its record; -1 where there is none.
#[derive(Clone, Copy, Debug)]
struct Found {
    offset: i64,
    timestamp: i64,
}

pub(crate) async fn answer(
    session: &Session,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let committed = request.isolation_level == 1;
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let topic = session.core.topics.get(&asked.name);
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for partition in &asked.partitions {
            let outcome = find(session, version, topic.as_deref(), partition, committed).await;
            partitions.push(response(version, partition.partition_index, outcome));
        }
        topics.push(ListOffsetsTopicResponse::default().with_name(asked.name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

async fn find(
    session: &Session,
    version: i16,
    topic: Option<&Topic>,
    asked: &ListOffsetsPartition,
    committed: bool,
) -> Result<Found, ResponseError> {
    let partition = topic
        .and_then(|topic| topic.partition(asked.partition_index))
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    check_epoch(asked.current_leader_epoch)?;
    let positions = partition.positions();
    let at = |offset| Found { offset, timestamp: -1 };
    match asked.timestamp {
        EARLIEST => Ok(at(positions.log_start)),
        LATEST => Ok(at(positions.limit(committed))),
        MAX_TIMESTAMP if version < MAX_TIMESTAMP_FROM => Err(ResponseError::InvalidRequest),
        MAX_TIMESTAMP | 0.. => {
            let partition = Arc::clone(partition);
            let timestamp = asked.timestamp;
            let found = session.blocking(move |_| by_time(&partition, timestamp, committed)).await?;
            found.map_err(|error| {
                tracing::error!(%error, timestamp, "an offset could not be looked up by its time");
                ResponseError::KafkaStorageError
            })
        }
        _ => Err(ResponseError::InvalidRequest),
    }
}

fn by_time(partition: &Partition, timestamp: i64, committed: bool) -> Result<Found, crate::log::Error> {
    let nothing = Found { offset: -1, timestamp: -1 };
    let log_start = partition.positions().log_start;
    let (batch, wanted) = match timestamp {
        MAX_TIMESTAMP => {
            let batch = partition.find_max_time()?;
            let largest = batch.as_deref().and_then(records::max_timestamp);
            (batch, largest.unwrap_or(i64::MAX))
        }
        _ => (partition.find_time(timestamp, committed)?, timestamp),
    };
    let Some(batch) = batch else {
        return Ok(nothing);
    };
    Ok(match records::first_at(&batch, wanted, log_start) {
        Some((offset, timestamp)) => Found { offset, timestamp },
        None => nothing,
    })
}

fn response(version: i16, index: i32, outcome: Result<Found, ResponseError>) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(index);
    match outcome {
        Ok(found) => {
            let response = response.with_offset(found.offset).with_timestamp(found.timestamp);
            match version {
                ..EPOCH_FROM => response,
                _ => response.with_leader_epoch(LEADER_EPOCH),
            }
        }
        Err(error) => response.with_error_code(error.code()),
    }
}
