//! From the bytes of a request to the bytes of its answer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, ApiKey, ApiVersionsRequest,
    CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest,
    DeleteTopicsRequest, DescribeAclsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeGroupsRequest, DescribeLogDirsRequest, DescribeProducersRequest, DescribeTransactionsRequest,
    EndTxnRequest, FetchRequest, FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest,
    ListPartitionReassignmentsRequest, ListTransactionsRequest, MetadataRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest, RequestHeader,
    SaslAuthenticateRequest, SaslHandshakeRequest, SyncGroupRequest, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::{Decodable, Request};

use super::answer::{self, Answer};
use super::{Error, encode, shape, versions};
use crate::api::{self, Session};

/// What is sent for a request.
pub(crate) enum Reply {
    Ready(Answer),
    /// The request has taken effect in order, and its answer waits for something, such as the disk.
    Later(Pin<Box<dyn Future<Output = Result<Bytes, Error>> + Send>>),
    /// The client wants no answer.
    None,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reply::Ready(_) => "Ready",
            Reply::Later(_) => "Later",
            Reply::None => "None",
        })
    }
}

/// The envelope of a request.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: String,
}

impl Envelope {
    pub(crate) fn encode<R: Request>(&self, response: &R::Response) -> Result<Bytes, Error> {
        encode(self.key, self.version, self.correlation_id, response)
    }

    pub(crate) fn decode<R: Decodable>(&self, body: &mut Bytes) -> Result<R, Error> {
        R::decode(body, self.version).map_err(|error| self.undecodable(&error))
    }

    fn undecodable(&self, error: &dyn fmt::Display) -> Error {
        Error::Decode { key: self.key, version: self.version, reason: error.to_string() }
    }
}

/// A request whose envelope is read.
#[derive(Debug)]
pub(crate) enum Opened {
    Request(Asked),
    /// What to answer when its version is unknown, to the one request of which a client cannot know
    /// the version beforehand.
    Unsupported(Bytes),
}

/// A request that is known, in a version that is known.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) key: ApiKey,
    pub(crate) envelope: Envelope,
    pub(crate) body: Bytes,
}

/// Answers one request.
pub(crate) async fn dispatch(session: &Session, frame: Bytes) -> Result<Reply, Error> {
    match open(frame)? {
        Opened::Request(asked) => answer(session, asked.key, asked.envelope, asked.body).await,
        Opened::Unsupported(answer) => Ok(Reply::Ready(answer.into())),
    }
}

/// Reads a request's envelope, and checks that its body has the shape that its fields say.
pub(crate) fn open(mut frame: Bytes) -> Result<Opened, Error> {
    if frame.len() < 8 {
        return Err(Error::Short);
    }
    let mut start = &frame[..8];
    let mut envelope = Envelope {
        key: start.get_i16(),
        version: start.get_i16(),
        correlation_id: start.get_i32(),
        client_id: String::new(),
    };
    let key = ApiKey::try_from(envelope.key).map_err(|()| Error::UnknownApi(envelope.key))?;
    if !versions::is_supported(key, envelope.version) {
        if matches!(key, ApiKey::ApiVersions) {
            // It is answered in version 0, which everybody understands.
            envelope.version = 0;
            let response = api::versions::unsupported();
            return envelope.encode::<ApiVersionsRequest>(&response).map(Opened::Unsupported);
        }
        return Err(match versions::is_known(key) {
            true => Error::UnknownVersion { key: envelope.key, version: envelope.version },
            false => Error::UnknownApi(envelope.key),
        });
    }
    let _ignored_bytes =
        shape::check(key, envelope.version, &frame).map_err(|flaw| envelope.undecodable(&flaw))?;
    let header_version = key.request_header_version(envelope.version);
    let header =
        RequestHeader::decode(&mut frame, header_version).map_err(|error| envelope.undecodable(&error))?;
    envelope.client_id = header.client_id.map_or_else(String::new, |id| id.to_string());
    Ok(Opened::Request(Asked { key, envelope, body: frame }))
}

/// Decodes a request, has it answered, and encodes the answer.
macro_rules! answered {
    ($envelope:ident, $body:ident, $request:ty, $answer:expr) => {{
        let request = $envelope.decode::<$request>(&mut $body)?;
        let response = $answer(request).await;
        $envelope.encode::<$request>(&response).map(|bytes| Reply::Ready(bytes.into()))
    }};
}

async fn answer(session: &Session, key: ApiKey, envelope: Envelope, mut body: Bytes) -> Result<Reply, Error> {
    let version = envelope.version;
    match key {
        ApiKey::Produce => {
            let request = envelope.decode::<ProduceRequest>(&mut body)?;
            let wants_answer = request.acks != 0;
            let pending = api::produce::append(session, version, request).await;
            if !wants_answer {
                return Ok(Reply::None);
            }
            Ok(Reply::Later(Box::pin(
                async move { envelope.encode::<ProduceRequest>(&pending.settle().await) },
            )))
        }
        ApiKey::Fetch => {
            let request = envelope.decode::<FetchRequest>(&mut body)?;
            let (response, memory) = api::fetch::answer(session, version, request).await;
            let answer = answer::fetch(version, envelope.correlation_id, response)?;
            Ok(Reply::Ready(answer.holding(memory)))
        }
        ApiKey::ListOffsets => answered!(envelope, body, ListOffsetsRequest, |request| {
            api::list_offsets::answer(session, version, request)
        }),
        ApiKey::Metadata => answered!(envelope, body, MetadataRequest, |request| {
            api::metadata::answer(session, version, request)
        }),
        ApiKey::OffsetCommit => answered!(envelope, body, OffsetCommitRequest, |request| {
            api::offsets::commit(session, request)
        }),
        ApiKey::OffsetFetch => answered!(envelope, body, OffsetFetchRequest, |request| {
            api::offsets::fetch(session, version, request)
        }),
        ApiKey::FindCoordinator => answered!(envelope, body, FindCoordinatorRequest, |request| {
            api::cluster::find_coordinator(session, version, request)
        }),
        ApiKey::JoinGroup => answered!(envelope, body, JoinGroupRequest, |request| {
            api::groups::join(session, version, envelope.client_id.clone(), request)
        }),
        ApiKey::Heartbeat => answered!(envelope, body, HeartbeatRequest, |request| {
            api::groups::heartbeat(session, request)
        }),
        ApiKey::LeaveGroup => answered!(envelope, body, LeaveGroupRequest, |request| {
            api::groups::leave(session, version, request)
        }),
        ApiKey::SyncGroup => answered!(envelope, body, SyncGroupRequest, |request| {
            api::groups::sync(session, version, request)
        }),
        ApiKey::DescribeGroups => answered!(envelope, body, DescribeGroupsRequest, |request| {
            api::groups::describe(session, version, request)
        }),
        ApiKey::ListGroups => answered!(envelope, body, ListGroupsRequest, |request| {
            api::groups::list(session, version, request)
        }),
        ApiKey::ApiVersions => answered!(envelope, body, ApiVersionsRequest, |request| {
            api::versions::answer(version, request)
        }),
        ApiKey::SaslHandshake => {
            answered!(envelope, body, SaslHandshakeRequest, |request| { api::sasl::no_handshake(request) })
        }
        ApiKey::SaslAuthenticate => {
            answered!(envelope, body, SaslAuthenticateRequest, |request| {
                api::sasl::no_authentication(request)
            })
        }
        ApiKey::CreateTopics => answered!(envelope, body, CreateTopicsRequest, |request| {
            api::topics::create(session, version, request)
        }),
        ApiKey::DeleteTopics => answered!(envelope, body, DeleteTopicsRequest, |request| {
            api::topics::delete(session, version, request)
        }),
        ApiKey::DeleteRecords => answered!(envelope, body, DeleteRecordsRequest, |request| {
            api::topics::delete_records(session, request)
        }),
        ApiKey::InitProducerId => answered!(envelope, body, InitProducerIdRequest, |request| {
            api::transactions::init_producer_id(session, version, request)
        }),
        ApiKey::OffsetForLeaderEpoch => answered!(envelope, body, OffsetForLeaderEpochRequest, |request| {
            api::cluster::epoch_end(session, request)
        }),
        ApiKey::AddPartitionsToTxn => answered!(envelope, body, AddPartitionsToTxnRequest, |request| {
            api::transactions::add_partitions(session, version, request)
        }),
        ApiKey::AddOffsetsToTxn => answered!(envelope, body, AddOffsetsToTxnRequest, |request| {
            api::transactions::add_offsets(session, version, request)
        }),
        ApiKey::EndTxn => answered!(envelope, body, EndTxnRequest, |request| {
            api::transactions::end(session, version, request)
        }),
        ApiKey::TxnOffsetCommit => answered!(envelope, body, TxnOffsetCommitRequest, |request| {
            api::transactions::commit_offsets(session, request)
        }),
        ApiKey::DescribeAcls => {
            answered!(envelope, body, DescribeAclsRequest, |request| { api::cluster::acls(request) })
        }
        ApiKey::DescribeConfigs => answered!(envelope, body, DescribeConfigsRequest, |request| {
            api::configs::describe(session, version, request)
        }),
        ApiKey::AlterConfigs => answered!(envelope, body, AlterConfigsRequest, |request| {
            api::configs::alter_whole(session, request)
        }),
        ApiKey::DescribeLogDirs => answered!(envelope, body, DescribeLogDirsRequest, |request| {
            api::cluster::log_dirs(session, version, request)
        }),
        ApiKey::CreatePartitions => answered!(envelope, body, CreatePartitionsRequest, |request| {
            api::topics::grow(session, request)
        }),
        ApiKey::DeleteGroups => answered!(envelope, body, DeleteGroupsRequest, |request| {
            api::groups::delete(session, request)
        }),
        ApiKey::IncrementalAlterConfigs => {
            answered!(envelope, body, IncrementalAlterConfigsRequest, |request| {
                api::configs::alter_some(session, request)
            })
        }
        ApiKey::ListPartitionReassignments => {
            answered!(envelope, body, ListPartitionReassignmentsRequest, |request| {
                api::cluster::reassignments(request)
            })
        }
        ApiKey::OffsetDelete => answered!(envelope, body, OffsetDeleteRequest, |request| {
            api::offsets::delete(session, request)
        }),
        ApiKey::DescribeCluster => answered!(envelope, body, DescribeClusterRequest, |request| {
            api::cluster::describe(session, version, request)
        }),
        ApiKey::DescribeProducers => answered!(envelope, body, DescribeProducersRequest, |request| {
            api::cluster::producers(session, request)
        }),
        ApiKey::DescribeTransactions => answered!(envelope, body, DescribeTransactionsRequest, |request| {
            api::transactions::describe(session, request)
        }),
        ApiKey::ListTransactions => answered!(envelope, body, ListTransactionsRequest, |request| {
            api::transactions::list(session, request)
        }),
        _ => Err(Error::UnknownApi(envelope.key)),
    }
}
