//! The messages for watchers of filters: from the watch channel or, for a group that this process subscribes to, from the group's channel.
//! In a cluster the two come from different servers, and either may be ahead: the time of a message, which increases within its group,
//! decides which of the two delivers it, so that watchers receive each message once.
//! Knows no subscription, only when one of a group starts and ends.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use sansws_core::hub::{BackplaneEvent, NodeId, Publication};
use sansws_core::time::{Duration, Instant};

use super::stage::{MOST_HELD, Stage};
use super::{Due, Machine};
use crate::name::Name;
use crate::wire::{self, Batch, Payload, WireError};

/// How long the range that the channel of a group has delivered is remembered after its subscription has ended: the watch channel may be
/// this far behind.
const BEHIND: Duration = Duration::from_secs(5);

/// Maximum number of ended subscriptions that are remembered.
const MOST_ENDED: usize = 16;

/// Decides which messages of a group its own channel delivers to watchers. All others come from the watch channel.
#[derive(Debug, Default)]
pub(super) struct Cover {
    /// Newer messages than this, while the group is subscribed to and its position is known.
    since: Option<u64>,
    /// The newest message that arrived by the group's channel and does not wait for the position.
    newest: u64,
    /// Earlier subscriptions, oldest first.
    ended: VecDeque<Span>,
    /// Messages that arrived by the watch channel before it was known which channel delivers them, oldest first.
    held: VecDeque<(u64, Vec<u8>)>,
}

/// The range that an earlier subscription delivered: newer than `since`, up to `newest`.
#[derive(Debug)]
struct Span {
    since: u64,
    newest: u64,
    forget_at: Instant,
}

/// The decision on a message from the watch channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    Drop,
    Hold,
}

impl Cover {
    pub(super) fn is_idle(&self) -> bool {
        self.since.is_none() && self.ended.is_empty() && self.held.is_empty()
    }

    /// A message arrived by the group's channel. Returns whether watchers get it too.
    pub(super) fn covers(&mut self, time: u64) -> bool {
        self.newest = self.newest.max(time);
        self.since.is_some_and(|since| time > since)
    }

    /// The position is known: messages published up to `time` come from the watch channel, unless they have come already, and later
    /// ones by the group's channel.
    fn begin(&mut self, time: u64) {
        // The group's channel may have carried more, ignored, while no node wanted the group.
        let since = time.max(self.newest);
        self.since.get_or_insert(since);
    }

    fn verdict(&self, stage: Stage, time: u64) -> Verdict {
        let has = |span: &Span| span.since < time && time <= span.newest;
        if self.ended.iter().any(has) {
            return Verdict::Drop;
        }
        match self.since {
            None if stage == Stage::Positioning => Verdict::Hold,
            None => Verdict::Pass,
            Some(since) if time <= since => Verdict::Pass,
            // The subscription ends; its last message is not known yet.
            Some(_) if stage == Stage::Off && time > self.newest => Verdict::Hold,
            Some(_) => Verdict::Drop,
        }
    }

    fn hold(&mut self, time: u64, payload: &[u8]) -> Option<Vec<u8>> {
        self.held.push_back((time, payload.to_vec()));
        if self.held.len() <= MOST_HELD {
            return None;
        }
        self.held.pop_front().map(|(_, payload)| payload)
    }
}

impl Machine {
    /// Delivers a message from the watch channel, unless the group's channel does.
    pub(super) fn watch_message(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let nobody: Name = Arc::from("");
        let Payload::Watched { group, payload } = wire::parse(&nobody, bytes)? else {
            return Err(WireError::Unknown);
        };
        let Payload::Messages(batch) = wire::parse(&group, payload)? else {
            return Err(WireError::Unknown);
        };
        let of_group = self.groups.get_mut(&group);
        let verdict = of_group.as_ref().map_or(Verdict::Pass, |of_group| {
            of_group.cover.verdict(of_group.stage, batch.time)
        });
        match (verdict, of_group) {
            (Verdict::Hold, Some(of_group)) => {
                if let Some(oldest) = of_group.cover.hold(batch.time, payload) {
                    self.pass_to_watchers(&group, [oldest]);
                }
            }
            (Verdict::Drop, _) => {}
            _ => self.pass_batch_to_watchers(&group, batch),
        }
        Ok(())
    }

    /// The position of a group is known, and includes messages published before it.
    pub(super) fn cover_begins(&mut self, name: &Name, time: u64) {
        self.group(name).cover.begin(time);
        self.judge_held(name);
    }

    /// The subscription to a group has ended: from now on all messages come from the watch channel.
    pub(super) fn cover_ends(&mut self, now: Instant, name: &Name) {
        let is_watched = !self.watchers.filters.is_empty();
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        let cover = &mut group.cover;
        if let Some(since) = cover.since.take()
            && is_watched
            && since < cover.newest
        {
            if cover.ended.len() >= MOST_ENDED {
                cover.ended.pop_front();
            }
            let (newest, forget_at) = (cover.newest, now + BEHIND);
            cover.ended.push_back(Span {
                since,
                newest,
                forget_at,
            });
            self.due.insert((forget_at, Due::Cover(Arc::clone(name))));
        }
        self.judge_held(name);
        self.forget_idle(name);
    }

    /// Forgets subscriptions that ended long ago.
    pub(super) fn forget_cover(&mut self, now: Instant, name: &Name) {
        if let Some(group) = self.groups.get_mut(name) {
            group.cover.ended.retain(|span| span.forget_at > now);
        }
        self.forget_idle(name);
    }

    /// The state that held messages wait for has changed.
    pub(super) fn judge_held(&mut self, name: &Name) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        if group.cover.held.is_empty() {
            return;
        }
        let mut pass = Vec::new();
        for (time, payload) in core::mem::take(&mut group.cover.held) {
            match group.cover.verdict(group.stage, time) {
                Verdict::Pass => pass.push(payload),
                Verdict::Drop => {}
                Verdict::Hold => group.cover.held.push_back((time, payload)),
            }
        }
        self.pass_to_watchers(name, pass);
    }

    fn pass_to_watchers(&mut self, name: &Name, payloads: impl IntoIterator<Item = Vec<u8>>) {
        for payload in payloads {
            // It was read before.
            if let Ok(Payload::Messages(batch)) = wire::parse(name, &payload) {
                self.pass_batch_to_watchers(name, batch);
            }
        }
    }

    fn pass_batch_to_watchers(&mut self, name: &Name, batch: Batch<'_>) {
        self.each_of(name, batch, |machine, publication| {
            machine.tell_watchers(&publication, &BTreeSet::new());
        });
    }

    /// Delivers a publication to nodes with a matching filter, except to these.
    pub(super) fn tell_watchers(&mut self, publication: &Arc<Publication>, but: &BTreeSet<NodeId>) {
        if self.watchers.filters.is_empty() {
            return;
        }
        let mut watching = BTreeSet::new();
        self.watchers.filters.matching(&publication.group, |node| {
            watching.insert(*node);
        });
        for node in watching.difference(but) {
            let event = BackplaneEvent::Watched(Arc::clone(publication));
            self.events.push_back((*node, event));
        }
    }
}
