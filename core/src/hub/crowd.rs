//! Channels whose queues are full though their readers have had no turn since: publishers wait for these, and nobody is called slow.
//! RFC 6455 section 7.4.1; 1013 is of the IANA registry: "try again later".
//! Knows no message. Who has had a turn is told by whoever runs the readers.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;

use super::seat::Seat;
use super::slow::{Became, Put, is_at_limit, is_overfull, wake};
use super::{ChannelId, Hub, Output, QueueLimits};
use crate::time::{Duration, Instant};

/// Time without a turn of any reader that publishers wait for, after which those readers are judged as if they had had one.
const TURN: Duration = Duration::from_secs(1);

/// Channels that keep publishers waiting for one turn.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// Readers are judged by their turns.
    pub(super) turns: bool,
    slots: BTreeSet<u32>,
    /// When one of them last had its turn, or the first was entered.
    moved: Instant,
}

impl Crowd {
    /// Enters a channel if its queue is full and its reader has not had a turn.
    #[inline]
    pub(super) fn see(&mut self, now: Instant, slot: u32, seat: &mut Seat, budget: &QueueLimits) {
        if self.turns && !seat.judged && !seat.crowded && is_at_limit(seat, budget) {
            seat.crowded = true;
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

/// What waits for those who received a publication, and had room for it.
#[derive(Debug, Default)]
pub(super) struct Load {
    receivers: u64,
    messages: u64,
    octets: u64,
}

impl Load {
    /// Counts a receiver.
    #[inline]
    pub(super) fn count(&mut self, seat: &Seat) {
        self.receivers += 1;
        self.messages += u64::from(seat.chain.messages());
        self.octets += seat.chain.octets() as u64;
    }

    pub(super) const fn receivers(&self) -> u64 {
        self.receivers
    }

    /// Whether they use a quarter of the budget on average, or there is none: then who publishes is too fast for all, and nobody
    /// is slow beside the others.
    pub(super) fn is_heavy(&self, budget: &QueueLimits) -> bool {
        self.messages >= u64::from(budget.messages / 4) * self.receivers
            || self.octets >= (budget.octets / 4) as u64 * self.receivers
    }
}

impl Hub {
    /// Has channels judged slow only once their readers have had a turn: from now on the caller says when a reader could not take
    /// all, by [`blocked`](Self::blocked), and lets publishers wait while [`is_crowded`](Self::is_crowded). Without this a channel
    /// is slow as soon as its queue is full.
    pub const fn track_turns(&mut self) {
        self.crowd.turns = true;
    }

    /// Returns whether publishers should wait for a turn of readers whose queues are full. [`Output::Room`] says when it ends.
    pub fn is_crowded(&self) -> bool {
        !self.crowd.slots.is_empty()
    }

    /// The reader of a channel had its turn and left something: its peer takes no more. What finds no room from now on, until
    /// all was taken, is the policy's.
    pub fn blocked(&mut self, now: Instant, id: ChannelId) {
        if let Some(seat) = self.seats.of(id) {
            seat.judged = true;
        }
        self.had_turn(now, id.slot());
    }

    /// A channel is waited for no longer.
    pub(super) fn had_turn(&mut self, now: Instant, slot: u32) {
        let Some(seat) = self.seats.at(slot) else {
            return;
        };
        if core::mem::take(&mut seat.crowded) && self.crowd.remove(now, slot) {
            self.outputs.push_back(Output::Room);
        }
    }

    /// Whether a channel whose queue is full is not to blame: most others are behind as well, it took something lately, and is
    /// behind for no longer than publishers wait. Then the message is put to it all the same, and publishers wait for it.
    pub(super) fn spare(&mut self, put: &mut Put<'_>, slot: u32) -> bool {
        let (now, options) = (put.now, Arc::clone(&self.options));
        let Some(seat) = self.seats.at(slot).filter(|_| self.crowd.turns) else {
            return false;
        };
        if seat.moved + TURN <= now || is_overfull(seat, &options.budget, put.octets) {
            return false;
        }
        let Some(more) = seat.more_mut() else {
            return false;
        };
        if *more.behind_since.get_or_insert(now) + TURN <= now {
            return false;
        }
        (seat.judged, seat.spared) = (false, true);
        let became = put.to(&mut self.store, &mut self.counters, &options.budget, seat);
        wake(&mut self.outputs, slot, seat);
        self.crowd.see(now, slot, seat, &options.budget);
        became == Became::Waits
    }

    /// When readers that do not come by are judged.
    pub(super) fn judged_at(&self) -> Option<Instant> {
        self.is_crowded().then(|| self.crowd.moved + TURN)
    }

    /// Judges readers that did not come by.
    pub(super) fn judge(&mut self, now: Instant) {
        if self.judged_at().is_none_or(|at| at > now) {
            return;
        }
        for slot in core::mem::take(&mut self.crowd.slots) {
            if let Some(seat) = self.seats.at(slot) {
                (seat.crowded, seat.judged) = (false, true);
            }
        }
        self.outputs.push_back(Output::Room);
    }
}
