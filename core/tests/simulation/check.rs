//! The invariants of every moment, and those when all has come to rest.
//! Changes nothing but by letting time pass.

use std::collections::BTreeSet;

use sansws_core::hub::{ChannelId, PresenceMode};
use sansws_core::time::{Duration, Instant};

use crate::hold;
use crate::model::Check;
use crate::ops::BY_NODE;
use crate::plane::{CALM, watching_is_known};
use crate::session::{ClientEnd, ServerEnd};
use crate::setup::{AGE, GRACE, GROUPS, said};
use crate::view::Place;
use crate::world::World;

impl World {
    /// Checks the invariants of every moment.
    pub fn check_step(&self) -> Check {
        for node in &self.nodes {
            let snapshot = node.hub.snapshot();
            let (counters, gauges) = (snapshot.counters, snapshot.gauges);
            hold!(
                snapshot.adds_up(),
                "counts: they do not add up: {snapshot:?}"
            );
            hold!(
                counters.delivered == node.taken,
                "counts: {} messages were taken, {} counted",
                node.taken,
                counters.delivered
            );
            hold!(
                counters.encodes == counters.published_alone,
                "encodes: {} messages were framed {} times",
                counters.published_alone,
                counters.encodes
            );
            hold!(
                gauges.channels == node.slots.len(),
                "membership: {} channels for {} connections",
                gauges.channels,
                node.slots.len()
            );
            let again = counters.replayed + counters.repaired * counters.opened;
            let replayed = again as usize;
            let most = gauges.channels * self.setup.most_waiting() + replayed;
            hold!(
                gauges.waiting <= most,
                "memory: {} messages wait, {most} may",
                gauges.waiting
            );
            let most = gauges.channels * self.setup.most_bytes() + replayed * 2_200;
            hold!(
                gauges.waiting_bytes <= most,
                "memory: {} octets wait, {most} may",
                gauges.waiting_bytes
            );
        }
        self.check_plane()?;
        self.check_pings()
    }

    /// Lets all come to rest, and compares what each side knows.
    pub fn rest(&mut self) -> Check {
        let begun = self.now;
        for at in 0..self.nodes.len() {
            self.lose(at, 0);
            self.heal(at)?;
        }
        for at in self.live.clone() {
            self.sessions[at].stalled = false;
            self.sessions[at].pings.clear();
        }
        if let Some(soon) = self.until_swept() {
            self.pass(soon)?;
            self.check_swept()?;
        }
        self.pass(CALM)?;
        for (at, group) in GROUPS.into_iter().enumerate() {
            let node = at % self.nodes.len();
            let tag = format!("probe{at}");
            self.publish(node, None, group, BY_NODE, &tag, 10);
            self.flush(node)?;
        }
        self.pass(Duration::from_millis(500))?;
        self.check_views(begun)?;
        self.check_watchers()?;
        self.check_members()?;
        self.check_kept()?;
        for client in 0..self.clients.len() {
            self.quit(client);
        }
        self.pass(Duration::from_secs(75))?;
        self.check_empty()?;
        if !self.setup.seed.is_multiple_of(8) {
            return Ok(());
        }
        // Ids of the callers' own are remembered for five minutes, which are long to look at.
        self.pass(Duration::from_secs(300))?;
        self.check_forgotten()
    }

    /// Each member has heard all that was published, or of it.
    fn check_views(&mut self, begun: Instant) -> Check {
        for at in &self.live {
            let session = &mut self.sessions[*at];
            let (Some(id), Some(_)) = (session.told, session.client_open()) else {
                continue;
            };
            hold!(
                session.echoes.is_empty(),
                "echo: {} did not come",
                session.echoes.len()
            );
            for view in session.views.values_mut() {
                let group = view.group.to_string();
                hold!(
                    matches!(view.place, Place::In | Place::Out),
                    "membership: {group} is {:?} for {id}",
                    view.place
                );
                if view.place == Place::Out {
                    continue;
                }
                let Some(top) = self.plane.position(&group) else {
                    return Err(format!("membership: nobody knows {group}, but {id}"));
                };
                view.rests(&self.model, id, top)
                    .map_err(|why| format!("{why} (session {at}, at rest)"))?;
                if let Some(at) = view.at
                    && view.told
                    && view.skips == 0
                    && let Some(reach) = self.setup.reach(&group)
                {
                    let first = view.first.max(at.offset.saturating_sub(reach)) + 1;
                    // When positions were compared, it was kept still.
                    let half = (AGE / 2).as_micros() as u64;
                    let since = Instant::from_micros(begun.as_micros().saturating_sub(half));
                    let numbers = first..=at.offset;
                    let seen = &session.seen;
                    let replaced =
                        self.model
                            .replaced(&view.group, at.epoch, numbers, since, id, seen);
                    hold!(
                        replaced.is_none(),
                        "gap: {group} has another message at {replaced:?}, which did not come to {id}, and nobody said so"
                    );
                }
                let Some(known) = &view.present else {
                    continue;
                };
                if view.doubt || self.plane.misses_presence(&group) {
                    continue;
                }
                let presence = self.plane.presence(&group);
                let now = (presence.epoch, presence.version);
                // A server that has lost the last changes begins another epoch with the next one. Until then nothing differs but the version.
                let went_back = self.model.has_lost()
                    && known.epoch == presence.epoch
                    && known.version > presence.version;
                hold!(
                    !view.jumped && ((known.epoch, known.version) == now || went_back),
                    "presence: a member of {group} knows {}-{}, there is {}-{}",
                    known.epoch,
                    known.version,
                    presence.epoch,
                    presence.version
                );
                let there = presence.members.iter().map(said);
                let known = known.users.iter();
                let known: BTreeSet<String> =
                    known.map(|(user, said)| format!("{user}={said}")).collect();
                let there: BTreeSet<String> = there.collect();
                hold!(
                    known == there,
                    "presence: a member of {group} knows {known:?}, there are {there:?}"
                );
            }
        }
        Ok(())
    }

    /// Watchers of filters have received all that was published while they watched, or heard of it. What gets lost between the nodes they
    /// are not told.
    fn check_watchers(&self) -> Check {
        if self.disturbed {
            return Ok(());
        }
        let known = watching_is_known(&self.setup);
        for at in &self.live {
            let session = &self.sessions[*at];
            let (Some(id), ClientEnd::Open(_)) = (session.told, &session.client_end) else {
                continue;
            };
            if session.watched.is_empty() || session.up.dead {
                continue;
            }
            for group in GROUPS {
                let view = session.views.get(group);
                if !view.is_none_or(|view| view.told) {
                    continue;
                }
                let shown = self.model.shown.iter().filter(|shown| {
                    *shown.group == *group
                        && session.watched_at(group, shown.at, known)
                        && self.model.is_for(id, shown)
                });
                let missing: Vec<&str> = shown
                    .map(|shown| shown.tag.as_str())
                    .filter(|tag| !session.seen.contains(*tag))
                    .collect();
                let skips = view.map_or(0, |view| view.skips);
                hold!(
                    missing.len() as u64 <= skips,
                    "watch: {missing:?} of {group} did not come to {id} (session {at}), {skips} were announced"
                );
            }
        }
        Ok(())
    }

    /// Members are those whose connections are open and who joined; so is who is present.
    fn check_members(&mut self) -> Check {
        for at in &self.live {
            let session = &mut self.sessions[*at];
            let Some(id) = session.id else { continue };
            let hub = &mut self.nodes[session.node].hub;
            if !matches!(session.client_end, ClientEnd::Open(_))
                || session.server_open().is_none()
                || session.client_open().is_none()
            {
                continue;
            }
            let joined: BTreeSet<String> =
                hub.groups_of(id).iter().map(ToString::to_string).collect();
            let views = session.views.values();
            let knows: BTreeSet<String> = views
                .filter(|view| view.place == Place::In)
                .map(|view| view.group.to_string())
                .collect();
            hold!(
                joined == knows,
                "membership: {id} is in {joined:?}, its client says {knows:?}"
            );
        }
        for group in GROUPS {
            let mut users = BTreeSet::new();
            for node in &mut self.nodes {
                let members: BTreeSet<ChannelId> = node.hub.members(group).into_iter().collect();
                let mut open = BTreeSet::new();
                for session in node.slots.values() {
                    let session = &self.sessions[*session];
                    let Some(id) = session.id else { continue };
                    let groups = node.hub.groups_of(id);
                    if groups.iter().any(|name| **name == *group) {
                        open.insert(id);
                        let user = session.user.clone();
                        users.insert(user.unwrap_or_else(|| id.to_string()));
                    }
                }
                hold!(
                    members == open,
                    "membership: {group} has {members:?}, of open connections {open:?}"
                );
                hold!(
                    members.len() == node.hub.count(group),
                    "membership: {group} counts {}",
                    node.hub.count(group)
                );
            }
            let rules = &self.setup.options.rules;
            let rule = rules.iter().find(|(filter, _)| filter.matches(group));
            let mode = rule.map_or(PresenceMode::Off, |(_, options)| options.presence);
            let presence = self.plane.presence(group);
            if mode == PresenceMode::Off {
                hold!(presence.count == 0, "presence: {group} keeps one");
                continue;
            }
            if mode == PresenceMode::Count {
                // Its grace is longer than this rest.
                hold!(
                    presence.count >= users.len() && presence.members.is_empty(),
                    "presence: {} in {group}, which has {users:?}",
                    presence.count
                );
                continue;
            }
            for node in self
                .nodes
                .iter()
                .filter(|_| !self.disturbed && self.left + GRACE * 2 <= self.now)
            {
                let heard = node.heard.get(group);
                hold!(
                    presence.epoch == 0
                        || heard.is_none_or(|heard| *heard == (presence.epoch, presence.version)),
                    "events: {:?} heard {heard:?} of {group} last, there is {}-{} (crowded: {})",
                    node.hub.node(),
                    presence.epoch,
                    presence.version,
                    node.hub.is_crowded()
                );
            }
            let there = presence.members.iter();
            let there: BTreeSet<String> = there.map(|present| present.user.to_string()).collect();
            // That users of a node have gone is told once, if it drains.
            let drains = self.nodes.iter().any(|node| node.draining);
            let in_grace =
                (drains || self.left + GRACE * 2 > self.now) && there.is_superset(&users);
            hold!(
                in_grace || (there == users && presence.count == users.len()),
                "presence: {there:?} in {group}, which has {users:?}"
            );
        }
        Ok(())
    }

    /// Nothing waits for a client that reads, and publishers wait for nobody.
    fn check_kept(&self) -> Check {
        let closing = self.live.iter().any(|at| {
            let session = &self.sessions[*at];
            session.up.dead || !matches!(session.client_end, ClientEnd::Open(_))
        });
        for node in &self.nodes {
            let gauges = node.hub.snapshot().gauges;
            hold!(
                closing || (gauges.waiting == 0 && gauges.held_bytes == 0),
                "rest: {} messages wait, {} octets are held",
                gauges.waiting,
                gauges.held_bytes
            );
            hold!(
                closing || node.held.is_empty(),
                "rest: {} publications wait for room",
                node.held.len()
            );
            hold!(
                node.tokens.is_empty(),
                "publish: {} publishers were not answered",
                node.tokens.len()
            );
        }
        self.check_plane_kept()
    }

    /// All have gone, and nothing is left of them.
    fn check_empty(&self) -> Check {
        for at in &self.live {
            let session = &self.sessions[*at];
            hold!(
                matches!(session.server_end, ServerEnd::Ended),
                "rest: the server's end of session {at} is open"
            );
        }
        for node in &self.nodes {
            let gauges = node.hub.snapshot().gauges;
            let all = [
                gauges.channels,
                gauges.groups,
                gauges.waiting,
                gauges.waiting_bytes,
                gauges.held_bytes,
                node.held.len(),
            ];
            hold!(all == [0; 6], "rest: something is left: {gauges:?}");
        }
        for group in GROUPS {
            let presence = self.plane.presence(group);
            hold!(
                presence.count == 0,
                "presence: {:?} in {group}, where nobody is",
                presence.members
            );
        }
        self.check_plane_empty()
    }
}
