//! Producer ids and transactions.
//!
//! What changes a transaction runs in a task of its own: a client that hangs up must not leave it
//! half done.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::describe_transactions_response::{
    TopicData, TransactionState as DescribedTransaction,
};
use kafka_protocol::messages::list_transactions_response::TransactionState as ListedTransaction;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    DescribeTransactionsRequest, DescribeTransactionsResponse, EndTxnRequest, EndTxnResponse,
    InitProducerIdRequest, InitProducerIdResponse, ListTransactionsRequest, ListTransactionsResponse,
    ProducerId, TopicName, TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::groups::owned;
use super::offsets::{Checked, Offered};
use super::{Session, code, once, text};
use crate::group::Speaker;
use crate::log::now_ms;
use crate::transaction::{Error, Identity, Phase, Txn};

/// From this version a request is told that its producer is fenced in so many words.
const FENCED_FROM: i16 = 2;
/// The same for `InitProducerId`.
const INIT_FENCED_FROM: i16 = 4;

impl Error {
    /// The error that a producer is told; `fenced_known` says whether it knows `PRODUCER_FENCED`.
    fn response(self, fenced_known: bool) -> ResponseError {
        match self {
            Error::WrongProducer => ResponseError::InvalidProducerIdMapping,
            Error::Fenced if fenced_known => ResponseError::ProducerFenced,
            Error::Fenced => ResponseError::InvalidProducerEpoch,
            Error::Busy => ResponseError::ConcurrentTransactions,
            Error::State => ResponseError::InvalidTxnState,
            Error::Timeout => ResponseError::InvalidTransactionTimeout,
            Error::Storage => ResponseError::CoordinatorNotAvailable,
        }
    }
}

fn identity(producer_id: ProducerId, epoch: i16) -> Identity {
    Identity { producer_id: producer_id.0, epoch }
}

/// Runs `work` to its end even if the connection ends before.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work).await.unwrap_or(Err(Error::Storage))
}

pub(crate) async fn init_producer_id(
    session: &Session,
    version: i16,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let outcome = match &request.transactional_id {
        None => new_producer(session).await,
        Some(id) if id.is_empty() => Err(ResponseError::InvalidRequest),
        Some(id) => {
            let id = id.to_string();
            let given =
                (request.producer_id.0 >= 0).then(|| identity(request.producer_id, request.producer_epoch));
            let core = std::sync::Arc::clone(&session.core);
            to_the_end(
                async move { core.transactions.init(&id, request.transaction_timeout_ms, given).await },
            )
            .await
            .map_err(|error| error.response(version >= INIT_FENCED_FROM))
        }
    };
    match outcome {
        Ok(identity) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(identity.producer_id))
            .with_producer_epoch(identity.epoch),
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}

/// A producer that is idempotent only: always a new id, in its first epoch.
async fn new_producer(session: &Session) -> Result<Identity, ResponseError> {
    let producer_id =
        session.core.transactions.new_producer_id().await.map_err(|error| error.response(false))?;
    Ok(Identity { producer_id, epoch: 0 })
}

pub(crate) async fn add_partitions(
    session: &Session,
    version: i16,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let topics = request.v3_and_below_topics;
    let exists = |name: &str, index: i32| {
        session.core.topics.get(name).is_some_and(|topic| topic.partition(index).is_some())
    };
    let mut all = Vec::new();
    for topic in &topics {
        for index in &topic.partitions {
            all.push((topic.name.to_string(), *index));
        }
    }
    let outcome = if all.iter().all(|(name, index)| exists(name, *index)) {
        let core = std::sync::Arc::clone(&session.core);
        let id = request.v3_and_below_transactional_id.to_string();
        let producer = identity(request.v3_and_below_producer_id, request.v3_and_below_producer_epoch);
        to_the_end(async move { core.transactions.add_partitions(&id, producer, &all).await })
            .await
            .map_err(|error| error.response(version >= FENCED_FROM))
    } else {
        Err(ResponseError::OperationNotAttempted)
    };
    let results = topics
        .into_iter()
        .map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|index| {
                    let error = match (&outcome, exists(&topic.name, *index)) {
                        (Err(ResponseError::OperationNotAttempted), false) => {
                            ResponseError::UnknownTopicOrPartition.code()
                        }
                        (outcome, _) => code(outcome),
                    };
                    AddPartitionsToTxnPartitionResult::default()
                        .with_partition_index(*index)
                        .with_partition_error_code(error)
                })
                .collect();
            AddPartitionsToTxnTopicResult::default()
                .with_name(topic.name)
                .with_results_by_partition(partitions)
        })
        .collect();
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results)
}

pub(crate) async fn add_offsets(
    session: &Session,
    version: i16,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let core = std::sync::Arc::clone(&session.core);
    let producer = identity(request.producer_id, request.producer_epoch);
    let id = request.transactional_id.to_string();
    let outcome = to_the_end(async move { core.transactions.add_group(&id, producer).await })
        .await
        .map_err(|error| error.response(version >= FENCED_FROM));
    AddOffsetsToTxnResponse::default().with_error_code(code(&outcome))
}

pub(crate) async fn end(session: &Session, version: i16, request: EndTxnRequest) -> EndTxnResponse {
    let core = std::sync::Arc::clone(&session.core);
    let producer = identity(request.producer_id, request.producer_epoch);
    let id = request.transactional_id.to_string();
    let commit = request.committed;
    let outcome = to_the_end(async move { core.transactions.end(&id, producer, commit).await })
        .await
        .map_err(|error| error.response(version >= FENCED_FROM));
    EndTxnResponse::default().with_error_code(code(&outcome))
}

pub(crate) async fn commit_offsets(
    session: &Session,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let speaker = Speaker {
        member: request.member_id.to_string(),
        instance: owned(request.group_instance_id),
        generation: request.generation_id,
    };
    let group = request.group_id.to_string();
    let allowed = match group.is_empty() {
        true => Err(ResponseError::InvalidGroupId),
        false => session.core.groups.check_transactional_commit(&group, &speaker),
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
    let stored = if accepted.is_empty() {
        Ok(())
    } else {
        let core = std::sync::Arc::clone(&session.core);
        let producer = identity(request.producer_id, request.producer_epoch);
        let id = request.transactional_id.to_string();
        to_the_end(async move { core.transactions.add_offsets(&id, producer, &group, accepted).await })
            .await
            .map_err(|error| error.response(false))
    };
    let topics = checked
        .into_iter()
        .map(|(name, partitions)| {
            let partitions = partitions
                .into_iter()
                .map(|(index, outcome)| {
                    TxnOffsetCommitResponsePartition::default()
                        .with_partition_index(index)
                        .with_error_code(code(&outcome.and(stored)))
                })
                .collect();
            TxnOffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions)
        })
        .collect();
    TxnOffsetCommitResponse::default().with_topics(topics)
}

pub(crate) async fn list(session: &Session, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let now_ms = now_ms();
    let wanted = |txn: &Txn| {
        let state = txn.phase.name();
        let by_state =
            request.state_filters.is_empty() || request.state_filters.iter().any(|filter| **filter == *state);
        let by_producer = request.producer_id_filters.is_empty()
            || request.producer_id_filters.iter().any(|filter| filter.0 == txn.producer_id);
        let by_duration = request.duration_filter < 0
            || (txn.phase == Phase::Ongoing && now_ms - txn.started_ms >= request.duration_filter);
        by_state && by_producer && by_duration
    };
    let states = session
        .core
        .transactions
        .list()
        .await
        .into_iter()
        .filter(wanted)
        .map(|txn| {
            ListedTransaction::default()
                .with_transactional_id(TransactionalId(text(txn.id)))
                .with_producer_id(ProducerId(txn.producer_id))
                .with_transaction_state(text(txn.phase.name()))
        })
        .collect();
    ListTransactionsResponse::default().with_transaction_states(states)
}

pub(crate) async fn describe(
    session: &Session,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let txns = session.core.transactions.list().await;
    let states = request
        .transactional_ids
        .into_iter()
        .filter(once(TransactionalId::clone))
        .map(|id| match txns.iter().find(|txn| txn.id == **id) {
            Some(txn) => described(id, txn),
            None => DescribedTransaction::default()
                .with_transactional_id(id)
                .with_error_code(ResponseError::TransactionalIdNotFound.code()),
        })
        .collect();
    DescribeTransactionsResponse::default().with_transaction_states(states)
}

fn described(id: TransactionalId, txn: &Txn) -> DescribedTransaction {
    let topics = txn
        .partitions
        .iter()
        .map(|(name, indexes)| {
            TopicData::default()
                .with_topic(TopicName(text(name.as_str())))
                .with_partitions(indexes.iter().copied().collect())
        })
        .collect();
    let started_ms = match txn.phase {
        Phase::Ongoing | Phase::PrepareCommit | Phase::PrepareAbort => txn.started_ms,
        _ => -1,
    };
    DescribedTransaction::default()
        .with_transactional_id(id)
        .with_transaction_state(text(txn.phase.name()))
        .with_transaction_timeout_ms(txn.timeout_ms)
        .with_transaction_start_time_ms(started_ms)
        .with_producer_id(ProducerId(txn.producer_id))
        .with_producer_epoch(txn.epoch)
        .with_topics(topics)
}
