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
        let Some(channel) = self.channels.of(id) else {
            self.counters.stale += 1;
            return Taken::Nothing;
        };
        channel.moved = now;
        if channel.held {
            channel.woken = false;
            return Taken::Nothing;
        }
        let mut expired = false;
        let mut taken = Taken::Nothing;
        while let Some(entry) = self.store.front(&channel.chain) {
            match &entry.content {
                Content::Message { .. } if entry.expires.is_some_and(|at| at <= now) => {
                    self.counters.expired += 1;
                    expired = true;
                    self.store.pop(&mut channel.chain);
                }
                Content::Message { frame, publication } => {
                    taken = Taken::Message(give(frame, publication.as_ref()));
                    self.store.pop(&mut channel.chain);
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
                    self.store.pop(&mut channel.chain);
                    break;
                }
                Content::Skipped { .. } => {
                    let words = entry.frame();
                    self.store.pop(&mut channel.chain);
                    if let Some(words) = words {
                        taken = Taken::Message(give(&words, None));
                        break;
                    }
                }
            }
        }
        let is_over = matches!(taken, Taken::Nothing);
        if is_over {
            let extras = channel.more().and_then(|more| more.extras());
            if let Some((code, reason)) = extras.and_then(|extras| extras.farewell.clone()) {
                return Taken::Close(code, reason);
            }
            channel.woken = false;
        }
        if channel.chain.is_empty() {
            channel.judged = false;
        }
        let has_room = is_half_empty(channel, &self.options.queue_limits);
        if has_room && core::mem::take(&mut channel.spared) {
            let extras = channel.more_mut().and_then(|more| more.extras_mut());
            extras
                .into_iter()
                .for_each(|extras| extras.behind_since = None);
        }
        if channel.crowded && has_room {
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
        let channel = self.channels.of(id).ok_or(HubError::Gone)?;
        channel.held = held;
        if !held {
            wake(&mut self.outputs, id.slot(), channel);
        }
        Ok(())
    }

    /// Returns whether anything is queued for a channel, including its end.
    pub fn waits(&mut self, id: ChannelId) -> bool {
        self.channels
            .of(id)
            .is_some_and(|channel| !channel.chain.is_empty() || channel.closing)
    }

    /// Lets publishers go on if they waited for the channel, and it has room again.
    pub(super) fn holding_over(&mut self, slot: u32) {
        if !self.pressure.holding.contains(&slot) {
            return;
        }
        let budget = &self.options.queue_limits;
        let still = self.channels.look(slot).is_some_and(|channel| {
            channel.more.is_some() && !channel.closing && !is_half_empty(channel, budget)
        });
        if !still {
            self.pressure.holding.remove(&slot);
            self.outputs.push_back(Output::Room);
        }
    }
}
