//! Channels with full queues whose readers have had no turn since: publishers wait for them, and they do not count as slow.
//! RFC 6455 section 7.4.1; 1013 is of the IANA registry: "try again later".
//! Knows no message. The caller that runs the readers reports their turns.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;

use super::channel::Channel;
use super::slow_consumer::{Delivery, DeliveryResult, is_at_limit, is_overfull, wake};
use super::{ChannelId, Encoding, Hub, Output, QueueLimits};
use crate::time::{Duration, Instant};

/// If no awaited reader has a turn for this time, the readers are judged as if they had had one.
const TURN: Duration = Duration::from_secs(1);

/// Channels that keep publishers waiting for one turn.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// Whether readers are judged by their turns.
    pub(super) turns: bool,
    slots: BTreeSet<u32>,
    /// When one of them last had its turn, or the first was added.
    moved: Instant,
}

impl Crowd {
    /// Adds a channel if its queue is full and its reader has not had a turn.
    #[inline]
    pub(super) fn see(
        &mut self,
        now: Instant,
        slot: u32,
        channel: &mut Channel,
        budget: &QueueLimits,
    ) {
        if self.turns && !channel.judged && !channel.crowded && is_at_limit(channel, budget) {
            channel.crowded = true;
            if self.slots.is_empty() {
                self.moved = now;
            }
            self.slots.insert(slot);
        }
    }

    /// Removes a channel; returns whether nobody is waited for any more.
    fn remove(&mut self, now: Instant, slot: u32) -> bool {
        self.moved = now;
        self.slots.remove(&slot) && self.slots.is_empty()
    }
}

/// The queues of channels that received a publication and had room for it.
#[derive(Debug, Default)]
pub(super) struct Load {
    receivers: u64,
    messages: u64,
    bytes: u64,
}

impl Load {
    /// Counts a receiver.
    #[inline]
    pub(super) fn count(&mut self, channel: &Channel) {
        self.receivers += 1;
        self.messages += u64::from(channel.chain.messages());
        self.bytes += channel.chain.bytes() as u64;
    }

    pub(super) const fn receivers(&self) -> u64 {
        self.receivers
    }

    /// Returns whether they use a quarter of their limits on average, or there are none: then the publisher is too fast for all, and
    /// nobody is slow compared with the others.
    pub(super) fn is_heavy(&self, budget: &QueueLimits) -> bool {
        self.messages >= u64::from(budget.messages / 4) * self.receivers
            || self.bytes >= (budget.bytes / 4) as u64 * self.receivers
    }
}

impl Hub {
    /// Has channels judged as slow only after their readers have had a turn: from now on the caller reports by
    /// [`blocked`](Self::blocked) that a reader could not take everything, and makes publishers wait while
    /// [`is_crowded`](Self::is_crowded). Without this a channel is slow as soon as its queue is full.
    pub const fn track_turns(&mut self) {
        self.pressure.crowd.turns = true;
    }

    /// Returns whether publishers should wait for a turn of readers whose queues are full. [`Output::Room`] says when it ends.
    pub fn is_crowded(&self) -> bool {
        !self.pressure.crowd.slots.is_empty()
    }

    /// Reports that the reader of a channel had its turn and left something: its peer takes no more. Until everything is taken, the
    /// policy applies to messages that find no room.
    pub fn blocked(&mut self, now: Instant, id: ChannelId) {
        if let Some(channel) = self.channels.of(id) {
            channel.judged = true;
        }
        self.had_turn(now, id.slot());
    }

    /// Stops waiting for a channel.
    pub(super) fn had_turn(&mut self, now: Instant, slot: u32) {
        let Some(channel) = self.channels.at(slot) else {
            return;
        };
        if core::mem::take(&mut channel.crowded) && self.pressure.crowd.remove(now, slot) {
            self.outputs.push_back(Output::Room);
        }
    }

    /// Returns whether a channel with a full queue is not at fault: most others are behind as well, it took something recently, and is
    /// behind for no longer than publishers wait. The message is then queued nevertheless, and publishers wait for it.
    pub(super) fn spare(&mut self, put: &mut Delivery<'_>, slot: u32, encoding: Encoding) -> bool {
        let (now, options) = (put.now, Arc::clone(&self.options));
        let Some(channel) = self.channels.at(slot).filter(|_| self.pressure.crowd.turns) else {
            return false;
        };
        if channel.moved + TURN <= now || is_overfull(channel, &options.queue_limits, put.bytes) {
            return false;
        }
        let Some(more) = channel.more_mut() else {
            return false;
        };
        if *more.make_extras().behind_since.get_or_insert(now) + TURN <= now {
            return false;
        }
        (channel.judged, channel.spared) = (false, true);
        let became = put.as_encoded(
            &mut self.store,
            &mut self.counters,
            &options.queue_limits,
            channel,
            (encoding, false),
        );
        wake(&mut self.outputs, slot, channel);
        self.pressure
            .crowd
            .see(now, slot, channel, &options.queue_limits);
        became == DeliveryResult::Waits
    }

    /// Returns when readers without a turn are judged.
    pub(super) fn judged_at(&self) -> Option<Instant> {
        self.is_crowded().then(|| self.pressure.crowd.moved + TURN)
    }

    /// Judges readers without a turn.
    pub(super) fn judge(&mut self, now: Instant) {
        if self.judged_at().is_none_or(|at| at > now) {
            return;
        }
        for slot in core::mem::take(&mut self.pressure.crowd.slots) {
            if let Some(channel) = self.channels.at(slot) {
                (channel.crowded, channel.judged) = (false, true);
            }
        }
        self.outputs.push_back(Output::Room);
    }
}
