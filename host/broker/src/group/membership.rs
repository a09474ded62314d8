//! One group: its members and what they may do in which phase.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Answer, Described, DescribedMember, Join, Speaker, Waiting};
use crate::options::Options;

/// Where a group is between two generations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Empty,
    /// Waits for every member to join again.
    PreparingRebalance,
    /// Waits for the leader's assignments.
    CompletingRebalance,
    Stable,
}

impl Phase {
    /// The name that tools know.
    pub(super) fn name(self) -> &'static str {
        match self {
            Phase::Empty => "Empty",
            Phase::PreparingRebalance => "PreparingRebalance",
            Phase::CompletingRebalance => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }
}

/// A member's view of a new generation.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) member: String,
    pub(crate) skip_assignment: bool,
    /// Id, instance and subscription of every member, for the leader only.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

/// What a member is to do.
#[derive(Clone, Debug)]
pub(crate) struct Synced {
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) assignment: Bytes,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) instance: Option<String>,
    client_id: String,
    client_host: String,
    session: Duration,
    pub(super) rebalance: Duration,
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    pub(super) joining: Option<Answer<Joined>>,
    pub(super) syncing: Option<Answer<Synced>>,
    /// Without a sign of life until then, the member is removed.
    pub(super) expires: Instant,
}

impl Member {
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map_or_else(Bytes::new, |(_, metadata)| metadata.clone())
    }

    pub(super) fn alive(&mut self, now: Instant) {
        self.expires = now + self.session;
    }
}

/// A consumer group.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) phase: Phase,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) instances: HashMap<String, String>,
    /// Ids that were given out and not yet joined with, and when they lapse.
    pending: HashMap<String, Instant>,
    /// When a rebalance goes on without those who have not joined.
    pub(super) rebalance_until: Option<Instant>,
    /// Until then an empty group waits for more members before its first assignment.
    pub(super) initial_until: Option<Instant>,
}

type Refused = (ResponseError, String);

impl Group {
    pub(super) fn join(
        &mut self,
        join: Join,
        options: &Options,
        now: Instant,
    ) -> Result<Waiting<Joined>, Refused> {
        let refuse = |error| Err((error, join.member.clone()));
        if !self.accepts(&join) {
            return refuse(ResponseError::InconsistentGroupProtocol);
        }
        let known = self.members.contains_key(&join.member);
        let was_pending = self.pending.contains_key(&join.member);
        if let Some(instance) = &join.instance {
            match self.instances.get(instance).cloned() {
                Some(current) if join.member.is_empty() => {
                    return Ok(self.replace(&current, join, now));
                }
                Some(current) if current != join.member => {
                    return refuse(ResponseError::FencedInstanceId);
                }
                None if !join.member.is_empty() => {
                    return refuse(ResponseError::UnknownMemberId);
                }
                _ => {}
            }
        } else if !join.member.is_empty() && !known && !was_pending {
            return refuse(ResponseError::UnknownMemberId);
        }
        if known {
            return Ok(self.rejoin(join, now));
        }
        if self.members.len() + self.pending.len() >= options.group_members_max && !was_pending {
            return refuse(ResponseError::GroupMaxSizeReached);
        }
        let id = match join.member.is_empty() {
            true => new_id(&join),
            false => join.member.clone(),
        };
        if join.member.is_empty() && join.instance.is_none() && join.needs_known_id {
            let lapses = now + millis(join.session_ms);
            self.pending.insert(id.clone(), lapses);
            return Err((ResponseError::MemberIdRequired, id));
        }
        self.pending.remove(&id);
        let initial = Duration::from_millis(options.group_initial_delay_ms);
        Ok(self.add(id, join, initial, now))
    }

    /// Whether a member with these protocols can be in the group.
    fn accepts(&self, join: &Join) -> bool {
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return false;
        }
        let others = || self.members.iter().filter(|(id, _)| **id != join.member).map(|(_, member)| member);
        if others().next().is_none() {
            return true;
        }
        self.protocol_type.as_deref() == Some(&join.protocol_type)
            && join.protocols.iter().any(|(name, _)| {
                others().all(|member| member.protocols.iter().any(|(other, _)| other == name))
            })
    }

    fn add(&mut self, id: String, join: Join, initial: Duration, now: Instant) -> Waiting<Joined> {
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
            if self.phase == Phase::Empty {
                self.initial_until = Some(now + initial);
            }
        }
        let (member, waiting) = new_member(&join, now);
        if let Some(instance) = &join.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.members.insert(id, member);
        self.prepare_rebalance(now);
        self.try_complete(now);
        waiting
    }

    /// A static member comes back under a new id.
    fn replace(&mut self, old: &str, join: Join, now: Instant) -> Waiting<Joined> {
        let id = new_id(&join);
        let (mut member, waiting) = new_member(&join, now);
        let mut unchanged = false;
        if let Some(mut gone) = self.members.remove(old) {
            if let Some(joining) = gone.joining.take() {
                let _gone = joining.send(Err(ResponseError::FencedInstanceId));
            }
            if let Some(syncing) = gone.syncing.take() {
                let _gone = syncing.send(Err(ResponseError::FencedInstanceId));
            }
            let protocol = self.protocol.clone().unwrap_or_default();
            unchanged = gone.metadata(&protocol) == member.metadata(&protocol);
            member.assignment = gone.assignment;
        }
        if let Some(instance) = &join.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.members.insert(id.clone(), member);
        let old_leader = self.leader.clone();
        let was_leader = old_leader.as_deref() == Some(old);
        if was_leader {
            self.leader = Some(id.clone());
        }
        if self.phase == Phase::Stable && unchanged {
            let mut joined = self.joined(&id);
            if was_leader && join.can_skip_assignment {
                joined.skip_assignment = true;
            } else {
                // A member that does not find itself to be the leader assigns nothing.
                joined.leader = old_leader.unwrap_or_default();
                joined.members.clear();
            }
            self.answer_join(&id, joined);
        } else {
            self.prepare_rebalance(now);
            self.try_complete(now);
        }
        waiting
    }

    fn rejoin(&mut self, join: Join, now: Instant) -> Waiting<Joined> {
        let id = join.member.clone();
        let (answer, waiting) = oneshot::channel();
        let Some(member) = self.members.get_mut(&id) else {
            return waiting;
        };
        let changed = member.protocols != join.protocols;
        member.protocols = join.protocols;
        member.session = millis(join.session_ms);
        member.rebalance = millis(join.rebalance_ms);
        member.alive(now);
        if let Some(earlier) = member.joining.replace(answer) {
            let _gone = earlier.send(Err(ResponseError::UnknownMemberId));
        }
        let is_leader = self.leader.as_deref() == Some(&id);
        let rebalance = match self.phase {
            Phase::Empty => true,
            Phase::PreparingRebalance => false,
            Phase::CompletingRebalance => changed,
            Phase::Stable => changed || is_leader,
        };
        if rebalance {
            self.prepare_rebalance(now);
        }
        if self.phase == Phase::PreparingRebalance {
            self.try_complete(now);
        } else {
            let joined = self.joined(&id);
            self.answer_join(&id, joined);
        }
        waiting
    }

    /// Checks that the speaker is who it says it is.
    fn check(&self, speaker: &Speaker) -> Result<(), ResponseError> {
        if let Some(instance) = &speaker.instance {
            return match self.instances.get(instance) {
                Some(current) if *current == speaker.member => Ok(()),
                Some(_) => Err(ResponseError::FencedInstanceId),
                None => Err(ResponseError::UnknownMemberId),
            };
        }
        match self.members.contains_key(&speaker.member) {
            true => Ok(()),
            false => Err(ResponseError::UnknownMemberId),
        }
    }

    fn check_generation(&self, speaker: &Speaker) -> Result<(), ResponseError> {
        match speaker.generation == self.generation {
            true => Ok(()),
            false => Err(ResponseError::IllegalGeneration),
        }
    }

    pub(super) fn sync(
        &mut self,
        speaker: &Speaker,
        protocol: Option<(&str, &str)>,
        assignments: Vec<(String, Bytes)>,
        now: Instant,
    ) -> Result<Waiting<Synced>, ResponseError> {
        self.check(speaker)?;
        self.check_generation(speaker)?;
        if let Some((of_type, name)) = protocol
            && (self.protocol_type.as_deref() != Some(of_type) || self.protocol.as_deref() != Some(name))
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let (answer, waiting) = oneshot::channel();
        match self.phase {
            Phase::Empty => return Err(ResponseError::UnknownMemberId),
            Phase::PreparingRebalance => return Err(ResponseError::RebalanceInProgress),
            Phase::CompletingRebalance => {
                if let Some(member) = self.members.get_mut(&speaker.member) {
                    member.alive(now);
                    member.syncing = Some(answer);
                }
                if self.leader.as_deref() == Some(&speaker.member) {
                    self.assign(assignments, now);
                }
            }
            Phase::Stable => {
                if let Some(member) = self.members.get_mut(&speaker.member) {
                    member.alive(now);
                }
                let _gone = answer.send(Ok(self.synced(&speaker.member)));
            }
        }
        Ok(waiting)
    }

    pub(super) fn heartbeat(&mut self, speaker: &Speaker, now: Instant) -> Result<(), ResponseError> {
        self.check(speaker)?;
        self.check_generation(speaker)?;
        if let Some(member) = self.members.get_mut(&speaker.member) {
            member.alive(now);
        }
        match self.phase {
            Phase::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    pub(super) fn leave(
        &mut self,
        member: &str,
        instance: Option<&str>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let id = match instance {
            // An administrator removes a static member by its instance alone.
            Some(instance) => match self.instances.get(instance) {
                Some(current) if member.is_empty() || current == member => current.clone(),
                Some(_) => return Err(ResponseError::FencedInstanceId),
                None => return Err(ResponseError::UnknownMemberId),
            },
            None => member.to_owned(),
        };
        if self.pending.remove(&id).is_some() {
            return Ok(());
        }
        if !self.members.contains_key(&id) {
            return Err(ResponseError::UnknownMemberId);
        }
        self.remove(&id, now);
        Ok(())
    }

    pub(super) fn check_commit(&mut self, speaker: &Speaker, now: Instant) -> Result<(), ResponseError> {
        self.check(speaker)?;
        self.check_generation(speaker)?;
        if let Some(member) = self.members.get_mut(&speaker.member) {
            member.alive(now);
        }
        match self.phase {
            Phase::CompletingRebalance => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Removes what has lapsed and ends a rebalance whose time is up.
    pub(super) fn tick(&mut self, now: Instant) {
        self.pending.retain(|_, lapses| *lapses > now);
        let silent: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| {
                // Who waits for an answer of ours cannot be expected to speak.
                member.joining.is_none() && member.syncing.is_none() && member.expires <= now
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in silent {
            self.remove(&id, now);
        }
        if self.phase == Phase::PreparingRebalance {
            self.try_complete(now);
        }
        if self.phase == Phase::CompletingRebalance && self.rebalance_until.is_some_and(|until| until <= now)
        {
            // The leader went silent between joining and assigning.
            self.prepare_rebalance(now);
            self.try_complete(now);
        }
    }

    pub(super) fn is_forgettable(&self) -> bool {
        self.phase == Phase::Empty && self.members.is_empty() && self.pending.is_empty()
    }

    pub(super) fn protocol_type(&self) -> String {
        self.protocol_type.clone().unwrap_or_default()
    }

    pub(super) fn describe(&self) -> Described {
        let protocol = match self.phase {
            Phase::Stable => self.protocol.clone().unwrap_or_default(),
            _ => String::new(),
        };
        let members = self
            .members
            .iter()
            .map(|(id, member)| DescribedMember {
                id: id.clone(),
                instance: member.instance.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                metadata: match self.phase {
                    Phase::Stable => member.metadata(&protocol),
                    _ => Bytes::new(),
                },
                assignment: member.assignment.clone(),
            })
            .collect();
        Described { state: self.phase.name(), protocol_type: self.protocol_type(), protocol, members }
    }

    /// Whether a member's subscription names `topic`. Subscriptions are the consumers' own format,
    /// in which names appear as they are; naming one too many only refuses a deletion.
    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        let needle = topic.as_bytes();
        // No topic is named nothing, and there are no windows of that size.
        !needle.is_empty()
            && self.members.values().any(|member| {
                member
                    .protocols
                    .iter()
                    .any(|(_, metadata)| metadata.windows(needle.len()).any(|part| part == needle))
            })
    }
}

fn new_id(join: &Join) -> String {
    let name = join.instance.as_deref().unwrap_or(&join.client_id);
    format!("{name}-{}", Uuid::new_v4())
}

fn new_member(join: &Join, now: Instant) -> (Member, Waiting<Joined>) {
    let (answer, waiting) = oneshot::channel();
    let session = millis(join.session_ms);
    let member = Member {
        instance: join.instance.clone(),
        client_id: join.client_id.clone(),
        client_host: join.client_host.clone(),
        session,
        rebalance: millis(join.rebalance_ms),
        protocols: join.protocols.clone(),
        assignment: Bytes::new(),
        joining: Some(answer),
        syncing: None,
        expires: now + session,
    };
    (member, waiting)
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
