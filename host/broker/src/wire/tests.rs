//! Every request in every advertised version, well-formed and mangled, through the whole way from
//! bytes to bytes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, ApiKey, ApiVersionsRequest,
    CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest,
    DeleteTopicsRequest, DescribeAclsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeGroupsRequest, DescribeLogDirsRequest, DescribeProducersRequest, DescribeTransactionsRequest,
    EndTxnRequest, FetchRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest,
    ListGroupsRequest, ListOffsetsRequest, ListPartitionReassignmentsRequest, ListTransactionsRequest,
    MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, ProduceRequest, ProducerId, RequestHeader, ResponseHeader,
    SaslAuthenticateRequest, SaslHandshakeRequest, SyncGroupRequest, TopicName, TransactionalId,
    TxnOffsetCommitRequest, alter_configs_request, incremental_alter_configs_request,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use tokio::sync::watch;
use uuid::Uuid;

use super::dispatch::{Reply, dispatch};
use super::versions::SUPPORTED;
use super::{Error, shape};
use crate::api::Session;
use crate::broker::Core;
use crate::options::{Fsync, Options};

const HERE: &str = "here";
const ABSENT: &str = "absent";

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn name(name: &'static str) -> TopicName {
    TopicName(text(name))
}

struct Place {
    _dir: tempfile::TempDir,
    _closing: watch::Sender<bool>,
    session: Session,
    topic_id: Uuid,
    /// Every request that was sent.
    frames: Mutex<Vec<Bytes>>,
}

fn options(dir: &tempfile::TempDir) -> Options {
    Options {
        dir: dir.path().to_path_buf(),
        auto_create_topics: false,
        partitions_max: 16,
        fsync: Fsync::Never,
        ..Options::default()
    }
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let options = options(&dir);
    let core = Core::open(options).unwrap();
    let topic_id = core.topics.create(HERE, 2, Default::default()).unwrap().id;
    let (closing, closed) = watch::channel(false);
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 9092));
    let session =
        Session { core: Arc::new(core), host: text("127.0.0.1"), port: 9092, peer: local, closing: closed };
    Place { _dir: dir, _closing: closing, session, topic_id, frames: Mutex::default() }
}

fn batch() -> Bytes {
    batch_of(b"value")
}

fn batch_of(value: &[u8]) -> Bytes {
    let record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: -1,
        timestamp: 1_000,
        key: None,
        value: Some(Bytes::copy_from_slice(value)),
        headers: Default::default(),
    };
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, [&record], &options).unwrap();
    bytes.freeze()
}

/// The bytes of a request as they come off a connection, without the length.
fn frame<R: Request>(version: i16, request: &R) -> Bytes {
    let mut bytes = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(7)
        .with_client_id(Some(text("tests")))
        .encode(&mut bytes, R::header_version(version))
        .unwrap();
    request
        .encode(&mut bytes, version)
        .unwrap_or_else(|error| panic!("request {} version {version}: {error}", R::KEY));
    bytes.freeze()
}

async fn answer(session: &Session, frame: Bytes) -> Result<Option<Bytes>, Error> {
    match dispatch(session, frame).await? {
        Reply::Ready(mut answer) => Ok(Some(answer.copy_to_bytes(answer.remaining()))),
        Reply::Later(bytes) => bytes.await.map(Some),
        Reply::None => Ok(None),
    }
}

/// Sends `request` and decodes the answer to its last byte.
async fn check<R: Request>(place: &Place, version: i16, request: R) -> R::Response {
    let frame = frame(version, &request);
    place.frames.lock().unwrap().push(frame.clone());
    let key = ApiKey::try_from(R::KEY).unwrap();
    assert_eq!(shape::check(key, version, &frame), Ok(0), "key {} version {version}", R::KEY);
    let mut bytes = answer(&place.session, frame)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
        .unwrap_or_else(|| panic!("no answer to {}", R::KEY));
    let length = bytes.split_to(4);
    assert_eq!(length[..], (bytes.len() as i32).to_be_bytes());
    let header = ResponseHeader::decode(&mut bytes, R::Response::header_version(version)).unwrap();
    assert_eq!(header.correlation_id, 7);
    let response = R::Response::decode(&mut bytes, version)
        .unwrap_or_else(|error| panic!("answer to {} version {version}: {error}", R::KEY));
    assert!(bytes.is_empty(), "answer to {} version {version} has bytes left", R::KEY);
    response
}

/// A request of every kind, about things that exist and things that do not.
async fn ask(place: &Place, key: ApiKey, v: i16) {
    let topics = [name(HERE), name(ABSENT)];
    match key {
        ApiKey::Produce => {
            let data = |topic: TopicName| {
                let partition = |index, records| {
                    PartitionProduceData::default().with_index(index).with_records(Some(records))
                };
                TopicProduceData::default().with_name(topic).with_partition_data(vec![
                    partition(0, batch()),
                    partition(1, Bytes::from_static(b"no batch")),
                    partition(9, batch()),
                ])
            };
            let request = ProduceRequest::default().with_acks(-1).with_topic_data(topics.map(data).to_vec());
            check(place, v, request).await;
        }
        ApiKey::Fetch => {
            let ids = [place.topic_id, Uuid::new_v4()];
            let asked = topics.into_iter().zip(ids).map(|(topic, id)| {
                let partition = |index, offset| {
                    FetchPartition::default()
                        .with_partition(index)
                        .with_fetch_offset(offset)
                        .with_partition_max_bytes(1 << 20)
                };
                let asked = FetchTopic::default().with_partitions(vec![
                    partition(0, 0),
                    partition(1, 99),
                    partition(9, 0),
                ]);
                match v {
                    ..13 => asked.with_topic(topic),
                    _ => asked.with_topic_id(id),
                }
            });
            let request = FetchRequest::default()
                .with_isolation_level(1)
                .with_max_bytes(1 << 20)
                .with_topics(asked.collect());
            check(place, v, request).await;
        }
        ApiKey::ListOffsets => {
            let asked = topics.map(|topic| {
                let partition = |index, timestamp| {
                    ListOffsetsPartition::default().with_partition_index(index).with_timestamp(timestamp)
                };
                ListOffsetsTopic::default().with_name(topic).with_partitions(vec![
                    partition(0, -1),
                    partition(0, -2),
                    partition(0, -3),
                    partition(0, 5),
                    partition(0, -9),
                ])
            });
            check(place, v, ListOffsetsRequest::default().with_topics(asked.to_vec())).await;
        }
        ApiKey::Metadata => {
            let mut asked =
                topics.map(|topic| MetadataRequestTopic::default().with_name(Some(topic))).to_vec();
            if v >= 12 {
                for id in [place.topic_id, Uuid::new_v4()] {
                    asked.push(MetadataRequestTopic::default().with_topic_id(id).with_name(None));
                }
            }
            check(place, v, MetadataRequest::default().with_topics(Some(asked))).await;
            if v > 0 {
                check(place, v, MetadataRequest::default().with_topics(None)).await;
            }
        }
        ApiKey::OffsetCommit => {
            let asked = topics.map(|topic| {
                OffsetCommitRequestTopic::default().with_name(topic).with_partitions(vec![
                    OffsetCommitRequestPartition::default()
                        .with_committed_offset(5)
                        .with_committed_metadata(Some(text("note"))),
                ])
            });
            let request = OffsetCommitRequest::default()
                .with_group_id(GroupId(text("readers")))
                .with_generation_id_or_member_epoch(-1)
                .with_topics(asked.to_vec());
            check(place, v, request.clone()).await;
            check(place, v, request.with_generation_id_or_member_epoch(3)).await;
        }
        ApiKey::OffsetFetch => {
            let group = GroupId(text("readers"));
            let request = match v {
                ..8 => OffsetFetchRequest::default().with_group_id(group).with_topics(Some(
                    topics
                        .map(|topic| {
                            OffsetFetchRequestTopic::default()
                                .with_name(topic)
                                .with_partition_indexes(vec![0, 1])
                        })
                        .to_vec(),
                )),
                _ => OffsetFetchRequest::default().with_groups(vec![
                    OffsetFetchRequestGroup::default().with_group_id(group.clone()).with_topics(None),
                    OffsetFetchRequestGroup::default().with_group_id(group).with_topics(Some(
                        topics
                            .map(|topic| {
                                OffsetFetchRequestTopics::default()
                                    .with_name(topic)
                                    .with_partition_indexes(vec![0, 1])
                            })
                            .to_vec(),
                    )),
                ]),
            };
            check(place, v, request).await;
        }
        ApiKey::FindCoordinator => {
            for kind in [0, 1, 9] {
                let request = match v {
                    0 => FindCoordinatorRequest::default().with_key(text("readers")),
                    ..4 => FindCoordinatorRequest::default().with_key(text("readers")).with_key_type(kind),
                    _ => FindCoordinatorRequest::default()
                        .with_key_type(kind)
                        .with_coordinator_keys(vec![text("readers"), text("others")]),
                };
                check(place, v, request).await;
            }
        }
        ApiKey::JoinGroup => {
            let group = StrBytes::from_string(format!("group {v}"));
            let request = JoinGroupRequest::default()
                .with_group_id(GroupId(group))
                .with_session_timeout_ms(10_000)
                .with_rebalance_timeout_ms(if v == 0 { -1 } else { 10_000 })
                .with_protocol_type(text("consumer"))
                .with_protocols(vec![
                    JoinGroupRequestProtocol::default()
                        .with_name(text("range"))
                        .with_metadata(Bytes::from_static(b"subscription")),
                ]);
            let mut joined = check(place, v, request.clone()).await;
            if v >= 4 {
                joined = check(place, v, request.clone().with_member_id(joined.member_id)).await;
            }
            assert_eq!(joined.error_code, 0, "version {v}");
            assert_eq!(joined.members.len(), 1);
            check(place, v, request.with_member_id(text("stranger"))).await;
        }
        ApiKey::Heartbeat => {
            let request = HeartbeatRequest::default().with_group_id(GroupId(text("group 0")));
            check(place, v, request.with_member_id(text("stranger"))).await;
        }
        ApiKey::LeaveGroup => {
            let request = LeaveGroupRequest::default().with_group_id(GroupId(text("group 0")));
            let request = match v {
                ..3 => request.with_member_id(text("stranger")),
                _ => request.with_members(vec![MemberIdentity::default().with_member_id(text("stranger"))]),
            };
            check(place, v, request).await;
        }
        ApiKey::SyncGroup => {
            let request = SyncGroupRequest::default()
                .with_group_id(GroupId(text("group 0")))
                .with_member_id(text("stranger"))
                .with_assignments(vec![
                    SyncGroupRequestAssignment::default()
                        .with_member_id(text("stranger"))
                        .with_assignment(Bytes::from_static(b"assignment")),
                ]);
            check(place, v, request).await;
        }
        ApiKey::DescribeGroups => {
            let groups = ["readers", "group 0", "absent"].map(|group| GroupId(text(group)));
            check(place, v, DescribeGroupsRequest::default().with_groups(groups.to_vec())).await;
        }
        ApiKey::ListGroups => {
            check(place, v, ListGroupsRequest::default()).await;
        }
        ApiKey::ApiVersions => {
            let response = check(place, v, ApiVersionsRequest::default()).await;
            assert_eq!(response.api_keys.len(), SUPPORTED.len());
        }
        ApiKey::SaslHandshake => {
            check(place, v, SaslHandshakeRequest::default().with_mechanism(text("PLAIN"))).await;
        }
        ApiKey::SaslAuthenticate => {
            let request = SaslAuthenticateRequest::default();
            check(place, v, request.with_auth_bytes(Bytes::from_static(b"token"))).await;
        }
        ApiKey::CreateTopics => {
            let topic = |topic, partitions| {
                CreatableTopic::default()
                    .with_name(topic)
                    .with_num_partitions(partitions)
                    .with_replication_factor(1)
                    .with_configs(vec![
                        CreatableTopicConfig::default()
                            .with_name(text("cleanup.policy"))
                            .with_value(Some(text("compact"))),
                    ])
            };
            let created = TopicName(StrBytes::from_string(format!("created-{v}")));
            let request = CreateTopicsRequest::default().with_topics(vec![
                topic(created, 1),
                topic(name(HERE), 1),
                topic(name("no/name"), 1),
                topic(name("none"), 0),
            ]);
            check(place, v, request).await;
        }
        ApiKey::DeleteTopics => {
            let created = TopicName(StrBytes::from_string(format!("created-{v}")));
            let request = match v {
                ..6 => DeleteTopicsRequest::default().with_topic_names(vec![created, name(ABSENT)]),
                _ => DeleteTopicsRequest::default().with_topics(vec![
                    DeleteTopicState::default().with_name(Some(created)),
                    DeleteTopicState::default().with_name(None).with_topic_id(Uuid::new_v4()),
                ]),
            };
            check(place, v, request).await;
        }
        ApiKey::DeleteRecords => {
            let asked = topics.map(|topic| {
                DeleteRecordsTopic::default().with_name(topic).with_partitions(vec![
                    DeleteRecordsPartition::default().with_offset(-1),
                    DeleteRecordsPartition::default().with_offset(1 << 40),
                ])
            });
            check(place, v, DeleteRecordsRequest::default().with_topics(asked.to_vec())).await;
        }
        ApiKey::InitProducerId => {
            let request = InitProducerIdRequest::default().with_transaction_timeout_ms(1_000);
            check(place, v, request.clone()).await;
            let id = TransactionalId(text("writer"));
            check(place, v, request.clone().with_transactional_id(Some(id.clone()))).await;
            let too_long = request.with_transaction_timeout_ms(i32::MAX);
            check(place, v, too_long.with_transactional_id(Some(id))).await;
        }
        ApiKey::OffsetForLeaderEpoch => {
            let asked = topics.map(|topic| {
                OffsetForLeaderTopic::default().with_topic(topic).with_partitions(vec![
                    OffsetForLeaderPartition::default().with_leader_epoch(0),
                    OffsetForLeaderPartition::default().with_leader_epoch(5),
                ])
            });
            check(place, v, OffsetForLeaderEpochRequest::default().with_topics(asked.to_vec())).await;
        }
        ApiKey::AddPartitionsToTxn => {
            let asked = topics
                .map(|topic| AddPartitionsToTxnTopic::default().with_name(topic).with_partitions(vec![0]));
            for asked in [asked[..1].to_vec(), asked.to_vec()] {
                let request = AddPartitionsToTxnRequest::default()
                    .with_v3_and_below_transactional_id(TransactionalId(text("writer")))
                    .with_v3_and_below_producer_id(ProducerId(0))
                    .with_v3_and_below_topics(asked);
                check(place, v, request).await;
            }
        }
        ApiKey::AddOffsetsToTxn => {
            let request = AddOffsetsToTxnRequest::default()
                .with_transactional_id(TransactionalId(text("writer")))
                .with_group_id(GroupId(text("readers")));
            check(place, v, request).await;
        }
        ApiKey::EndTxn => {
            let request = EndTxnRequest::default().with_transactional_id(TransactionalId(text("writer")));
            check(place, v, request).await;
        }
        ApiKey::TxnOffsetCommit => {
            let asked = topics.map(|topic| {
                TxnOffsetCommitRequestTopic::default()
                    .with_name(topic)
                    .with_partitions(vec![TxnOffsetCommitRequestPartition::default()])
            });
            let request = TxnOffsetCommitRequest::default()
                .with_transactional_id(TransactionalId(text("writer")))
                .with_group_id(GroupId(text("readers")))
                .with_topics(asked.to_vec());
            check(place, v, request).await;
        }
        ApiKey::DescribeAcls => {
            check(place, v, DescribeAclsRequest::default()).await;
        }
        ApiKey::DescribeConfigs => {
            let resources = [(2, HERE), (2, ABSENT), (4, "1"), (4, "9"), (8, "x")];
            let resources = resources.map(|(kind, name)| {
                DescribeConfigsResource::default()
                    .with_resource_type(kind)
                    .with_resource_name(text(name))
                    .with_configuration_keys(None)
            });
            let request = DescribeConfigsRequest::default()
                .with_resources(resources.to_vec())
                .with_include_synonyms(true);
            check(place, v, request).await;
        }
        ApiKey::AlterConfigs => {
            let resources = [(2, HERE), (2, ABSENT), (4, "1")].map(|(kind, name)| {
                alter_configs_request::AlterConfigsResource::default()
                    .with_resource_type(kind)
                    .with_resource_name(text(name))
                    .with_configs(vec![
                        alter_configs_request::AlterableConfig::default()
                            .with_name(text("retention.ms"))
                            .with_value(Some(text("5"))),
                    ])
            });
            check(place, v, AlterConfigsRequest::default().with_resources(resources.to_vec())).await;
        }
        ApiKey::IncrementalAlterConfigs => {
            let resources = [(HERE, 0), (HERE, 7), (ABSENT, 0)].map(|(name, operation)| {
                incremental_alter_configs_request::AlterConfigsResource::default()
                    .with_resource_type(2)
                    .with_resource_name(text(name))
                    .with_configs(vec![
                        incremental_alter_configs_request::AlterableConfig::default()
                            .with_name(text("retention.ms"))
                            .with_config_operation(operation)
                            .with_value(Some(text("5"))),
                    ])
            });
            let request = IncrementalAlterConfigsRequest::default();
            check(place, v, request.with_resources(resources.to_vec())).await;
        }
        ApiKey::DescribeLogDirs => {
            let asked = topics
                .map(|topic| DescribableLogDirTopic::default().with_topic(topic).with_partitions(vec![0, 9]));
            check(place, v, DescribeLogDirsRequest::default().with_topics(Some(asked.to_vec()))).await;
            check(place, v, DescribeLogDirsRequest::default().with_topics(None)).await;
        }
        ApiKey::CreatePartitions => {
            let asked = topics.map(|topic| {
                CreatePartitionsTopic::default().with_name(topic).with_count(1).with_assignments(None)
            });
            check(place, v, CreatePartitionsRequest::default().with_topics(asked.to_vec())).await;
        }
        ApiKey::DeleteGroups => {
            let groups = ["gone", ""].map(|group| GroupId(text(group)));
            check(place, v, DeleteGroupsRequest::default().with_groups_names(groups.to_vec())).await;
        }
        ApiKey::ListPartitionReassignments => {
            check(place, v, ListPartitionReassignmentsRequest::default().with_topics(None)).await;
        }
        ApiKey::OffsetDelete => {
            let asked = topics.map(|topic| {
                OffsetDeleteRequestTopic::default()
                    .with_name(topic)
                    .with_partitions(vec![OffsetDeleteRequestPartition::default()])
            });
            for group in ["readers", "absent"] {
                let request = OffsetDeleteRequest::default().with_group_id(GroupId(text(group)));
                check(place, v, request.with_topics(asked.to_vec())).await;
            }
        }
        ApiKey::DescribeCluster => {
            check(place, v, DescribeClusterRequest::default()).await;
            if v >= 1 {
                check(place, v, DescribeClusterRequest::default().with_endpoint_type(2)).await;
            }
        }
        ApiKey::DescribeProducers => {
            let asked =
                topics.map(|topic| TopicRequest::default().with_name(topic).with_partition_indexes(vec![0]));
            check(place, v, DescribeProducersRequest::default().with_topics(asked.to_vec())).await;
        }
        ApiKey::DescribeTransactions => {
            let ids = ["writer", "absent"].map(|id| TransactionalId(text(id)));
            let request = DescribeTransactionsRequest::default().with_transactional_ids(ids.to_vec());
            check(place, v, request).await;
        }
        ApiKey::ListTransactions => {
            check(place, v, ListTransactionsRequest::default()).await;
        }
        other => panic!("{other:?} is advertised and not tested"),
    }
}

// The codec refuses to encode a field that the negotiated version does not have, and old clients
// negotiate old versions: every answer, also every error, must fit every version that is advertised.
#[tokio::test]
async fn every_advertised_version_of_every_request_is_answered_in_that_version() {
    let place = place();
    for api in SUPPORTED {
        for version in api.min..=api.max {
            ask(&place, api.key, version).await;
        }
    }
}

// A client that is newer than the broker asks in a version unknown here, and must be told which
// versions there are.
#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let place = place();
    let mut request = BytesMut::new();
    request.extend_from_slice(&18_i16.to_be_bytes());
    request.extend_from_slice(&99_i16.to_be_bytes());
    request.extend_from_slice(&[0, 0, 0, 7]);
    request.extend_from_slice(b"whatever a later version has here");
    let mut bytes = answer(&place.session, request.freeze()).await.unwrap().unwrap().split_off(4);
    let header = ResponseHeader::decode(&mut bytes, 0).unwrap();
    assert_eq!(header.correlation_id, 7);
    let response = kafka_protocol::messages::ApiVersionsResponse::decode(&mut bytes, 0).unwrap();
    assert_eq!(response.error_code, 35);
    assert_eq!(response.api_keys.len(), SUPPORTED.len());
}

// Unknown requests close the connection; they are no reason to panic or to wait.
#[tokio::test]
async fn unknown_requests_and_versions_are_errors() {
    let place = place();
    for (key, version) in [(-1_i16, 0_i16), (9_999, 0), (4, 0), (68, 0), (0, 99), (1, -1)] {
        let mut request = BytesMut::new();
        request.extend_from_slice(&key.to_be_bytes());
        request.extend_from_slice(&version.to_be_bytes());
        request.extend_from_slice(&[0; 40]);
        let outcome = answer(&place.session, request.freeze()).await;
        assert!(
            matches!(outcome, Err(Error::UnknownApi(_) | Error::UnknownVersion { .. })),
            "{key} {version}: {outcome:?}"
        );
    }
}

/// Repeatable random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

/// A request with something wrong about it.
fn mangled(frame: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    // The key and version are left alone, so that the mangled part is decoded.
    let at = 8 + random.below(bytes.len() - 8);
    match random.below(5) {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = [0, 0x7f, 0x80, 0xff][random.below(4)],
        3 => {
            let end = (at + 4).min(bytes.len());
            bytes[at..end].fill(0x7f);
        }
        _ => {
            let from = 8 + random.below(bytes.len() - 8);
            let piece = bytes[at.min(from)..at.max(from)].to_vec();
            bytes.splice(at..at, piece);
        }
    }
    bytes
}

// The port is open to whatever connects to it: no bytes may end the process, a task that panics
// included, or keep others from being served.
#[tokio::test]
async fn mangled_requests_end_nothing_but_their_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    let place = place();
    for api in SUPPORTED {
        for version in api.min..=api.max {
            ask(&place, api.key, version).await;
        }
    }
    let frames = std::mem::take(&mut *place.frames.lock().unwrap());

    // In this process first, where a panic is seen.
    let mut random = Random(1);
    for frame in &frames {
        for _ in 0..40 {
            let bytes = Bytes::from(mangled(frame, &mut random));
            let session = place.session.clone();
            let shown = bytes.clone();
            let task = tokio::spawn(async move { answer(&session, bytes).await.map(drop) });
            // A mangled request may well be one that has to wait.
            let abort = task.abort_handle();
            match tokio::time::timeout(Duration::from_millis(20), task).await {
                Ok(Err(panic)) => panic!("{panic}: {shown:02x?}"),
                Ok(Ok(_)) => {}
                Err(_) => abort.abort(),
            }
        }
    }

    // Then over connections.
    let dir = tempfile::tempdir().unwrap();
    let broker = crate::Broker::start(options(&dir)).await.unwrap();
    for (n, frame) in frames.iter().enumerate() {
        let mut stream = TcpStream::connect(broker.address()).await.unwrap();
        let bytes = mangled(frame, &mut random);
        let length = match n % 3 {
            0 => bytes.len() as i32,
            1 => random.below(i32::MAX as usize) as i32,
            _ => -1,
        };
        let _closed_early = stream.write_all(&length.to_be_bytes()).await;
        let _closed_early = stream.write_all(&bytes).await;
        if n % 2 == 0 {
            let _answer = tokio::time::timeout(Duration::from_millis(5), stream.read(&mut [0; 64])).await;
        }
    }
    let mut stream = TcpStream::connect(broker.address()).await.unwrap();
    let request = frame(0, &ApiVersionsRequest::default());
    stream.write_i32(request.len() as i32).await.unwrap();
    stream.write_all(&request).await.unwrap();
    let answered = tokio::time::timeout(Duration::from_secs(5), stream.read_i32()).await;
    assert!(answered.unwrap().unwrap() > 0);
    drop(stream);
    broker.shutdown().await.unwrap();
}

// librdkafka 2.12 and later send bytes after the last field of `Metadata`, and Kafka ignores them.
#[tokio::test]
async fn bytes_after_the_last_field_are_ignored() {
    let place = place();
    let mut bytes = BytesMut::from(&frame(12, &MetadataRequest::default().with_topics(None))[..]);
    bytes.extend_from_slice(&[0, 0, 0]);
    assert!(answer(&place.session, bytes.freeze()).await.unwrap().is_some());
}

// A name takes a few bytes of a request, and what is said of it kilobytes of the answer: a request that repeats it could
// end the process for want of memory.
#[tokio::test]
async fn what_is_named_again_and_again_is_answered_once() {
    const TIMES: usize = 1_000;
    let place = place();
    let names = vec![name(HERE); TIMES];
    let asked = names.iter().cloned().map(|name| MetadataRequestTopic::default().with_name(Some(name)));
    let request = MetadataRequest::default().with_topics(Some(asked.collect()));
    assert_eq!(check(&place, 9, request).await.topics.len(), 1);

    let resource =
        DescribeConfigsResource::default().with_resource_type(2).with_resource_name(name(HERE).0.clone());
    let request = DescribeConfigsRequest::default().with_resources(vec![resource; TIMES]);
    assert_eq!(check(&place, 4, request).await.results.len(), 1);

    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text("readers")); TIMES]);
    assert_eq!(check(&place, 5, request).await.groups.len(), 1);

    let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text("readers"))).with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![group; TIMES]);
    assert_eq!(check(&place, 8, request).await.groups.len(), 1);

    let topic = DescribableLogDirTopic::default().with_topic(name(HERE)).with_partitions(vec![0; TIMES]);
    let request = DescribeLogDirsRequest::default().with_topics(Some(vec![topic; 10]));
    let results = check(&place, 4, request).await.results;
    assert_eq!(results[0].topics.len(), 1);
    assert_eq!(results[0].topics[0].partitions.len(), 1);

    let topic = TopicRequest::default().with_name(name(HERE)).with_partition_indexes(vec![0; TIMES]);
    let request = DescribeProducersRequest::default().with_topics(vec![topic; 10]);
    let topics = check(&place, 0, request).await.topics;
    assert_eq!(topics.iter().map(|topic| topic.partitions.len()).sum::<usize>(), 1);

    let id = TransactionalId(text("absent"));
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id; TIMES]);
    assert_eq!(check(&place, 0, request).await.transaction_states.len(), 1);

    let topic = FetchTopic::default().with_topic(name(HERE)).with_partitions(vec![fetch_from(0); TIMES]);
    let request = FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic; 10]);
    let topics = check(&place, 12, request).await.responses;
    assert_eq!(topics.iter().map(|topic| topic.partitions.len()).sum::<usize>(), 1);
}

// What members subscribe to is searched for a topic's name, whatever it is.
#[tokio::test]
async fn a_topic_may_be_named_nothing() {
    let place = place();
    ask(&place, ApiKey::JoinGroup, 3).await;
    let topic = OffsetDeleteRequestTopic::default().with_partitions(vec![Default::default()]);
    let request = OffsetDeleteRequest::default().with_group_id(GroupId(text("group 3")));
    assert_eq!(check(&place, 0, request.with_topics(vec![topic])).await.error_code, 0);
}

fn fetch_from(offset: i64) -> FetchPartition {
    FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(10 << 20)
}

// Every connection may ask for tens of megabytes: when the memory for that is used up, the next gets little, and not
// nothing.
#[tokio::test]
async fn large_answers_have_a_bound_and_records_come_as_they_are() {
    let place = place();
    let value = vec![7; 300_000];
    for _ in 0..8 {
        let records = Some(batch_of(&value));
        let partition = PartitionProduceData::default().with_records(records);
        let topic = TopicProduceData::default().with_name(name(HERE)).with_partition_data(vec![partition]);
        let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
        assert_eq!(check(&place, 9, request).await.responses[0].partition_responses[0].error_code, 0);
    }
    let fetched = async |version: i16| {
        let topic = FetchTopic::default().with_partitions(vec![fetch_from(0)]);
        let topic = match version {
            ..13 => topic.with_topic(name(HERE)),
            _ => topic.with_topic_id(place.topic_id),
        };
        let request = FetchRequest::default().with_max_bytes(10 << 20).with_topics(vec![topic]);
        let partition = check(&place, version, request).await.responses.remove(0).partitions.remove(0);
        let records = partition.records.unwrap();
        assert!(records.ends_with(&batch_of(&value)[61..]), "version {version}");
        records.len()
    };
    for version in 4..=16 {
        assert!(fetched(version).await > 8 * value.len(), "version {version}");
    }
    let used = place.session.core.answers_memory.take(usize::MAX).unwrap();
    assert_eq!(fetched(12).await, batch_of(&value).len());
    drop(used);
    assert!(fetched(12).await > 8 * value.len());
}
