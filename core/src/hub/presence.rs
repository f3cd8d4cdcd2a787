//! Who is in a group, on all nodes together.
//! No RFC. What a node said goes with the node, in one step.
//! Knows no channel: it is told of users, by the nodes they are on.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::id::Name;
use super::{NodeId, Presence, PresenceChange, PresenceMode, Present};

/// The users of one group.
#[derive(Debug, Default)]
pub(super) struct Table {
    version: u64,
    /// By user, the nodes it is on, with what each said of it.
    users: BTreeMap<Name, BTreeMap<NodeId, Option<Arc<str>>>>,
}

impl Table {
    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Users are on a node. It may have said so before.
    pub(super) fn enter(
        &mut self,
        group: &Name,
        node: NodeId,
        users: Vec<Present>,
    ) -> Option<PresenceChange> {
        let mut joined = Vec::new();
        for present in users {
            let user = Arc::clone(&present.user);
            let nodes = self.users.entry(user).or_default();
            if nodes.is_empty() {
                joined.push(present.clone());
            }
            nodes.insert(node, present.metadata);
        }
        self.changed(group, joined, Vec::new())
    }

    /// Users are on a node no more.
    pub(super) fn exit(
        &mut self,
        group: &Name,
        node: NodeId,
        users: &[Name],
    ) -> Option<PresenceChange> {
        let mut left = Vec::new();
        for user in users {
            if let Some(nodes) = self.users.get_mut(user)
                && nodes.remove(&node).is_some()
                && nodes.is_empty()
            {
                self.users.remove(user);
                left.push(Arc::clone(user));
            }
        }
        self.changed(group, Vec::new(), left)
    }

    /// These users are on a node, and no others.
    pub(super) fn set(
        &mut self,
        group: &Name,
        node: NodeId,
        users: Vec<Present>,
    ) -> Vec<PresenceChange> {
        let gone = |user: &Name| !users.iter().any(|present| present.user == *user);
        let gone: Vec<Name> = self.of(node).filter(|user| gone(user)).collect();
        let left = self.exit(group, node, &gone);
        let joined = self.enter(group, node, users);
        left.into_iter().chain(joined).collect()
    }

    /// The users of a node.
    fn of(&self, node: NodeId) -> impl Iterator<Item = Name> {
        let users = self.users.iter();
        let of_node = users.filter(move |(_, nodes)| nodes.contains_key(&node));
        of_node.map(|(user, _)| Arc::clone(user))
    }

    /// A node is no more.
    pub(super) fn lose(&mut self, group: &Name, node: NodeId) -> Option<PresenceChange> {
        let users: Vec<Name> = self.of(node).collect();
        self.exit(group, node, &users)
    }

    fn changed(
        &mut self,
        group: &Name,
        joined: Vec<Present>,
        left: Vec<Name>,
    ) -> Option<PresenceChange> {
        if joined.is_empty() && left.is_empty() {
            return None;
        }
        self.version += 1;
        Some(PresenceChange {
            group: Arc::clone(group),
            version: self.version,
            count: self.users.len(),
            joined,
            left,
        })
    }

    /// Who is there now.
    pub(super) fn snapshot(&self, mode: PresenceMode) -> Presence {
        let member = |(user, nodes): (&Name, &BTreeMap<_, Option<Arc<str>>>)| Present {
            user: Arc::clone(user),
            metadata: nodes.values().next().cloned().flatten(),
        };
        let members = match mode {
            PresenceMode::Members { .. } => self.users.iter().map(member).collect(),
            PresenceMode::Off | PresenceMode::Count => Vec::new(),
        };
        Presence {
            version: self.version,
            count: self.users.len(),
            members,
        }
    }
}
