//! Completes joins: the replies to members, and what they missed.
//! Nothing precedes a reply, and nothing is missing between it and the first message after it.
//! Knows no link, only the answers of the backplane.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::backplane::{BackplaneCommand, HistorySlice, RecoveryFailure, Token};
use super::group::Waiting;
use super::id::Name;
use super::pending::{Asked, Recovery};
use super::{
    ChannelId, Hub, HubError, JoinDecision, JoinReply, Joined, Output, Position, Publication,
    Recovered,
};
use crate::time::Instant;

impl Hub {
    pub(super) fn tell_waiting(&mut self, now: Instant, key: u32) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let (name, position) = (Arc::clone(&group.name), group.position);
        let waiting = core::mem::take(&mut group.waiting);
        if !super::id::is_public(&name) {
            return;
        }
        for (channel, Waiting { opened, reply }) in waiting {
            let mut joined = Joined {
                added: true,
                opened,
                position,
                recovered: Recovered::Fresh,
                refused: false,
            };
            if let Some(reply) = reply {
                self.start(channel, &name, position);
                joined.refused = !self.reply_to(now, channel, &reply, &joined, &[]);
                if joined.refused {
                    self.leave_group(now, channel, &name);
                }
            }
            self.outputs
                .push_back(Output::Joined(channel, Arc::clone(&name), Ok(joined)));
        }
    }

    /// The backplane cannot tell where a group stands, or what was published in it.
    pub(super) fn unavailable(&mut self, now: Instant, name: &Name, token: Token, error: HubError) {
        let Some(key) = self.groups.find(name) else {
            return;
        };
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        if let Some(ours) = group.position
            && let Some(repair) = group.repairing.take_if(|repair| repair.token == token)
        {
            return self.repair_failed(now, key, &repair, ours);
        }
        // Without the position no recovery is answered either.
        let all = group.has_asked(token);
        let mut failed = Vec::new();
        if all && super::id::is_public(name) {
            let waiting = core::mem::take(&mut group.waiting);
            failed.extend(waiting.into_keys());
        }
        if all {
            failed.extend(self.pending.all_recovering(name));
        } else {
            failed.extend(self.pending.recovering(name, token));
        }
        for channel in failed {
            self.leave_group(now, channel, name);
            self.outputs
                .push_back(Output::Joined(channel, Arc::clone(name), Err(error)));
        }
    }

    /// Lets a member receive messages after a position.
    fn start(&mut self, id: ChannelId, name: &Name, after: Option<Position>) {
        let key = self.groups.find(name);
        let more = self.channels.of(id).and_then(|channel| channel.more());
        let mut places = more.into_iter().flat_map(|more| &more.joined);
        let place = places.find(|place| Some(place.group) == key).copied();
        if let Some(place) = place
            && let Some(group) = self.groups.get_mut(place.group)
            && let Some(member) = group.members.get_mut(place.at as usize)
        {
            member.from = after.map_or(0, |after| after.offset);
        }
    }

    /// Queues the reply to a member; returns whether it stays.
    pub(super) fn reply_to(
        &mut self,
        now: Instant,
        id: ChannelId,
        reply: &JoinReply,
        joined: &Joined,
        missed: &[Arc<Publication>],
    ) -> bool {
        let (message, stays) = match reply.decide(joined, missed) {
            JoinDecision::Stay(message) => (message, true),
            JoinDecision::Leave(message) => (message, false),
        };
        if let Some(message) = message {
            let message = super::publication::prepare(&message);
            self.deliver_direct(now, id, message, true);
        }
        stays
    }

    /// Requests the messages that a channel missed.
    pub(super) fn ask_recovery(&mut self, recovery: Recovery) {
        let token = self.token();
        self.command(BackplaneCommand::Read {
            group: Arc::clone(&recovery.group),
            token,
            since: recovery.since,
        });
        self.pending.insert(token, Asked::Recovery(recovery));
    }

    /// Handles the missed messages of a channel.
    pub(super) fn recovered(
        &mut self,
        now: Instant,
        name: &Name,
        token: Token,
        past: HistorySlice,
    ) {
        let Some(Asked::Recovery(recovery)) = self.pending.remove(token) else {
            return;
        };
        let Recovery {
            channel,
            replayed,
            opened,
            reply,
            missed: mut collected,
            ..
        } = recovery;
        let Some(key) = self.groups.find(name) else {
            return;
        };
        let mut done = replayed;
        let mut missed = past.missed;
        if past
            .publications
            .iter()
            .any(|publication| publication.failed)
        {
            missed = missed.or(Some(RecoveryFailure::Unwrapped));
        }
        for publication in &past.publications {
            if reply.is_none() {
                done += usize::from(self.replay(now, (channel, key), publication));
            } else if self.is_replayed_to(channel, publication) {
                collected.push(Arc::clone(publication));
                done += 1;
            }
        }
        let place = self
            .channels
            .of(channel)
            .and_then(|channel| channel.more())
            .and_then(|more| more.joined.iter().find(|place| place.group == key).copied());
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let live = group.position;
        let Some(member) = place.and_then(|place| group.members.get_mut(place.at as usize)) else {
            return;
        };
        let is_ahead = live.is_some_and(|live| {
            live.epoch == past.position.epoch && live.offset > past.position.offset
        });
        if is_ahead && missed.is_none() {
            // Messages that arrived meanwhile were not delivered to it: they are requested too.
            let since = past.position;
            return self.ask_recovery(Recovery {
                channel,
                group: Arc::clone(name),
                since,
                replayed: done,
                opened,
                reply,
                missed: collected,
            });
        }
        member.from = past.position.offset;
        if live.is_some_and(|live| live.epoch == past.position.epoch) {
            group.recovered = group.recovered.max(past.position.offset);
        }
        // A reply with all that it missed: what follows may be a difference from the last of them. After an incomplete recovery the member
        // is told to start anew, and has none.
        let last = collected.last();
        let last = last.filter(|_| reply.is_some() && missed.is_none());
        let has_last = match (last, &group.last) {
            (Some(last), Some(of_group)) => {
                !of_group.unsaved && last.position.is_some() && last.position == of_group.position
            }
            _ => false,
        };
        member.set_has_last(has_last);
        let position = Some(if is_ahead {
            live.unwrap_or(past.position)
        } else {
            past.position
        });
        let recovered = match missed {
            None => Recovered::Complete(done),
            Some(reason) => Recovered::Incomplete {
                replayed: done,
                reason,
            },
        };
        self.counters.recoveries += 1;
        self.counters.incomplete += u64::from(missed.is_some());
        let mut joined = Joined {
            added: true,
            opened,
            position,
            recovered,
            refused: false,
        };
        if let Some(reply) = reply {
            joined.refused = !self.reply_to(now, channel, &reply, &joined, &collected);
            if joined.refused {
                self.leave_group(now, channel, name);
            }
        }
        self.outputs
            .push_back(Output::Joined(channel, Arc::clone(name), Ok(joined)));
    }
}
