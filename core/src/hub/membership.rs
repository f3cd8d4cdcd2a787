//! Opens and closes channels; joins and leaves groups.
//! Both directions are stored: the groups of a channel, and the members of a group.
//! Knows nothing of messages.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::backplane::{BackplaneCommand, Present};
use super::channel::Membership;
use super::group::{MOST_GROUPS, Member, RECOVERING, Waiting};
use super::id::{Name, check_name, group_of_user};
use super::pending::Recovery;
use super::{
    ChannelId, ChannelOptions, Encoding, Hub, HubError, HubEvent, JoinOptions, Joined, Left,
    PresenceMode, Recovered,
};
use crate::limits::{Bucket, Rate};
use crate::time::{Duration, Instant};

/// How a channel leaves a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Departure {
    /// Deliberately: its presence ends without a grace period.
    Left,
    /// With its connection.
    Ended,
    /// It was not present yet.
    Unannounced,
}

impl Hub {
    /// Opens a channel for a connection.
    ///
    /// # Errors
    /// [`HubError::TooManyChannels`], [`HubError::BadName`] for the user, [`HubError::MetadataTooLong`], [`HubError::TooManyGroupsInHub`],
    /// [`HubError::NoFormat`].
    pub fn open(&mut self, now: Instant, open: ChannelOptions) -> Result<ChannelId, HubError> {
        if self.channels.count() >= self.options.max_channels {
            return Err(HubError::TooManyChannels);
        }
        if open.metadata.as_ref().map_or(0, |metadata| metadata.len()) > self.options.max_metadata {
            return Err(HubError::MetadataTooLong);
        }
        if let Encoding::Format(format) = open.encoding {
            self.check_format(format)?;
        }
        let of_user = open.user.as_deref().map(group_of_user).transpose()?;
        let (expiry, window_bits) = (open.expiry, open.window_bits);
        let id = self.channels.open(now, open)?;
        self.counters.opened += 1;
        if let Some(after) = expiry {
            self.schedule.expiring.insert((now + after, id.slot()));
        }
        if let Some(count) = window_bits.and_then(|bits| self.windows.get_mut(usize::from(bits))) {
            *count += 1;
            if *count == 1 {
                self.command(BackplaneCommand::Windows(self.window_mask()));
            }
        }
        if let Some(group) = of_user
            && let Err(error) = self.add(now, id, &group, JoinOptions::default())
        {
            self.closed(now, id);
            return Err(error);
        }
        self.send_away_one(now, id);
        if self.schedule.beat.is_none() && self.options.lease.is_some() {
            self.schedule.beat = Some(now);
        }
        if self.schedule.check.is_none() {
            self.schedule.check = self.options.check.map(|every| now + every);
        }
        Ok(id)
    }

    /// Opens a channel for a listener in this process. Messages that it takes too slowly are skipped, and reported
    /// ([`Taken::Skipped`](super::Taken)); it is not closed for that.
    ///
    /// # Errors
    /// [`HubError::TooManyChannels`].
    pub fn open_listener(&mut self, now: Instant) -> Result<ChannelId, HubError> {
        let id = self.open(now, ChannelOptions::default())?;
        if let Some(channel) = self.channels.of(id) {
            channel.listens = true;
        }
        Ok(id)
    }

    /// Reports that nothing can be sent to the peer of a channel any more, although its earlier messages may still be handled: the
    /// channel leaves all groups, and its queue is discarded. Until it is [`closed`](Self::closed) it can publish.
    pub fn retire(&mut self, now: Instant, id: ChannelId) {
        let Some(channel) = self.channels.of(id) else {
            self.counters.stale += 1;
            return;
        };
        channel.closing = true;
        self.leave_all(now, id);
        self.had_turn(now, id.slot());
        let Some(channel) = self.channels.at(id.slot()) else {
            return;
        };
        self.counters.discarded += self.store.clear(&mut channel.chain);
        let bits = channel.window_bits.take().map(usize::from);
        let Some(more) = channel.more_mut() else {
            return;
        };
        if let Some(extras) = more.extras_mut() {
            extras.farewell = None;
            if let Some((_, at)) = extras.expiry.take() {
                self.schedule.expiring.remove(&(at, id.slot()));
            }
            if let Some(at) = extras.ends.take() {
                self.schedule.ending.remove(&(at, id.slot()));
            }
        }
        if let Some(count) = bits.and_then(|bits| self.windows.get_mut(bits)) {
            *count -= 1;
            if *count == 0 {
                self.command(BackplaneCommand::Windows(self.window_mask()));
            }
        }
        self.holding_over(id.slot());
    }

    /// Reports that the connection of a channel has ended: it leaves all groups, and its queue is discarded. An id that is no longer
    /// open is counted.
    pub fn closed(&mut self, now: Instant, id: ChannelId) {
        self.retire(now, id);
        if self.channels.of(id).is_some() {
            self.counters.closed += 1;
            self.channels.free(id.slot());
        }
    }

    /// Reports a sign of life of a channel's peer: its expiry starts again.
    pub fn touch(&mut self, now: Instant, id: ChannelId) -> Result<(), HubError> {
        let Some(channel) = self.channels.of(id) else {
            self.counters.stale += 1;
            return Err(HubError::Gone);
        };
        // A channel that is about to be closed is not renewed.
        let extras = channel.renewable().and_then(|more| more.extras_mut());
        if let Some((after, at)) = extras.and_then(|extras| extras.expiry.as_mut()) {
            self.schedule.expiring.remove(&(*at, id.slot()));
            *at = now + *after;
            self.schedule.expiring.insert((*at, id.slot()));
        }
        Ok(())
    }

    /// Closes expired channels.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((at, slot)) = self.schedule.expiring.first().copied()
            && at <= now
        {
            self.schedule.expiring.remove(&(at, slot));
            if let Some(id) = self.channels.id(slot) {
                self.counters.expired_channels += 1;
                let code = crate::close::CloseCode::AWAY;
                self.close(now, id, code, "the channel expired");
            }
        }
    }

    /// Lets a channel join a group. `None`: the backplane has to be asked first, and the answer comes as
    /// [`Output::Joined`](super::Output::Joined); messages published from now on are received in any case, unless the backplane refuses.
    ///
    /// Joining twice is not an error. A second join that requests recovery replays nothing.
    ///
    /// # Errors
    /// [`HubError::Gone`], [`HubError::BadName`], [`HubError::TooManyGroups`], [`HubError::TooManyGroupsInHub`], [`HubError::RateLimited`],
    /// [`HubError::Draining`], [`HubError::NoFormat`].
    pub fn join(
        &mut self,
        now: Instant,
        id: ChannelId,
        group: &str,
        join: JoinOptions,
    ) -> Result<Option<Joined>, HubError> {
        check_name(group)?;
        if self.status.draining {
            return Err(HubError::Draining);
        }
        if join.metadata.as_ref().map_or(0, |metadata| metadata.len()) > self.options.max_metadata {
            return Err(HubError::MetadataTooLong);
        }
        if let Some(format) = join.format {
            self.check_format(format)?;
        }
        self.may(now, id, |options| options.joins, |extras| &mut extras.joins)?;
        self.add(now, id, group, join)
    }

    pub(super) fn add(
        &mut self,
        now: Instant,
        id: ChannelId,
        name: &str,
        join: JoinOptions,
    ) -> Result<Option<Joined>, HubError> {
        let JoinOptions {
            since,
            metadata,
            format,
            without_presence,
            reply,
        } = join;
        let key = self.groups.find(name);
        if let Some(key) = key
            && let Some(index) = self.place(id, key)?
        {
            if self.is_joining(id, key, index) {
                // The answer to the first join also answers this one.
                return Ok(None);
            }
            let position = self.groups.get(key).and_then(|group| group.position);
            return Ok(Some(Joined {
                added: false,
                opened: false,
                position,
                recovered: Recovered::Fresh,
                refused: false,
            }));
        }
        self.room_for_one_more(id)?;
        let (key, opened) = match key {
            Some(key) => (key, false),
            None => (self.open_group(name)?, true),
        };
        let Some(group) = self.groups.get_mut(key) else {
            return Err(HubError::Gone);
        };
        let at = group.members.len() as u32;
        let name = Arc::clone(&group.name);
        let Some(more) = self.channels.of(id).and_then(|channel| channel.more_mut()) else {
            return Err(HubError::Gone);
        };
        let (position, start) = group.start(!more.filters().is_empty());
        let replays = since.is_some_and(|since| position != Some(since));
        // Nothing may precede the reply.
        let waits = replays || (reply.is_some() && position.is_none());
        let from = if waits { RECOVERING } else { start };
        let back = more.admit(Membership { group: key, at });
        group.admit(Member::new(id.slot(), back, from, format, without_presence));
        if let Some(metadata) = metadata {
            more.make_extras()
                .of_groups
                .push((Arc::clone(&name), metadata));
        }
        self.counters.joins += 1;
        if opened {
            self.group_event(&name, HubEvent::Opened);
        }
        self.group_event(&name, |group| HubEvent::Joined { group, channel: id });
        if let Some(since) = since.filter(|_| replays) {
            // A reply precedes the notice of its own presence; a member that recovers without one need not get that notice.
            let replies = reply.is_some();
            if !replies {
                self.enter(now, id, &name);
            }
            self.ask_recovery(Recovery {
                channel: id,
                group: Arc::clone(&name),
                since,
                replayed: 0,
                opened,
                reply,
                missed: Vec::new(),
            });
            if replies {
                self.enter(now, id, &name);
            }
            return Ok(None);
        }
        let recovered = match since {
            Some(_) => Recovered::Complete(0),
            None => Recovered::Fresh,
        };
        if position.is_none()
            && let Some(group) = self.groups.get_mut(key)
        {
            group.waiting.insert(id, Waiting { opened, reply });
            self.enter(now, id, &name);
            return Ok(None);
        }
        let mut joined = Joined {
            added: true,
            opened,
            position,
            recovered,
            refused: false,
        };
        if let Some(reply) = reply {
            joined.refused = !self.reply_to(now, id, &reply, &joined, &[]);
        }
        if joined.refused {
            self.leave_unannounced(now, id, key);
        } else {
            self.enter(now, id, &name);
        }
        Ok(Some(joined))
    }

    /// Refuses a format that the hub does not have: no publication would reach the channel.
    fn check_format(&self, format: u8) -> Result<(), HubError> {
        let known = self.options.formats.get(usize::from(format));
        known.map(drop).ok_or(HubError::NoFormat)
    }

    fn open_group(&mut self, name: &str) -> Result<u32, HubError> {
        if self.groups.count() >= self.options.max_groups {
            return Err(HubError::TooManyGroupsInHub);
        }
        let name = Name::from(name);
        let key = self.groups.open(&name);
        let token = self.token();
        if let Some(group) = self.groups.get_mut(key) {
            group.ask(token);
        }
        self.command(BackplaneCommand::Subscribe { group: name, token });
        Ok(key)
    }

    /// Returns the membership of a channel in a group.
    fn place(&mut self, id: ChannelId, key: u32) -> Result<Option<usize>, HubError> {
        let Some(more) = self.channels.of(id).and_then(|channel| channel.more()) else {
            self.counters.stale += 1;
            return Err(HubError::Gone);
        };
        Ok(more.joined.iter().position(|place| place.group == key))
    }

    pub(super) fn room_for_one_more(&mut self, id: ChannelId) -> Result<(), HubError> {
        let most = self.options.groups_per_channel.min(MOST_GROUPS - 1);
        let channel = self.channels.of(id).filter(|channel| !channel.closing);
        let Some(more) = channel.and_then(|channel| channel.more()) else {
            self.counters.stale += 1;
            return Err(HubError::Gone);
        };
        // The group of the user's channels is not the channel's choice.
        let own = usize::from(more.user.is_some());
        if more.joined.len() + more.filters().len() >= most + own {
            return Err(HubError::TooManyGroups);
        }
        Ok(())
    }

    /// Checks the rate limit of a channel for an operation.
    pub(super) fn may(
        &mut self,
        now: Instant,
        id: ChannelId,
        rate: impl FnOnce(&super::HubOptions) -> Option<Rate>,
        bucket: impl FnOnce(&mut super::channel::ChannelExtras) -> &mut Bucket,
    ) -> Result<(), HubError> {
        let Some(more) = self.channels.of(id).and_then(|channel| channel.more_mut()) else {
            self.counters.stale += 1;
            return Err(HubError::Gone);
        };
        if let Some(rate) = rate(&self.options)
            && let Err(later) = bucket(more.make_extras()).take(&rate, now, 1)
        {
            self.counters.limited += 1;
            return Err(HubError::RateLimited(later));
        }
        Ok(())
    }

    /// Lets a channel leave a group. Earlier messages still reach it. Leaving a group that it is not in is not an error.
    ///
    /// # Errors
    /// [`HubError::Gone`].
    pub fn leave(&mut self, now: Instant, id: ChannelId, group: &str) -> Result<Left, HubError> {
        check_name(group)?;
        let not_there = Left {
            removed: false,
            emptied: false,
        };
        let Some(key) = self.groups.find(group) else {
            return match self.channels.of(id) {
                Some(_) => Ok(not_there),
                None => Err(HubError::Gone),
            };
        };
        match self.place(id, key)? {
            Some(index) => Ok(Left {
                removed: true,
                emptied: self.remove(now, id, index, Departure::Left),
            }),
            None => Ok(not_there),
        }
    }

    /// Leaves a group that a caller cannot name.
    pub(super) fn leave_group(&mut self, now: Instant, id: ChannelId, name: &Name) {
        let key = self.groups.find(name);
        let place = key.and_then(|key| self.place(id, key).ok().flatten());
        if let Some(index) = place {
            self.remove(now, id, index, Departure::Left);
        }
    }

    /// Takes back a join that was refused before others learned of it.
    fn leave_unannounced(&mut self, now: Instant, id: ChannelId, key: u32) {
        if let Ok(Some(index)) = self.place(id, key) {
            self.remove(now, id, index, Departure::Unannounced);
        }
    }

    /// Cancels a join whose answer has not arrived and is no longer wanted: it has then not happened. A completed join stays.
    pub fn cancel_join(&mut self, now: Instant, id: ChannelId, group: &str) {
        let Some(key) = self.groups.find(group) else {
            return;
        };
        let Ok(Some(index)) = self.place(id, key) else {
            return;
        };
        if self.is_joining(id, key, index) {
            self.remove(now, id, index, Departure::Left);
        }
    }

    /// Returns whether the answer to a join has not arrived yet.
    fn is_joining(&mut self, id: ChannelId, key: u32, index: usize) -> bool {
        let more = self.channels.of(id).and_then(|channel| channel.more());
        let place = more.and_then(|more| more.joined.get(index));
        let (Some(place), Some(group)) = (place, self.groups.get(key)) else {
            return false;
        };
        let member = group.members.get(place.at as usize);
        let recovers = member.is_some_and(|member| member.from == RECOVERING);
        recovers || group.waiting.contains_key(&id)
    }

    pub(super) fn leave_all(&mut self, now: Instant, id: ChannelId) {
        // Not one by one: there may be many.
        let more = self.channels.of(id).and_then(|channel| channel.more_mut());
        if let Some(extras) = more.and_then(|more| more.extras_mut()) {
            extras.of_groups = Vec::new();
        }
        while let Some(more) = self.channels.of(id).and_then(|channel| channel.more_mut()) {
            if let Some(filter) = more.extras_mut().and_then(|extras| extras.filters.pop()) {
                self.unwatch(id.slot(), &filter);
            } else if let Some(last) = more.joined.len().checked_sub(1) {
                self.remove(now, id, last, Departure::Ended);
            } else {
                return;
            }
        }
    }

    /// Removes a channel from the group at `index` of its groups; returns whether the group is now empty.
    fn remove(&mut self, now: Instant, id: ChannelId, index: usize, departure: Departure) -> bool {
        let Some(more) = self.channels.of(id).and_then(|channel| channel.more_mut()) else {
            return false;
        };
        let place = more.joined.swap_remove(index);
        // Its last group has moved to the index of the one that it left.
        if let Some(moved) = more.joined.get(index).copied()
            && let Some(group) = self.groups.get_mut(moved.group)
            && let Some(member) = group.members.get_mut(moved.at as usize)
        {
            member.back = index as u16;
        }
        let Some(group) = self.groups.get_mut(place.group) else {
            return false;
        };
        let left = group.members.swap_remove(place.at as usize);
        group.waiting.remove(&id);
        let (name, emptied) = (Arc::clone(&group.name), group.members.is_empty());
        if let Some(moved) = group.members.get(place.at as usize).copied()
            && let Some(more) = self
                .channels
                .at(moved.slot)
                .and_then(|channel| channel.more_mut())
            && let Some(its) = more.joined.get_mut(usize::from(moved.back))
        {
            its.at = place.at;
        }
        if left.from == RECOVERING {
            self.pending.forget_recovery(&name, id);
        }
        self.counters.leaves += 1;
        if departure != Departure::Unannounced {
            self.exit(now, id, &name, departure == Departure::Left);
        }
        let more = self.channels.of(id).and_then(|channel| channel.more_mut());
        if let Some(extras) = more.and_then(|more| more.extras_mut()) {
            extras.of_groups.retain(|(group, _)| *group != name);
        }
        self.group_event(&name, |group| HubEvent::Left { group, channel: id });
        if emptied {
            self.groups.close(place.group);
            self.group_event(&name, HubEvent::Emptied);
            self.command(BackplaneCommand::Unsubscribe(name));
        }
        emptied
    }

    /// Reports a group in an event, if a caller can name it.
    fn group_event(&mut self, group: &Name, event: impl FnOnce(Name) -> HubEvent) {
        if super::id::is_public(group) {
            self.event(|| event(Arc::clone(group)));
        }
    }

    pub(super) fn enter(&mut self, now: Instant, id: ChannelId, group: &Name) {
        if self.options.of(group).presence.grace().is_none() || !super::id::is_public(group) {
            return;
        }
        if let Some(present) = self.present(now, id, group)
            && let Some(present) = self.here.enter(group, &present)
        {
            self.command(BackplaneCommand::Enter {
                group: Arc::clone(group),
                users: alloc::vec![present],
            });
        }
    }

    /// With `at_once` it left deliberately: its presence ends without a grace period.
    pub(super) fn exit(&mut self, now: Instant, id: ChannelId, group: &Name, at_once: bool) {
        if let Some(grace) = self.options.of(group).presence.grace()
            && let Some(user) = self.user_in(id, group)
        {
            let grace = if at_once { Duration::ZERO } else { grace };
            self.here.leave(now, group, &user, grace);
            if at_once || grace.is_zero() {
                self.gone(now);
            }
        }
    }

    /// Changes the metadata of a channel.
    pub(super) fn update(&mut self, now: Instant, id: ChannelId, group: &Name) {
        if let Some(present) = self.present(now, id, group)
            && let Some(present) = self.here.update(group, &present)
        {
            self.command(BackplaneCommand::Enter {
                group: Arc::clone(group),
                users: alloc::vec![present],
            });
        }
    }

    /// Reports users whose grace period is over.
    pub(super) fn gone(&mut self, now: Instant) {
        for (group, users) in self.here.due(now) {
            self.command(BackplaneCommand::Exit { group, users });
        }
    }

    /// Returns the user of a channel, for presence in a group.
    fn user_in(&mut self, id: ChannelId, group: &Name) -> Option<Name> {
        let by_connection = self.options.of(group).presence == PresenceMode::Connections;
        Some(match self.channels.of(id)?.user() {
            Some(user) if !by_connection => Arc::clone(user),
            _ => alloc::format!("{id}").into(),
        })
    }

    /// Returns the user of a channel, with its metadata, for presence in a group.
    fn present(&mut self, now: Instant, id: ChannelId, group: &Name) -> Option<Present> {
        let user = self.user_in(id, group)?;
        let more = self.channels.of(id)?.more()?;
        let metadata = more.extras().and_then(|extras| {
            // That of a group that was joined just now is the last.
            let mut of_groups = extras.of_groups.iter().rev();
            let own = of_groups.find(|(name, _)| name == group);
            own.map(|(_, own)| own).or(extras.metadata.as_ref())
        });
        Some(Present {
            user,
            metadata: metadata.cloned(),
            said: now,
        })
    }
}
