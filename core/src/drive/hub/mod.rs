//! The hub of a process: a handle that anybody may use from anywhere, and the nodes behind it.
//! No RFC; what it means is decided by `crate::hub`.
//! Knows locks and wakers; no runtime: an adapter brings time, entropy and a way to sleep.
//!
//! Each node has its own lock, which is held for one operation of its state machine, and never while another is waited for.
//! Commands of a node reach the broker in their order, since they lie in the node's outbox until the broker's lock is held; events
//! reach a node in their order, since they lie in its inbox until the node's lock is held. Wakers are woken when no lock is held.

mod bell;
mod driver;
mod events;
mod mailbox;
mod node;
mod publish;
mod socket;
mod subscription;

pub use driver::{OnThisThread, both, drive_hubs, hubs_on_this_thread};
pub use events::Events;
pub(super) use mailbox::{Post, Pulled};
pub use publish::Publish;
pub use subscription::Subscription;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use crate::close::CloseCode;
use crate::hub::{
    Broker, BrokerCounters, ChannelId, Filter, HubError, HubOptions, NodeId, Open, Position,
    Presence, Publication, Sent, Snapshot,
};
use crate::message::Prepared;
use crate::random::Seed;
use crate::time::Instant;

use events::Listeners;
use node::{Node, Wakes};
use publish::By;

/// What a hub cannot know by itself.
pub trait Outside {
    /// What time it is, since the Unix epoch, or since any other where that is not known. It never goes back.
    fn now() -> Instant;

    /// Fresh entropy.
    fn seed() -> Seed;
}

/// Channels, groups, history and presence of a process. Clones are the same hub; any thread may use it, in handlers and outside.
///
/// Give it to a router ([`Router::hub`](crate::app::Router::hub)), and its connections can
/// [`join`](super::WebSocket::join) groups. A server that it was given to keeps its time; without one, run
/// [`drive_hubs`] beside your work.
///
/// What happens when something is published, who receives what, and all bounds: [`crate::hub`].
pub struct Hub<O> {
    inner: Arc<Inner>,
    outside: PhantomData<fn() -> O>,
}

impl<O> Clone for Hub<O> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            outside: PhantomData,
        }
    }
}

impl<O> fmt::Debug for Hub<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

/// A hub, whatever its time and entropy come from.
#[derive(Clone)]
pub struct HubRef(pub(super) Arc<Inner>);

impl HubRef {
    /// Whether both are one hub.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(feature = "test-kit")]
impl HubRef {
    /// From now on its time is that of a clock, of the first that was given.
    pub(crate) fn use_clock(&self, clock: impl Fn() -> Instant + Send + Sync + 'static) {
        let _ = self.0.clock.set(alloc::boxed::Box::new(clock));
    }
}

impl fmt::Debug for HubRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubRef").finish_non_exhaustive()
    }
}

impl<O> From<Hub<O>> for HubRef {
    fn from(hub: Hub<O>) -> Self {
        Self(hub.inner)
    }
}

impl<O> From<&Hub<O>> for HubRef {
    fn from(hub: &Hub<O>) -> Self {
        Self(Arc::clone(&hub.inner))
    }
}

/// What a hub has done and holds, all nodes of the process together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubMetrics {
    /// Nodes of the process.
    pub nodes: usize,
    /// What they have done.
    pub hub: Snapshot,
    /// What links them.
    pub broker: BrokerCounters,
    /// Octets that all histories hold.
    pub history_octets: usize,
}

impl HubMetrics {
    /// As text for Prometheus (exposition format 0.0.4).
    pub fn to_prometheus(&self) -> String {
        let mut out = self.hub.to_prometheus();
        self.broker.write("broker", "counter", "_total", &mut out);
        let gauge = |out: &mut String, name: &str, help: &str, value: usize| {
            use core::fmt::Write;
            let _ = writeln!(
                out,
                "# HELP sansws_hub_{name} {help}\n# TYPE sansws_hub_{name} gauge\nsansws_hub_{name} {value}"
            );
        };
        gauge(&mut out, "nodes", "Nodes of the process.", self.nodes);
        gauge(
            &mut out,
            "history_octets",
            "Octets that all histories hold.",
            self.history_octets,
        );
        out
    }
}

/// A clock in the place of [`Outside::now`].
#[cfg(feature = "test-kit")]
type Clock = dyn Fn() -> Instant + Send + Sync;

pub(crate) struct Inner {
    now: fn() -> Instant,
    seed: fn() -> Seed,
    options: Arc<HubOptions>,
    broker: Mutex<Broker>,
    /// At least one.
    nodes: RwLock<Vec<Arc<Node>>>,
    listeners: Listeners,
    /// Time is virtual.
    #[cfg(feature = "test-kit")]
    clock: std::sync::OnceLock<alloc::boxed::Box<Clock>>,
}

impl<O: Outside> Default for Hub<O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<O: Outside> Hub<O> {
    /// A hub with default options.
    pub fn new() -> Self {
        Self::with_options(HubOptions::default())
    }

    /// A hub that behaves as told.
    pub fn with_options(options: HubOptions) -> Self {
        let options = Arc::new(options);
        let [epoch, node] = draw(O::seed());
        let node = Node::new(NodeId(node), Arc::clone(&options));
        let inner = Inner {
            now: O::now,
            seed: O::seed,
            broker: Mutex::new(Broker::new(Arc::clone(&options), epoch)),
            options,
            nodes: RwLock::new(alloc::vec![Arc::new(node)]),
            listeners: Listeners::default(),
            #[cfg(feature = "test-kit")]
            clock: std::sync::OnceLock::new(),
        };
        Self {
            inner: Arc::new(inner),
            outside: PhantomData,
        }
    }
}

impl<O> Hub<O> {
    /// Publishes a message to a group. Nothing happens before it is awaited, or [`now`](Publish::now) is called.
    pub fn publish(&self, group: impl Into<String>, message: impl Into<Prepared>) -> Publish {
        Publish::new(Ok(By::nobody(&self.inner)), group.into(), message.into())
    }

    /// Publishes a value as JSON, in a text message.
    #[cfg(feature = "json")]
    pub fn publish_json<V: serde::Serialize + ?Sized>(
        &self,
        group: impl Into<String>,
        value: &V,
    ) -> Publish {
        Publish::json(Ok(By::nobody(&self.inner)), group.into(), value)
    }

    /// Sends a message to one channel, on any node; the cost does not depend on how many there are.
    ///
    /// # Errors
    /// [`HubError::TooLong`], [`HubError::Down`].
    pub fn send_to(&self, to: ChannelId, message: impl Into<Prepared>) -> Result<Sent, HubError> {
        let node = self.inner.node_of(to);
        let message = message.into();
        self.inner
            .with(&node, |state, now| state.hub.send_to(now, to, message))
    }

    /// Sends a message to all channels of a user, on all nodes.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::TooLong`], [`HubError::Down`].
    pub fn send_to_user(&self, user: &str, message: impl Into<Prepared>) -> Result<(), HubError> {
        let message = message.into();
        self.inner
            .here(|state, now| state.hub.send_to_user(now, user, message).map(|_: Sent| ()))
    }

    /// Closes all connections in a group, on all nodes. What waits for them reaches them first.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::Down`].
    pub fn close_all(&self, group: &str, code: CloseCode, reason: &str) -> Result<(), HubError> {
        self.inner
            .here(|state, _| state.hub.close_all(group, code, reason))
    }

    /// Closes all connections of a user, on all nodes.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::Down`].
    pub fn close_user(&self, user: &str, code: CloseCode, reason: &str) -> Result<(), HubError> {
        self.inner
            .here(|state, _| state.hub.close_user(user, code, reason))
    }

    /// Closes one connection, on any node. Whether it is not known to be gone.
    pub fn close(&self, id: ChannelId, code: CloseCode, reason: &str) -> bool {
        let node = self.inner.node_of(id);
        self.inner
            .with(&node, |state, now| state.hub.close(now, id, code, reason))
    }

    /// The members of a group on this process, in no particular order.
    pub fn members(&self, group: &str) -> Vec<ChannelId> {
        self.inner.gather(|state| state.hub.members(group))
    }

    /// How many members a group has on this process.
    pub fn count(&self, group: &str) -> usize {
        let nodes = self.inner.all_nodes();
        nodes.iter().map(|node| node.state().hub.count(group)).sum()
    }

    /// The groups with members on this process, in order.
    pub fn groups(&self) -> Vec<Arc<str>> {
        let mut all: Vec<Arc<str>> = self
            .inner
            .gather(|state| state.hub.groups().cloned().collect());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The groups that a channel of this process is in.
    pub fn groups_of(&self, id: ChannelId) -> Vec<Arc<str>> {
        self.inner.node_of(id).state().hub.groups_of(id)
    }

    /// The newest messages of a group that are kept, at most `limit`, the oldest first.
    pub fn history(&self, group: &str, limit: usize) -> Vec<Arc<Publication>> {
        self.inner.broker().history(self.inner.now(), group, limit)
    }

    /// Where a group stands; `None` when nothing is known of it.
    pub fn position(&self, group: &str) -> Option<Position> {
        self.inner.broker().position(group)
    }

    /// Who is in a group, on all nodes.
    pub fn presence(&self, group: &str) -> Presence {
        self.inner.broker().presence(group)
    }

    /// Receives what is published to all groups that a filter matches, beside any connection.
    ///
    /// # Errors
    /// [`HubError::Full`], [`HubError::Draining`].
    pub fn subscribe(&self, filter: Filter) -> Result<Subscription, HubError> {
        Subscription::new(&self.inner, filter)
    }

    /// What happens on the nodes of this process, from now on.
    pub fn events(&self) -> Events {
        let events = self.inner.listeners.add();
        for node in self.inner.all_nodes() {
            node.state().hub.listen(true);
        }
        events
    }

    /// What it has done and holds.
    pub fn metrics(&self) -> HubMetrics {
        let nodes = self.inner.all_nodes();
        let mut metrics = HubMetrics {
            nodes: nodes.len(),
            ..HubMetrics::default()
        };
        for node in &nodes {
            metrics.hub.add(&node.state().hub.snapshot());
        }
        let broker = self.inner.broker();
        metrics.broker = broker.counters();
        metrics.history_octets = broker.history_octets();
        metrics
    }

    /// Lets nobody join any more: the process is about to end. That its users are gone is told in one step.
    pub fn drain(&self) {
        for node in self.inner.all_nodes() {
            node.state().hub.drain();
        }
    }
}

impl Inner {
    fn now(&self) -> Instant {
        #[cfg(feature = "test-kit")]
        if let Some(clock) = self.clock.get() {
            return clock();
        }
        (self.now)()
    }

    fn broker(&self) -> MutexGuard<'_, Broker> {
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_nodes(&self) -> Vec<Arc<Node>> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes.clone()
    }

    fn gather<R>(&self, mut of: impl FnMut(&mut node::State) -> Vec<R>) -> Vec<R> {
        let nodes = self.all_nodes();
        nodes
            .iter()
            .flat_map(|node| of(&mut node.state()))
            .collect()
    }

    /// One more node, for a thread of its own.
    fn add_node(&self) -> Arc<Node> {
        let [id, _] = draw((self.seed)());
        let node = Arc::new(Node::new(NodeId(id), Arc::clone(&self.options)));
        node.state().hub.listen(self.listeners.any());
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        nodes.push(Arc::clone(&node));
        node
    }

    fn first_node(&self) -> Arc<Node> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        match nodes.first() {
            Some(first) => Arc::clone(first),
            None => {
                drop(nodes);
                self.add_node()
            }
        }
    }

    /// The node that a channel is on; that of the caller, if it is on none of this process.
    fn node_of(&self, id: ChannelId) -> Arc<Node> {
        self.find_node(id.node)
            .unwrap_or_else(|| driver::node_here(self))
    }

    fn find_node(&self, id: NodeId) -> Option<Arc<Node>> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().find(|node| node.id() == id).cloned()
    }

    /// Does something on the node of this thread.
    fn here<R>(&self, work: impl FnOnce(&mut node::State, Instant) -> R) -> R {
        self.with(&driver::node_here(self), work)
    }

    /// Does something on a node, and what follows from it on all nodes.
    fn with<R>(&self, node: &Node, work: impl FnOnce(&mut node::State, Instant) -> R) -> R {
        let now = self.now();
        let mut wakes = Wakes::default();
        let mut state = node.state();
        let result = work(&mut state, now);
        let has_commands = node.settle(&mut state, &self.listeners, &mut wakes);
        drop(state);
        if has_commands {
            self.carry(now, node, &mut wakes);
        }
        wakes.wake();
        result
    }

    /// Carries commands of a node to the broker, and what comes of them to the nodes, until there is no more.
    fn carry(&self, now: Instant, node: &Node, wakes: &mut Wakes) {
        let mut again = true;
        while again {
            let mut others = Vec::new();
            let mut broker = self.broker();
            node.take_commands(|command| broker.handle(now, node.id(), command));
            self.sort_events(&mut broker, node, &mut others);
            node.look_at(broker.deadline(), wakes);
            drop(broker);
            again = node.receive(now, &self.listeners, wakes);
            for other in others {
                self.alert(now, &other, wakes);
            }
        }
    }

    /// Puts what the broker has to say into the inboxes of nodes; the others are gathered in `others`.
    fn sort_events(&self, broker: &mut Broker, own: &Node, others: &mut Vec<Arc<Node>>) {
        while let Some((to, event)) = broker.poll_event() {
            if to == own.id() {
                own.put(event);
            } else if let Some(known) = others.iter().find(|node| node.id() == to) {
                known.put(event);
            } else if let Some(node) = self.find_node(to) {
                node.put(event);
                others.push(node);
            }
        }
    }

    /// Says to a node that something came for it. Where nobody else sees to it, it is done here.
    fn alert(&self, now: Instant, node: &Node, wakes: &mut Wakes) {
        if !node.is_driven() || node.is_crowded() {
            if node.receive(now, &self.listeners, wakes) {
                self.carry(now, node, wakes);
            }
        } else {
            node.call(wakes);
        }
    }

    /// Does what is due on a node; says when the next thing is.
    fn tick(&self, node: &Node) -> Option<Instant> {
        let now = self.now();
        // What comes up meanwhile is asked for below.
        node.arm(Instant::ZERO);
        let mut wakes = Wakes::default();
        let mut others = Vec::new();
        {
            let mut broker = self.broker();
            if broker.deadline().is_some_and(|at| at <= now) {
                broker.tick(now);
                self.sort_events(&mut broker, node, &mut others);
            }
        }
        let mut state = node.state();
        if state.hub.deadline().is_some_and(|at| at <= now) {
            state.hub.tick(now);
        }
        node.settle(&mut state, &self.listeners, &mut wakes);
        drop(state);
        if node.receive(now, &self.listeners, &mut wakes) || node.has_commands() {
            self.carry(now, node, &mut wakes);
        }
        for other in others {
            self.alert(now, &other, &mut wakes);
        }
        wakes.wake();
        // Both are locked, so that what comes up from now on finds when its driver looks again.
        let state = node.state();
        let of_broker = self.broker().deadline();
        let next = [state.hub.deadline(), of_broker]
            .into_iter()
            .flatten()
            .min();
        node.arm(next.unwrap_or(Instant::from_micros(u64::MAX)));
        next
    }

    fn open(&self, node: &Node, open: Open) -> Result<(ChannelId, Arc<bell::Bell>), HubError> {
        self.with(node, |state, now| state.open(now, open))
    }

    fn closed(&self, node: &Node, id: ChannelId) {
        self.with(node, |state, now| state.closed(now, id));
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

/// Two numbers of a seed.
fn draw(seed: Seed) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = seed.nonce().0;
    [
        u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        u64::from_be_bytes(rest),
    ]
}
