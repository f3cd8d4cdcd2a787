//! Channels, groups, history, recovery and presence.
//! RFC 6455 sections 5.2 (a shared frame is framed once) and 7.4.1 (close codes); RFC 7692 section 7.2.1 (compressed once).
//! Knows no connection, no socket and no clock, only ids and frames.
//!
//! A *channel* is the address of one connection. A *group* has channels as members, which receive its publications in one order, on all
//! nodes. A [`Hub`] is one node. Nodes are linked by a backplane, of which it knows only [`BackplaneCommand`]s and [`BackplaneEvent`]s:
//! [`Broker`] links those of one process, even a single one.
//!
//! ```text
//!               Hub::join, publish, …                 Output::Command
//!  connections ──────────────────────▶ Hub (a node) ──────────────────▶ Broker, or what links machines
//!              ◀──────────────────────              ◀──────────────────
//!                Output::Wake, Hub::take                    Event
//! ```
//!
//! The caller's duties: call a method (or [`Hub::handle`] with an [`HubInput`]); then call [`Hub::poll_output`] until it returns `None`. Call
//! [`Hub::tick`] when [`Hub::deadline`] has passed. For a hub that stays alone, [`LocalHub`] includes the broker.
//!
//! - **Order.** A publication comes back from the backplane with its number, even to the node that published it: all members on all nodes
//!   receive it in one order. Messages that one channel receives by several groups are in the order in which they arrived at the node.
//! - **Loss.** A missing number is requested again if the group has a history, and otherwise reported: [`HubEvent::Gap`], [`Notice::Gap`].
//! - **Counts.** `delivered + dropped + expired + discarded + waiting = fan-out`, at every moment; see [`HubCounters`].
//! - **Bounds.** The queue of a channel is bounded by its [`QueueLimits`], the history by [`HistoryOptions`], and the number of channels
//!   and groups by [`HubOptions`].
//!
//! The simulation in `tests/simulation` checks all of this with many seeds.
//!
//! ```
//! use std::sync::Arc;
//! use sansws_core::hub::{Broker, Hub, HubOptions, JoinOptions, NodeId, ChannelOptions, Output, PublishOptions, Taken};
//! use sansws_core::message::PreparedMessage;
//! use sansws_core::time::Instant;
//!
//! let (options, now) = (Arc::new(HubOptions::default()), Instant::ZERO);
//! let mut hub = Hub::new(NodeId(7), options.clone());
//! let mut broker = Broker::new(options, 1);
//! let ada = hub.open(now, ChannelOptions::default())?;
//! hub.join(now, ada, "lobby", JoinOptions::default())?;
//! hub.publish(now, None, "lobby", PreparedMessage::new("hello"), PublishOptions::default(), None)?;
//! // What links nodes: here, one queue.
//! while let Some(output) = hub.poll_output() {
//!     if let Output::Command(command) = output {
//!         broker.handle(now, hub.node(), command);
//!     }
//!     while let Some((_, event)) = broker.poll_event() {
//!         hub.receive(now, event);
//!     }
//! }
//! let taken = hub.take(now, ada, |message, _| message.payload().to_vec());
//! assert_eq!(taken, Taken::Message(b"hello".to_vec()));
//! # Ok::<(), sansws_core::hub::HubError>(())
//! ```

mod backplane;
mod broker;
pub(crate) mod callback;
mod capacity;
mod channel;
mod closing;
mod crowd;
mod delivery;
mod error;
pub(crate) mod filter;
mod formatted;
mod group;
mod group_record;
mod histogram;
mod history;
pub(crate) mod id;
mod instruct;
mod join;
mod joining;
mod link;
mod local;
mod local_presence;
mod membership;
mod metrics;
mod notice;
mod options;
mod outage;
mod pending;
mod presence;
mod publication;
mod queue;
mod slow_consumer;
mod subscribing;
mod taking;
mod values;
mod wrap;

pub use backplane::{
    BackplaneCommand, BackplaneEvent, History, HistoryQuery, HistorySlice, Instruction, Presence,
    PresenceChange, Present, Published, Query, QueryResult, RecoveryFailure, Target, Token,
};
pub use broker::Broker;
pub use callback::{Callback, Format};
pub use error::HubError;
use filter::Filters;
pub use filter::{Filter, FilterError};
pub use histogram::Histogram;
pub use id::{ChannelId, MAX_NAME, NodeId};
pub use join::{JoinDecision, JoinOptions, JoinReply, Joined, Recovered};
pub use local::LocalHub;
pub use metrics::{BrokerCounters, HubCounters, HubGauges, Snapshot};
pub use notice::Notice;
pub use options::{
    Compress, GroupOptions, HistoryOptions, HubOptions, OutagePolicy, PresenceMode, QueueLimits,
    SlowConsumerPolicy,
};
pub use publication::{Position, Publication, PublishOptions, PublishRequest, Tags};
pub use values::{
    ChannelOptions, Encoding, HubEvent, HubInput, Left, Output, Reply, Sent, Signal, Taken,
};

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::time::Instant;

use capacity::CapacityTracker;
use channel::ChannelTable;
use crowd::Crowd;
use group::Groups;
use local_presence::LocalPresence;
use pending::Pending;
use queue::Store;

/// One node: its channels, their groups, and their queues.
///
/// For an example see [`LocalHub`], a node with its broker.
#[derive(Debug)]
pub struct Hub {
    node: NodeId,
    options: Arc<HubOptions>,
    channels: ChannelTable,
    groups: Groups,
    store: Store,
    watchers: Watchers,
    here: LocalPresence,
    outputs: VecDeque<Output>,
    /// The number of outputs so far.
    peak: CapacityTracker,
    counters: HubCounters,
    fan_outs: Histogram,
    /// The number of channels that negotiated each window size.
    windows: [u32; 16],
    pending: Pending,
    status: Status,
    schedule: Schedule,
    pressure: Pressure,
}

/// The filters to which channels of this node subscribe.
#[derive(Debug, Default)]
struct Watchers {
    /// Channels by filter.
    filters: Filters<u32>,
    /// The number of channels of each filter.
    watched: BTreeMap<Filter, u32>,
}

/// The state that is set from outside.
#[derive(Debug, Default)]
struct Status {
    /// The backplane is down.
    down: bool,
    draining: bool,
    /// Events are wanted.
    listening: bool,
    /// Events of the whole process are wanted of this node.
    listening_whole: bool,
}

/// Actions that are due at a time.
#[derive(Debug, Default)]
struct Schedule {
    /// When channels expire, by slot.
    expiring: BTreeSet<(Instant, u32)>,
    /// When sessions end, by slot.
    ending: BTreeSet<(Instant, u32)>,
    /// When channels are closed because the backplane is down.
    leaving: BTreeSet<(Instant, ChannelId)>,
    /// When the queues were last checked.
    swept: Instant,
    /// When positions are compared next.
    check: Option<Instant>,
    /// When the backplane was last told that this node is alive.
    beat: Option<Instant>,
}

/// Channels whose queues are full.
#[derive(Debug, Default)]
struct Pressure {
    /// Channels that keep publishers waiting.
    holding: BTreeSet<u32>,
    /// Slots whose channels overflowed while a message was delivered to many, and how it was encoded for them.
    slow: Vec<(u32, Encoding)>,
    /// Readers for which publishers wait.
    crowd: Crowd,
}

impl Hub {
    /// Creates a node without channels. `node` must be fresh entropy.
    pub fn new(node: NodeId, options: Arc<HubOptions>) -> Self {
        Self {
            node,
            options,
            channels: ChannelTable::new(node),
            groups: Groups::default(),
            store: Store::default(),
            watchers: Watchers::default(),
            here: LocalPresence::default(),
            outputs: VecDeque::new(),
            peak: CapacityTracker::default(),
            counters: HubCounters::default(),
            fan_outs: Histogram::default(),
            windows: [0; 16],
            pending: Pending::default(),
            status: Status::default(),
            schedule: Schedule::default(),
            pressure: Pressure::default(),
        }
    }

    /// Returns the id of the node.
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// Returns its options.
    pub const fn options(&self) -> &Arc<HubOptions> {
        &self.options
    }

    /// Returns the next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.peak.see(self.outputs.len());
        let output = self.outputs.pop_front();
        if self.outputs.is_empty()
            && let Some(worth) = self.peak.emptied(self.outputs.capacity())
        {
            self.outputs.shrink_to(worth);
        }
        output
    }

    /// Emits [`Output::Event`]s from now on: of this node, and of the hub as a whole (presence on any node, the backplane going down or
    /// up) if `whole`. Set `whole` on one node of a hub.
    pub fn listen(&mut self, listening: bool, whole: bool) {
        self.status.listening = listening;
        if core::mem::replace(&mut self.status.listening_whole, whole) != whole {
            self.command(BackplaneCommand::Listen(whole));
        }
        if whole && self.schedule.beat.is_none() && self.options.lease.is_some() {
            // A node that only listens counts as alive too: it reports so from the next tick on.
            self.schedule.beat = Some(Instant::ZERO);
        }
    }

    fn whole_event(&mut self, event: impl FnOnce() -> HubEvent) {
        if self.status.listening_whole {
            self.event(event);
        }
    }

    /// Executes an input, like calling its method.
    pub fn handle(&mut self, now: Instant, input: HubInput) -> Result<Reply, HubError> {
        match input {
            HubInput::Open(open) => return self.open(now, open).map(Reply::Opened),
            HubInput::Join(id, group, join) => {
                return self.join(now, id, &group, join).map(Reply::Joined);
            }
            HubInput::Leave(id, group) => return self.leave(now, id, &group).map(Reply::Left),
            HubInput::SendTo(id, message) => {
                return self.send_to(now, id, message).map(Reply::Sent);
            }
            HubInput::SendToUser(user, message) => {
                return self.send_to_user(now, &user, message).map(Reply::Sent);
            }
            HubInput::Ask(question) => return self.ask(question).map(Reply::Asked),
            HubInput::Retire(id) => self.retire(now, id),
            HubInput::Closed(id) => self.closed(now, id),
            HubInput::Touch(id) => self.touch(now, id)?,
            HubInput::Instruct(target, instruction) => self.instruct(now, target, instruction)?,
            HubInput::CancelJoin(id, group) => self.cancel_join(now, id, &group),
            HubInput::Subscribe(id, filter) => {
                self.subscribe(now, id, filter)?;
            }
            HubInput::Unsubscribe(id, filter) => {
                self.unsubscribe(id, &filter)?;
            }
            HubInput::Publish(draft, token) => self.publish_draft(now, draft, token)?,
            HubInput::CloseAll(group, code, reason) => self.close_all(&group, code, &reason)?,
            HubInput::CloseUser(user, code, reason) => self.close_user(&user, code, &reason)?,
            HubInput::Close(id, code, reason) => {
                self.close(now, id, code, &reason);
            }
            HubInput::Event(event) => self.receive(now, event),
            HubInput::Tick => self.tick(now),
            HubInput::Drain => self.drain(),
        }
        Ok(Reply::Done)
    }

    /// Returns when to call [`tick`](Self::tick).
    pub fn deadline(&self) -> Option<Instant> {
        let expiring = self.schedule.expiring.first().map(|(at, _)| *at);
        let leaving = self.schedule.leaving.first().map(|(at, _)| *at);
        let ending = self.schedule.ending.first().map(|(at, _)| *at);
        let all = [
            expiring,
            ending,
            leaving,
            self.sweep_at(),
            self.judged_at(),
            self.here.deadline(),
            self.schedule.check,
            self.schedule.beat,
        ];
        all.into_iter().flatten().min()
    }

    /// Returns how many messages publications have queued for channels so far.
    #[doc(hidden)]
    pub const fn total_fan_out(&self) -> u64 {
        self.counters.fan_out
    }

    /// Does what is due. It may be called at any time.
    pub fn tick(&mut self, now: Instant) {
        self.expire(now);
        self.end_sessions(now);
        self.close_leaving(now);
        self.judge(now);
        if self.sweep_at().is_some_and(|at| at <= now) {
            self.sweep(now);
        }
        self.gone(now);
        self.check(now);
        self.beat(now);
    }

    /// Refuses joins from now on; users who leave are reported only at once, with [`goodbye`](Self::goodbye).
    pub const fn drain(&mut self) {
        self.status.draining = true;
        self.here.drain();
    }

    /// Ends this node: none of its users is present any more, without a grace period. It is the last command to the backplane.
    pub fn goodbye(&mut self) {
        // Even while the link is broken: there is no other time to send it.
        self.outputs
            .push_back(Output::Command(BackplaneCommand::Goodbye));
        self.status.down = true;
    }

    /// Returns the number of members of a group on this node.
    pub fn count(&self, group: &str) -> usize {
        let group = self.groups.find(group).and_then(|key| self.groups.get(key));
        group.map_or(0, |group| group.members.len())
    }

    /// Iterates over the members of a group on this node, in no particular order.
    pub fn members(&self, group: &str) -> Vec<ChannelId> {
        let group = self.groups.find(group).and_then(|key| self.groups.get(key));
        let members = group.map_or(&[][..], |group| &group.members);
        let id = |member: &group::Member| self.channels.id(member.slot);
        members.iter().filter_map(id).collect()
    }

    /// Iterates over the groups with members on this node, in order.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        let names = self.groups.iter().map(|group| &group.name);
        names.filter(|name| id::is_public(name))
    }

    /// Iterates over the groups of a channel of this node, in the order in which it joined them.
    pub fn groups_of(&mut self, id: ChannelId) -> Vec<Arc<str>> {
        let Some(more) = self.channels.of(id).and_then(|channel| channel.more()) else {
            return Vec::new();
        };
        let name =
            |place: &channel::Membership| self.groups.get(place.group).map(|group| &group.name);
        let names = more.joined.iter().filter_map(name);
        names.filter(|name| id::is_public(name)).cloned().collect()
    }

    /// Returns the window sizes that its channels negotiated: bit `n` stands for 2^n bytes.
    fn window_mask(&self) -> u16 {
        let used = self.windows.iter().enumerate();
        used.filter(|(_, count)| **count > 0)
            .fold(0, |mask, (bits, _)| mask | (1 << bits))
    }

    fn command(&mut self, command: BackplaneCommand) {
        // Changes while the link is broken are announced when it is restored.
        if !self.status.down {
            self.outputs.push_back(Output::Command(command));
        }
    }

    fn token(&mut self) -> Token {
        self.pending.token()
    }

    fn event(&mut self, event: impl FnOnce() -> HubEvent) {
        if self.status.listening {
            self.outputs.push_back(Output::Event(event()));
        }
    }
}
