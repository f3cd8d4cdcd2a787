//! A group: the nodes that want its publications, its position, and arriving messages.
//! Knows no Redis, only positions and their times.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use sansws_core::hub::{
    BackplaneEvent, HubError, NodeId, Position, PresenceChange, Present, Publication,
    PublishRequest, Target, Token,
};
use sansws_core::internal::Filters;
use sansws_core::time::{Duration, Instant};

use super::place_queue::PlaceQueue;
use super::serial_queue::{Op, SerialQueue};
use super::stage::{MOST_HELD, Stage};
use super::watch::Cover;
use super::{Due, Machine, NOWHERE};
use crate::name::Name;
use crate::request::{Channel, Mark};
use crate::wire::{self, Batch, Payload, WireError};

/// How long a message that Redis has numbered may be in flight before it counts as lost.
const LATE: Duration = Duration::from_millis(500);

/// How long the last position of a group is remembered if no node asks for the group again.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The state of a group in this process.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Nodes that want its publications.
    pub(super) nodes: BTreeSet<NodeId>,
    /// Nodes that asked for its position.
    asked: Vec<(NodeId, Token)>,
    pub(super) stage: Stage,
    /// The last mark that was passed on. It outlives the connection.
    seen: Option<Mark>,
    held: VecDeque<Held>,
    /// Read requests of nodes, held until the position is known, because a node must learn of that first.
    reads: Vec<Op>,
    /// Redis numbered more messages than have arrived: when they count as lost, the position of the group, and the nodes that asked.
    late: Option<Late>,
    /// The messages that watchers receive by the group's channel.
    pub(super) cover: Cover,
    pub(super) lane: SerialQueue<Op>,
}

#[derive(Debug)]
struct Held {
    time: u64,
    publication: Arc<Publication>,
}

#[derive(Debug)]
struct Late {
    at: Instant,
    stands: Mark,
    asked: Vec<(NodeId, Token)>,
}

impl Group {
    pub(super) fn is_idle(&self) -> bool {
        self.nodes.is_empty() && self.lane.is_idle() && self.seen.is_none() && self.cover.is_idle()
    }
}

impl Machine {
    pub(super) fn group(&mut self, name: &Name) -> &mut Group {
        self.groups.entry(Arc::clone(name)).or_default()
    }

    /// The connection is lost: forgets everything that nodes will announce again.
    pub(super) fn forget_wants(&mut self, now: Instant) {
        // Nodes that wanted a group before have had time to ask for it again.
        let is_settled = now.since(self.link.up_since) >= REMEMBERED;
        self.groups.retain(|_, group| {
            if is_settled && group.nodes.is_empty() {
                return false;
            }
            *group = Group {
                seen: group.seen,
                ..Group::default()
            };
            group.seen.is_some()
        });
        for node in self.nodes.values_mut() {
            node.watched.clear();
            node.listens = false;
            node.lane = PlaceQueue::default();
        }
        self.watchers.filters = Filters::default();
    }

    pub(super) fn subscribe(&mut self, node: NodeId, name: &Name, token: Token) {
        let group = self.group(name);
        let is_new = group.nodes.insert(node);
        if is_new
            && group.stage == Stage::Live
            && let Some(seen) = group.seen
        {
            // Later messages are passed on to this node too.
            return self.tell_position(name, &[(node, token)], seen.position);
        }
        group.asked.push((node, token));
        if group.stage == Stage::Live {
            self.push_op(name, Op::Position { first: false });
        }
        self.want(&Channel::Group(Arc::clone(name)), true);
    }

    pub(super) fn unsubscribe(&mut self, node: NodeId, name: &Name) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        group.nodes.remove(&node);
        group.asked.retain(|(asked, _)| *asked != node);
        if group.nodes.is_empty() {
            group.stage = Stage::Off;
            group.seen = None;
            group.late = None;
            group.asked.clear();
            let reads = core::mem::take(&mut group.reads);
            let held = core::mem::take(&mut group.held);
            for held in held {
                self.pass_held(name, &held, &BTreeSet::new());
            }
            self.judge_held(name);
            for op in reads {
                self.push_op(name, op);
            }
            self.want(&Channel::Group(Arc::clone(name)), false);
            self.forget_idle(name);
        }
    }

    /// Reads publications, or presence, after the group's position if the node also wants changes.
    pub(super) fn read(&mut self, node: NodeId, name: &Name, op: Op) {
        match self.groups.get_mut(name) {
            Some(group) if group.nodes.contains(&node) && group.stage != Stage::Live => {
                group.reads.push(op);
            }
            _ => self.push_op(name, op),
        }
    }

    /// Forgets a group that no node wants and that has no pending work.
    pub(super) fn forget_idle(&mut self, name: &Name) {
        if self.groups.get(name).is_some_and(Group::is_idle) {
            self.groups.remove(name);
        }
    }

    /// Publications of a group arrive from now on.
    pub(super) fn begins(&mut self, name: &Name) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        if group.nodes.is_empty() || group.stage != Stage::Off {
            return;
        }
        group.stage = Stage::Positioning;
        self.push_op(name, Op::Position { first: true });
    }

    /// Returns what a request for the position needs: the last mark, and the nodes to answer.
    pub(super) fn ask_position(
        &mut self,
        name: &Name,
        first: bool,
    ) -> (Option<Mark>, Vec<(NodeId, Token)>) {
        let group = self.group(name);
        let asked = if first {
            Vec::new()
        } else {
            core::mem::take(&mut group.asked)
        };
        (group.seen, asked)
    }

    /// Nodes that asked for the position are answered by the next request for it.
    pub(super) fn ask_again(&mut self, name: &Name, asked: Vec<(NodeId, Token)>) {
        self.group(name).asked.extend(asked);
    }

    /// Redis returned the position of a group.
    pub(super) fn stands(
        &mut self,
        now: Instant,
        name: &Name,
        (theirs, newest): (Mark, u64),
        first: bool,
        mut asked: Vec<(NodeId, Token)>,
    ) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        if first && group.stage == Stage::Positioning {
            return self.first_position(name, theirs, newest);
        }
        if first {
            // The subscription starts with the position that was requested before it was wanted again.
            asked.append(&mut group.asked);
        }
        if group.stage != Stage::Live {
            // It was subscribed to again meanwhile: the first position answers them.
            group.asked.extend(asked);
            return;
        }
        let ours = group.seen.unwrap_or(NOWHERE);
        if theirs.time < ours.time || theirs.position == ours.position {
            return self.tell_position(name, &asked, ours.position);
        }
        let at = now + LATE;
        if let Some(before) = &mut group.late {
            before.asked.extend(asked);
            before.stands = theirs;
            return;
        }
        group.late = Some(Late {
            at,
            stands: theirs,
            asked,
        });
        self.due.insert((at, Due::Late(Arc::clone(name))));
    }

    /// Starts the subscription with this position, which includes all messages published up to `newest`.
    fn first_position(&mut self, name: &Name, theirs: Mark, newest: u64) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        group.stage = Stage::Live;
        group.seen = Some(theirs);
        let asked = core::mem::take(&mut group.asked);
        let held = core::mem::take(&mut group.held);
        let reads = core::mem::take(&mut group.reads);
        let nodes = group.nodes.clone();
        // Messages included in the position come before it, the others after it.
        let (before, behind): (Vec<Held>, Vec<Held>) =
            held.into_iter().partition(|held| held.time <= newest);
        for held in before {
            self.pass_held(name, &held, &BTreeSet::new());
        }
        self.cover_begins(name, newest);
        self.tell_position(name, &asked, theirs.position);
        for held in behind {
            self.see(name, &held.publication, held.time);
            self.pass_held(name, &held, &nodes);
        }
        for op in reads {
            self.push_op(name, op);
        }
    }

    /// Checks whether all messages that Redis has numbered have arrived.
    pub(super) fn late(&mut self, name: &Name) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        if let Some(late) = group.late.take() {
            group.seen = Some(late.stands);
            self.tell_position(name, &late.asked, late.stands.position);
        }
    }

    /// Tells these nodes, or all that asked for the position, that Redis refused.
    pub(super) fn tell_unavailable(&mut self, name: &Name, to: &[(NodeId, Token)]) {
        let mut to = to.to_vec();
        if to.is_empty()
            && let Some(group) = self.groups.get(name)
        {
            to.clone_from(&group.asked);
        }
        for (node, token) in to {
            let event = BackplaneEvent::Unavailable {
                group: Arc::clone(name),
                token,
                error: HubError::Refused,
            };
            self.events.push_back((node, event));
        }
    }

    fn tell_position(&mut self, name: &Name, to: &[(NodeId, Token)], position: Position) {
        for (node, token) in to {
            let event = BackplaneEvent::Subscribed {
                group: Arc::clone(name),
                token: *token,
                position,
            };
            self.events.push_back((*node, event));
        }
    }

    /// Something arrived on a channel.
    pub(super) fn message(&mut self, now: Instant, channel: &Channel, bytes: &[u8]) {
        let nobody = || Name::from("");
        let result = match channel {
            Channel::Group(name) => self.group_message(name, bytes),
            Channel::Watch => self.watch_message(bytes),
            Channel::Node(node) => self.posted(*node, bytes),
            Channel::Presence => self.presence_message(bytes),
            Channel::Control => wire::parse(&nobody(), bytes).map(|payload| match payload {
                Payload::Watching => self.somebody_watches(now),
                _ => self.metrics.unknown += 1,
            }),
        };
        self.count(result);
    }

    /// A payload, or several, arrived for a node.
    fn posted(&mut self, node: NodeId, bytes: &[u8]) -> Result<(), WireError> {
        match wire::parse(&Name::from(""), bytes)? {
            Payload::Several(payloads) => {
                for payload in payloads {
                    let result = payload.and_then(|bytes| wire::parse(&Name::from(""), bytes));
                    let result = result.map(|payload| self.posted_one(node, payload));
                    self.count(result);
                }
            }
            payload => self.posted_one(node, payload),
        }
        Ok(())
    }

    fn posted_one(&mut self, node: NodeId, payload: Payload<'_>) {
        match payload {
            Payload::Direct {
                slot,
                generation,
                message,
            } => {
                let to = Self::of_node(node, slot, generation);
                self.events
                    .push_back((node, BackplaneEvent::Direct { to, message }));
            }
            Payload::CloseChannel {
                slot,
                generation,
                code,
                reason,
            } => {
                let event = BackplaneEvent::CloseChannel {
                    channel: Self::of_node(node, slot, generation),
                    code,
                    reason: reason.to_owned(),
                };
                self.events.push_back((node, event));
            }
            Payload::InstructChannel {
                slot,
                generation,
                instruction,
            } => {
                let target = Target::Channel(Self::of_node(node, slot, generation));
                let event = BackplaneEvent::Instruct {
                    target,
                    instruction: self.of_others(instruction),
                };
                self.events.push_back((node, event));
            }
            _ => self.metrics.unknown += 1,
        }
    }

    fn count(&mut self, result: Result<(), WireError>) {
        match result {
            Ok(()) => {}
            Err(WireError::Unknown) => self.metrics.unknown += 1,
            Err(_) => self.metrics.malformed += 1,
        }
    }

    fn group_message(&mut self, name: &Name, bytes: &[u8]) -> Result<(), WireError> {
        let payload = wire::parse(name, bytes)?;
        let nodes = |machine: &Self| {
            let group = machine.groups.get(name);
            let group = group.filter(|group| group.stage != Stage::Off);
            group.map(|group| group.nodes.clone()).unwrap_or_default()
        };
        match payload {
            Payload::Messages(batch) => self.arrived(name, batch),
            Payload::Presence(mut change) => {
                self.to_local(told(&mut change));
                let change = Arc::new(change);
                for node in nodes(self) {
                    let event = BackplaneEvent::Presence(Arc::clone(&change));
                    self.events.push_back((node, event));
                }
            }
            Payload::Instruct(instruction) => {
                let instruction = self.of_others(instruction);
                for node in nodes(self) {
                    let event = BackplaneEvent::Instruct {
                        target: Target::User(Arc::clone(name)),
                        instruction: instruction.clone(),
                    };
                    self.events.push_back((node, event));
                }
            }
            Payload::Close { code, reason } => {
                for node in nodes(self) {
                    let event = BackplaneEvent::Close {
                        group: Arc::clone(name),
                        code,
                        reason: reason.to_owned(),
                    };
                    self.events.push_back((node, event));
                }
            }
            _ => return Err(WireError::Unknown),
        }
        Ok(())
    }

    /// Processes messages of a group that this process subscribes to.
    fn arrived(&mut self, name: &Name, batch: Batch<'_>) {
        let time = batch.time;
        let (mut stage, mut nodes, mut for_watchers) = (Stage::Off, BTreeSet::new(), false);
        if let Some(group) = self.groups.get_mut(name) {
            stage = group.stage;
            if stage == Stage::Live {
                nodes.clone_from(&group.nodes);
            }
            for_watchers = stage != Stage::Positioning && group.cover.covers(time);
        }
        self.each_of(name, batch, |machine, publication| match stage {
            Stage::Positioning => machine.hold(name, publication, time),
            Stage::Live => {
                machine.see(name, &publication, time);
                machine.pass_on(&publication, &nodes, for_watchers);
            }
            Stage::Off => machine.pass_on(&publication, &nodes, for_watchers),
        });
        if stage == Stage::Off {
            self.judge_held(name);
        }
        self.is_late_no_more(name);
    }

    fn hold(&mut self, name: &Name, publication: Arc<Publication>, time: u64) {
        if let Some(group) = self.groups.get_mut(name) {
            group.held.push_back(Held { time, publication });
            if group.held.len() > MOST_HELD {
                group.held.pop_front();
            }
        }
    }

    /// Makes publications of the messages of a batch, each once for all recipients here.
    pub(super) fn each_of(
        &mut self,
        name: &Name,
        batch: Batch<'_>,
        mut each: impl FnMut(&mut Self, Arc<Publication>),
    ) {
        let mut position = batch.before;
        for message in batch {
            let message = match message {
                Ok(message) => message,
                Err(error) => return self.count(Err(error)),
            };
            self.metrics.received += 1;
            let unsaved = message
                .first()
                .is_some_and(|flags| flags & wire::UNSAVED != 0);
            position.offset += u64::from(!unsaved);
            match wire::decode(name, message) {
                Ok(draft) => {
                    let publication = self.publication(&draft, position, batch.time);
                    each(self, publication);
                }
                // Its number is missing now, and is reported.
                Err(error) => self.count(Err(error)),
            }
        }
    }

    /// Makes the message that members receive: framed and compressed here, because frames are not sent through Redis.
    pub(super) fn publication(
        &mut self,
        draft: &PublishRequest,
        position: Position,
        time: u64,
    ) -> Arc<Publication> {
        let time = self.local(time);
        let publication = draft.publication(&self.options, Some(position), time, self.windows);
        self.metrics.encodes += 1;
        self.metrics.deflates += u64::from(publication.deflates());
        Arc::new(publication)
    }

    fn see(&mut self, name: &Name, publication: &Publication, time: u64) {
        if !publication.unsaved
            && let Some(position) = publication.position
            && let Some(group) = self.groups.get_mut(name)
        {
            group.seen = Some(Mark { position, time });
        }
    }

    /// Passes a publication from the group's channel on to nodes, and to watchers with a matching filter if it is for them.
    fn pass_on(
        &mut self,
        publication: &Arc<Publication>,
        nodes: &BTreeSet<NodeId>,
        for_watchers: bool,
    ) {
        for node in nodes {
            let event = BackplaneEvent::Received(Arc::clone(publication));
            self.events.push_back((*node, event));
        }
        if for_watchers {
            self.tell_watchers(publication, nodes);
        }
    }

    /// Passes held messages on, in order.
    fn pass_held(&mut self, name: &Name, held: &Held, nodes: &BTreeSet<NodeId>) {
        let for_watchers = self.group(name).cover.covers(held.time);
        self.pass_on(&held.publication, nodes, for_watchers);
    }

    /// The missing messages have arrived.
    fn is_late_no_more(&mut self, name: &Name) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        let seen = group.seen.unwrap_or(NOWHERE);
        if let Some(late) = group.late.take_if(|late| late.stands.time <= seen.time) {
            self.due.remove(&(late.at, Due::Late(Arc::clone(name))));
            self.tell_position(name, &late.asked, seen.position);
        }
    }

    /// Passes changes of presence in any group on to the nodes that listen.
    fn presence_message(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let nobody: Name = Arc::from("");
        let Payload::Watched { group, payload } = wire::parse(&nobody, bytes)? else {
            return Err(WireError::Unknown);
        };
        let Payload::Presence(mut change) = wire::parse(&group, payload)? else {
            return Err(WireError::Unknown);
        };
        self.to_local(told(&mut change));
        let change = Arc::new(change);
        for (node, _) in self.nodes.iter().filter(|(_, node)| node.listens) {
            let event = BackplaneEvent::Changed(Arc::clone(&change));
            self.events.push_back((*node, event));
        }
        Ok(())
    }
}

/// Iterates over all users of a change.
fn told(change: &mut PresenceChange) -> impl Iterator<Item = &mut Present> {
    let lists = [&mut change.joined, &mut change.updated, &mut change.left];
    lists.into_iter().flatten()
}
