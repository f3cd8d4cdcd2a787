//! The hub of a process: a handle that can be used from anywhere, and the nodes behind it.
//! `sansws_core::hub` defines its behaviour.
//! Knows locks and wakers, but no runtime: an adapter provides time, entropy and a timer.
//!
//! Each node has its own lock, which is held for one operation of its state machine, and never while waiting for another lock. Commands of
//! a node reach the broker in order, because they stay in the node's outbox until the broker's lock is held; events reach a node in order,
//! because they stay in its inbox until the node's lock is held. Wakers are woken without any lock held.

mod callback;
mod channel;
mod crowding;
mod driver;
mod events;
mod hub_channel;
mod inner;
mod link;
mod mailbox;
mod node;
mod on_loop;
mod outlets;
mod publish;
mod remote_outbox;
mod signals;
mod subscription;
mod threads;
mod wake_flag;

pub use events::Events;
pub use hub_channel::{HubChannel, TakenMessages};
pub use link::Link;
pub use publish::Publish;
pub use subscription::{Lagged, Subscription};

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::{Mutex, RwLock};

use crate::metrics::{BackplaneState, HubMetrics};
use sansws_core::close::CloseCode;
use sansws_core::hub::{
    Broker, ChannelId, ChannelOptions, Filter, History, HistoryQuery, HubError, HubOptions,
    Instruction, Presence, Query, QueryResult, Sent, Target,
};
use sansws_core::message::PreparedMessage;
use sansws_core::random::Seed;
use sansws_core::time::Instant;

use callback::Callbacks;
use inner::{Backplane, Inner, Shared, draw};
use node::lock;
use outlets::Outlets;
use publish::By;
use remote_outbox::RemoteOutbox;

/// Parts for adapters.
#[doc(hidden)]
pub mod internal {
    pub use super::callback::message as panic_message;
    pub use super::channel::Channel;
    pub use super::driver::{
        OnThisThread, both, caught, drive_hub_beside, drive_hubs, hubs_on_this_thread,
    };
    pub use super::mailbox::{HubAttachment, Pulled};
    pub use super::node::Mail;
    pub use super::on_loop::LoopNode;
    pub use super::publish::By;
}

/// The environment of a hub.
///
/// An adapter provides it; for a hub of your own loop:
///
/// ```
/// use std::sync::LazyLock;
/// use std::time::{SystemTime, UNIX_EPOCH};
/// use sansws_common::hub::{Hub, HubEnv};
/// use sansws_core::time::{Duration, Instant};
///
/// struct System;
///
/// impl HubEnv for System {
///     fn now() -> Instant {
///         // It starts with the time of the system, and never goes back.
///         static START: LazyLock<(Duration, std::time::Instant)> = LazyLock::new(|| {
///             let now = SystemTime::now().duration_since(UNIX_EPOCH);
///             (now.unwrap_or_default(), std::time::Instant::now())
///         });
///         Instant::ZERO + START.0 + START.1.elapsed()
///     }
/// }
///
/// let hub = Hub::<System>::new();
/// assert_eq!(hub.count("lobby"), 0);
/// ```
pub trait HubEnv {
    /// Returns the time since the Unix epoch, or since another one if that is unknown. It never goes back.
    fn now() -> Instant;

    /// Returns the time since the Unix epoch by the clock of the system, which may be set, in either direction: tokens expire by it. By
    /// default it is [`now`](Self::now).
    fn unix_time() -> Instant {
        Self::now()
    }

    /// Returns fresh entropy: that of the system.
    fn seed() -> Seed {
        crate::entropy::seed().unwrap_or_else(|_| {
            // Values drawn from it need not be secret, only different each time.
            let mut bytes = [0; 32];
            let now = Self::now().as_micros().to_be_bytes();
            bytes.iter_mut().zip(now).for_each(|(to, from)| *to = from);
            Seed::new(bytes)
        })
    }
}

/// Channels, groups, history and presence of a process. Clones share one hub, which any thread may use, inside and outside handlers.
///
/// Give it to a router (`Router::hub`), and its connections can join groups. A server that it was given to keeps its time.
///
/// For the rules of delivery, and all limits, see [`sansws_core::hub`].
///
/// Envelopes and notices run while the hub is locked, so they must not call it: in a callback, methods fail with [`HubError::InCallback`];
/// those that return no `Result` panic. A panic in a callback is caught, counted ([`HubMetrics::callback_panics`]) and logged with the
/// group: that message fails, and everything else goes on.
///
/// ```
/// # use sansws_common::hub::HubEnv;
/// # struct Env;
/// # impl HubEnv for Env {
/// #     fn now() -> sansws_core::time::Instant { sansws_core::time::Instant::ZERO }
/// # }
/// # type Hub = sansws_common::hub::Hub<Env>;
/// use sansws_core::hub::{GroupOptions, HistoryOptions, HubOptions};
///
/// # async fn run() -> sansws_common::Result {
/// let options = GroupOptions::default().history(HistoryOptions::default());
/// let hub = Hub::with_options(HubOptions::default().groups(options));
/// // In a handler: `socket.join("lobby")`, `socket.publish("lobby", text)`. From anywhere:
/// let published = hub.publish("lobby", "the server restarts at noon").await?;
/// assert_eq!(published.position.map(|position| position.offset), Some(1));
/// let history = hub.history("lobby", 10).await?;
/// assert_eq!(history.publications[0].as_text(), Some("the server restarts at noon"));
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
pub struct Hub<O> {
    inner: Arc<Shared>,
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

/// A hub, with any source of time and entropy.
///
/// It lets one policy name a hub of any adapter:
///
/// ```
/// # use sansws_common::hub::HubEnv;
/// # struct Env;
/// # impl HubEnv for Env {
/// #     fn now() -> sansws_core::time::Instant { sansws_core::time::Instant::ZERO }
/// # }
/// # type Hub = sansws_common::hub::Hub<Env>;
/// use sansws_common::ConnectionPolicy;
/// use sansws_common::hub::HubRef;
///
/// let hub = Hub::new();
/// let policy = ConnectionPolicy::<HubRef>::default().hub(&hub);
/// assert!(policy.hub.is_some_and(|one| one.is_same(&HubRef::from(&hub))));
/// ```
#[derive(Clone)]
pub struct HubRef(Arc<Shared>);

impl HubRef {
    /// Returns whether both are one hub.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(feature = "test-kit")]
impl HubRef {
    /// Uses the time of a clock from now on; only the first clock counts.
    #[doc(hidden)]
    pub fn use_clock(&self, clock: impl Fn() -> Instant + Send + Sync + 'static) {
        let _ = self.0.clock.set(Box::new(clock));
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

impl<O: HubEnv> Default for Hub<O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<O: HubEnv> Hub<O> {
    /// Creates a hub with default options.
    pub fn new() -> Self {
        Self::with_options(HubOptions::default())
    }

    /// Creates a hub with options.
    pub fn with_options(options: HubOptions) -> Self {
        let [epoch, _] = draw(O::seed());
        Self::over(options, |options| {
            let broker = Broker::new(Arc::clone(options), epoch);
            Backplane::Here(Box::new(Mutex::new(broker)))
        })
    }

    /// Creates a hub that is linked with others, and the link: its user carries commands elsewhere, and events back. The link is down
    /// initially.
    pub fn linked(options: HubOptions) -> (Self, Link) {
        let hub = Self::over(options, |_| Backplane::Far(RemoteOutbox::default()));
        let link = Link::new(&hub.inner);
        (hub, link)
    }

    fn over(options: HubOptions, backplane: impl FnOnce(&Arc<HubOptions>) -> Backplane) -> Self {
        let (options, callbacks) = Callbacks::guard(options);
        let options = Arc::new(options);
        let backplane = backplane(&options);
        let inner = Inner {
            callbacks,
            now: O::now,
            unix_time: O::unix_time,
            seed: O::seed,
            backplane,
            options,
            nodes: RwLock::default(),
            outlets: Outlets::default(),
            driven_beside: std::sync::atomic::AtomicBool::new(false),
            #[cfg(feature = "test-kit")]
            clock: std::sync::OnceLock::new(),
        };
        inner.first_node();
        Self {
            inner: Shared::new(inner),
            outside: PhantomData,
        }
    }
}

impl<O> Hub<O> {
    /// Publishes a message to a group. Nothing happens until it is awaited, or [`try_publish`](Publish::try_publish) is called.
    pub fn publish(
        &self,
        group: impl Into<String>,
        message: impl Into<PreparedMessage>,
    ) -> Publish {
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

    /// Sends a message to one channel, on any node; the cost does not depend on the number of channels.
    ///
    /// # Errors
    /// [`HubError::TooLong`], [`HubError::Down`].
    pub fn send_to(
        &self,
        to: ChannelId,
        message: impl Into<PreparedMessage>,
    ) -> Result<Sent, HubError> {
        self.inner.callbacks.check()?;
        let node = self.inner.node_of(to);
        let message = message.into();
        self.inner
            .with(&node, |state, now| state.hub.send_to(now, to, message))
    }

    /// Sends a message to all channels of a user, on all nodes.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::TooLong`], [`HubError::Down`].
    pub fn send_to_user(
        &self,
        user: &str,
        message: impl Into<PreparedMessage>,
    ) -> Result<(), HubError> {
        self.inner.callbacks.check()?;
        let message = message.into();
        self.inner
            .here(|state, now| state.hub.send_to_user(now, user, message).map(|_: Sent| ()))
    }

    /// Closes all connections in a group, on all nodes. Queued messages are delivered first.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::Down`].
    pub fn close_all(&self, group: &str, code: CloseCode, reason: &str) -> Result<(), HubError> {
        self.inner.callbacks.check()?;
        self.inner
            .here(|state, _| state.hub.close_all(group, code, reason))
    }

    /// Closes all connections of a user, on all nodes.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::Down`].
    pub fn close_user(&self, user: &str, code: CloseCode, reason: &str) -> Result<(), HubError> {
        self.inner.callbacks.check()?;
        self.inner
            .here(|state, _| state.hub.close_user(user, code, reason))
    }

    /// Makes a connection join a group, on any node. The call does not wait for it.
    ///
    /// # Errors
    /// Those of [`instruct`](sansws_core::hub::Hub::instruct).
    pub fn join(&self, id: ChannelId, group: &str) -> Result<(), HubError> {
        self.instruct(Target::Channel(id), Instruction::Join(group.into()))
    }

    /// Makes a connection leave a group, on any node.
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    pub fn leave(&self, id: ChannelId, group: &str) -> Result<(), HubError> {
        self.instruct(Target::Channel(id), Instruction::Leave(group.into()))
    }

    /// Makes all connections of a user join a group, on all nodes.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::Down`].
    pub fn join_user(&self, user: &str, group: &str) -> Result<(), HubError> {
        self.instruct(Target::User(user.into()), Instruction::Join(group.into()))
    }

    /// Makes all connections of a user leave a group, on all nodes.
    ///
    /// # Errors
    /// As for [`join_user`](Self::join_user).
    pub fn leave_user(&self, user: &str, group: &str) -> Result<(), HubError> {
        self.instruct(Target::User(user.into()), Instruction::Leave(group.into()))
    }

    /// Sends an instruction to channels, on any nodes: join, leave, change the user or the metadata, expire. The time of
    /// [`SetExpiry`](Instruction::SetExpiry) is since the Unix epoch, by the clock of the system.
    ///
    /// # Errors
    /// Those of [`instruct`](sansws_core::hub::Hub::instruct).
    pub fn instruct(&self, target: Target, instruction: Instruction) -> Result<(), HubError> {
        self.inner.callbacks.check()?;
        let node = match target {
            Target::Channel(id) => self.inner.node_of(id),
            Target::User(_) => self.inner.node_here(),
        };
        let instruction = self.inner.in_own_time(instruction);
        self.inner.with(&node, |state, now| {
            state.hub.instruct(now, target, instruction)
        })
    }

    /// Closes one connection, on any node. Returns whether it may still exist.
    pub fn close(&self, id: ChannelId, code: CloseCode, reason: &str) -> bool {
        let node = self.inner.node_of(id);
        self.inner
            .with(&node, |state, now| state.hub.close(now, id, code, reason))
    }

    /// Returns the members of a group in this process, in no particular order.
    pub fn members(&self, group: &str) -> Vec<ChannelId> {
        self.inner.gather(|state| state.hub.members(group))
    }

    /// Returns the number of members of a group in this process.
    pub fn count(&self, group: &str) -> usize {
        let nodes = self.inner.all_nodes();
        nodes.iter().map(|node| node.state().hub.count(group)).sum()
    }

    /// Returns the groups with members in this process, in order. One whose members have all left is not among them, even if it keeps a
    /// history.
    pub fn groups(&self) -> Vec<Arc<str>> {
        let mut all: Vec<Arc<str>> = self
            .inner
            .gather(|state| state.hub.groups().cloned().collect());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Returns the groups of a channel in this process.
    pub fn groups_of(&self, id: ChannelId) -> Vec<Arc<str>> {
        self.inner.node_of(id).state().hub.groups_of(id)
    }

    /// Opens a channel without a connection, for a protocol over another transport.
    ///
    /// # Errors
    /// Those of [`open`](sansws_core::hub::Hub::open).
    pub fn open_channel(&self, open: ChannelOptions) -> Result<HubChannel, HubError> {
        HubChannel::open(&self.inner, open)
    }

    /// Returns the newest kept messages of a group, at most `limit`, and the position of the group.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::Down`].
    pub async fn history(&self, group: &str, limit: usize) -> Result<History, HubError> {
        let mut kept = self
            .query_history(HistoryQuery::new(group, limit).reversed())
            .await?;
        kept.publications.reverse();
        Ok(kept)
    }

    /// Returns the kept messages of a group that a query selects, and the position of the group.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::Down`].
    pub async fn query_history(&self, query: HistoryQuery) -> Result<History, HubError> {
        match self.inner.ask(Query::History(query)).await? {
            QueryResult::History(kept) => Ok(kept),
            QueryResult::Presence(_) | QueryResult::HistoryRemoved => Ok(History::default()),
        }
    }

    /// Drops the kept messages of a group. Its position stays, so a member that recovers from an earlier one learns that messages are missing.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::Down`].
    pub async fn remove_history(&self, group: &str) -> Result<(), HubError> {
        self.inner
            .ask(Query::RemoveHistory(group.into()))
            .await
            .map(drop)
    }

    /// Passes a text to the handler of a connection, or of all connections of a user, on any node; see the
    /// method `signal` of a connection.
    ///
    /// # Errors
    /// Those of [`instruct`](sansws_core::hub::Hub::instruct).
    pub fn signal(&self, target: Target, text: &str) -> Result<(), HubError> {
        self.instruct(target, Instruction::Signal(text.into()))
    }

    /// Returns the users in a group, on all nodes.
    ///
    /// # Errors
    /// [`HubError::BadName`], [`HubError::Down`].
    pub async fn presence(&self, group: &str) -> Result<Presence, HubError> {
        let question = Query::Presence(group.into());
        match self.inner.ask(question).await? {
            QueryResult::Presence(presence) => Ok(presence),
            QueryResult::History(_) | QueryResult::HistoryRemoved => Ok(Presence::default()),
        }
    }

    /// Receives publications of all groups that match a filter, without a connection.
    ///
    /// # Errors
    /// [`HubError::TooManyChannels`], [`HubError::Draining`].
    pub fn subscribe(&self, filter: Filter) -> Result<Subscription, HubError> {
        Subscription::new(&self.inner, filter)
    }

    /// Returns the events from now on: joins, leaves and losses in this process, and presence changes in all processes, even of groups
    /// without members here. Each is reported once.
    ///
    /// # Panics
    /// In a callback of this hub, like all methods that return no `Result`.
    pub fn events(&self) -> Events {
        let events = self.inner.outlets.listeners.add();
        for (at, node) in self.inner.all_nodes().iter().enumerate() {
            self.inner
                .with(node, |state, _| state.hub.listen(true, at == 0));
        }
        events
    }

    /// Returns its metrics.
    pub fn metrics(&self) -> HubMetrics {
        let nodes = self.inner.all_nodes();
        let mut metrics = HubMetrics {
            nodes: nodes.len(),
            callback_panics: self.inner.callbacks.panics(),
            ..HubMetrics::default()
        };
        let mut down = false;
        for node in &nodes {
            let state = node.state();
            metrics.hub.add(&state.hub.snapshot());
            down |= state.hub.is_down();
        }
        match &self.inner.backplane {
            Backplane::Here(broker) => {
                let broker = lock(broker);
                metrics.broker = broker.counters();
                metrics.history_bytes = broker.history_bytes();
            }
            Backplane::Far(far) if down || far.is_down() => {
                metrics.backplane = BackplaneState::Down;
            }
            Backplane::Far(_) => metrics.backplane = BackplaneState::Up,
        }
        metrics
    }

    /// Refuses joins from now on: the process is about to end. The departure of its users is reported in one step.
    pub fn drain(&self) {
        for node in self.inner.all_nodes() {
            node.state().hub.drain();
        }
    }
}
