//! Publishing and delivery.
//! RFC 6455 section 7.4.1; 1013 is of the IANA registry: "try again later".
//! Knows no socket: messages wait until they are taken.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;

use super::backplane::{BackplaneCommand, Published, Token};
use super::channel::Channel;
use super::crowd::Load;
use super::formatted::Formatted;
use super::id::{Name, check_name, group_of_user};
use super::options::GroupOptions;
use super::pending::Asked;
use super::publication::PublishRequest;
use super::queue::Content;
use super::slow_consumer::{Delivery, DeliveryResult, is_full, is_overfull, wake};
use super::{
    ChannelId, Encoding, Hub, HubError, Notice, OutagePolicy, Output, Publication, PublishOptions,
    Sent, SlowConsumerPolicy,
};
use crate::message::PreparedMessage;
use crate::time::Instant;

/// A notice on its way to members.
#[derive(Clone, Copy)]
struct Told<'a> {
    notice: &'a Notice,
    /// Whether it has a form for members without a format.
    plain: bool,
}

impl Hub {
    /// Publishes a message to a group, by a channel or by the server. With a token, [`Output::Published`] returns the result.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::TooLong`], [`HubError::Down`]; [`HubError::Backpressure`] when publishers must wait for a
    /// member of the group; for a channel also [`HubError::Gone`] and [`HubError::RateLimited`].
    pub fn publish(
        &mut self,
        now: Instant,
        sender: Option<ChannelId>,
        group: &str,
        message: PreparedMessage,
        options: PublishOptions,
        token: Option<Token>,
    ) -> Result<(), HubError> {
        let draft = PublishRequest {
            group: group.into(),
            message,
            sender,
            options,
        };
        self.publish_draft(now, draft, token)
    }

    /// Publishes a prepared request.
    pub fn publish_draft(
        &mut self,
        now: Instant,
        mut draft: PublishRequest,
        token: Option<Token>,
    ) -> Result<(), HubError> {
        check_name(&draft.group)?;
        let names = [&draft.options.key, &draft.options.id];
        for name in names
            .into_iter()
            .flatten()
            .chain(&draft.options.exclude_users)
        {
            check_name(name)?;
        }
        self.check_length(&draft.message)?;
        if self.status.down && self.options.on_outage != OutagePolicy::ServeLocal {
            return Err(HubError::Down);
        }
        let bytes = draft.message.payload().len();
        if self.options.of(&draft.group).slow_consumer == SlowConsumerPolicy::Wait
            && let Some(slot) = self.behind(&draft.group, bytes)
        {
            self.pressure.holding.insert(slot);
            return Err(HubError::Backpressure);
        }
        if let Some(id) = draft.sender {
            self.may(
                now,
                id,
                |options| options.publishes,
                |extras| &mut extras.publishes,
            )?;
        }
        for id in &draft.options.exclude {
            let user = self
                .channels
                .of(*id)
                .and_then(|channel| channel.user().cloned());
            draft.options.exclude_replay.extend(user);
        }
        self.counters.published += 1;
        if self.status.down {
            self.publish_here(now, &draft, token);
            return Ok(());
        }
        if let Some(token) = token {
            self.pending.insert(token, Asked::Publication);
        }
        self.command(BackplaneCommand::Publish { token, draft });
        Ok(())
    }

    /// Returns a token for [`publish`](Self::publish).
    pub fn next_token(&mut self) -> Token {
        self.token()
    }

    fn publish_here(&mut self, now: Instant, draft: &PublishRequest, token: Option<Token>) {
        let windows = self.window_mask();
        let publication = Publication::new(&self.options, draft, None, now, windows);
        self.counters.encodes += 1;
        self.counters.deflates += u64::from(publication.deflates);
        self.counters.published_alone += 1;
        let result = if publication.failed {
            self.counters.unwrapped += 1;
            Err(HubError::EnvelopeFailed)
        } else {
            self.fan_out(now, &Arc::new(publication));
            Ok(Published {
                position: None,
                again: false,
            })
        };
        if let Some(token) = token {
            self.outputs.push_back(Output::Published(token, result));
        }
    }

    fn check_length(&self, message: &PreparedMessage) -> Result<(), HubError> {
        if message.payload().len() > self.options.max_message {
            return Err(HubError::TooLong);
        }
        Ok(())
    }

    /// Returns a member of the group whose queue has no room for `bytes` more.
    fn behind(&self, group: &str, bytes: usize) -> Option<u32> {
        let group = self.groups.get(self.groups.find(group)?)?;
        let budget = &self.options.queue_limits;
        let slots = group.members.iter().map(|member| member.slot);
        slots.into_iter().find(|slot| {
            let channel = self.channels.look(*slot);
            channel.is_some_and(|channel| !channel.closing && is_full(channel, budget, bytes))
        })
    }

    /// Sends a message to one channel, on any node.
    ///
    /// # Errors
    /// [`HubError::TooLong`], [`HubError::Down`]; [`HubError::Backpressure`] when the channel's queue is far beyond its limits, and its
    /// reader has had no turn to take it.
    pub fn send_to(
        &mut self,
        now: Instant,
        to: ChannelId,
        message: PreparedMessage,
    ) -> Result<Sent, HubError> {
        self.check_length(&message)?;
        if to.node == self.node {
            let (bytes, budget) = (message.payload().len(), &self.options.queue_limits);
            if let Some(channel) = self.channels.of(to)
                && channel.crowded
                && is_overfull(channel, budget, bytes)
            {
                return Err(HubError::Backpressure);
            }
            return Ok(self.deliver_direct(now, to, message, false));
        }
        if self.status.down {
            return Err(HubError::Down);
        }
        self.command(BackplaneCommand::Direct { to, message });
        Ok(Sent::Forwarded)
    }

    /// Sends a message to all channels of a user, on all nodes.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::TooLong`], [`HubError::Down`].
    pub fn send_to_user(
        &mut self,
        now: Instant,
        user: &str,
        message: PreparedMessage,
    ) -> Result<Sent, HubError> {
        let draft = PublishRequest {
            group: group_of_user(user)?,
            message,
            sender: None,
            options: PublishOptions::default(),
        };
        self.check_length(&draft.message)?;
        match (self.status.down, self.options.on_outage) {
            (true, OutagePolicy::ServeLocal) => self.publish_here(now, &draft, None),
            (true, _) => return Err(HubError::Down),
            (false, _) => self.command(BackplaneCommand::Publish { token: None, draft }),
        }
        Ok(Sent::Forwarded)
    }

    pub(super) fn deliver_direct(
        &mut self,
        now: Instant,
        to: ChannelId,
        message: PreparedMessage,
        replay: bool,
    ) -> Sent {
        let Some(channel) = self.channels.of(to).filter(|channel| !channel.closing) else {
            self.counters.stale += 1;
            return Sent::Gone;
        };
        let (kind, bytes) = (message.kind(), message.payload().len());
        let content = Content::Message {
            frame: message,
            publication: None,
        };
        let as_sent = self.store.enter(now, content, None, None);
        let mut put = Delivery {
            now,
            as_sent,
            kind,
            bytes,
            other: None,
            formatted: Formatted::default(),
            group: None,
            overflow: SlowConsumerPolicy::Close,
            notices: None,
            key: None,
            stands_for: 1,
            replay,
            turns: self.pressure.crowd.turns,
        };
        self.counters.direct += 1;
        self.counters.fan_out += 1;
        let budget = &self.options.queue_limits;
        let became = put.to(&mut self.store, &mut self.counters, budget, channel);
        wake(&mut self.outputs, to.slot(), channel);
        self.pressure.crowd.see(now, to.slot(), channel, budget);
        self.store.settle(as_sent);
        if let Some(other) = put.other.flatten() {
            self.store.settle(other);
        }
        match became {
            DeliveryResult::Waits => Sent::Queued,
            DeliveryResult::Dropped => Sent::Overflowed,
            DeliveryResult::Slow => {
                self.overflowed(now, to.slot());
                Sent::Overflowed
            }
        }
    }

    /// Delivers a publication to all members of its group, and to watchers.
    pub(super) fn fan_out(&mut self, now: Instant, publication: &Arc<Publication>) {
        if publication.failed {
            self.counters.unwrapped += 1;
            return self.gap(now, publication.group(), Some(1));
        }
        self.put_to_all(now, publication, (true, false), None);
    }

    /// Delivers messages that repair a loss: no channel is closed as slow for them.
    pub(super) fn fan_out_again(&mut self, now: Instant, publication: &Arc<Publication>) {
        if publication.failed {
            return self.fan_out(now, publication);
        }
        self.put_to_all(now, publication, (true, true), None);
    }

    /// Delivers a publication only to watchers of the group, including members whose own delivery is suppressed.
    pub(super) fn fan_out_watched(&mut self, now: Instant, publication: &Arc<Publication>) {
        if publication.failed {
            self.counters.unwrapped += 1;
        } else if !self.watchers.filters.is_empty() {
            self.put_to_all(now, publication, (false, false), None);
        }
    }

    fn put_to_all(
        &mut self,
        now: Instant,
        publication: &Arc<Publication>,
        (to_members, replay): (bool, bool),
        notice: Option<Told<'_>>,
    ) {
        let plain = notice.is_none_or(|told| told.plain);
        let options = Arc::clone(&self.options);
        let of_group: &GroupOptions = options.of(publication.group());
        let content = Content::Message {
            frame: publication.frame.clone(),
            publication: Some(Arc::clone(publication)),
        };
        let name = publication.group();
        let bytes = publication.frame.payload().len();
        let as_sent = self
            .store
            .enter(now, content, Some(Arc::clone(name)), publication.expires);
        let mut put = Delivery {
            now,
            as_sent,
            kind: publication.frame.kind(),
            bytes,
            other: None,
            formatted: Formatted::of(
                &options,
                publication,
                notice.map(|told| told.notice),
                self.window_mask(),
            ),
            group: Some(name),
            overflow: of_group.slow_consumer,
            notices: of_group.notices.as_ref(),
            key: publication.key.as_ref(),
            stands_for: publication.stands_for,
            replay,
            turns: self.pressure.crowd.turns,
        };
        let numbered = publication.position.is_some() && !publication.unsaved;
        let offset = publication.offset();
        let mut load = Load::default();
        let key = self.groups.find(name);
        let mut group = key.and_then(|key| self.groups.get_mut(key));
        let of_presence = notice.is_some_and(|told| matches!(told.notice, Notice::Presence(_)));
        let chained = notice.is_none() && to_members;
        // A difference is of use only to those who receive everything before it.
        let differs =
            chained && publication.expires.is_none() && of_group.slow_consumer.keeps_all();
        let with_delta = if differs { options.with_delta() } else { 0 };
        if chained && let Some(group) = &mut group {
            let base = group.last.take();
            put.formatted.set_base(base.filter(|_| with_delta != 0));
        }
        let mut has_differences = false;
        let members = group.map_or(&mut [][..], |group| &mut group.members);
        let receivers = if to_members { members.len() } else { 0 };
        for member in members.iter_mut().take(receivers) {
            let has_last = chained && member.has_last();
            if has_last {
                member.set_has_last(false);
            }
            if (numbered && offset <= member.from) || member.from == super::group::RECOVERING {
                continue;
            }
            if of_presence && member.is_without_presence() {
                continue;
            }
            let Some(channel) = self.channels.at(member.slot) else {
                continue;
            };
            let encoding = member.encoding(channel.encoding);
            if channel.closing || !(plain || matches!(encoding, Encoding::Format(_))) {
                continue;
            }
            let id = ChannelId::from_parts(self.node, member.slot, channel.generation());
            if !publication.is_for(id, channel.user()) {
                continue;
            }
            let became = put.as_encoded(
                &mut self.store,
                &mut self.counters,
                &options.queue_limits,
                channel,
                (encoding, has_last),
            );
            if let Encoding::Format(format) = encoding
                && with_delta >> format.min(63) & 1 != 0
                && became == DeliveryResult::Waits
            {
                member.set_has_last(true);
                has_differences = true;
            }
            wake(&mut self.outputs, member.slot, channel);
            self.pressure
                .crowd
                .see(now, member.slot, channel, &options.queue_limits);
            if became == DeliveryResult::Slow {
                self.pressure.slow.push((member.slot, encoding));
            } else {
                load.count(channel);
            }
        }
        if plain && !self.watchers.filters.is_empty() && super::id::is_public(name) {
            let mut watching = BTreeSet::new();
            self.watchers.filters.matching(name, |slot| {
                watching.insert(*slot);
            });
            for slot in watching {
                let more = self.channels.look(slot).and_then(Channel::more);
                let mut places = more.into_iter().flat_map(|more| &more.joined);
                let place = places.find(|place| Some(place.group) == key);
                let is_member = place
                    .and_then(|place| members.get(place.at as usize))
                    .is_some_and(|member| {
                        // It has received this by recovery, or will.
                        let has = member.from == super::group::RECOVERING
                            || (numbered && offset <= member.from);
                        to_members || has
                    });
                let id = self.channels.id(slot);
                let Some(channel) = self.channels.at(slot).filter(|channel| !channel.closing)
                else {
                    continue;
                };
                if is_member || !id.is_some_and(|id| publication.is_for(id, channel.user())) {
                    continue;
                }
                let became = put.to(
                    &mut self.store,
                    &mut self.counters,
                    &options.queue_limits,
                    channel,
                );
                wake(&mut self.outputs, slot, channel);
                self.pressure
                    .crowd
                    .see(now, slot, channel, &options.queue_limits);
                if became == DeliveryResult::Slow {
                    self.pressure.slow.push((slot, channel.encoding));
                } else {
                    load.count(channel);
                }
            }
        }
        let receivers = load.receivers() + self.pressure.slow.len() as u64;
        let is_heavy = !self.pressure.slow.is_empty() && load.is_heavy(&options.queue_limits);
        while let Some((slot, encoding)) = self.pressure.slow.pop() {
            if !is_heavy || !self.spare(&mut put, slot, encoding) {
                self.overflowed(now, slot);
            }
        }
        self.counters.received += 1;
        self.counters.fan_out += receivers;
        self.counters.largest_fan_out = self.counters.largest_fan_out.max(receivers);
        self.fan_outs.note(receivers);
        let (other, formatted) = (put.other.flatten(), put.formatted);
        if has_differences && let Some(group) = key.and_then(|key| self.groups.get_mut(key)) {
            group.last = Some(Arc::clone(publication));
        }
        self.store.settle(as_sent);
        if let Some(other) = other {
            self.store.settle(other);
        }
        self.counters.encodes += formatted.count();
        formatted.settle(&mut self.store);
    }

    /// Replays missed messages to a channel, beyond its limits: it asked for them, and their number is bounded.
    pub(super) fn replay(
        &mut self,
        now: Instant,
        (id, key): (ChannelId, u32),
        publication: &Arc<Publication>,
    ) -> bool {
        if publication.failed || !self.is_replayed_to(id, publication) {
            self.counters.unwrapped += u64::from(publication.failed);
            return false;
        }
        let windows = self.window_mask();
        let Some(channel) = self.channels.of(id).filter(|channel| !channel.closing) else {
            return false;
        };
        let more = channel.more();
        let place = more.and_then(|more| more.joined.iter().find(|place| place.group == key));
        let group = place.and_then(|place| Some((place, self.groups.get(place.group)?)));
        let member = group.and_then(|(place, group)| group.members.get(place.at as usize));
        let encoding = member.map_or(channel.encoding, |member| member.encoding(channel.encoding));
        let options = Arc::clone(&self.options);
        let content = Content::Message {
            frame: publication.frame.clone(),
            publication: Some(Arc::clone(publication)),
        };
        let name = publication.group();
        let as_sent = self
            .store
            .enter(now, content, Some(Arc::clone(name)), publication.expires);
        let mut put = Delivery {
            now,
            as_sent,
            kind: publication.frame.kind(),
            bytes: 0,
            other: None,
            formatted: Formatted::of(&options, publication, None, windows),
            group: Some(name),
            overflow: SlowConsumerPolicy::Close,
            notices: None,
            key: None,
            stands_for: 1,
            replay: true,
            turns: self.pressure.crowd.turns,
        };
        self.counters.fan_out += 1;
        self.counters.replayed += 1;
        put.as_encoded(
            &mut self.store,
            &mut self.counters,
            &self.options.queue_limits,
            channel,
            (encoding, false),
        );
        wake(&mut self.outputs, id.slot(), channel);
        self.store.settle(as_sent);
        if let Some(other) = put.other.flatten() {
            self.store.settle(other);
        }
        put.formatted.settle(&mut self.store);
        true
    }

    /// Returns whether a recovering channel is to receive a publication. It is not if its previous connection was excluded; that is
    /// recognised by the user, unless the excluded channel is still open: then this is another one of the user.
    pub(super) fn is_replayed_to(&mut self, id: ChannelId, publication: &Publication) -> bool {
        let Some(excluded) = publication.excluded.as_deref() else {
            return true;
        };
        let user = self
            .channels
            .of(id)
            .and_then(|channel| channel.user().cloned());
        if !publication.is_for(id, user.as_ref()) {
            return false;
        }
        let Some(user) = user.filter(|user| excluded.has_on_replay(user)) else {
            return true;
        };
        excluded.channels.iter().any(|other| {
            let other = self.channels.of(*other);
            other.is_some_and(|other| !other.closing && other.user() == Some(&user))
        })
    }

    /// Sends a notice to all members of a group, if the group has `notices`.
    pub(super) fn tell(&mut self, now: Instant, name: &Name, notice: &Notice) {
        let options = Arc::clone(&self.options);
        let words = options.of(name).notices.as_ref();
        let message = words.and_then(|notices| notices.word(notice));
        if message.is_none() && options.formats.is_empty() {
            return;
        }
        let told = Told {
            notice,
            plain: message.is_some(),
        };
        let draft = PublishRequest {
            group: Arc::clone(name),
            message: message.map_or_else(
                || PreparedMessage::new(""),
                |one| super::publication::prepare(&one),
            ),
            sender: None,
            options: PublishOptions::default(),
        };
        // A notice has its own format: it is not wrapped like messages.
        let mut publication = Publication::unwrapped(&draft, None, now);
        if let Notice::Gap {
            count: Some(count), ..
        } = notice
        {
            publication.stands_for = *count;
        }
        self.counters.notices += 1;
        self.put_to_all(now, &Arc::new(publication), (true, false), Some(told));
    }
}
