//! The link between the nodes of this process and Redis, as a state machine: commands of nodes, replies and time go in, requests and
//! events come out.
//! Knows no connection and no runtime; the driver carries its requests, a simulation answers them from memory.
//!
//! - **Order.** What is to be done about a group is done one step after the other (`lane.rs`), whatever connection carries it. All
//!   nodes hear of it in the order of Redis.
//! - **Positions.** A subscription begins with the group's position, and what arrives meanwhile is held until that is known, so
//!   that a node never hears of a message before it knows where it stands (`group.rs`).
//! - **Filters.** Watchers receive each message once, from one of two channels (`watch.rs`).
//! - **Presence.** Each node has a seat, and another after each outage; what was said by an earlier one is cleared away after the
//!   new one has said who is there (`seat.rs`).

mod channels;
mod group;
mod lane;
mod metrics;
mod publish;
mod seat;
mod stage;
mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use sansws_core::hub::{
    ChannelId, Command, Event, Filters, HubError, HubOptions, Instruction, NodeId, Query,
    QueryResult, Target,
};
use sansws_core::random::{Jitter, Seed};
use sansws_core::time::{Duration, Instant};

pub use metrics::Metrics;

use crate::name::Name;
use crate::request::{Channel, Failure, Mark, Push, Reply, Request, RequestId, Seat};
use crate::wire;
use channels::Subscription;
use group::Group;
use lane::{Lane, NodeOp, Op};
use seat::{Node, Sweep};

/// After which time what Redis refused is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Steps that may wait before no more commands should be taken.
const CROWDED: usize = 8_192;

/// Octets of messages that may wait before no more commands should be taken.
const CROWDED_OCTETS: usize = 16 << 20;

/// Bits of an epoch that are left to chance.
const CHANCE: u32 = 22;

/// The link of this process to Redis.
#[derive(Debug)]
pub struct Machine {
    options: Arc<HubOptions>,
    /// Epochs are drawn from it.
    epochs: Jitter,
    /// What time it was when it was called last.
    now: Instant,
    is_up: bool,
    /// Since when.
    up_since: Instant,
    /// How far the clock of Redis is ahead of ours, in microseconds.
    skew: i128,
    nodes: BTreeMap<NodeId, Node>,
    groups: BTreeMap<Name, Group>,
    /// Steps for nodes of other processes.
    posts: BTreeMap<NodeId, Lane<Vec<u8>>>,
    filters: Filters<NodeId>,
    channels: BTreeMap<Channel, Subscription>,
    sweeps: BTreeMap<Seat, Sweep>,
    /// Some node watches filters, as far as known.
    watched: bool,
    /// Until then that holds whatever a beat says.
    watched_until: Instant,
    windows: u16,
    flights: BTreeMap<RequestId, Flight>,
    requests: VecDeque<(RequestId, Request)>,
    events: VecDeque<(NodeId, Event)>,
    due: BTreeSet<(Instant, Due)>,
    next_id: RequestId,
    /// Steps that wait or are on their way.
    steps: usize,
    /// Octets of messages that wait or are on their way.
    octets: usize,
    metrics: Metrics,
}

/// A request that is on its way.
#[derive(Debug)]
enum Flight {
    Subscription(Channel, bool),
    Group(Name, Op, Vec<(NodeId, sansws_core::hub::Token)>),
    Node(NodeId, Seat, NodeOp),
    Post(NodeId, usize),
    Control,
    Sweep(Seat),
    Swept(Seat),
}

/// What is to be looked at when its time has come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Channel(Channel),
    Group(Name),
    Node(NodeId),
    /// Messages that should have arrived.
    Late(Name),
    /// State that decides which of the two channels passes messages to watchers.
    Cover(Name),
    Sweep(Seat),
}

impl Machine {
    /// A machine without a connection. The seed must be fresh entropy: epochs are drawn from it.
    pub fn new(options: Arc<HubOptions>, seed: &Seed) -> Self {
        Self {
            options,
            epochs: seed.jitter(),
            now: Instant::ZERO,
            is_up: false,
            up_since: Instant::ZERO,
            skew: 0,
            nodes: BTreeMap::new(),
            groups: BTreeMap::new(),
            posts: BTreeMap::new(),
            filters: Filters::default(),
            channels: BTreeMap::new(),
            sweeps: BTreeMap::new(),
            watched: true,
            watched_until: Instant::ZERO,
            windows: 0,
            flights: BTreeMap::new(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
            due: BTreeSet::new(),
            next_id: 0,
            steps: 0,
            octets: 0,
            metrics: Metrics::default(),
        }
    }

    /// What it has done.
    pub const fn metrics(&self) -> Metrics {
        self.metrics
    }

    /// Whether no more commands should be taken before some of what waits is done.
    pub const fn is_crowded(&self) -> bool {
        self.steps >= CROWDED || self.octets >= CROWDED_OCTETS
    }

    /// Whether nothing waits and nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.steps == 0 && self.sweeps.is_empty()
    }

    /// The next request, and by which id its reply is to be given back.
    pub fn poll_request(&mut self) -> Option<(RequestId, Request)> {
        self.requests.pop_front()
    }

    /// The next thing that a node is to be told.
    pub fn poll_event(&mut self) -> Option<(NodeId, Event)> {
        self.events.pop_front()
    }

    /// The next thing that a node is to be told, if it is for this one.
    pub fn poll_event_of(&mut self, node: NodeId) -> Option<Event> {
        let (_, event) = self.events.pop_front_if(|(to, _)| *to == node)?;
        Some(event)
    }

    /// When [`tick`](Self::tick) is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        self.now = now;
        while let Some((at, _)) = self.due.first()
            && *at <= now
            && let Some((_, due)) = self.due.pop_first()
        {
            match due {
                Due::Channel(channel) => self.pump_channel(&channel),
                Due::Group(name) => {
                    if let Some(group) = self.groups.get_mut(&name) {
                        group.lane.busy = false;
                    }
                    self.pump_group(&name);
                }
                Due::Node(id) => {
                    if let Some(node) = self.nodes.get_mut(&id) {
                        node.lane.busy = false;
                    }
                    self.pump_node(id);
                }
                Due::Late(name) => self.late(&name),
                Due::Cover(name) => self.forget_cover(now, &name),
                Due::Sweep(seat) => {
                    self.sweeps.remove(&seat);
                    self.begin_sweep(seat);
                }
            }
        }
    }

    /// A fresh connection is there. Nothing is subscribed on it, and what was asked over an earlier one is void. `server_time` is what
    /// time it is by the clock of Redis, in microseconds. The nodes are to be told [`Event::Up`] now, by whoever carries the events.
    pub fn connected(&mut self, now: Instant, server_time: u64) {
        self.disconnected(now);
        self.now = now;
        self.is_up = true;
        self.up_since = now;
        self.metrics.connects += 1;
        self.set_clock(now, server_time);
        self.watched = true;
        self.want(&Channel::Control, true);
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in ids {
            self.take_another_seat(id);
            self.want(&Channel::Node(id), true);
        }
    }

    /// The connection is lost. The nodes are to be told [`Event::Down`], by whoever carries the events.
    pub fn disconnected(&mut self, now: Instant) {
        if !core::mem::replace(&mut self.is_up, false) {
            return;
        }
        self.metrics.disconnects += 1;
        let in_flight = self.flights.values().map(|flight| match flight {
            Flight::Group(_, Op::Publish(batch), _) => batch.of.len(),
            _ => 0,
        });
        let on_their_way: usize = in_flight.sum();
        self.flights.clear();
        self.requests.clear();
        self.events.clear();
        self.due.clear();
        self.channels.clear();
        self.posts.clear();
        self.sweeps.clear();
        (self.steps, self.octets) = (0, 0);
        let waiting = self.forget_wants(now);
        self.metrics.uncertain += (on_their_way + waiting) as u64;
    }

    /// Takes what a node asks for. Without a connection that is forgotten: the node says what counts again when there is one.
    pub fn command(&mut self, now: Instant, from: NodeId, command: Command) {
        self.now = now;
        if !self.is_up {
            if matches!(command, Command::Goodbye) {
                // Others clear it away when its lease has ended.
                self.nodes.remove(&from);
            }
            return;
        }
        self.nodes.entry(from).or_default();
        self.want(&Channel::Node(from), true);
        match command {
            Command::Windows(windows) => self.set_windows(from, windows),
            Command::Subscribe { group, token } => self.subscribe(from, &group, token),
            Command::Unsubscribe(group) => self.unsubscribe(from, &group),
            Command::Watch(filter) => self.watch(now, from, filter),
            Command::Unwatch(filter) => self.unwatch(from, &filter),
            Command::Publish { token, draft } => self.publish(from, token, &draft),
            Command::Read {
                group,
                token,
                since,
            } => {
                let op = Op::Read {
                    node: from,
                    token,
                    since,
                };
                self.read(from, &group, op);
            }
            Command::Ask { token, question } => match question {
                Query::History(group, limit) => {
                    let op = Op::History {
                        node: from,
                        token,
                        limit,
                    };
                    self.read(from, &group, op);
                }
                Query::Presence(group) => {
                    self.read(from, &group, Op::Presence { node: from, token });
                }
                // A question of a later core.
                _ => self.fail(from, token),
            },
            Command::Enter { group, users } => self.enter(from, &group, users),
            Command::Exit { group, users } => self.exit(from, &group, users),
            Command::Here(groups) => self.here(from, groups),
            Command::Direct { to, message } => {
                if self.nodes.contains_key(&to.node) {
                    self.events
                        .push_back((to.node, Event::Direct { to, message }));
                } else {
                    self.post(to.node, wire::direct(to, &message));
                }
            }
            Command::Close {
                group,
                code,
                reason,
            } => self.push_op(&group, Op::Send(wire::close(code, &reason))),
            Command::CloseChannel {
                channel,
                code,
                reason,
            } => {
                if self.nodes.contains_key(&channel.node) {
                    let event = Event::CloseChannel {
                        channel,
                        code,
                        reason,
                    };
                    self.events.push_back((channel.node, event));
                } else {
                    self.post(channel.node, wire::close_channel(channel, code, &reason));
                }
            }
            Command::Instruct {
                target,
                instruction,
            } => self.instruct(target, instruction),
            Command::Listen(listens) => self.listen(from, listens),
            Command::Beat => self.beat(from),
            Command::Goodbye => self.goodbye(from),
            // A command of a later core: nothing is known of it.
            _ => {}
        }
    }

    fn fail(&mut self, node: NodeId, token: sansws_core::hub::Token) {
        let error = HubError::Refused;
        self.events
            .push_back((node, Event::Failed { token, error }));
    }

    /// Takes what a request was answered. Replies over an earlier connection are ignored.
    pub fn reply(&mut self, now: Instant, id: RequestId, result: Result<Reply, Failure>) {
        self.now = now;
        let Some(flight) = self.flights.remove(&id) else {
            return;
        };
        self.metrics.refused += u64::from(result.is_err());
        match flight {
            Flight::Subscription(channel, on) => match result {
                Ok(_) => self.settled(now, &channel, on),
                Err(_) => self.refused(now, &channel),
            },
            Flight::Group(name, op, tokens) => self.group_reply(now, &name, op, tokens, result),
            Flight::Node(id, seat, op) => self.node_reply(now, id, seat, op, result),
            Flight::Post(id, octets) => {
                self.steps -= 1;
                self.octets -= octets;
                if let Some(lane) = self.posts.get_mut(&id) {
                    lane.busy = false;
                }
                self.pump_post(id);
            }
            Flight::Control => {}
            Flight::Sweep(seat) => match result {
                Ok(Reply::Groups(groups)) => self.sweep(seat, groups),
                _ => {
                    self.due.insert((now + AGAIN, Due::Sweep(seat)));
                }
            },
            Flight::Swept(seat) => drop(self.sweeps.remove(&seat)),
        }
    }

    /// Takes what Redis says by itself. What came before a reply is to be given before it.
    pub fn push(&mut self, now: Instant, push: Push) {
        self.now = now;
        if !self.is_up {
            return;
        }
        match push {
            Push::Subscribed(channel) => self.begun(&channel),
            Push::Unsubscribed(channel) => self.ended(now, &channel),
            Push::Message(channel, payload) => self.message(now, &channel, &payload),
        }
    }

    fn set_clock(&mut self, now: Instant, server_time: u64) {
        self.skew = i128::from(server_time) - i128::from(now.as_micros());
    }

    /// A moment of Redis by our clock.
    fn local(&self, server_time: u64) -> Instant {
        let micros = (i128::from(server_time) - self.skew).max(0);
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// An epoch that was not drawn before, and is beyond those that were drawn earlier: milliseconds by the clock of Redis, then chance.
    fn fresh(&mut self) -> u64 {
        let chance = Duration::from_micros((1 << CHANCE) - 1);
        let drawn = self.epochs.between(Duration::from_micros(1), chance);
        let drawn = u64::try_from(drawn.as_micros()).unwrap_or(1);
        let micros = i128::from(self.now.as_micros()) + self.skew;
        let millis = u64::try_from(micros / 1_000).unwrap_or(0);
        (millis << CHANCE) | drawn
    }

    fn request(&mut self, request: Request, flight: Flight) {
        self.next_id += 1;
        self.metrics.requests += 1;
        self.flights.insert(self.next_id, flight);
        self.requests.push_back((self.next_id, request));
    }

    /// Sends a payload to a node of another process, behind what was sent there before.
    fn post(&mut self, to: NodeId, payload: Vec<u8>) {
        self.steps += 1;
        self.octets += payload.len();
        self.posts.entry(to).or_default().queue.push_back(payload);
        self.pump_post(to);
    }

    fn pump_post(&mut self, to: NodeId) {
        let Some(lane) = self.posts.get_mut(&to) else {
            return;
        };
        if let Some(payload) = lane.next() {
            let octets = payload.len();
            let channel = Channel::Node(to);
            self.request(Request::Send { channel, payload }, Flight::Post(to, octets));
        } else if lane.is_idle() {
            self.posts.remove(&to);
        }
    }

    fn instruct(&mut self, target: Target, instruction: Instruction) {
        let id = match target {
            Target::User(group) => {
                return self.push_op(&group, Op::Send(wire::instruct(&instruction)));
            }
            Target::Channel(id) => id,
        };
        if self.nodes.contains_key(&id.node) {
            let event = Event::Instruct {
                target: Target::Channel(id),
                instruction,
            };
            self.events.push_back((id.node, event));
        } else {
            self.post(id.node, wire::instruct_channel(id, &instruction));
        }
    }

    /// A node of this process of which a channel is told something.
    fn of_node(node: NodeId, slot: u32, generation: u32) -> ChannelId {
        ChannelId::from_parts(node, slot, generation)
    }

    fn answer(&mut self, node: NodeId, token: sansws_core::hub::Token, answer: QueryResult) {
        self.events
            .push_back((node, Event::Answer { token, answer }));
    }
}

/// Where nothing is known.
const NOWHERE: Mark = Mark {
    position: sansws_core::hub::Position {
        epoch: 0,
        offset: 0,
    },
    time: 0,
};
