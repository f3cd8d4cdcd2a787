//! What watchers of filters receive: from the channel of watchers, and of a group that this process subscribes to from the group's channel.
//! In a cluster the two come from different servers, and either may be ahead of the other: the time of a message, which rises
//! within its group, decides which of the two passes it on, so that watchers receive each message once.
//! Knows no subscription, only when one of a group begins and ends.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use sansws_core::hub::{Event, NodeId, Publication};
use sansws_core::time::{Duration, Instant};

use super::stage::{MOST_HELD, Stage};
use super::{Due, Machine};
use crate::name::Name;
use crate::wire::{self, Batch, Payload, WireError};

/// For how long it is remembered what the channel of a group passed on, after its subscription has ended: the channel of watchers may be as
/// far behind.
const BEHIND: Duration = Duration::from_secs(5);

/// Maximum number of ended subscriptions that are remembered.
const MOST_ENDED: usize = 16;

/// Which messages of a group its own channel passes on to watchers. All others come from the channel of watchers.
#[derive(Debug, Default)]
pub(super) struct Cover {
    /// Those that are newer, while the group is subscribed to and its position was known.
    since: Option<u64>,
    /// The newest that came by the group's channel and does not wait for the position.
    newest: u64,
    /// Earlier subscriptions, the oldest first.
    ended: VecDeque<Span>,
    /// What came by the channel of watchers before it was known which of the two is to pass it on, the oldest first.
    held: VecDeque<(u64, Vec<u8>)>,
}

/// What an earlier subscription passed on: all that is newer than `since`, up to `newest`.
#[derive(Debug)]
struct Span {
    since: u64,
    newest: u64,
    forget_at: Instant,
}

/// What becomes of something that the channel of watchers brings.
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

    /// A message came by the group's channel. Returns whether it is for watchers too.
    pub(super) fn covers(&mut self, time: u64) -> bool {
        self.newest = self.newest.max(time);
        self.since.is_some_and(|since| time > since)
    }

    /// The position is known: all that was published up to `time` comes from the channel of watchers, if it has not come already, and the rest
    /// by the group's channel.
    fn begin(&mut self, time: u64) {
        // The group's channel may have brought more while nobody wanted it, which was left out.
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
            // The subscription ends: nobody knows yet with which message.
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
    /// Passes something on that was published to any group, unless the group's channel does.
    pub(super) fn watch_message(&mut self, octets: &[u8]) -> Result<(), WireError> {
        let nobody: Name = Arc::from("");
        let Payload::Watched { group, payload } = wire::parse(&nobody, octets)? else {
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

    /// The position of a group is known, and what was published up to then is in it.
    pub(super) fn cover_begins(&mut self, name: &Name, time: u64) {
        self.group(name).cover.begin(time);
        self.judge_held(name);
    }

    /// The subscription to a group has ended: from now on all comes from the channel of watchers.
    pub(super) fn cover_ends(&mut self, now: Instant, name: &Name) {
        let is_watched = !self.filters.is_empty();
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

    /// Something changed that what is held waits for.
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

    /// Passes a publication on to nodes with a filter that matches, but to these.
    pub(super) fn tell_watchers(&mut self, publication: &Arc<Publication>, but: &BTreeSet<NodeId>) {
        if self.filters.is_empty() {
            return;
        }
        let mut watching = BTreeSet::new();
        self.filters.matching(&publication.group, |node| {
            watching.insert(*node);
        });
        for node in watching.difference(but) {
            let event = Event::Watched(Arc::clone(publication));
            self.events.push_back((*node, event));
        }
    }
}
