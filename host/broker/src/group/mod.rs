//! Consumer groups: the classic protocol's coordinator, and committed offsets.
//!
//! Membership lives in memory: after a restart members are told that they are unknown, and join
//! again. Offsets are on the disk.

mod membership;
mod offsets;
mod rebalance;

pub(crate) use membership::{Joined, Synced};
pub(crate) use offsets::{Committed, Offsets};

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use tokio::sync::{oneshot, watch};

use crate::options::Options;
use crate::poison::lock;
use membership::{Group, Phase};

/// How often groups are looked through for members that are silent.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// A request to join.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) group: String,
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_ms: i32,
    pub(crate) rebalance_ms: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, bytes::Bytes)>,
    /// The client joins again with the id it is given (KIP-394).
    pub(crate) needs_known_id: bool,
    /// The client understands that a leader need not assign (KIP-814).
    pub(crate) can_skip_assignment: bool,
}

/// Who speaks, in a request of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Speaker {
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
    pub(crate) generation: i32,
}

/// A group as tools see it.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) state: &'static str,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) members: Vec<DescribedMember>,
}

#[derive(Clone, Debug)]
pub(crate) struct DescribedMember {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) metadata: bytes::Bytes,
    pub(crate) assignment: bytes::Bytes,
}

/// The coordinator of all groups.
#[derive(Debug)]
pub(crate) struct Groups {
    options: Arc<Options>,
    pub(crate) offsets: Arc<Offsets>,
    groups: Mutex<HashMap<String, Group>>,
}

impl Groups {
    pub(crate) fn new(options: &Arc<Options>, offsets: &Arc<Offsets>) -> Groups {
        Groups { options: Arc::clone(options), offsets: Arc::clone(offsets), groups: Mutex::default() }
    }

    /// Joins, and waits until the group's next generation is complete.
    pub(crate) async fn join(&self, join: Join) -> Result<Joined, (ResponseError, String)> {
        let member = join.member.clone();
        let answer = {
            if join.group.is_empty() {
                return Err((ResponseError::InvalidGroupId, member));
            }
            let sessions = self.options.group_session_ms_min..=self.options.group_session_ms_max;
            if !sessions.contains(&join.session_ms) {
                return Err((ResponseError::InvalidSessionTimeout, member));
            }
            let mut groups = lock(&self.groups);
            let known = groups.contains_key(&join.group);
            if !known && !member.is_empty() {
                return Err((ResponseError::UnknownMemberId, member));
            }
            groups.entry(join.group.clone()).or_default().join(join, &self.options, Instant::now())
        };
        match answer {
            Ok(waiting) => {
                waiting.await.unwrap_or(Err(ResponseError::UnknownMemberId)).map_err(|error| (error, member))
            }
            Err(refused) => Err(refused),
        }
    }

    /// Hands in the leader's assignments, or waits for them.
    pub(crate) async fn sync(
        &self,
        group: &str,
        speaker: &Speaker,
        protocol: Option<(&str, &str)>,
        assignments: Vec<(String, bytes::Bytes)>,
    ) -> Result<Synced, ResponseError> {
        let waiting =
            self.with(group, |group| group.sync(speaker, protocol, assignments, Instant::now()))??;
        waiting.await.unwrap_or(Err(ResponseError::UnknownMemberId))
    }

    pub(crate) fn heartbeat(&self, group: &str, speaker: &Speaker) -> Result<(), ResponseError> {
        self.with(group, |group| group.heartbeat(speaker, Instant::now()))?
    }

    /// Takes a member out of the group.
    pub(crate) fn leave(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), ResponseError> {
        self.with(group, |group| group.leave(member, instance, Instant::now()))?
    }

    fn with<T>(&self, group: &str, work: impl FnOnce(&mut Group) -> T) -> Result<T, ResponseError> {
        if group.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        lock(&self.groups).get_mut(group).map(work).ok_or(ResponseError::UnknownMemberId)
    }

    /// Whether `speaker` may commit offsets. A generation below 0 is a consumer that assigns itself
    /// its partitions, which only an empty group allows.
    pub(crate) fn check_commit(&self, group: &str, speaker: &Speaker) -> Result<(), ResponseError> {
        let mut groups = lock(&self.groups);
        let found = groups.get_mut(group).filter(|group| group.phase != Phase::Empty);
        match (found, speaker.generation) {
            (None, ..=-1) => Ok(()),
            (None, _) => Err(ResponseError::IllegalGeneration),
            (Some(group), _) => group.check_commit(speaker, Instant::now()),
        }
    }

    /// As [`Groups::check_commit`] for offsets in a transaction, whose clients may leave out who
    /// they are.
    pub(crate) fn check_transactional_commit(
        &self,
        group: &str,
        speaker: &Speaker,
    ) -> Result<(), ResponseError> {
        let anonymous = speaker.generation < 0 && speaker.member.is_empty();
        if anonymous && speaker.instance.is_none() {
            return Ok(());
        }
        self.check_commit(group, speaker)
    }

    pub(crate) fn describe(&self, group: &str) -> Option<Described> {
        let groups = lock(&self.groups);
        match groups.get(group) {
            Some(group) => Some(group.describe()),
            None => self.offsets.has_group(group).then(|| Described {
                state: "Empty",
                protocol_type: String::new(),
                protocol: String::new(),
                members: Vec::new(),
            }),
        }
    }

    /// Every group with its protocol type and state.
    pub(crate) fn list(&self) -> Vec<(String, String, &'static str)> {
        let groups = lock(&self.groups);
        let mut list: Vec<_> = groups
            .iter()
            .map(|(id, group)| (id.clone(), group.protocol_type(), group.phase.name()))
            .collect();
        for id in self.offsets.groups() {
            if !groups.contains_key(&id) {
                list.push((id, String::new(), Phase::Empty.name()));
            }
        }
        list.sort_unstable();
        list
    }

    /// Deletes an empty group and its offsets.
    pub(crate) async fn delete(&self, group: &str) -> Result<(), ResponseError> {
        {
            let mut groups = lock(&self.groups);
            match groups.get(group) {
                Some(found) if found.phase != Phase::Empty => {
                    return Err(ResponseError::NonEmptyGroup);
                }
                Some(_) => {
                    groups.remove(group);
                }
                None if self.offsets.has_group(group) => {}
                None => return Err(ResponseError::GroupIdNotFound),
            }
        }
        match self.offsets.delete_group(group).await {
            true => Ok(()),
            false => Err(ResponseError::CoordinatorNotAvailable),
        }
    }

    /// Whether members of the group may be reading `topic`.
    pub(crate) fn is_subscribed(&self, group: &str, topic: &str) -> bool {
        lock(&self.groups).get(group).is_some_and(|group| group.is_subscribed(topic))
    }

    pub(crate) fn exists(&self, group: &str) -> bool {
        lock(&self.groups).contains_key(group) || self.offsets.has_group(group)
    }

    /// Removes silent members and ends rebalances whose time is up, until `closing`; then sends
    /// everybody away who waits.
    pub(crate) async fn sweep(&self, mut closing: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = closing.changed() => {
                    lock(&self.groups).clear();
                    return;
                }
            }
            let now = Instant::now();
            lock(&self.groups).retain(|_, group| {
                group.tick(now);
                !group.is_forgettable()
            });
        }
    }
}

type Answer<T> = oneshot::Sender<Result<T, ResponseError>>;
type Waiting<T> = oneshot::Receiver<Result<T, ResponseError>>;
