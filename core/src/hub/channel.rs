//! Channels: their users, groups and queues.
//! A slot is reused with another generation: an old id refers to nobody.
//! Knows no group's state.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::id::Name;
use super::queue::Chain;
use super::{ChannelId, ChannelOptions, Encoding, Filter, HubError, NodeId};
use crate::close::CloseCode;
use crate::limits::Bucket;
use crate::time::{Duration, Instant};

/// The state that each message needs, its groups, and a pointer to the rest.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) chain: Chain,
    generation: u32,
    pub(super) encoding: Encoding,
    /// It was told that something is queued.
    pub(super) woken: bool,
    /// It is about to be closed: nothing more is queued.
    pub(super) closing: bool,
    /// Its reader had a turn and left something; until everything is taken.
    pub(super) judged: bool,
    /// Publishers wait for its reader to have a turn.
    pub(super) crowded: bool,
    /// It was spared although its queue was full, because most others were behind too; until half of its queue is free.
    pub(super) spared: bool,
    /// It is a listener, not a connection: messages that it cannot take are skipped, and it is told how many.
    pub(super) listens: bool,
    /// Its queue is held back.
    pub(super) held: bool,
    /// The window of its compression.
    pub(super) window_bits: Option<u8>,
    /// When it last took something, or started to wait.
    pub(super) moved: Instant,
    /// `None`: the slot is free.
    pub(super) more: Option<ChannelDetails>,
}

/// The state that deliveries do not need.
#[derive(Debug)]
pub(super) struct ChannelDetails {
    pub(super) joined: Vec<Membership>,
    /// Its user, and the group of all that user's channels.
    pub(super) user: Option<Name>,
    extras: Option<Box<ChannelExtras>>,
}

/// The state that few channels have.
#[derive(Debug, Default)]
pub(super) struct ChannelExtras {
    /// Those of [`HubOptions::joins`](super::HubOptions::joins) and [`publishes`](super::HubOptions::publishes).
    pub(super) joins: Bucket,
    pub(super) publishes: Bucket,
    pub(super) filters: Vec<Filter>,
    pub(super) metadata: Option<Arc<str>>,
    /// The metadata of memberships that have their own.
    pub(super) of_groups: Vec<(Name, Arc<str>)>,
    pub(super) expiry: Option<(Duration, Instant)>,
    /// When its session ends.
    pub(super) ends: Option<Instant>,
    /// When it was first spared.
    pub(super) behind_since: Option<Instant>,
    /// How to close it.
    pub(super) farewell: Option<(CloseCode, String)>,
}

/// A membership of a channel in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    /// The key of the group.
    pub(super) group: u32,
    /// The index among the members of the group.
    pub(super) at: u32,
}

/// All channels of a node.
#[derive(Debug)]
pub(super) struct ChannelTable {
    node: NodeId,
    channels: Vec<Channel>,
    free: Vec<u32>,
}

impl ChannelTable {
    pub(super) const fn new(node: NodeId) -> Self {
        Self {
            node,
            channels: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Returns the number of channels.
    pub(super) const fn count(&self) -> usize {
        self.channels.len() - self.free.len()
    }

    pub(super) fn open(
        &mut self,
        now: Instant,
        open: ChannelOptions,
    ) -> Result<ChannelId, HubError> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.channels.push(Channel::default());
                u32::try_from(self.channels.len() - 1).map_err(|_| HubError::TooManyChannels)?
            }
        };
        let channel = self
            .channels
            .get_mut(slot as usize)
            .ok_or(HubError::TooManyChannels)?;
        channel.encoding = open.encoding;
        channel.moved = now;
        channel.window_bits = open.window_bits;
        let extras = (open.metadata.is_some() || open.expiry.is_some()).then(|| ChannelExtras {
            metadata: open.metadata.map(Into::into),
            expiry: open.expiry.map(|after| (after, now + after)),
            ..ChannelExtras::default()
        });
        channel.more = Some(ChannelDetails {
            joined: Vec::new(),
            user: open.user.map(Into::into),
            extras: extras.map(Box::new),
        });
        Ok(ChannelId::from_parts(self.node, slot, channel.generation))
    }

    /// Returns a channel, if it is open.
    pub(super) fn of(&mut self, id: ChannelId) -> Option<&mut Channel> {
        let channel = self.channels.get_mut(id.slot as usize)?;
        (id.node == self.node && channel.generation == id.generation && channel.more.is_some())
            .then_some(channel)
    }

    /// Returns the channel in a slot, whatever its generation.
    #[inline]
    pub(super) fn at(&mut self, slot: u32) -> Option<&mut Channel> {
        self.channels.get_mut(slot as usize)
    }

    /// Returns the slot at an index, shared.
    pub(super) fn look(&self, slot: u32) -> Option<&Channel> {
        self.channels.get(slot as usize)
    }

    /// Returns the id of the channel in a slot.
    pub(super) fn id(&self, slot: u32) -> Option<ChannelId> {
        let channel = self.channels.get(slot as usize)?;
        channel
            .more
            .is_some()
            .then(|| ChannelId::from_parts(self.node, slot, channel.generation))
    }

    /// Iterates over the ids of all open channels.
    pub(super) fn ids(&self) -> impl Iterator<Item = ChannelId> {
        (0..self.channels.len() as u32).filter_map(|slot| self.id(slot))
    }

    /// Iterates over the slots of channels with queued messages.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (u32, &Channel)> {
        self.channels
            .iter()
            .enumerate()
            .filter(|(_, channel)| !channel.chain.is_empty())
            .map(|(slot, channel)| (slot as u32, channel))
    }

    /// Frees the slot of a channel whose chain is empty.
    pub(super) fn free(&mut self, slot: u32) {
        if let Some(channel) = self.channels.get_mut(slot as usize) {
            let generation = channel.generation.wrapping_add(1);
            *channel = Channel {
                generation,
                ..Channel::default()
            };
            self.free.push(slot);
        }
    }
}

impl ChannelDetails {
    /// Adds a membership, and returns its index. Most channels are in few groups: their list is no longer than necessary.
    pub(super) fn admit(&mut self, membership: Membership) -> u16 {
        let count = self.joined.len();
        if count == self.joined.capacity() {
            self.joined.reserve_exact((count / 2).max(1));
        }
        self.joined.push(membership);
        count as u16
    }

    /// Returns the state that few channels have, if it has some.
    pub(super) fn extras(&self) -> Option<&ChannelExtras> {
        self.extras.as_deref()
    }

    /// Returns that state to change it, if it has some.
    pub(super) fn extras_mut(&mut self) -> Option<&mut ChannelExtras> {
        self.extras.as_deref_mut()
    }

    /// Returns that state, which it has from now on.
    pub(super) fn make_extras(&mut self) -> &mut ChannelExtras {
        self.extras.get_or_insert_default()
    }

    /// Returns the filters of its subscriptions.
    pub(super) fn filters(&self) -> &[Filter] {
        self.extras().map_or(&[], |extras| &extras.filters)
    }
}

impl Channel {
    /// Returns the rest of the channel in this slot.
    pub(super) const fn more(&self) -> Option<&ChannelDetails> {
        self.more.as_ref()
    }

    pub(super) const fn more_mut(&mut self) -> Option<&mut ChannelDetails> {
        self.more.as_mut()
    }

    /// Returns its user.
    pub(super) fn user(&self) -> Option<&Name> {
        self.more()?.user.as_ref()
    }

    /// Returns the rest, unless it is about to be closed.
    pub(super) fn renewable(&mut self) -> Option<&mut ChannelDetails> {
        self.more.as_mut().filter(|_| !self.closing)
    }

    pub(super) const fn generation(&self) -> u32 {
        self.generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_small() {
        assert!(size_of::<Channel>() <= 96);
    }
}
