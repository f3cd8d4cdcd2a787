//! The users in a group, on all nodes together.
//! When a node is removed, all its users are, in one step.
//! Knows no channel: it takes users, by the nodes they are on.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::id::Name;
use super::{NodeId, Presence, PresenceChange, PresenceMode, Present};
use crate::time::Instant;

/// The users of one group.
#[derive(Debug)]
pub(super) struct Table {
    epoch: u64,
    version: u64,
    users: BTreeMap<Name, User>,
}

/// A user, on any number of nodes.
#[derive(Debug, Default)]
struct User {
    nodes: BTreeSet<NodeId>,
    /// The metadata that were set last, and when.
    metadata: Option<Arc<str>>,
    said: Instant,
}

impl User {
    fn present(&self, user: &Name) -> Present {
        Present {
            user: Arc::clone(user),
            metadata: self.metadata.clone(),
            said: self.said,
        }
    }
}

impl Table {
    pub(super) const fn new(epoch: u64) -> Self {
        Self {
            epoch,
            version: 0,
            users: BTreeMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Adds users on a node, or changes them. The metadata that were set last are shown.
    pub(super) fn enter(
        &mut self,
        group: &Name,
        node: NodeId,
        users: Vec<Present>,
    ) -> Option<PresenceChange> {
        let mut change = self.change(group);
        for present in users {
            let user = self.users.entry(Arc::clone(&present.user)).or_default();
            let is_new = user.nodes.is_empty();
            user.nodes.insert(node);
            let mut differs = false;
            if is_new || (present.metadata.is_some() && present.said >= user.said) {
                differs = user.metadata != present.metadata;
                (user.metadata, user.said) = (present.metadata, present.said);
            }
            if is_new {
                change.joined.push(user.present(&present.user));
            } else if differs {
                change.updated.push(user.present(&present.user));
            }
        }
        self.changed(change)
    }

    /// Removes users on a node.
    pub(super) fn exit(
        &mut self,
        group: &Name,
        node: NodeId,
        users: &[Name],
    ) -> Option<PresenceChange> {
        let mut change = self.change(group);
        for name in users {
            if let Some(user) = self.users.get_mut(name)
                && user.nodes.remove(&node)
                && user.nodes.is_empty()
            {
                change.left.push(user.present(name));
                self.users.remove(name);
            }
        }
        self.changed(change)
    }

    /// Sets exactly these users on a node.
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

    /// Iterates over the users of a node.
    fn of(&self, node: NodeId) -> impl Iterator<Item = Name> {
        let users = self.users.iter();
        let of_node = users.filter(move |(_, user)| user.nodes.contains(&node));
        of_node.map(|(user, _)| Arc::clone(user))
    }

    /// Removes a node.
    pub(super) fn lose(&mut self, group: &Name, node: NodeId) -> Option<PresenceChange> {
        let users: Vec<Name> = self.of(node).collect();
        self.exit(group, node, &users)
    }

    fn change(&self, group: &Name) -> PresenceChange {
        PresenceChange::new(Arc::clone(group), self.epoch, self.version, 0)
    }

    fn changed(&mut self, mut change: PresenceChange) -> Option<PresenceChange> {
        if change.is_empty() {
            return None;
        }
        self.version += 1;
        (change.version, change.count) = (self.version, self.users.len());
        Some(change)
    }

    /// Returns all users.
    pub(super) fn snapshot(&self, mode: PresenceMode) -> Presence {
        let members = match mode {
            PresenceMode::Members { .. } | PresenceMode::Connections => {
                let users = self.users.iter();
                users.map(|(name, user)| user.present(name)).collect()
            }
            PresenceMode::Off | PresenceMode::Count => Vec::new(),
        };
        Presence {
            epoch: self.epoch,
            version: self.version,
            count: self.users.len(),
            members,
        }
    }
}
