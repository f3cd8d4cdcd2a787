//! The nodes of a hub, and the way from each to the others.
//! Knows the order of locks: see the [module](super).

use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError, RwLock};
use std::task::Waker;

use crate::hub::callback::Callbacks;
use crate::hub::node;
use crate::hub::node::{Node, Wakes, lock};
use crate::hub::outlets::Outlets;
use crate::hub::remote_outbox::RemoteOutbox;
use crate::hub::{threads, wake_flag};
use sansws_core::hub::{
    BackplaneEvent, Broker, ChannelId, ChannelOptions, HubError, HubOptions, Instruction, NodeId,
    Query, QueryResult, Token,
};
use sansws_core::random::Seed;
use sansws_core::time::Instant;

/// The link between the nodes.
pub(super) enum Backplane {
    /// All nodes are in this process.
    Here(Box<Mutex<Broker>>),
    /// The nodes are linked with other processes.
    Far(RemoteOutbox),
}

/// A clock that replaces [`HubEnv::now`].
#[cfg(feature = "test-kit")]
type Clock = dyn Fn() -> Instant + Send + Sync;

/// The state that the handles of a hub, its connections and its link share. When all are gone, nothing is published any more, and subscriptions end.
pub struct Shared(Arc<Inner>);

pub struct Inner {
    pub(super) now: fn() -> Instant,
    pub(super) unix_time: fn() -> Instant,
    pub(super) seed: fn() -> Seed,
    pub(super) options: Arc<HubOptions>,
    pub(super) callbacks: Arc<Callbacks>,
    pub(super) backplane: Backplane,
    /// At least one.
    pub(super) nodes: RwLock<Vec<Arc<Node>>>,
    pub(super) outlets: Outlets,
    /// Its timers are driven without a server.
    pub(super) driven_beside: AtomicBool,
    /// Time is virtual.
    #[cfg(feature = "test-kit")]
    pub(super) clock: std::sync::OnceLock<Box<Clock>>,
}

/// Maximum number of events that an operation on a node processes, whatever its readers need: its own effects are among them.
const OWN: usize = 64;

impl Inner {
    pub(super) fn now(&self) -> Instant {
        #[cfg(feature = "test-kit")]
        if let Some(clock) = self.clock.get() {
            return clock();
        }
        (self.now)()
    }

    /// Returns an instruction whose time is by the clock of the system, which may be set, as the hub takes it: by its own clock, which goes on
    /// from the time of its start.
    pub(super) fn in_own_time(&self, instruction: Instruction) -> Instruction {
        #[cfg(feature = "test-kit")]
        if self.clock.get().is_some() {
            return instruction;
        }
        let Instruction::SetExpiry(Some(at)) = instruction else {
            return instruction;
        };
        let (now, unix) = ((self.now)(), (self.unix_time)());
        let past = u64::try_from(unix.since(at).as_micros()).unwrap_or(u64::MAX);
        let now = Instant::from_micros(now.as_micros().saturating_sub(past));
        Instruction::SetExpiry(Some(now + at.since(unix)))
    }

    pub(super) fn all_nodes(&self) -> Vec<Arc<Node>> {
        self.callbacks.assert_outside();
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes.clone()
    }

    pub(super) fn gather<R>(&self, mut of: impl FnMut(&mut node::State) -> Vec<R>) -> Vec<R> {
        let nodes = self.all_nodes();
        nodes
            .iter()
            .flat_map(|node| of(&mut node.state()))
            .collect()
    }

    /// Creates another node, for a thread.
    pub(super) fn add_node(&self) -> Arc<Node> {
        let [id, _] = draw((self.seed)());
        let node = Arc::new(Node::new(NodeId(id), Arc::clone(&self.options)));
        if let Backplane::Far(far) = &self.backplane
            && far.is_down()
        {
            node.state().hub.receive(self.now(), BackplaneEvent::Down);
        }
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        let listens = self.outlets.listeners.any();
        node.state()
            .hub
            .listen(listens, listens && nodes.is_empty());
        nodes.push(Arc::clone(&node));
        node
    }

    pub(super) fn first_node(&self) -> Arc<Node> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        match nodes.first() {
            Some(first) => Arc::clone(first),
            None => {
                drop(nodes);
                self.add_node()
            }
        }
    }

    /// Returns what tells it from other hubs of the process.
    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Returns the node of this thread, if it has its own; otherwise the first.
    pub(super) fn node_here(&self) -> Arc<Node> {
        threads::node(self.address()).unwrap_or_else(|| self.first_node())
    }

    /// Returns the node of a channel; that of the caller, if the channel is on none of this process.
    pub(super) fn node_of(&self, id: ChannelId) -> Arc<Node> {
        self.find_node(id.node).unwrap_or_else(|| self.node_here())
    }

    pub(super) fn find_node(&self, id: NodeId) -> Option<Arc<Node>> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().find(|node| node.id() == id).cloned()
    }

    /// Runs an operation on the node of this thread.
    pub(super) fn here<R>(&self, work: impl FnOnce(&mut node::State, Instant) -> R) -> R {
        self.with(&self.node_here(), work)
    }

    /// Runs an operation on a node, and its effects on all nodes.
    pub(super) fn with<R>(
        &self,
        node: &Node,
        work: impl FnOnce(&mut node::State, Instant) -> R,
    ) -> R {
        self.callbacks.assert_outside();
        let now = self.now();
        let mut wakes = Wakes::default();
        let mut state = node.state();
        let result = work(&mut state, now);
        let has_commands = node.settle(&mut state, &self.outlets, &mut wakes);
        drop(state);
        if has_commands {
            self.carry(now, node, &mut wakes);
        }
        wakes.wake();
        result
    }

    /// Carries commands of a node to the broker, and the resulting events to the nodes, until there are none; or to the link with other
    /// processes.
    pub(super) fn carry(&self, now: Instant, node: &Node, wakes: &mut Wakes) {
        let broker = match &self.backplane {
            Backplane::Here(broker) => broker,
            Backplane::Far(far) => return far.take(node, wakes),
        };
        let mut again = true;
        while again {
            let mut others = Vec::new();
            let mut broker = lock(broker);
            node.take_commands(|command| broker.handle(now, node.id(), command));
            self.sort_events(&mut broker, node, &mut others);
            node.look_at(broker.deadline(), wakes);
            drop(broker);
            again = self.receive(now, node, OWN, wakes);
            for other in others {
                self.alert(now, &other, wakes);
            }
        }
    }

    /// Puts the broker's events into the inboxes of nodes, and collects the other nodes in `others`.
    pub(super) fn sort_events(&self, broker: &mut Broker, own: &Node, others: &mut Vec<Arc<Node>>) {
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

    /// Notifies a node of new events. If nobody drives it, they are processed here.
    pub(super) fn alert(&self, now: Instant, node: &Node, wakes: &mut Wakes) {
        if !node.is_driven() || node.is_crowded() {
            if self.receive(now, node, 0, wakes) {
                self.carry(now, node, wakes);
            }
        } else {
            node.call(wakes);
        }
    }

    /// Processes the events of a node, at least this many. A test in virtual time processes all: nothing there would continue by
    /// itself.
    fn receive(&self, now: Instant, node: &Node, least: usize, wakes: &mut Wakes) -> bool {
        let least = if self.is_virtual() { usize::MAX } else { least };
        node.receive(now, &self.outlets, least, wakes)
    }

    /// Does what is due on a node; returns the next deadline.
    pub(super) fn tick(&self, node: &Node) -> Option<Instant> {
        let now = self.now();
        // New deadlines are checked below.
        node.arm(Instant::ZERO);
        let mut wakes = Wakes::default();
        let mut others = Vec::new();
        if let Backplane::Here(broker) = &self.backplane {
            let mut broker = lock(broker);
            if broker.deadline().is_some_and(|at| at <= now) {
                broker.tick(now);
                self.sort_events(&mut broker, node, &mut others);
            }
        }
        let mut state = node.state();
        if state.hub.deadline().is_some_and(|at| at <= now) {
            state.hub.tick(now);
        }
        node.settle(&mut state, &self.outlets, &mut wakes);
        drop(state);
        if self.receive(now, node, 0, &mut wakes) || node.has_commands() {
            self.carry(now, node, &mut wakes);
        }
        for other in others {
            self.alert(now, &other, &mut wakes);
        }
        wakes.wake();
        // Both are locked, so that a later deadline finds when its driver wakes next.
        let state = node.state();
        let of_broker = match &self.backplane {
            Backplane::Here(broker) => lock(broker).deadline(),
            Backplane::Far(_) => None,
        };
        let next = [state.hub.deadline(), of_broker]
            .into_iter()
            .flatten()
            .min();
        node.arm(next.unwrap_or(Instant::from_micros(u64::MAX)));
        next
    }

    /// Returns whether publishers have to wait, for readers to have a turn or for the link; the waker is then woken when they no longer
    /// do.
    pub(super) fn is_crowded(&self, waker: Option<&Waker>) -> bool {
        self.needs_turn(waker)
            || match &self.backplane {
                Backplane::Here(_) => false,
                Backplane::Far(far) => far.is_crowded(waker),
            }
    }

    /// Returns whether readers need a turn; the waker is then woken when they have had it.
    pub(super) fn needs_turn(&self, waker: Option<&Waker>) -> bool {
        if self.is_virtual() || !self.outlets.crowding.is_crowded(waker) {
            return false;
        }
        if let Some(waker) = waker {
            self.tick_undriven(waker);
        }
        true
    }

    /// Returns whether publishers yield once, because readers need a turn that cannot be awaited: a test outside its virtual world
    /// would wait for a clock that it moves itself.
    pub(super) fn gives_way(&self) -> bool {
        self.is_virtual() && self.outlets.crowding.is_crowded(None)
    }

    #[cfg(feature = "test-kit")]
    fn is_virtual(&self) -> bool {
        self.clock.get().is_some()
    }

    #[cfg(not(feature = "test-kit"))]
    const fn is_virtual(&self) -> bool {
        false
    }

    /// If nobody drives the timers of a crowded node, publishers do, so that none waits forever.
    fn tick_undriven(&self, waker: &Waker) {
        let nodes = self.all_nodes();
        let undriven = nodes.iter().filter(|node| !node.is_driven());
        for node in undriven.filter(|node| node.is_waited_for()) {
            self.tick(node);
            waker.wake_by_ref();
        }
    }

    /// Queries the backplane.
    pub(super) async fn ask(&self, question: Query) -> Result<QueryResult, HubError> {
        self.callbacks.check()?;
        let node = self.node_here();
        let token = self.with(&node, |state, _| {
            let token = state.hub.ask(question)?;
            state.expect_answer(token);
            Ok::<_, HubError>(token)
        })?;
        let asking = Asking { node, token };
        poll_fn(|cx| asking.node.poll_answer(cx, asking.token)).await
    }

    pub(super) fn open(
        &self,
        node: &Node,
        open: ChannelOptions,
    ) -> Result<(ChannelId, Arc<wake_flag::WakeFlag>), HubError> {
        self.callbacks.check()?;
        self.with(node, |state, now| state.open(now, open))
    }

    pub(super) fn open_listener(
        &self,
        node: &Node,
    ) -> Result<(ChannelId, Arc<wake_flag::WakeFlag>), HubError> {
        self.callbacks.check()?;
        self.with(node, |state, now| {
            let id = state.hub.open_listener(now)?;
            Ok((id, state.bell(id)))
        })
    }

    pub(super) fn closed(&self, node: &Node, id: ChannelId) {
        self.with(node, |state, now| state.closed(now, id));
    }
}

impl Shared {
    pub(super) fn new(inner: Inner) -> Arc<Self> {
        Arc::new(Self(Arc::new(inner)))
    }

    /// Returns the hub for a subscription, which does not keep it open.
    pub(super) fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.0)
    }
}

impl Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        let nodes = nodes.clone();
        for node in nodes {
            // Messages under way arrive first. Inside a callback, the node is locked: the subscription that runs it sees the end by itself.
            if self.callbacks.check().is_ok() {
                self.tick(&node);
                node.end_subscriptions();
            } else {
                node.end();
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

/// Returns two numbers of a seed.
pub(super) fn draw(seed: Seed) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = seed.nonce();
    [
        u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        u64::from_be_bytes(rest),
    ]
}

/// The query is cancelled when this is dropped.
struct Asking {
    node: Arc<Node>,
    token: Token,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.node.forget_answer(self.token);
    }
}
