//! Messages from the backplane: order, gaps and their repair, recovery.
//! A missing number is requested again or reported; none is delivered twice.
//! Knows no link, only events.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::backplane::{
    BackplaneCommand, BackplaneEvent, HistorySlice, PresenceChange, Query, RecoveryFailure, Token,
};
use super::group::{RECOVERING, Repair};
use super::id::{Name, check_name, user_of_group};
use super::pending::Asked;
use super::{
    Encoding, Filter, Hub, HubError, HubEvent, Notice, Output, Position, Publication, Signal,
};
use crate::time::{Duration, Instant};

/// Minimum time between two checks or beats: with options of zero they would take all of it.
const LEAST: Duration = Duration::from_millis(1);

impl Hub {
    /// Handles an event of the backplane.
    pub fn receive(&mut self, now: Instant, event: BackplaneEvent) {
        match event {
            BackplaneEvent::Up => self.up(now),
            BackplaneEvent::Down => self.go_down(now),
            BackplaneEvent::Subscribed {
                group,
                token,
                position,
            } => self.subscribed(now, &group, token, position),
            BackplaneEvent::Received(publication) => self.received(now, &publication),
            BackplaneEvent::Watched(publication) => self.watched(now, &publication),
            BackplaneEvent::Published { token, result } => {
                if self.pending.remove(token).is_some() {
                    self.outputs.push_back(Output::Published(token, result));
                }
            }
            BackplaneEvent::Read { group, token, past } => self.read(now, &group, token, past),
            BackplaneEvent::Answer { token, answer } => {
                if self.pending.remove(token).is_some() {
                    self.outputs.push_back(Output::Answer(token, Ok(answer)));
                }
            }
            BackplaneEvent::Failed { token, error } => {
                if self.pending.remove(token).is_some() {
                    self.outputs.push_back(Output::Answer(token, Err(error)));
                }
            }
            BackplaneEvent::Unavailable {
                group,
                token,
                error,
            } => self.unavailable(now, &group, token, error),
            BackplaneEvent::Presence(change) => self.presence(now, &change),
            BackplaneEvent::Changed(change) => self.whole_event(|| HubEvent::Presence(change)),
            BackplaneEvent::Instruct {
                target,
                instruction,
            } => self.instructed(now, &target, &instruction),
            BackplaneEvent::Direct { to, message } => {
                self.deliver_direct(now, to, message, false);
            }
            BackplaneEvent::Close {
                group,
                code,
                reason,
            } => self.close_group(now, &group, code, &reason),
            BackplaneEvent::CloseChannel {
                channel,
                code,
                reason,
            } => {
                self.close(now, channel, code, &reason);
            }
        }
    }

    /// Queries the backplane about a group; the answer comes as [`Output::Answer`].
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::Down`].
    pub fn ask(&mut self, question: Query) -> Result<Token, HubError> {
        match &question {
            Query::History(query) => check_name(&query.group)?,
            Query::Presence(group) | Query::RemoveHistory(group) => check_name(group)?,
        }
        if self.status.down {
            return Err(HubError::Down);
        }
        let token = self.token();
        self.pending.insert(token, Asked::Query);
        self.command(BackplaneCommand::Ask { token, question });
        Ok(token)
    }

    /// Returns whether the backplane is down.
    pub const fn is_down(&self) -> bool {
        self.status.down
    }

    fn go_down(&mut self, now: Instant) {
        if core::mem::replace(&mut self.status.down, true) {
            return;
        }
        self.counters.downs += 1;
        self.whole_event(|| HubEvent::Down);
        for key in self.groups.keys() {
            if let Some(group) = self.groups.get_mut(key) {
                group.repairing = None;
                group.asked = None;
            }
        }
        // They may or may not have been published.
        for (token, asked) in self.pending.take_lost() {
            self.outputs.push_back(match asked {
                Asked::Publication => Output::Published(token, Err(HubError::Down)),
                _ => Output::Answer(token, Err(HubError::Down)),
            });
        }
        self.outputs
            .retain(|output| !matches!(output, Output::Command(_)));
        self.send_away(now);
    }

    /// Repeats everything that a new link does not know.
    fn up(&mut self, now: Instant) {
        self.status.down = false;
        self.schedule.leaving.clear();
        self.whole_event(|| HubEvent::Up);
        if self.status.listening_whole {
            self.command(BackplaneCommand::Listen(true));
        }
        self.command(BackplaneCommand::Windows(self.window_mask()));
        let watched: Vec<Filter> = self.watchers.watched.keys().cloned().collect();
        for filter in watched {
            self.command(BackplaneCommand::Watch(filter));
        }
        for key in self.groups.keys() {
            self.ask_position(key);
        }
        // With new tokens: an answer to a request over the old link would precede the group's position.
        for recovery in self.pending.take_recoveries() {
            self.ask_recovery(recovery);
        }
        let here = self.here.all();
        let here = here.map(|(group, users)| (Arc::clone(group), users));
        let here = BackplaneCommand::Here(here.collect());
        self.command(here);
        // Even without channels: a node that beats learns of nodes that have died.
        if self.options.lease.is_some() {
            self.schedule.beat = Some(now);
        }
        self.beat(now);
    }

    fn ask_position(&mut self, key: u32) {
        let token = self.token();
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        group.ask(token);
        let group = Arc::clone(&group.name);
        self.command(BackplaneCommand::Subscribe { group, token });
    }

    fn subscribed(&mut self, now: Instant, name: &Name, token: Token, position: Position) {
        let Some(key) = self.groups.find(name) else {
            return;
        };
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let Some(asked) = group.asked.take_if(|asked| asked.token == token) else {
            return;
        };
        match group.position {
            None => {
                (group.position, group.begun) = (Some(position), position.offset);
                self.tell_waiting(now, key);
            }
            Some(ours) if ours == position || group.repairing.is_some() => {}
            Some(ours) if ours.epoch == position.epoch && ours.offset < position.offset => {
                self.missed(now, key, ours, position.offset);
            }
            // It was answered before messages that have arrived since.
            Some(ours)
                if ours.epoch == position.epoch
                    && asked.at.is_none_or(|asked| {
                        asked.epoch == position.epoch && asked.offset <= position.offset
                    }) => {}
            Some(ours) => self.began_anew(now, key, ours, position),
        }
    }

    /// Numbers start again, or went back: the number of lost messages is unknown.
    fn began_anew(&mut self, now: Instant, key: u32, _ours: Position, theirs: Position) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        (group.position, group.begun, group.recovered) = (Some(theirs), 0, 0);
        group.repairing = None;
        for member in &mut group.members {
            // Numbers of before say nothing about those to come.
            if member.from != RECOVERING {
                member.from = 0;
            }
        }
        let name = Arc::clone(&group.name);
        self.gap(now, &name, None);
        self.tell_waiting(now, key);
    }

    /// Numbers up to `top` were published and did not arrive.
    fn missed(&mut self, now: Instant, key: u32, ours: Position, top: u64) {
        let token = self.token();
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let name = Arc::clone(&group.name);
        if self.options.of(&name).history.is_some() {
            group.repairing = Some(Box::new(Repair {
                token,
                top,
                seen: top,
            }));
            self.counters.repairs += 1;
            self.command(BackplaneCommand::Read {
                group: name,
                token,
                since: ours,
            });
            return;
        }
        group.position = Some(Position {
            epoch: ours.epoch,
            offset: top,
        });
        self.gap(now, &name, Some(top - ours.offset));
    }

    pub(super) fn gap(&mut self, now: Instant, name: &Name, count: Option<u64>) {
        self.counters.gaps += 1;
        self.counters.lost += count.unwrap_or(0);
        if let Some(user) = user_of_group(name) {
            let of = Name::clone(&user);
            self.event(|| HubEvent::UserGap { user: of, count });
            return self.tell(now, name, &Notice::UserGap { user, count });
        }
        let group = Arc::clone(name);
        self.event(|| HubEvent::Gap { group, count });
        self.signal_gap(name, count);
        let group = Arc::clone(name);
        self.tell(now, name, &Notice::Gap { group, count });
    }

    /// Tells the handlers of members with a format, which have to react.
    fn signal_gap(&mut self, name: &Name, count: Option<u64>) {
        if self.options.formats.is_empty() {
            return;
        }
        let group = self.groups.find(name).and_then(|key| self.groups.get(key));
        for member in group.into_iter().flat_map(|group| &group.members) {
            let channel = self.channels.look(member.slot);
            let formats =
                channel.is_some_and(|channel| matches!(channel.encoding, Encoding::Format(_)));
            if formats
                && member.from != RECOVERING
                && let Some(id) = self.channels.id(member.slot)
            {
                let group = Arc::clone(name);
                let signal = Signal::Gap { group, count };
                self.outputs.push_back(Output::Signal(id, signal));
            }
        }
    }

    fn received(&mut self, now: Instant, publication: &Arc<Publication>) {
        let Some(theirs) = publication.position else {
            return self.fan_out(now, publication);
        };
        let key = self.groups.find(&publication.group);
        let Some((key, group)) = key.and_then(|key| Some((key, self.groups.get_mut(key)?))) else {
            if self.watchers.filters.is_empty() {
                self.counters.stray += 1;
                return;
            }
            return self.fan_out(now, publication);
        };
        let Some(ours) = group.position else {
            // The group's position will include this one: it is not for the members.
            return self.fan_out_watched(now, publication);
        };
        if let Some(repair) = &mut group.repairing {
            repair.seen = theirs.offset.max(repair.seen);
            return self.in_repair(now, publication);
        }
        if ours.epoch != theirs.epoch {
            self.began_anew(now, key, ours, theirs);
            return self.fan_out(now, publication);
        }
        if publication.unsaved {
            // It follows a message that did not arrive.
            if theirs.offset > ours.offset {
                self.missed(now, key, ours, theirs.offset);
                if self.is_repairing(key) {
                    return self.in_repair(now, publication);
                }
            }
            return self.fan_out(now, publication);
        }
        if theirs.offset <= ours.offset {
            self.counters.doubles += 1;
            return;
        }
        if theirs.offset == ours.offset + 1 {
            group.position = Some(theirs);
            return self.fan_out(now, publication);
        }
        if self.options.of(&publication.group).history.is_some() {
            return self.missed(now, key, ours, theirs.offset);
        }
        self.missed(now, key, ours, theirs.offset - 1);
        if let Some(group) = self.groups.get_mut(key) {
            group.position = Some(theirs);
        }
        self.fan_out(now, publication);
    }

    /// Handles a publication for watchers only. Messages published since the group started on this node are delivered with those of
    /// members, even after a repair.
    fn watched(&mut self, now: Instant, publication: &Arc<Publication>) {
        let key = self.groups.find(&publication.group);
        if let Some(group) = key.and_then(|key| self.groups.get(key))
            && let (Some(ours), Some(theirs)) = (group.position, publication.position)
            && (ours.epoch != theirs.epoch || theirs.offset > group.begun)
        {
            return;
        }
        self.fan_out_watched(now, publication);
    }

    fn is_repairing(&self, key: u32) -> bool {
        self.groups
            .get(key)
            .is_some_and(|group| group.repairing.is_some())
    }

    /// A message that arrives while an earlier one is requested is sent again with that, unless it has no number: then it is lost.
    fn in_repair(&mut self, now: Instant, publication: &Publication) {
        if publication.unsaved {
            self.gap(now, publication.group(), Some(1));
        }
    }

    fn read(&mut self, now: Instant, name: &Name, token: Token, past: HistorySlice) {
        if self.pending.contains(token) {
            return self.recovered(now, name, token, past);
        }
        let Some(key) = self.groups.find(name) else {
            return;
        };
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let Some(ours) = group.position else {
            return;
        };
        let Some(repair) = group.repairing.take_if(|repair| repair.token == token) else {
            return;
        };
        if past.position.epoch != ours.epoch || past.position.offset < ours.offset {
            return self.began_anew(now, key, ours, past.position);
        }
        let mut at = ours.offset;
        for publication in past.publications {
            let offset = publication.offset();
            if offset <= at {
                continue;
            }
            if offset > at + 1 {
                self.gap(now, name, Some(offset - at - 1));
            }
            at = offset;
            self.set_position(key, ours.epoch, at);
            self.counters.repaired += 1;
            self.fan_out_again(now, &publication);
        }
        if at < past.position.offset {
            self.gap(now, name, Some(past.position.offset - at));
        }
        self.set_position(key, ours.epoch, past.position.offset);
        if repair.seen > past.position.offset.max(repair.top) {
            self.missed(now, key, past.position, repair.seen);
        } else {
            self.tell_waiting(now, key);
        }
    }

    /// A repair, which was taken from its group, failed: the missing messages cannot be read, and are reported as a gap.
    pub(super) fn repair_failed(
        &mut self,
        now: Instant,
        key: u32,
        repair: &Repair,
        ours: Position,
    ) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let name = Arc::clone(&group.name);
        let lost = repair.seen.saturating_sub(ours.offset);
        self.set_position(key, ours.epoch, repair.seen.max(ours.offset));
        self.gap(now, &name, Some(lost));
        self.tell_waiting(now, key);
    }

    fn set_position(&mut self, key: u32, epoch: u64, offset: u64) {
        if let Some(group) = self.groups.get_mut(key) {
            group.position = Some(Position { epoch, offset });
        }
    }

    fn presence(&mut self, now: Instant, change: &Arc<PresenceChange>) {
        let notice = Notice::Presence(Arc::clone(change));
        let group = Arc::clone(&change.group);
        self.tell(now, &group, &notice);
    }

    /// Compares positions with the backplane's.
    pub(super) fn check(&mut self, now: Instant) {
        let Some(every) = self.options.check else {
            return;
        };
        if self.schedule.check.is_some_and(|at| at > now) {
            return;
        }
        self.schedule.check = Some(now + every.max(LEAST));
        for key in self.groups.keys() {
            let idle =
                |group: &super::group::Group| group.asked.is_none() && group.repairing.is_none();
            if self.groups.get(key).is_some_and(idle) {
                self.ask_position(key);
            }
        }
    }

    /// Reports that this node is alive.
    pub(super) fn beat(&mut self, now: Instant) {
        let Some(lease) = self.options.lease else {
            return;
        };
        if self.schedule.beat.is_some_and(|at| at <= now) {
            self.schedule.beat = Some(now + (lease / 3).max(LEAST));
            self.command(BackplaneCommand::Beat);
        }
    }
}

impl RecoveryFailure {
    /// Formats it briefly.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "the group began another numbering",
            Self::Ahead => "the position lies ahead",
            Self::Evicted => "some are not kept any more",
            Self::Limit => "there are too many",
            Self::NoHistory => "the group keeps no history",
            Self::Unwrapped => "the envelope failed on some",
        }
    }
}
