//! From one generation of a group to the next.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::membership::{Group, Joined, Phase, Synced};

impl Group {
    /// Asks every member to join again.
    pub(super) fn prepare_rebalance(&mut self, now: Instant) {
        if self.phase == Phase::PreparingRebalance {
            return;
        }
        for member in self.members.values_mut() {
            if let Some(syncing) = member.syncing.take() {
                let _gone = syncing.send(Err(ResponseError::RebalanceInProgress));
            }
            if self.phase == Phase::CompletingRebalance {
                member.assignment = Bytes::new();
            }
        }
        self.phase = Phase::PreparingRebalance;
        self.rebalance_until = Some(now + self.rebalance_timeout());
    }

    fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance).max().unwrap_or_default()
    }

    /// Begins the next generation if everybody has joined, or if the time for it is up.
    pub(super) fn try_complete(&mut self, now: Instant) {
        if self.initial_until.is_some_and(|until| until > now) {
            return;
        }
        let everybody = self.members.values().all(|member| member.joining.is_some());
        let late = self.rebalance_until.is_some_and(|until| until <= now);
        if everybody || late {
            self.complete(now);
        }
    }

    fn complete(&mut self, now: Instant) {
        self.initial_until = None;
        // Static members keep their place until their session ends.
        self.members.retain(|_, member| member.joining.is_some() || member.instance.is_some());
        self.rebalance_until = Some(now + self.rebalance_timeout());
        let joined = |id: &String| self.members.get(id).is_some_and(|member| member.joining.is_some());
        let leader = self.leader.take().filter(&joined);
        let leader = leader.or_else(|| self.members.keys().find(|id| joined(id)).cloned());
        let Some(leader) = leader else {
            if self.members.is_empty() {
                self.empty();
            } else {
                // Only absent static members are left: nobody to assign anything.
                self.phase = Phase::PreparingRebalance;
            }
            return;
        };
        self.leader = Some(leader);
        self.generation = self.generation.wrapping_add(1).max(1);
        self.protocol = Some(self.select_protocol());
        self.phase = Phase::CompletingRebalance;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            self.answer_join(&id, joined);
            if let Some(member) = self.members.get_mut(&id) {
                member.alive(now);
            }
        }
    }

    fn empty(&mut self) {
        self.phase = Phase::Empty;
        self.leader = None;
        self.protocol = None;
        self.rebalance_until = None;
        self.instances.clear();
    }

    /// The protocol that everybody knows and most members like best.
    fn select_protocol(&self) -> String {
        let known_to_all = |name: &str| {
            self.members.values().all(|member| member.protocols.iter().any(|(other, _)| other == name))
        };
        let mut votes: Vec<(&str, usize)> = Vec::new();
        for member in self.members.values() {
            let choice =
                member.protocols.iter().map(|(name, _)| name.as_str()).find(|name| known_to_all(name));
            let Some(choice) = choice else {
                continue;
            };
            match votes.iter_mut().find(|(name, _)| *name == choice) {
                Some((_, count)) => *count += 1,
                None => votes.push((choice, 1)),
            }
        }
        votes
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .map_or_else(String::new, |(name, _)| name.to_owned())
    }

    /// What `member` is told of this generation.
    pub(super) fn joined(&self, member: &str) -> Joined {
        let leader = self.leader.clone().unwrap_or_default();
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = if leader == member {
            self.members
                .iter()
                .map(|(id, member)| (id.clone(), member.instance.clone(), member.metadata(&protocol)))
                .collect()
        } else {
            Vec::new()
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type(),
            protocol,
            leader,
            member: member.to_owned(),
            skip_assignment: false,
            members,
        }
    }

    pub(super) fn answer_join(&mut self, id: &str, joined: Joined) {
        if let Some(joining) = self.members.get_mut(id).and_then(|member| member.joining.take()) {
            // Who has hung up meanwhile is removed when its session ends.
            let _gone = joining.send(Ok(joined));
        }
    }

    /// Takes the leader's assignments, which begins the stable phase.
    pub(super) fn assign(&mut self, assignments: Vec<(String, Bytes)>, now: Instant) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment;
            }
        }
        self.phase = Phase::Stable;
        self.rebalance_until = None;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let synced = self.synced(&id);
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            if let Some(syncing) = member.syncing.take() {
                let _gone = syncing.send(Ok(synced));
                member.alive(now);
            }
        }
    }

    pub(super) fn synced(&self, member: &str) -> Synced {
        Synced {
            protocol_type: self.protocol_type(),
            protocol: self.protocol.clone().unwrap_or_default(),
            assignment: self.members.get(member).map_or_else(Bytes::new, |member| member.assignment.clone()),
        }
    }

    /// Takes a member out and gives its share to the others.
    pub(super) fn remove(&mut self, id: &str, now: Instant) {
        let Some(mut member) = self.members.remove(id) else {
            return;
        };
        if let Some(joining) = member.joining.take() {
            let _gone = joining.send(Err(ResponseError::UnknownMemberId));
        }
        if let Some(syncing) = member.syncing.take() {
            let _gone = syncing.send(Err(ResponseError::UnknownMemberId));
        }
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = None;
        }
        if self.members.is_empty() {
            self.generation = self.generation.wrapping_add(1).max(1);
            self.empty();
        } else {
            self.prepare_rebalance(now);
            self.try_complete(now);
        }
    }
}
