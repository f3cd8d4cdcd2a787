//! The users of this process's nodes, as other servers see them.
//! A node's users go when it removes them, or when its lease has ended.
//! Knows users by name; the hub decides when a user counts as gone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use sansws_core::hub::{BackplaneEvent, Filter, NodeId, Present};
use sansws_core::time::{Duration, Instant};

use super::gathering::USERS;
use super::place_queue::{NodeOp, PlaceQueue};
use super::serial_queue::{Entering, Op};
use super::{AGAIN, Due, InFlight, Machine};
use crate::name::Name;
use crate::request::{Channel, Failure, Incarnation, Reply, Request};
use crate::wire;

/// Maximum number of users of a step.
const STEP: usize = 1_024;

/// The lease of a hub without one: practically forever.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A node of this process.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) windows: u16,
    pub(super) watched: BTreeSet<Filter>,
    /// It listens to all changes of presence.
    pub(super) listens: bool,
    term: u32,
    /// It has announced itself in this term.
    beaten: bool,
    /// Its users, by group.
    present: BTreeMap<Name, BTreeSet<Name>>,
    /// An earlier term, and the groups in which it has to be cleared.
    earlier: Option<(Incarnation, BTreeSet<Name>)>,
    /// Groups in which it has a place.
    registered: BTreeSet<Name>,
    /// Steps of groups that requested its place, unconfirmed.
    waiting: BTreeMap<Name, VecDeque<Op>>,
    pub(super) lane: PlaceQueue,
}

impl Node {
    /// Forgets the places that it has to be given and does not need any more: all users have left. No request is in flight.
    fn forget_places(&mut self) {
        self.waiting.retain(|_, ops| !ops.is_empty());
        let waiting = &self.waiting;
        self.lane.retain(|name| waiting.contains_key(name));
    }

    const fn incarnation(&self, node: NodeId) -> Incarnation {
        Incarnation {
            node,
            term: self.term,
        }
    }
}

/// Users wait for the place. Nobody was announced there yet, so what is said last of each is all that matters.
fn wait(waiting: &mut VecDeque<Op>, op: Op) {
    match (waiting.back_mut(), op) {
        (Some(Op::Enter(of, before)), Op::Enter(incarnation, entering))
            if *of == incarnation && before.users.len() < USERS =>
        {
            for present in entering.users {
                let mut known = before.users.iter_mut();
                match known.find(|known| known.user == present.user) {
                    Some(known) => *known = present,
                    None => before.users.push(present),
                }
            }
        }
        (_, op) => waiting.push_back(op),
    }
}

/// Users leave before they were announced.
fn never_enter(waiting: &mut VecDeque<Op>, incarnation: Incarnation, users: &[Name]) {
    waiting.retain_mut(|op| match op {
        Op::Enter(of, entering) if *of == incarnation => {
            entering
                .users
                .retain(|present| !users.contains(&present.user));
            !entering.users.is_empty()
        }
        _ => true,
    });
}

/// An incarnation that is being cleared.
#[derive(Debug)]
pub(super) struct Sweep {
    groups: Vec<Name>,
    /// Groups in which it has not been cleared yet.
    left: BTreeSet<Name>,
}

impl Machine {
    fn lease(&self) -> Duration {
        self.options.lease.unwrap_or(FOR_EVER)
    }

    pub(super) fn set_windows(&mut self, id: NodeId, windows: u16) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.windows = windows;
        }
        self.windows = self.nodes.values().fold(0, |all, node| all | node.windows);
    }

    pub(super) fn watch(&mut self, now: Instant, id: NodeId, filter: Filter) {
        let is_first = self.watchers.filters.is_empty();
        self.watchers.filters.insert(&filter, id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.watched.insert(filter);
        }
        if is_first {
            self.want(&Channel::Watch, true);
            self.somebody_watches(now);
            // All other nodes are told, now by a message and later by beats.
            let request = Request::Send {
                channel: Channel::Control,
                payload: wire::watching(),
            };
            self.request(request, InFlight::Control);
            self.beat(id);
        }
    }

    pub(super) fn unwatch(&mut self, id: NodeId, filter: &Filter) {
        self.watchers.filters.remove(filter, &id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.watched.remove(filter);
        }
        if self.watchers.filters.is_empty() {
            self.want(&Channel::Watch, false);
        }
    }

    pub(super) fn listen(&mut self, id: NodeId, listens: bool) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.listens = listens;
        }
        self.want_presence();
    }

    fn want_presence(&mut self) {
        let wanted = self.nodes.values().any(|node| node.listens);
        self.want(&Channel::Presence, wanted);
    }

    /// Some node watches filters. Beats that are in flight do not know it.
    pub(super) fn somebody_watches(&mut self, now: Instant) {
        self.watchers.watched = true;
        self.watchers.watched_until = now + self.lease();
    }

    /// After an outage, or when it was given up, a node gets a new incarnation, so that clearing the old one cannot affect it.
    pub(super) fn take_another_seat(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let incarnation = node.incarnation(id);
        let groups: BTreeSet<Name> = node.registered.iter().cloned().collect();
        if node.earlier.is_none() && !groups.is_empty() {
            node.earlier = Some((incarnation, groups));
        }
        node.term += 1;
        node.beaten = false;
        node.present.clear();
        node.registered.clear();
        let waiting = core::mem::take(&mut node.waiting);
        self.traffic.steps -= node.lane.len();
        node.lane = PlaceQueue::default();
        self.wait_no_more(waiting);
    }

    /// Steps that waited for a place that is no longer wanted; those that clear another incarnation are done nevertheless.
    fn wait_no_more(&mut self, waiting: BTreeMap<Name, VecDeque<Op>>) {
        for (name, ops) in waiting {
            for op in ops {
                if let Op::Exit(incarnation, None) = &op
                    && self.sweeps.contains_key(incarnation)
                {
                    self.push_op(&name, op);
                }
            }
        }
    }

    pub(super) fn enter(&mut self, id: NodeId, name: &Name, users: Vec<Present>) {
        // Redis does nothing else meanwhile, and all subscribers are sent them.
        let mut users = users.into_iter();
        loop {
            let some: Vec<Present> = users.by_ref().take(STEP).collect();
            if some.is_empty() {
                return;
            }
            self.enter_some(id, name, some);
        }
    }

    fn enter_some(&mut self, id: NodeId, name: &Name, users: Vec<Present>) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let present = node.present.entry(Arc::clone(name)).or_default();
        let mut are_new = true;
        for user in &users {
            are_new &= present.insert(Arc::clone(&user.user));
        }
        let op = Op::Enter(node.incarnation(id), Entering { users, are_new });
        if node.registered.contains(name) {
            return self.push_op(name, op);
        }
        if let Some(waiting) = node.waiting.get_mut(name) {
            return wait(waiting, op);
        }
        node.waiting.insert(Arc::clone(name), VecDeque::from([op]));
        self.push_node_op(id, NodeOp::Register(vec![Arc::clone(name)]));
    }

    pub(super) fn exit(&mut self, id: NodeId, name: &Name, users: Vec<Name>) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if let Some(present) = node.present.get_mut(name) {
            for user in &users {
                present.remove(user);
            }
            if present.is_empty() {
                node.present.remove(name);
            }
        }
        let incarnation = node.incarnation(id);
        match node.waiting.get_mut(name) {
            // Nothing of this incarnation was written in the group yet.
            Some(waiting) => never_enter(waiting, incarnation, &users),
            None => {
                for some in users.chunks(STEP) {
                    self.push_op(name, Op::Exit(incarnation, Some(some.to_vec())));
                }
            }
        }
    }

    /// Replaces all users of a node. It announced others over an earlier connection; those that are not among these are gone.
    pub(super) fn here(&mut self, id: NodeId, groups: Vec<(Name, Vec<Present>)>) {
        for (name, users) in groups {
            self.enter(id, &name, users);
        }
        let earlier = self.nodes.get_mut(&id).and_then(|node| node.earlier.take());
        if let Some((incarnation, groups)) = earlier {
            self.sweep(incarnation, groups.into_iter().collect());
        }
    }

    /// Clears an incarnation in these groups, after the announcements that its node has made since.
    pub(super) fn sweep(&mut self, incarnation: Incarnation, groups: Vec<Name>) {
        if groups.is_empty() {
            return self.swept(incarnation, groups);
        }
        let left = groups.iter().cloned().collect();
        self.sweeps.insert(
            incarnation,
            Sweep {
                groups: groups.clone(),
                left,
            },
        );
        for name in groups {
            let op = Op::Exit(incarnation, None);
            let waiting = self
                .nodes
                .get_mut(&incarnation.node)
                .and_then(|node| node.waiting.get_mut(&name));
            match waiting {
                Some(waiting) => waiting.push_back(op),
                None => self.push_op(&name, op),
            }
        }
    }

    fn swept(&mut self, incarnation: Incarnation, groups: Vec<Name>) {
        let request = Request::Unregister {
            incarnation,
            groups,
            whole: true,
        };
        self.sweeps.entry(incarnation).or_insert(Sweep {
            groups: Vec::new(),
            left: BTreeSet::new(),
        });
        self.request(request, InFlight::Swept(incarnation));
    }

    /// Users, or all of an incarnation, were removed from a group.
    pub(super) fn exited(&mut self, name: &Name, incarnation: Incarnation, all: bool) {
        if all
            && let Some(sweep) = self.sweeps.get_mut(&incarnation)
            && sweep.left.remove(name)
            && sweep.left.is_empty()
        {
            let groups = core::mem::take(&mut sweep.groups);
            return self.swept(incarnation, groups);
        }
        self.give_back(name, incarnation);
    }

    /// Gives the place of a node in a group back, if nobody is there any more.
    pub(super) fn give_back(&mut self, name: &Name, incarnation: Incarnation) {
        // The removals of others follow these; until then the place must stay, so that they are found if the connection is lost.
        let comes =
            |op: &Op| matches!(op, Op::Enter(of, _) | Op::Exit(of, _) if *of == incarnation);
        let group = self.groups.get(name);
        if group.is_some_and(|group| {
            let lane = &group.lane;
            lane.queue.iter().chain(&lane.aside).any(comes)
        }) {
            return;
        }
        let Some(node) = self.nodes.get_mut(&incarnation.node) else {
            return;
        };
        if node.incarnation(incarnation.node) == incarnation
            && !node.present.contains_key(name)
            && !node.waiting.contains_key(name)
            && node.registered.remove(name)
        {
            self.push_node_op(incarnation.node, NodeOp::Unregister(vec![Arc::clone(name)]));
        }
    }

    pub(super) fn beat(&mut self, id: NodeId) {
        self.push_node_op(id, NodeOp::Beat);
    }

    fn push_node_op(&mut self, id: NodeId, op: NodeOp) {
        if let Some(node) = self.nodes.get_mut(&id) {
            let before = node.lane.len();
            node.lane.push(op);
            self.traffic.steps += node.lane.len() - before;
            self.pump_node(id);
        }
    }

    /// Goes on with a step that Redis refused, unless the node has taken another incarnation since: then other steps are in flight.
    pub(super) fn resume_node(&mut self, incarnation: Incarnation) {
        let id = incarnation.node;
        if let Some(node) = self.nodes.get_mut(&id)
            && node.incarnation(id) == incarnation
        {
            node.lane.resume();
            self.pump_node(id);
        }
    }

    pub(super) fn pump_node(&mut self, id: NodeId) {
        let lease = self.lease();
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let before = node.lane.len();
        let Some(op) = node.lane.next() else {
            return;
        };
        // One is in flight now, and what is left of those it was taken from may still be as many steps.
        self.traffic.steps = self.traffic.steps + node.lane.len() + 1 - before;
        let incarnation = node.incarnation(id);
        let request = match &op {
            NodeOp::Register(groups) => Request::Register {
                incarnation,
                groups: groups.clone(),
                lease,
            },
            NodeOp::Unregister(groups) => Request::Unregister {
                incarnation,
                groups: groups.clone(),
                whole: false,
            },
            NodeOp::Beat => Request::Beat {
                incarnation,
                watching: !node.watched.is_empty(),
                lease,
            },
        };
        self.request(request, InFlight::Node(id, incarnation, op));
    }

    pub(super) fn node_reply(
        &mut self,
        now: Instant,
        id: NodeId,
        incarnation: Incarnation,
        op: NodeOp,
        result: Result<Reply, Failure>,
    ) {
        self.traffic.steps -= 1;
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if node.incarnation(id) != incarnation {
            // It was requested for another term.
            return;
        }
        let Ok(reply) = result else {
            if !matches!(op, NodeOp::Beat) {
                self.traffic.steps -= node.lane.len();
                node.lane.push(op);
                node.forget_places();
                self.traffic.steps += node.lane.len();
            }
            self.due.insert((now + AGAIN, Due::Node(incarnation)));
            return;
        };
        node.lane.resume();
        match (op, reply) {
            (NodeOp::Register(_), Reply::GivenUp) => self.incarnation_given_up(incarnation),
            (NodeOp::Register(groups), _) => self.registered(id, groups),
            (NodeOp::Unregister(_), _) => {}
            (
                NodeOp::Beat,
                Reply::Beat {
                    anew,
                    watched,
                    dead,
                    time,
                },
            ) => {
                self.set_clock(now, time);
                self.watchers.watched = watched || now < self.watchers.watched_until;
                for dead in dead {
                    self.metrics.swept += 1;
                    self.begin_sweep(dead);
                }
                self.heard(id, anew);
            }
            (NodeOp::Beat, _) => {}
        }
        self.pump_node(id);
    }

    fn registered(&mut self, id: NodeId, groups: Vec<Name>) {
        for name in groups {
            let waiting = self.nodes.get_mut(&id).and_then(|node| {
                node.beaten = true;
                node.registered.insert(Arc::clone(&name));
                node.waiting.remove(&name)
            });
            for op in waiting.into_iter().flatten() {
                self.push_op(&name, op);
            }
            if let Some(node) = self.nodes.get(&id) {
                self.give_back(&name, node.incarnation(id));
            }
        }
    }

    /// A beat was answered. If the node was unknown although it had beaten before, it was given up: it announces its users again.
    fn heard(&mut self, id: NodeId, anew: bool) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let incarnation = node.incarnation(id);
        if core::mem::replace(&mut node.beaten, true) && anew {
            self.incarnation_given_up(incarnation);
        }
    }

    /// An incarnation was given up: its node takes a new one, and announces its users again.
    pub(super) fn incarnation_given_up(&mut self, incarnation: Incarnation) {
        let id = incarnation.node;
        if self
            .nodes
            .get(&id)
            .is_none_or(|node| node.incarnation(id) != incarnation)
        {
            return;
        }
        self.metrics.given_up += 1;
        // Its publishers are told that the link is down.
        self.metrics.uncertain += self.unanswered(|node| node == id) as u64;
        self.take_another_seat(id);
        self.events.push_back((id, BackplaneEvent::Down));
        self.events.push_back((id, BackplaneEvent::Up));
    }

    /// The lease of a node has ended.
    pub(super) fn begin_sweep(&mut self, incarnation: Incarnation) {
        if self.sweeps.contains_key(&incarnation) {
            return;
        }
        let sweep = Sweep {
            groups: Vec::new(),
            left: BTreeSet::new(),
        };
        self.sweeps.insert(incarnation, sweep);
        self.request(Request::Groups(incarnation), InFlight::Sweep(incarnation));
    }

    /// A node leaves.
    pub(super) fn goodbye(&mut self, id: NodeId) {
        let Some(node) = self.nodes.remove(&id) else {
            return;
        };
        self.traffic.steps -= node.lane.len();
        for filter in &node.watched {
            self.watchers.filters.remove(filter, &id);
        }
        if self.watchers.filters.is_empty() {
            self.want(&Channel::Watch, false);
        }
        let groups: Vec<Name> = self.groups.keys().cloned().collect();
        for name in groups {
            self.unsubscribe(id, &name);
        }
        self.want(&Channel::Node(id), false);
        self.want_presence();
        self.set_windows(id, 0);
        let incarnation = node.incarnation(id);
        let mut groups = node.registered;
        groups.extend(node.waiting.keys().cloned());
        self.wait_no_more(node.waiting);
        if let Some((earlier, groups)) = node.earlier {
            self.sweep(earlier, groups.into_iter().collect());
        }
        self.sweep(incarnation, groups.into_iter().collect());
    }
}
