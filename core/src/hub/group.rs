//! Groups: who is in them, and how far each has heard.
//! Knows channels by their places alone.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use slab::Slab;

use super::backplane::Token;
use super::id::Name;
use super::{ChannelId, Position};

/// A group with members on this node.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: Name,
    pub(super) members: Vec<Member>,
    /// How far it has heard; `None` until the backplane has said where it begins.
    pub(super) position: Option<Position>,
    /// The number with which it began on this node: who watches gets what came later as members do.
    pub(super) begun: u64,
    /// Its position was asked for.
    pub(super) asked: Option<Token>,
    /// How far it had heard then: an answer that lies behind that says that numbers went back, one before it is merely old.
    pub(super) asked_at: Option<Position>,
    /// What it missed was asked for; and the newest number that was seen meanwhile.
    pub(super) repairing: Option<(Token, u64)>,
    /// Who joined and is to be told the position, and whether it was the first.
    pub(super) waiting: Vec<(ChannelId, bool)>,
}

/// A channel that is in a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) slot: u32,
    /// The index among the groups of the channel.
    pub(super) back: u32,
    /// It is not to receive what has no higher number.
    pub(super) from: u64,
}

/// A member that receives nothing until its recovery is done.
pub(super) const RECOVERING: u64 = u64::MAX;

/// All groups with members on this node.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: Slab<Group>,
    by_name: BTreeMap<Name, u32>,
}

impl Groups {
    pub(super) fn count(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    #[inline]
    pub(super) fn get(&self, key: u32) -> Option<&Group> {
        self.groups.get(key as usize)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: u32) -> Option<&mut Group> {
        self.groups.get_mut(key as usize)
    }

    /// All groups by name, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.by_name.values().filter_map(|key| self.get(*key))
    }

    /// The keys of all groups, in the order of their names.
    pub(super) fn keys(&self) -> Vec<u32> {
        self.by_name.values().copied().collect()
    }

    pub(super) fn open(&mut self, name: &Name) -> u32 {
        let key = self.groups.insert(Group {
            name: Arc::clone(name),
            members: Vec::new(),
            position: None,
            begun: 0,
            asked: None,
            asked_at: None,
            repairing: None,
            waiting: Vec::new(),
        }) as u32;
        self.by_name.insert(Arc::clone(name), key);
        key
    }

    pub(super) fn close(&mut self, key: u32) {
        if let Some(group) = self.groups.try_remove(key as usize) {
            self.by_name.remove(&group.name);
        }
    }
}
