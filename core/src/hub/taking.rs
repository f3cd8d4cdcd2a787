//! Hands out what is queued for a channel.
//! Knows no socket: the caller takes message after message.

use alloc::sync::Arc;

use super::queue::Content;
use super::slow_consumer::{is_half_empty, wake};
use super::{ChannelId, Hub, HubError, Output, Publication, Taken};
use crate::message::PreparedMessage;
use crate::time::Instant;

impl Hub {
    /// Takes the next message of a channel. `give` is passed the frame, and the publication if it was published.
    pub fn take<R>(
        &mut self,
        now: Instant,
        id: ChannelId,
        give: impl FnOnce(&PreparedMessage, Option<&Arc<Publication>>) -> R,
    ) -> Taken<R> {
        let Some(seat) = self.seats.of(id) else {
            self.counters.stale += 1;
            return Taken::Nothing;
        };
        seat.moved = now;
        if seat.held {
            seat.woken = false;
            return Taken::Nothing;
        }
        let mut expired = false;
        let mut taken = Taken::Nothing;
        while let Some(entry) = self.store.front(&seat.chain) {
            match &entry.content {
                Content::Message { .. } if entry.expires.is_some_and(|at| at <= now) => {
                    self.counters.expired += 1;
                    expired = true;
                    self.store.pop(&mut seat.chain);
                }
                Content::Message { frame, publication } => {
                    taken = Taken::Message(give(frame, publication.as_ref()));
                    self.store.pop(&mut seat.chain);
                    self.counters.delivered += 1;
                    break;
                }
                Content::Skipped {
                    count,
                    notices: None,
                } => {
                    if let Some(group) = entry.group.clone() {
                        let count = *count;
                        taken = Taken::Skipped { group, count };
                    }
                    self.store.pop(&mut seat.chain);
                    break;
                }
                Content::Skipped { .. } => {
                    let words = entry.frame();
                    self.store.pop(&mut seat.chain);
                    if let Some(words) = words {
                        taken = Taken::Message(give(&words, None));
                        break;
                    }
                }
            }
        }
        let is_over = matches!(taken, Taken::Nothing);
        if is_over {
            if let Some((code, reason)) = seat.more().and_then(|more| more.farewell.clone()) {
                return Taken::Close(code, reason);
            }
            seat.woken = false;
        }
        if seat.chain.is_empty() {
            seat.judged = false;
        }
        let has_room = is_half_empty(seat, &self.options.queue_limits);
        if has_room && core::mem::take(&mut seat.spared) {
            let more = seat.more_mut();
            more.into_iter().for_each(|more| more.behind_since = None);
        }
        if seat.crowded && has_room {
            self.had_turn(now, id.slot());
        }
        if !self.pressure.holding.is_empty() && (!is_over || expired) {
            self.holding_over(id.slot());
        }
        taken
    }

    /// Holds back the queue of a channel, or releases it: meanwhile [`take`](Self::take) returns nothing, and its limits still apply.
    ///
    /// # Errors
    /// [`HubError::Gone`].
    pub fn hold(&mut self, id: ChannelId, held: bool) -> Result<(), HubError> {
        let seat = self.seats.of(id).ok_or(HubError::Gone)?;
        seat.held = held;
        if !held {
            wake(&mut self.outputs, id.slot(), seat);
        }
        Ok(())
    }

    /// Returns whether anything is queued for a channel, including its end.
    pub fn waits(&mut self, id: ChannelId) -> bool {
        self.seats
            .of(id)
            .is_some_and(|seat| !seat.chain.is_empty() || seat.closing)
    }

    /// Lets publishers go on if they waited for the channel, and it has room again.
    pub(super) fn holding_over(&mut self, slot: u32) {
        if !self.pressure.holding.contains(&slot) {
            return;
        }
        let budget = &self.options.queue_limits;
        let still = self.seats.look(slot).is_some_and(|seat| {
            seat.more.is_some() && !seat.closing && !is_half_empty(seat, budget)
        });
        if !still {
            self.pressure.holding.remove(&slot);
            self.outputs.push_back(Output::Room);
        }
    }
}
