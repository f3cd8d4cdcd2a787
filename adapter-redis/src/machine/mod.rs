//! The link between the nodes of this process and Redis, as a state machine: commands of nodes, replies and time go in, requests and events
//! come out.
//! Knows no connection and no runtime; the driver sends its requests, and a simulation answers them from memory.
//!
//! - **Order.** The steps of a group are executed one after the other (`serial_queue.rs`), whatever connection carries them. All nodes see them in
//!   the order of Redis.
//! - **Positions.** A subscription starts with the group's position. Messages that arrive before it are held, so that a node never receives
//!   a message before the position (`group.rs`).
//! - **Filters.** Watchers receive each message once, from one of two channels (`watch.rs`).
//! - **Presence.** Each node has an incarnation, and a new one after each outage; the earlier one is cleared after the new one has announced its
//!   users (`incarnation.rs`).

mod channels;
mod gathering;
mod group;
mod incarnation;
mod metrics;
mod place_queue;
mod publish;
mod serial_queue;
mod stage;
mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use sansws_core::hub::{
    BackplaneCommand, BackplaneEvent, ChannelId, HubError, HubOptions, Instruction, NodeId,
    Present, Query, QueryResult, Target,
};
use sansws_core::internal::Filters;
use sansws_core::random::{Jitter, Seed};
use sansws_core::time::{Duration, Instant};

pub use metrics::Metrics;

use crate::name::Name;
use crate::request::{Channel, Failure, Incarnation, Mark, Push, Reply, Request, RequestId};
use crate::wire;
use channels::Subscription;
use group::Group;
use incarnation::{Node, Sweep};
use place_queue::NodeOp;
use serial_queue::{Op, Reader, SerialQueue};

/// The time after which a refused request is retried.
const AGAIN: Duration = Duration::from_secs(1);

/// Number of waiting steps at which no more commands should be taken.
const CROWDED: usize = 8_192;

/// Number of waiting message bytes at which no more commands should be taken.
const CROWDED_BYTES: usize = 16 << 20;

/// Number of random bits in an epoch.
const CHANCE: u32 = 22;

/// The link of this process to Redis.
#[derive(Debug)]
pub struct Machine {
    options: Arc<HubOptions>,
    /// The source of epochs.
    epochs: Jitter,
    link: LinkState,
    nodes: BTreeMap<NodeId, Node>,
    groups: BTreeMap<Name, Group>,
    /// Steps for nodes of other processes.
    posts: BTreeMap<NodeId, SerialQueue<Vec<u8>>>,
    channels: BTreeMap<Channel, Subscription>,
    sweeps: BTreeMap<Incarnation, Sweep>,
    watchers: Watchers,
    windows: u16,
    traffic: Traffic,
    events: VecDeque<(NodeId, BackplaneEvent)>,
    due: BTreeSet<(Instant, Due)>,
    metrics: Metrics,
}

/// The connection to Redis, and its clock.
#[derive(Debug)]
struct LinkState {
    /// The time of the last call.
    now: Instant,
    is_up: bool,
    /// Since when it is connected.
    up_since: Instant,
    /// How far the clock of Redis is ahead of ours, in microseconds.
    skew: i128,
}

/// Filters that nodes of this process watch, and whether any node does.
#[derive(Debug)]
struct Watchers {
    filters: Filters<NodeId>,
    /// Whether any node watches filters, as far as known.
    watched: bool,
    /// Until this time, beats do not change that.
    watched_until: Instant,
}

/// Requests that wait or are in flight.
#[derive(Debug)]
struct Traffic {
    flights: BTreeMap<RequestId, InFlight>,
    requests: VecDeque<(RequestId, Request)>,
    next_id: RequestId,
    /// Number of steps that wait or are in flight.
    steps: usize,
    /// Number of message bytes that wait or are in flight.
    bytes: usize,
}

/// A request in flight.
#[derive(Debug)]
enum InFlight {
    Subscription(Channel, bool),
    Group(Name, Op, Vec<(NodeId, sansws_core::hub::Token)>),
    Node(NodeId, Incarnation, NodeOp),
    /// Payloads for a node: their number, and their length.
    Post(NodeId, usize, usize),
    Control,
    Sweep(Incarnation),
    Swept(Incarnation),
}

/// Something to check when its time has come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Channel(Channel),
    Group(Name),
    Node(Incarnation),
    /// Messages that should have arrived.
    Late(Name),
    /// State that decides which of the two channels passes messages to watchers.
    Cover(Name),
    Sweep(Incarnation),
}

impl Machine {
    /// Creates a machine without a connection. The seed must be fresh entropy: epochs are drawn from it.
    pub fn new(options: Arc<HubOptions>, seed: &Seed) -> Self {
        Self {
            options,
            epochs: seed.jitter(),
            link: LinkState {
                now: Instant::ZERO,
                is_up: false,
                up_since: Instant::ZERO,
                skew: 0,
            },
            nodes: BTreeMap::new(),
            groups: BTreeMap::new(),
            posts: BTreeMap::new(),
            channels: BTreeMap::new(),
            sweeps: BTreeMap::new(),
            watchers: Watchers {
                filters: Filters::default(),
                watched: true,
                watched_until: Instant::ZERO,
            },
            windows: 0,
            traffic: Traffic {
                flights: BTreeMap::new(),
                requests: VecDeque::new(),
                next_id: 0,
                steps: 0,
                bytes: 0,
            },
            events: VecDeque::new(),
            due: BTreeSet::new(),
            metrics: Metrics::default(),
        }
    }

    /// Returns its counters.
    pub const fn metrics(&self) -> Metrics {
        self.metrics
    }

    /// Returns whether no more commands should be taken until some of the waiting steps are done.
    pub const fn is_crowded(&self) -> bool {
        self.traffic.steps >= CROWDED || self.traffic.bytes >= CROWDED_BYTES
    }

    /// Returns whether nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.traffic.flights.is_empty() && self.traffic.steps == 0 && self.sweeps.is_empty()
    }

    /// Returns the next request, and the id with which to return its reply.
    pub fn poll_request(&mut self) -> Option<(RequestId, Request)> {
        self.traffic.requests.pop_front()
    }

    /// Returns the next event for any node.
    pub fn poll_event(&mut self) -> Option<(NodeId, BackplaneEvent)> {
        self.events.pop_front()
    }

    /// Returns the next event, if it is for this node.
    pub fn poll_event_of(&mut self, node: NodeId) -> Option<BackplaneEvent> {
        let (to, _) = self.events.front()?;
        if *to != node {
            return None;
        }
        let (_, event) = self.events.pop_front()?;
        Some(event)
    }

    /// Returns when [`tick`](Self::tick) is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        self.link.now = now;
        while let Some((at, _)) = self.due.first()
            && *at <= now
            && let Some((_, due)) = self.due.pop_first()
        {
            match due {
                Due::Channel(channel) => self.pump_channel(&channel),
                Due::Group(name) => self.try_again(&name),
                Due::Node(incarnation) => self.resume_node(incarnation),
                Due::Late(name) => self.late(&name),
                Due::Cover(name) => self.forget_cover(now, &name),
                Due::Sweep(incarnation) => {
                    self.sweeps.remove(&incarnation);
                    self.begin_sweep(incarnation);
                }
            }
        }
    }

    /// A new connection is there, without subscriptions; requests over an earlier one are void. `server_time` is the time by the clock
    /// of Redis, in microseconds. The caller, which carries the events, now sends [`BackplaneEvent::Up`] to the nodes.
    pub fn connected(&mut self, now: Instant, server_time: u64) {
        self.disconnected(now);
        self.link.now = now;
        self.link.is_up = true;
        self.link.up_since = now;
        self.metrics.connects += 1;
        self.set_clock(now, server_time);
        self.watchers.watched = true;
        self.want(&Channel::Control, true);
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in ids {
            self.take_another_seat(id);
            self.want(&Channel::Node(id), true);
        }
    }

    /// The connection is lost. The caller, which carries the events, sends [`BackplaneEvent::Down`] to the nodes.
    pub fn disconnected(&mut self, now: Instant) {
        if !core::mem::replace(&mut self.link.is_up, false) {
            return;
        }
        self.metrics.disconnects += 1;
        self.metrics.uncertain += self.unanswered(|_| true) as u64;
        self.traffic.flights.clear();
        self.traffic.requests.clear();
        self.events.clear();
        self.due.clear();
        self.channels.clear();
        self.posts.clear();
        self.sweeps.clear();
        (self.traffic.steps, self.traffic.bytes) = (0, 0);
        self.forget_wants(now);
    }

    /// Takes a command of a node. Without a connection it is dropped: the node repeats what matters once there is one.
    pub fn command(&mut self, now: Instant, from: NodeId, command: BackplaneCommand) {
        self.link.now = now;
        if !self.link.is_up {
            if matches!(command, BackplaneCommand::Goodbye) {
                // Other nodes clear it when its lease has ended.
                self.nodes.remove(&from);
            }
            return;
        }
        self.nodes.entry(from).or_default();
        self.want(&Channel::Node(from), true);
        match command {
            BackplaneCommand::Windows(windows) => self.set_windows(from, windows),
            BackplaneCommand::Subscribe { group, token } => self.subscribe(from, &group, token),
            BackplaneCommand::Unsubscribe(group) => self.unsubscribe(from, &group),
            BackplaneCommand::Watch(filter) => self.watch(now, from, filter),
            BackplaneCommand::Unwatch(filter) => self.unwatch(from, &filter),
            BackplaneCommand::Publish { token, draft } => self.publish(from, token, &draft),
            BackplaneCommand::Read {
                group,
                token,
                since,
            } => {
                let reader = Reader {
                    node: from,
                    token,
                    since,
                };
                let readers = vec![reader];
                let op = Op::Read { since, readers };
                self.read(from, &group, op);
            }
            BackplaneCommand::Ask { token, question } => match question {
                Query::History(query) => {
                    let group = Name::clone(&query.group);
                    let op = Op::History {
                        node: from,
                        token,
                        query,
                    };
                    self.read(from, &group, op);
                }
                Query::Presence(group) => {
                    self.read(from, &group, Op::Presence(vec![(from, token)]));
                }
                Query::RemoveHistory(group) => {
                    self.read(from, &group, Op::RemoveHistory { node: from, token });
                }
                // A query of a later core.
                _ => self.fail(from, token),
            },
            BackplaneCommand::Enter { group, users } => self.enter(from, &group, users),
            BackplaneCommand::Exit { group, users } => self.exit(from, &group, users),
            BackplaneCommand::Here(groups) => self.here(from, groups),
            BackplaneCommand::Direct { to, message } => {
                if self.nodes.contains_key(&to.node) {
                    self.events
                        .push_back((to.node, BackplaneEvent::Direct { to, message }));
                } else {
                    self.post(to.node, wire::direct(to, &message));
                }
            }
            BackplaneCommand::Close {
                group,
                code,
                reason,
            } => self.push_op(&group, Op::Send(wire::close(code, &reason))),
            BackplaneCommand::CloseChannel {
                channel,
                code,
                reason,
            } => {
                if self.nodes.contains_key(&channel.node) {
                    let event = BackplaneEvent::CloseChannel {
                        channel,
                        code,
                        reason,
                    };
                    self.events.push_back((channel.node, event));
                } else {
                    self.post(channel.node, wire::close_channel(channel, code, &reason));
                }
            }
            BackplaneCommand::Instruct {
                target,
                instruction,
            } => self.instruct(target, instruction),
            BackplaneCommand::Listen(listens) => self.listen(from, listens),
            BackplaneCommand::Beat => self.beat(from),
            BackplaneCommand::Goodbye => self.goodbye(from),
            // An unknown command of a later core.
            _ => {}
        }
    }

    fn fail(&mut self, node: NodeId, token: sansws_core::hub::Token) {
        let error = HubError::Refused;
        self.events
            .push_back((node, BackplaneEvent::Failed { token, error }));
    }

    /// Takes the reply to a request. Replies over an earlier connection are ignored.
    pub fn reply(&mut self, now: Instant, id: RequestId, result: Result<Reply, Failure>) {
        self.link.now = now;
        let Some(flight) = self.traffic.flights.remove(&id) else {
            return;
        };
        self.metrics.refused += u64::from(result.is_err());
        match flight {
            InFlight::Subscription(channel, on) => match result {
                Ok(_) => self.settled(now, &channel, on),
                Err(_) => self.refused(now, &channel),
            },
            InFlight::Group(name, op, tokens) => self.group_reply(now, &name, op, tokens, result),
            InFlight::Node(id, incarnation, op) => {
                self.node_reply(now, id, incarnation, op, result)
            }
            InFlight::Post(id, count, bytes) => {
                self.traffic.steps -= count;
                self.traffic.bytes -= bytes;
                if let Some(lane) = self.posts.get_mut(&id) {
                    lane.busy = false;
                }
                self.pump_post(id);
            }
            InFlight::Control => {}
            InFlight::Sweep(incarnation) => match result {
                Ok(Reply::Groups(groups)) => self.sweep(incarnation, groups),
                _ => {
                    self.due.insert((now + AGAIN, Due::Sweep(incarnation)));
                }
            },
            InFlight::Swept(incarnation) => drop(self.sweeps.remove(&incarnation)),
        }
    }

    /// Takes a push of Redis. Pushes that precede a reply are to be passed before it.
    pub fn push(&mut self, now: Instant, push: Push) {
        self.link.now = now;
        if !self.link.is_up {
            return;
        }
        match push {
            Push::Subscribed(channel) => self.started(&channel),
            Push::Unsubscribed(channel) => self.stopped(now, &channel),
            Push::Message(channel, payload) => self.message(now, &channel, &payload),
        }
    }

    fn set_clock(&mut self, now: Instant, server_time: u64) {
        self.link.skew = i128::from(server_time) - i128::from(now.as_micros());
    }

    /// Converts a time of Redis to our clock.
    fn local(&self, server_time: u64) -> Instant {
        let micros = (i128::from(server_time) - self.link.skew).max(0);
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// Converts when metadata were set, of users that Redis told, to our clock.
    fn to_local<'a>(&self, users: impl IntoIterator<Item = &'a mut Present>) {
        for present in users {
            present.said = self.local(present.said.as_micros());
        }
    }

    /// Returns users as Redis is told of them. The clocks of nodes may be hours apart, and the later metadata win: they were set by the clock
    /// of Redis.
    fn of_redis(&self, users: &[Present]) -> Vec<Present> {
        let convert = |present: &Present| Present {
            said: self.server_time(present.said),
            ..present.clone()
        };
        users.iter().map(convert).collect()
    }

    /// Converts a time of ours to the clock of Redis.
    fn server_time(&self, ours: Instant) -> Instant {
        let micros = i128::from(ours.as_micros()) + self.link.skew;
        Instant::from_micros(u64::try_from(micros.max(0)).unwrap_or(u64::MAX))
    }

    /// Returns an instruction as other nodes are told of it: its time is by the clock of Redis.
    fn for_others(&self, instruction: Instruction) -> Instruction {
        match instruction {
            Instruction::SetExpiry(Some(at)) => Instruction::SetExpiry(Some(self.server_time(at))),
            other => other,
        }
    }

    /// Returns an instruction of another node, whose time is by the clock of Redis, as nodes here are told of it.
    fn of_others(&self, instruction: Instruction) -> Instruction {
        match instruction {
            Instruction::SetExpiry(Some(at)) => {
                Instruction::SetExpiry(Some(self.local(at.as_micros())))
            }
            other => other,
        }
    }

    /// Returns a new epoch, higher than all that were drawn earlier: milliseconds by the clock of Redis, then random bits.
    fn fresh(&mut self) -> u64 {
        let chance = Duration::from_micros((1 << CHANCE) - 1);
        let drawn = self.epochs.between(Duration::from_micros(1), chance);
        let drawn = u64::try_from(drawn.as_micros()).unwrap_or(1);
        let micros = i128::from(self.link.now.as_micros()) + self.link.skew;
        let millis = u64::try_from(micros / 1_000).unwrap_or(0);
        (millis << CHANCE) | drawn
    }

    fn request(&mut self, request: Request, flight: InFlight) {
        self.traffic.next_id += 1;
        self.metrics.requests += 1;
        self.traffic.flights.insert(self.traffic.next_id, flight);
        self.traffic
            .requests
            .push_back((self.traffic.next_id, request));
    }

    /// Sends a payload to a node of another process, after those sent there before.
    fn post(&mut self, to: NodeId, payload: Vec<u8>) {
        self.traffic.steps += 1;
        self.traffic.bytes += payload.len();
        self.posts.entry(to).or_default().queue.push_back(payload);
        self.pump_post(to);
    }

    fn pump_post(&mut self, to: NodeId) {
        let Some(lane) = self.posts.get_mut(&to) else {
            return;
        };
        let payloads = lane.next_payloads();
        if !payloads.is_empty() {
            let bytes = payloads.iter().map(Vec::len).sum();
            let flight = InFlight::Post(to, payloads.len(), bytes);
            let payload = wire::several(payloads);
            let channel = Channel::Node(to);
            self.request(Request::Send { channel, payload }, flight);
        } else if lane.is_idle() {
            self.posts.remove(&to);
        }
    }

    fn instruct(&mut self, target: Target, instruction: Instruction) {
        let id = match target {
            Target::User(group) => {
                let payload = wire::instruct(&self.for_others(instruction));
                return self.push_op(&group, Op::Send(payload));
            }
            Target::Channel(id) => id,
        };
        if self.nodes.contains_key(&id.node) {
            let event = BackplaneEvent::Instruct {
                target: Target::Channel(id),
                instruction,
            };
            self.events.push_back((id.node, event));
        } else {
            let instruction = self.for_others(instruction);
            self.post(id.node, wire::instruct_channel(id, &instruction));
        }
    }

    /// Delivers to a channel of a node of this process.
    fn of_node(node: NodeId, slot: u32, generation: u32) -> ChannelId {
        ChannelId::from_parts(node, slot, generation)
    }

    fn answer(&mut self, node: NodeId, token: sansws_core::hub::Token, answer: QueryResult) {
        self.events
            .push_back((node, BackplaneEvent::Answer { token, answer }));
    }
}

/// The reply when nothing is known.
const NOWHERE: Mark = Mark {
    position: sansws_core::hub::Position {
        epoch: 0,
        offset: 0,
    },
    time: 0,
};
