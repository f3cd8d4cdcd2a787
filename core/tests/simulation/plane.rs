//! The links between the nodes of a world: the broker of one process, over links that delay, lose and break.
//! Knows no connection and no client.

use std::collections::VecDeque;
use std::sync::Arc;

use sansws_core::hub::{
    BackplaneCommand, BackplaneEvent, Broker, ChannelId, NodeId, Position, Presence,
};
use sansws_core::time::{Duration, Instant};

use crate::hold;
use crate::model::Check;
use crate::setup::{AGE, GRACE, GROUPS, LEASE, Setup};
use crate::world::{Node, World};

/// Longest wait on a link, in microseconds.
const SLOWEST: u64 = 3_000;

/// After which time, when all links are there, all know the same.
pub const CALM: Duration =
    Duration::from_millis((LEASE.as_millis() + GRACE.as_millis() + 1_000) as u64);

/// Whether a group goes on with its numbers in another epoch.
pub const NUMBERS_GO_ON: bool = false;

/// How many things more can go wrong.
pub const TROUBLES: u8 = 0;

/// After which time all nodes know that somebody watches a filter.
pub const fn watching_is_known(_: &Setup) -> Duration {
    Duration::from_secs(2)
}

/// The links between all nodes.
#[derive(Debug)]
pub struct Plane {
    broker: Broker,
}

impl Plane {
    pub fn new(setup: &Setup) -> Self {
        Self {
            broker: Broker::new(Arc::clone(&setup.options), 1 << 32),
        }
    }

    /// Whether members may have missed the last change of presence in a group, and nobody said so.
    pub const fn misses_presence(&self, _: &str) -> bool {
        false
    }

    /// Whether watchers may hear of a message later than members.
    pub const fn is_loose(&self) -> bool {
        false
    }

    pub fn position(&self, group: &str) -> Option<Position> {
        self.broker.position(group)
    }

    pub fn presence(&self, group: &str) -> Presence {
        self.broker.presence(group)
    }

    /// When something is due for it.
    pub fn due(&self) -> Option<Instant> {
        self.broker.deadline()
    }
}

/// The link of one node.
#[derive(Debug)]
pub struct Link {
    /// The link is there.
    linked: bool,
    /// Nothing passes the link, and nobody knows.
    hushed: bool,
    /// Messages of groups that are to get lost on the way to the node.
    lose: u8,
    to_broker: VecDeque<(Instant, BackplaneCommand)>,
    to_node: VecDeque<(Instant, BackplaneEvent)>,
    /// When the link comes back by itself.
    reconnect: Option<Instant>,
}

impl Link {
    /// The link of a node that takes a place.
    pub const fn new(_: &mut World, _: usize) -> Self {
        Self {
            linked: true,
            hushed: false,
            lose: 0,
            to_broker: VecDeque::new(),
            to_node: VecDeque::new(),
            reconnect: None,
        }
    }

    /// When something is due for it.
    pub fn due(&self) -> Option<Instant> {
        let passes = self.linked && !self.hushed;
        let command = self.to_broker.front().filter(|_| passes);
        let event = self.to_node.front().filter(|_| passes);
        let all = [
            command.map(|(at, _)| *at),
            event.map(|(at, _)| *at),
            self.reconnect,
        ];
        all.into_iter().flatten().min()
    }
}

impl World {
    /// Whether a node is told of what changes in its groups from now on: then who is present there may be looked up.
    pub const fn hears_of_all(&self, _: usize) -> bool {
        true
    }

    /// Passes on what has arrived at either end of the links.
    pub fn links(&mut self) -> Result<bool, String> {
        let (now, mut moved) = (self.now, false);
        for at in 0..self.nodes.len() {
            let id = self.nodes[at].hub.node();
            loop {
                let node = &mut self.nodes[at];
                let due = node
                    .link
                    .to_broker
                    .front()
                    .is_some_and(|(due, _)| *due <= now);
                if !due || node.link.hushed || !node.link.linked {
                    break;
                }
                let Some((_, command)) = node.link.to_broker.pop_front() else {
                    break;
                };
                self.broker_does(id, command)?;
                moved = true;
            }
            loop {
                let node = &mut self.nodes[at];
                let due = node
                    .link
                    .to_node
                    .front()
                    .is_some_and(|(due, _)| *due <= now);
                // Readers that need a turn have it first.
                if !due || node.link.hushed || !node.link.linked || node.hub.is_crowded() {
                    break;
                }
                let Some((_, event)) = node.link.to_node.pop_front() else {
                    break;
                };
                node.hub.receive(now, event);
                self.flush(at)?;
                moved = true;
            }
        }
        Ok(moved)
    }

    /// Gives the broker a command, and notes what was published.
    fn broker_does(&mut self, from: NodeId, command: BackplaneCommand) -> Check {
        let draft = match &command {
            BackplaneCommand::Publish { draft, .. } => Some(draft.clone()),
            _ => None,
        };
        let before = self.plane.broker.counters();
        self.plane.broker.handle(self.now, from, command);
        let after = self.plane.broker.counters();
        hold!(
            after.encodes == after.published,
            "encodes: {} messages were framed {} times",
            after.published,
            after.encodes
        );
        let most = u64::from(self.windows.count_ones()) * (after.published - before.published);
        hold!(
            after.deflates - before.deflates <= most,
            "deflates: one message was compressed {} times for {most} windows",
            after.deflates - before.deflates
        );
        let events = self.broker_said();
        if let Some(draft) = draft
            && after.published > before.published
        {
            self.model.published += 1;
            if !draft.group.starts_with('\u{1}') {
                let seen = events.iter().find_map(|(_, event)| match event {
                    BackplaneEvent::Received(publication) => publication.position,
                    _ => None,
                });
                let position = seen.or_else(|| self.plane.broker.position(&draft.group));
                self.model.note(self.now, &draft, position)?;
            }
        }
        self.send_events(events);
        Ok(())
    }

    fn broker_said(&mut self) -> Vec<(NodeId, BackplaneEvent)> {
        core::iter::from_fn(|| self.plane.broker.poll_event()).collect()
    }

    /// Sends the nodes what the broker says.
    fn broker_says(&mut self) {
        let events = self.broker_said();
        self.send_events(events);
    }

    fn send_events(&mut self, events: Vec<(NodeId, BackplaneEvent)>) {
        for (to, event) in events {
            let delay = Duration::from_micros(self.random.between(20, SLOWEST));
            let Some(node) = self.nodes.iter_mut().find(|node| node.hub.node() == to) else {
                continue;
            };
            if !node.link.linked {
                continue;
            }
            if let BackplaneEvent::Received(publication) = &event
                && !publication.group.starts_with('\u{1}')
                && node.link.lose > 0
            {
                node.link.lose -= 1;
                continue;
            }
            let last = node.link.to_node.back().map_or(self.now, |(at, _)| *at);
            node.link
                .to_node
                .push_back((last.max(self.now + delay), event));
        }
    }

    /// Sends the broker what a node wants.
    pub fn send_command(&mut self, at: usize, command: BackplaneCommand) {
        let delay = Duration::from_micros(self.random.between(20, SLOWEST));
        let link = &mut self.nodes[at].link;
        if link.linked {
            let last = link.to_broker.back().map_or(self.now, |(at, _)| *at);
            let due = last.max(self.now + delay);
            link.to_broker.push_back((due, command));
        }
    }

    /// Tells a client who is present in a group.
    pub fn ask_present(&mut self, at: usize, id: ChannelId, group: &str) {
        if self.nodes[at].link.linked {
            let presence = self.plane.presence(group);
            self.say_snapshot(at, id, group, &presence);
        }
    }

    pub fn tick_plane(&mut self) -> Result<bool, String> {
        let is_due = self.plane.due().is_some_and(|at| at <= self.now);
        if is_due {
            self.plane.broker.tick(self.now);
            self.broker_says();
        }
        Ok(is_due)
    }

    pub fn tick_link(&mut self, at: usize) -> Result<bool, String> {
        let reconnect = self.nodes[at].link.reconnect;
        let is_due = reconnect.is_some_and(|at| at <= self.now);
        if is_due {
            self.heal(at)?;
        }
        Ok(is_due)
    }

    /// Breaks the link of a node.
    pub fn part(&mut self, at: usize) -> Check {
        let node = &mut self.nodes[at];
        if !node.link.linked {
            return Ok(());
        }
        node.link.linked = false;
        node.link.hushed = false;
        node.link.to_broker.clear();
        node.link.to_node.clear();
        self.plane.broker.unlink(self.now, node.hub.node());
        node.hub.receive(self.now, BackplaneEvent::Down);
        self.flush(at)
    }

    /// Brings the link of a node back.
    pub fn heal(&mut self, at: usize) -> Check {
        let node = &mut self.nodes[at];
        node.link.reconnect = None;
        node.link.hushed = false;
        if !node.link.linked {
            node.link.linked = true;
            node.hub.receive(self.now, BackplaneEvent::Up);
        }
        self.flush(at)
    }

    /// From now on nothing passes the link of a node, and nobody knows.
    pub fn hush(&mut self, at: usize) {
        let link = &mut self.nodes[at].link;
        link.hushed = link.linked;
    }

    /// The next messages of groups on the way to a node get lost.
    pub fn lose(&mut self, at: usize, count: u8) {
        self.nodes[at].link.lose = count;
    }

    /// The broker forgets all.
    pub fn restart(&mut self) -> Check {
        for node in 0..self.nodes.len() {
            self.part(node)?;
            let wait = Duration::from_millis(self.random.between(1, 80));
            self.nodes[node].link.reconnect = Some(self.now + wait);
        }
        let epoch = self.fresh() << 32;
        self.plane.broker.restart(epoch);
        Ok(())
    }

    /// Nothing else goes wrong with a broker.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "the plane with processes has something to do here"
    )]
    pub const fn trouble(&mut self, _: u8) -> Check {
        Ok(())
    }

    /// A node has said goodbye: what is on its way still arrives.
    pub fn retire(&mut self, old: &mut Node) -> Check {
        for (_, command) in core::mem::take(&mut old.link.to_broker) {
            if old.link.linked {
                self.broker_does(old.hub.node(), command)?;
            }
        }
        Ok(())
    }

    /// The nodes that crash together.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "the plane with processes has something to do here"
    )]
    pub fn together(&mut self, at: usize) -> Vec<usize> {
        vec![at]
    }

    /// When all have gone who were on nodes that died; `None`: the rest of the checks says so.
    pub const fn until_swept(&self) -> Option<Duration> {
        None
    }

    /// Checks that no user is present on a node that is gone.
    pub const fn check_swept(&self) -> Check {
        Ok(())
    }

    /// A node has crashed.
    pub fn vanish(&mut self, old: &Node) {
        if old.link.linked && self.random.one_in(2) {
            // Its link is seen to break; otherwise only its silence tells.
            self.plane.broker.unlink(self.now, old.hub.node());
        }
    }

    /// Checks the invariants of every moment.
    pub fn check_plane(&self) -> Check {
        let kept = self.plane.broker.history_bytes();
        let most = self.setup.options.max_history;
        hold!(
            kept <= most,
            "memory: {kept} octets of history, {most} may be"
        );
        Ok(())
    }

    /// Checks the invariants at rest.
    pub fn check_plane_kept(&self) -> Check {
        let broker = &self.plane.broker;
        let mut kept = 0;
        for group in GROUPS {
            let all = broker.history(self.now, group, usize::MAX);
            kept += all.iter().map(|one| one.as_bytes().len()).sum::<usize>();
        }
        // Expired publications are not shown, but held.
        hold!(
            kept <= broker.history_bytes(),
            "memory: {kept} octets of history, counted {}",
            broker.history_bytes()
        );
        Ok(())
    }

    /// Checks the invariants when all have gone, and kept publications have expired.
    pub fn check_plane_empty(&self) -> Check {
        let (kept, wait) = (self.plane.broker.history_bytes(), AGE);
        hold!(kept == 0, "memory: {kept} octets of history after {wait:?}");
        Ok(())
    }

    /// Checks the invariants when the callers' own ids are forgotten too.
    pub fn check_forgotten(&self) -> Check {
        for group in GROUPS {
            let position = self.plane.position(group);
            hold!(
                position.is_none(),
                "memory: {group} is kept at {position:?}, and nothing of it is left"
            );
        }
        Ok(())
    }
}
