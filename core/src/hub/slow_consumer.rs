//! Queues messages for channels, and applies the slow-consumer policy.
//! RFC 6455 section 7.4.1; 1013 is of the IANA registry: "try again later".
//! Knows no group except the policy of the one that a message was published to.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::callback::Notices;
use super::channel::Channel;
use super::formatted::Formatted;
use super::id::Name;
use super::options::QueueLimits;
use super::queue::{Content, Entry, Store, Walk};
use super::{Encoding, Hub, HubCounters, HubEvent, Output, SlowConsumerPolicy};
use crate::close::CloseCode;
use crate::frame::MessageKind;
use crate::message::{Payload, PreparedMessage};
use crate::time::{Duration, Instant};

/// The reason for closing a slow channel.
const SLOW: &str = "too slow";

/// A message to queue for channels, in the kinds that they take.
pub(super) struct Delivery<'a> {
    pub(super) now: Instant,
    pub(super) as_sent: u32,
    pub(super) kind: MessageKind,
    pub(super) bytes: usize,
    /// The message in the other kind, made when first needed; `Some(None)`: it cannot be converted.
    pub(super) other: Option<Option<u32>>,
    pub(super) formatted: Formatted<'a>,
    pub(super) group: Option<&'a Name>,
    pub(super) overflow: SlowConsumerPolicy,
    pub(super) notices: Option<&'a Notices>,
    pub(super) key: Option<&'a Name>,
    /// How many messages are lost if it is dropped.
    pub(super) stands_for: u64,
    /// It replays a missed message: it does not count against the limits.
    pub(super) replay: bool,
    /// Whether readers are judged by their turns.
    pub(super) turns: bool,
}

/// The result of a delivery to one channel.
#[derive(PartialEq, Eq)]
pub(super) enum DeliveryResult {
    Waits,
    Dropped,
    Slow,
}

impl Hub {
    /// Closes a channel that has no room for a message.
    pub(super) fn overflowed(&mut self, now: Instant, slot: u32) {
        self.counters.discarded += 1;
        self.close_slow(now, slot);
    }

    fn close_slow(&mut self, now: Instant, slot: u32) {
        let Some(id) = self.channels.id(slot) else {
            return;
        };
        if let Some(channel) = self.channels.at(slot) {
            self.counters.discarded += self.store.clear(&mut channel.chain);
        }
        self.counters.closed_slow += 1;
        self.event(|| HubEvent::Slow(id));
        let options = Arc::clone(&self.options);
        let format = self
            .channels
            .look(slot)
            .and_then(|channel| match channel.encoding {
                Encoding::Format(format) => options.formats.get(usize::from(format)),
                Encoding::AsSent | Encoding::Text | Encoding::Binary => None,
            });
        let (code, reason) = format
            .and_then(super::Format::slow)
            .unwrap_or((CloseCode::AGAIN, SLOW));
        self.close(now, id, code, reason);
        self.holding_over(slot);
    }

    /// Returns when to check the queues.
    pub(super) fn sweep_at(&self) -> Option<Instant> {
        let budget = &self.options.queue_limits;
        let first = self.store.oldest()? + budget.age().min(budget.stall());
        Some(first.max(self.schedule.swept + sweep_every(budget)))
    }

    /// Finds channels that take nothing, and messages that have waited too long.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.schedule.swept = now;
        let options = Arc::clone(&self.options);
        let budget = &options.queue_limits;
        let is_old = |entry: &Entry| entry.since + budget.age() <= now;
        let mut late = Vec::new();
        for (slot, channel) in self
            .channels
            .waiting()
            .filter(|(_, channel)| !channel.listens)
        {
            let first = self.store.first_message(&channel.chain);
            if first.is_some_and(is_old) || channel.moved + budget.stall() <= now {
                late.push(slot);
            }
        }
        for slot in late {
            let Some(channel) = self.channels.at(slot) else {
                continue;
            };
            let stalled = channel.moved + budget.stall() <= now;
            let first = self.store.first_message(&channel.chain);
            let group = first.and_then(|entry| entry.group.clone());
            let overflow = group.as_ref().map(|group| options.of(group).slow_consumer);
            let drops = match overflow {
                Some(
                    SlowConsumerPolicy::DropNewest
                    | SlowConsumerPolicy::DropOldest
                    | SlowConsumerPolicy::KeepLatest,
                ) => !stalled,
                Some(SlowConsumerPolicy::Close | SlowConsumerPolicy::Wait) | None => false,
            };
            if !drops {
                self.close_slow(now, slot);
                continue;
            }
            let of_group = group.as_ref().map(|group| options.of(group));
            let notices = of_group.and_then(|options| options.notices.as_ref());
            let noted = notices.map(|notices| (now, notices));
            self.counters.dropped_aged += self.store.walk(&mut channel.chain, noted, |entry| {
                if matches!(entry.content, Content::Skipped { .. }) {
                    Walk::Keep
                } else if is_old(entry) && entry.group == group {
                    Walk::Drop
                } else {
                    Walk::Stop
                }
            });
            self.holding_over(slot);
        }
    }
}

/// Returns the time between two checks.
fn sweep_every(budget: &QueueLimits) -> Duration {
    budget.age().min(budget.stall()) / 8
}

/// Returns whether `bytes` more would exceed the limits. One message is always allowed to wait.
#[inline]
pub(super) fn is_full(channel: &Channel, budget: &QueueLimits, bytes: usize) -> bool {
    let chain = &channel.chain;
    chain.messages() > 0
        && (chain.messages() >= budget.messages || chain.bytes() + bytes > budget.bytes)
}

/// How many times its limits a queue may hold before its reader has had a turn, because messages from other nodes cannot wait.
const SLACK: usize = 16;

/// Returns whether the limits are reached.
#[inline]
pub(super) fn is_at_limit(channel: &Channel, budget: &QueueLimits) -> bool {
    channel.chain.messages() >= budget.messages || channel.chain.bytes() >= budget.bytes
}

/// Returns whether `bytes` more would be too much even for a reader that has had no turn.
pub(super) fn is_overfull(channel: &Channel, budget: &QueueLimits, bytes: usize) -> bool {
    let chain = &channel.chain;
    chain.messages() as usize >= (budget.messages as usize).saturating_mul(SLACK)
        || chain.bytes() + bytes > budget.bytes.saturating_mul(SLACK).max(bytes)
}

/// Returns whether at most half of the limits is used.
#[inline]
pub(super) fn is_half_empty(channel: &Channel, budget: &QueueLimits) -> bool {
    let chain = &channel.chain;
    chain.bytes() <= budget.bytes / 2 && chain.messages() <= budget.messages / 2
}

/// Reports that something is queued for a channel, unless that was reported.
#[inline]
pub(super) fn wake(outputs: &mut VecDeque<Output>, slot: u32, channel: &mut Channel) {
    if !channel.woken && (channel.closing || !channel.chain.is_empty()) {
        channel.woken = true;
        outputs.push_back(Output::Wake(slot));
    }
}

impl Delivery<'_> {
    /// Queues the message for a channel, or applies the policy of its group if there is no room.
    #[inline]
    pub(super) fn to(
        &mut self,
        store: &mut Store,
        counters: &mut HubCounters,
        budget: &QueueLimits,
        channel: &mut Channel,
    ) -> DeliveryResult {
        let encoding = channel.encoding;
        self.as_encoded(store, counters, budget, channel, (encoding, false))
    }

    /// Queues the message in an encoding; a receiver that has the base takes the difference.
    #[inline]
    pub(super) fn as_encoded(
        &mut self,
        store: &mut Store,
        counters: &mut HubCounters,
        budget: &QueueLimits,
        channel: &mut Channel,
        encoding: (Encoding, bool),
    ) -> DeliveryResult {
        let Some(entry) = self.entry(store, encoding) else {
            // A notice may have no form; it is not a loss.
            counters.dropped_unfit += u64::from(!self.formatted.is_notice());
            return DeliveryResult::Dropped;
        };
        if !self.replay && is_full(channel, budget, self.bytes) && self.is_slow(channel, budget) {
            return self.overflow(store, counters, budget, channel, entry);
        }
        if channel.chain.is_empty() {
            channel.moved = self.now;
        }
        store.append(&mut channel.chain, entry, !self.replay);
        DeliveryResult::Waits
    }

    /// Returns whether the reader of a full channel is at fault: it had a turn, or its queue is far beyond the limits.
    fn is_slow(&self, channel: &Channel, budget: &QueueLimits) -> bool {
        !self.turns || channel.judged || is_overfull(channel, budget, self.bytes)
    }

    /// Returns the message in the kind that a channel takes.
    #[inline]
    fn entry(&mut self, store: &mut Store, (encoding, has_base): (Encoding, bool)) -> Option<u32> {
        match (encoding, self.kind) {
            (Encoding::AsSent, _)
            | (Encoding::Text, MessageKind::Text)
            | (Encoding::Binary, MessageKind::Binary) => Some(self.as_sent),
            (Encoding::Text, MessageKind::Binary) | (Encoding::Binary, MessageKind::Text) => {
                if self.other.is_none() {
                    self.other = Some(store.enter_other(self.now, self.as_sent));
                }
                self.other.flatten()
            }
            (Encoding::Format(format), _) => {
                let format = (format, has_base);
                self.formatted.entry(self.now, store, self.as_sent, format)
            }
        }
    }

    fn overflow(
        &self,
        store: &mut Store,
        counters: &mut HubCounters,
        budget: &QueueLimits,
        channel: &mut Channel,
        entry: u32,
    ) -> DeliveryResult {
        if channel.listens {
            counters.dropped_newest += 1;
            if let Some(group) = self.group {
                store.note_skipped(self.now, &mut channel.chain, group, None, self.stands_for);
            }
            return DeliveryResult::Dropped;
        }
        let Some(group) = self.group else {
            return DeliveryResult::Slow;
        };
        match self.overflow {
            SlowConsumerPolicy::Close | SlowConsumerPolicy::Wait => return DeliveryResult::Slow,
            SlowConsumerPolicy::DropNewest => {}
            SlowConsumerPolicy::DropOldest | SlowConsumerPolicy::KeepLatest => {
                let noted = self.notices.map(|notices| (self.now, notices));
                if self.overflow == SlowConsumerPolicy::KeepLatest {
                    counters.dropped_conflated +=
                        store.conflate(&mut channel.chain, noted, group, self.key);
                }
                while is_full(channel, budget, self.bytes) {
                    let mut found = false;
                    let gone = store.walk(&mut channel.chain, noted, |entry| {
                        let is_ours = entry.group.as_ref() == Some(group)
                            && matches!(entry.content, Content::Message { .. });
                        if found {
                            Walk::Stop
                        } else if is_ours {
                            found = true;
                            Walk::Drop
                        } else {
                            Walk::Keep
                        }
                    });
                    if gone == 0 {
                        break;
                    }
                    counters.dropped_oldest += gone;
                }
                if !is_full(channel, budget, self.bytes) {
                    if channel.chain.is_empty() {
                        channel.moved = self.now;
                    }
                    store.append(&mut channel.chain, entry, true);
                    return DeliveryResult::Waits;
                }
            }
        }
        counters.dropped_newest += 1;
        if let Some(notices) = self.notices {
            let missing = self.stands_for;
            store.note_skipped(self.now, &mut channel.chain, group, Some(notices), missing);
        }
        DeliveryResult::Dropped
    }
}

impl Store {
    /// Adds a message of the store in the other kind; `None` if its bytes are not text.
    fn enter_other(&mut self, now: Instant, as_sent: u32) -> Option<u32> {
        let entry = self.entry(as_sent)?;
        let (group, expires) = (entry.group.clone(), entry.expires);
        let Content::Message { frame, publication } = &entry.content else {
            return None;
        };
        let payload = match frame.kind() {
            MessageKind::Text => Payload::Binary(frame.payload()),
            MessageKind::Binary => Payload::Text(core::str::from_utf8(frame.payload()).ok()?),
        };
        let content = Content::Message {
            frame: PreparedMessage::new(payload),
            publication: publication.clone(),
        };
        Some(self.enter(now, content, group, expires))
    }
}
