//! Groups: their members, and how far each has received.
//! Knows channels only by their slots.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use slab::Slab;

use super::backplane::Token;
use super::id::Name;
use super::{ChannelId, Encoding, JoinReply, Position, Publication};

/// A group with members on this node.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: Name,
    pub(super) members: Vec<Member>,
    /// The last number received; `None` until the backplane has sent the position.
    pub(super) position: Option<Position>,
    /// The number with which it started on this node: watchers get later messages together with members.
    pub(super) begun: u64,
    /// The highest number that was recovered for a member, in the epoch of `position`: earlier messages may still arrive, or be missing.
    pub(super) recovered: u64,
    /// Its position was requested.
    pub(super) asked: Option<Box<AskedPosition>>,
    /// Missed messages were requested.
    pub(super) repairing: Option<Box<Repair>>,
    /// The members that joined and wait for the position.
    pub(super) waiting: BTreeMap<ChannelId, Waiting>,
    /// The last publication that was delivered, while members receive differences from it.
    pub(super) last: Option<Arc<Publication>>,
}

/// A request for the position.
#[derive(Debug)]
pub(super) struct AskedPosition {
    pub(super) token: Token,
    /// The last number received at that time: an answer below it means that numbers went back, and one before it is merely old.
    pub(super) at: Option<Position>,
}

/// A request for missed messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repair {
    pub(super) token: Token,
    /// The newest number seen when they were requested: an answer that does not reach it never will.
    pub(super) top: u64,
    /// The newest number seen since.
    pub(super) seen: u64,
}

/// A member that waits for the position of its group.
#[derive(Debug)]
pub(super) struct Waiting {
    /// It was the first member on this node.
    pub(super) opened: bool,
    pub(super) reply: Option<JoinReply>,
}

/// A channel in a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) slot: u32,
    /// The index among the groups of the channel.
    pub(super) back: u16,
    /// Its own format, or [`OF_CHANNEL`].
    format: u8,
    /// In one byte, because a group may have many members.
    flags: u8,
    /// It receives only messages with a higher number.
    pub(super) from: u64,
}

/// Maximum number of groups of a channel, whatever the options.
pub(super) const MOST_GROUPS: usize = u16::MAX as usize;

/// It is not told of changes of presence.
const WITHOUT_PRESENCE: u8 = 1;

/// The last publication that it received is the group's.
const HAS_LAST: u8 = 2;

/// It has a format of its own, instead of its channel's encoding.
const HAS_FORMAT: u8 = 4;

impl Group {
    /// Its position is requested.
    pub(super) fn ask(&mut self, token: Token) {
        let at = self.position;
        self.asked = Some(Box::new(AskedPosition { token, at }));
    }

    /// Returns whether its position was requested with this token.
    pub(super) fn has_asked(&self, token: Token) -> bool {
        self.asked
            .as_ref()
            .is_some_and(|asked| asked.token == token)
    }

    /// Returns the position of a member that joins now, and the number after which it receives messages.
    ///
    /// It may have recovered messages as a member before that have not arrived here yet: they must not come again. A watcher still waits
    /// for them.
    pub(super) fn start(&self, watches: bool) -> (Option<Position>, u64) {
        match self.position {
            Some(Position { epoch, offset }) if self.recovered > offset && !watches => {
                let offset = self.recovered;
                (Some(Position { epoch, offset }), offset)
            }
            position => (position, 0),
        }
    }

    /// Adds a member. Room grows by half: most groups are small, and there are many.
    pub(super) fn admit(&mut self, member: Member) {
        let count = self.members.len();
        if count == self.members.capacity() {
            self.members.reserve_exact((count / 2).max(2));
        }
        self.members.push(member);
    }
}

impl Member {
    pub(super) const fn new(
        slot: u32,
        back: u16,
        from: u64,
        format: Option<u8>,
        without_presence: bool,
    ) -> Self {
        Self {
            slot,
            back,
            format: match format {
                Some(format) => format,
                None => 0,
            },
            flags: if without_presence {
                WITHOUT_PRESENCE
            } else {
                0
            } | if format.is_some() { HAS_FORMAT } else { 0 },
            from,
        }
    }

    #[inline]
    pub(super) const fn is_without_presence(&self) -> bool {
        self.flags & WITHOUT_PRESENCE != 0
    }

    #[inline]
    pub(super) const fn has_last(&self) -> bool {
        self.flags & HAS_LAST != 0
    }

    pub(super) const fn set_has_last(&mut self, has_last: bool) {
        if has_last {
            self.flags |= HAS_LAST;
        } else {
            self.flags &= !HAS_LAST;
        }
    }

    /// Returns how its messages are encoded, in a channel with this encoding.
    #[inline]
    pub(super) const fn encoding(&self, of_channel: Encoding) -> Encoding {
        if self.flags & HAS_FORMAT == 0 {
            of_channel
        } else {
            Encoding::Format(self.format)
        }
    }
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

    /// Iterates over all groups by name, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.by_name.values().filter_map(|key| self.get(*key))
    }

    /// Returns the keys of all groups, in the order of their names.
    pub(super) fn keys(&self) -> Vec<u32> {
        self.by_name.values().copied().collect()
    }

    pub(super) fn open(&mut self, name: &Name) -> u32 {
        let key = self.groups.insert(Group {
            name: Arc::clone(name),
            members: Vec::new(),
            position: None,
            begun: 0,
            recovered: 0,
            asked: None,
            repairing: None,
            waiting: BTreeMap::new(),
            last: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_memberships_are_small() {
        assert_eq!(size_of::<Member>(), 16);
        assert!(size_of::<Group>() <= 128);
    }
}
