//! Membership of consumer groups, and what tools ask about groups.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Session, code, once, text};
use crate::group::{Join, Joined, Speaker};

/// The first version whose client joins again with the id it is given.
const KNOWN_ID_FROM: i16 = 4;
/// The first version in which a group has a type.
const GROUP_TYPE_FROM: i16 = 5;

pub(crate) async fn join(
    session: &Session,
    version: i16,
    client_id: String,
    request: JoinGroupRequest,
) -> JoinGroupResponse {
    let rebalance_ms = match version {
        // Before version 1 the session timeout served for both.
        0 => request.session_timeout_ms,
        _ => request.rebalance_timeout_ms,
    };
    let join = Join {
        group: request.group_id.to_string(),
        member: request.member_id.to_string(),
        instance: owned(request.group_instance_id),
        client_id,
        client_host: format!("/{}", session.peer.ip()),
        session_ms: request.session_timeout_ms,
        rebalance_ms,
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .into_iter()
            // It outlives the request, whose memory it must not hold.
            .map(|protocol| (protocol.name.to_string(), Bytes::copy_from_slice(&protocol.metadata)))
            .collect(),
        needs_known_id: version >= KNOWN_ID_FROM,
        can_skip_assignment: version >= 9,
    };
    match session.core.groups.join(join).await {
        Ok(joined) => joined_response(version, joined),
        Err((error, member)) => {
            let response = JoinGroupResponse::default()
                .with_error_code(error.code())
                .with_generation_id(-1)
                .with_member_id(text(member));
            match version {
                // The name may be absent from version 7 only.
                ..7 => response.with_protocol_name(Some(StrBytes::new())),
                _ => response.with_protocol_name(None),
            }
        }
    }
}

fn joined_response(version: i16, joined: Joined) -> JoinGroupResponse {
    let members = joined
        .members
        .into_iter()
        .map(|(id, instance, metadata)| {
            let member = JoinGroupResponseMember::default().with_member_id(text(id)).with_metadata(metadata);
            match version {
                ..5 => member,
                _ => member.with_group_instance_id(instance.map(text)),
            }
        })
        .collect();
    let response = JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_member_id(text(joined.member))
        .with_members(members);
    let response = match version {
        ..7 => response,
        _ => response.with_protocol_type(Some(text(joined.protocol_type))),
    };
    match version {
        ..9 => response,
        _ => response.with_skip_assignment(joined.skip_assignment),
    }
}

pub(crate) async fn sync(session: &Session, version: i16, request: SyncGroupRequest) -> SyncGroupResponse {
    let speaker = Speaker {
        member: request.member_id.to_string(),
        instance: owned(request.group_instance_id),
        generation: request.generation_id,
    };
    let assignments = request
        .assignments
        .into_iter()
        // As the metadata of its protocols.
        .map(|each| (each.member_id.to_string(), Bytes::copy_from_slice(&each.assignment)))
        .collect();
    let protocol = request.protocol_type.as_deref().zip(request.protocol_name.as_deref());
    let outcome = session.core.groups.sync(&request.group_id, &speaker, protocol, assignments).await;
    match outcome {
        Ok(synced) => {
            let response = SyncGroupResponse::default().with_assignment(synced.assignment);
            match version {
                ..5 => response,
                _ => response
                    .with_protocol_type(Some(text(synced.protocol_type)))
                    .with_protocol_name(Some(text(synced.protocol))),
            }
        }
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
    }
}

pub(crate) async fn heartbeat(session: &Session, request: HeartbeatRequest) -> HeartbeatResponse {
    let speaker = Speaker {
        member: request.member_id.to_string(),
        instance: owned(request.group_instance_id),
        generation: request.generation_id,
    };
    let outcome = session.core.groups.heartbeat(&request.group_id, &speaker);
    HeartbeatResponse::default().with_error_code(code(&outcome))
}

pub(crate) async fn leave(session: &Session, version: i16, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let leave =
        |member: &str, instance: Option<&str>| session.core.groups.leave(&request.group_id, member, instance);
    if version < 3 {
        let outcome = leave(&request.member_id, None);
        return LeaveGroupResponse::default().with_error_code(code(&outcome));
    }
    let members = request
        .members
        .iter()
        .map(|member: &MemberIdentity| {
            let outcome = leave(&member.member_id, member.group_instance_id.as_deref());
            MemberResponse::default()
                .with_member_id(member.member_id.clone())
                .with_group_instance_id(member.group_instance_id.clone())
                .with_error_code(code(&outcome))
        })
        .collect();
    LeaveGroupResponse::default().with_members(members)
}

pub(crate) async fn describe(
    session: &Session,
    version: i16,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().filter(once(GroupId::clone));
    let groups = groups.map(|id| describe_one(session, version, id)).collect();
    DescribeGroupsResponse::default().with_groups(groups)
}

fn describe_one(session: &Session, version: i16, id: GroupId) -> DescribedGroup {
    let Some(described) = session.core.groups.describe(&id) else {
        // Kafka describes a group that does not exist as dead.
        return DescribedGroup::default()
            .with_group_id(id)
            .with_group_state(StrBytes::from_static_str("Dead"));
    };
    let members = described
        .members
        .into_iter()
        .map(|member| {
            let response = DescribedGroupMember::default()
                .with_member_id(text(member.id))
                .with_client_id(text(member.client_id))
                .with_client_host(text(member.client_host))
                .with_member_metadata(member.metadata)
                .with_member_assignment(member.assignment);
            match version {
                ..4 => response,
                _ => response.with_group_instance_id(member.instance.map(text)),
            }
        })
        .collect();
    DescribedGroup::default()
        .with_group_id(id)
        .with_group_state(text(described.state))
        .with_protocol_type(text(described.protocol_type))
        .with_protocol_data(text(described.protocol))
        .with_members(members)
}

pub(crate) async fn list(session: &Session, version: i16, request: ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let groups = session
        .core
        .groups
        .list()
        .into_iter()
        .filter(|(_, _, state)| {
            wanted(&request.states_filter, state) && wanted(&request.types_filter, "classic")
        })
        .map(|(id, protocol_type, state)| {
            let group = ListedGroup::default()
                .with_group_id(GroupId(text(id)))
                .with_protocol_type(text(protocol_type));
            let group = match version {
                ..4 => group,
                _ => group.with_group_state(text(state)),
            };
            match version {
                ..GROUP_TYPE_FROM => group,
                _ => group.with_group_type(text("classic")),
            }
        })
        .collect();
    ListGroupsResponse::default().with_groups(groups)
}

pub(crate) async fn delete(session: &Session, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for id in request.groups_names {
        let outcome = match id.is_empty() {
            true => Err(ResponseError::InvalidGroupId),
            false => session.core.groups.delete(&id).await,
        };
        results.push(DeletableGroupResult::default().with_error_code(code(&outcome)).with_group_id(id));
    }
    DeleteGroupsResponse::default().with_results(results)
}

pub(crate) fn owned(text: Option<StrBytes>) -> Option<String> {
    text.map(|text| text.to_string())
}
