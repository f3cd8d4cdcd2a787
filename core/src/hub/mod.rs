//! Channels, groups, history, recovery and presence: who receives what.
//! RFC 6455 sections 5.2 (a shared frame is framed once) and 7.4.1 (close codes); RFC 7692 section 7.2.1 (compressed once).
//! Knows no connection, no socket and no clock: it speaks of ids and frames.
//!
//! A *channel* is the address of one connection. A *group* has channels as members, and gets what is published to it in one
//! order, on all nodes. A [`Hub`] is one node. Nodes are linked by a backplane, of which it knows only [`Command`]s and
//! [`Event`]s: [`Broker`] links those of one process, and a single one too.
//!
//! ```text
//!               Hub::join, publish, …                 Output::Command
//!  connections ──────────────────────▶ Hub (a node) ──────────────────▶ Broker, or what links machines
//!              ◀──────────────────────              ◀──────────────────
//!                Output::Wake, Hub::take                    Event
//! ```
//!
//! The caller's turn: call a method (or [`Hub::handle`] with an [`Input`]); then take [`Hub::poll_output`] until it is `None`.
//! Call [`Hub::tick`] when [`Hub::deadline`] has passed. A hub that stays alone has its broker in it: [`LocalHub`].
//!
//! - **Order.** What is published to a group, its publisher's too, comes back from the backplane, and has its number from there:
//!   all members on all nodes receive it in one order. What one channel receives by several groups is in the order in which it
//!   came to the node.
//! - **Loss.** A number that is missing is asked for again where the group has a history, else reported: [`HubEvent::Gap`],
//!   [`Notice::Gap`].
//! - **Counts.** `delivered + dropped + expired + discarded + waiting = fan-out`, at every moment; see [`Counters`].
//! - **Bounds.** What waits for a channel is bounded by its [`QueueLimits`], what is kept by [`HistoryOptions`], and who may be how
//!   many by [`HubOptions`].
//!
//! The simulation in `tests/simulation` checks all of these in many worlds.
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
mod closing;
mod crowd;
mod delivery;
mod error;
mod filter;
mod group;
mod here;
mod histogram;
mod history;
mod id;
mod instruct;
mod link;
mod local;
mod membership;
mod metrics;
mod options;
mod outage;
mod peak;
mod presence;
mod publication;
mod queue;
mod seat;
mod slow;
mod topic;
mod values;
mod wrap;

pub use backplane::{
    Command, Event, History, HistorySlice, Instruction, Presence, PresenceChange, Present,
    Published, Query, QueryResult, RecoveryFailure, Target, Token,
};
pub use broker::Broker;
pub use error::HubError;
pub use filter::{Filter, FilterError, Filters};
pub use histogram::Histogram;
pub use id::{ChannelId, MAX_NAME, NodeId};
pub use local::LocalHub;
pub use metrics::{BrokerCounters, Counters, Gauges, Snapshot};
pub use options::{
    Callback, Compress, Envelope, GroupOptions, HistoryOptions, HubOptions, JoinOptions, Notice,
    Notices, OutagePolicy, PresenceMode, QueueLimits, SlowConsumerPolicy,
};
pub use publication::{Position, Publication, PublishOptions, PublishRequest};
pub use values::{
    ChannelOptions, Encoding, HubEvent, Input, Joined, Left, Output, Recovered, Reply, Sent, Taken,
};

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::time::Instant;

use crowd::Crowd;
use group::Groups;
use here::Here;
use link::Asked;
use peak::Peak;
use queue::Store;
use seat::Seats;

/// One node: its channels, the groups they are in, and what waits for them.
#[derive(Debug)]
pub struct Hub {
    node: NodeId,
    options: Arc<HubOptions>,
    seats: Seats,
    groups: Groups,
    store: Store,
    /// Channels by the filters they are subscribed to.
    filters: Filters<u32>,
    /// How many channels each filter has.
    watched: BTreeMap<Filter, u32>,
    here: Here,
    outputs: VecDeque<Output>,
    /// How many outputs there were.
    peak: Peak,
    counters: Counters,
    fan_outs: Histogram,
    /// How many channels agreed on each window.
    windows: [u32; 16],
    /// What the backplane was asked for.
    asked: BTreeMap<Token, Asked>,
    next: Token,
    down: bool,
    listening: bool,
    listening_whole: bool,
    draining: bool,
    /// Channels that keep publishers waiting.
    holding: BTreeSet<u32>,
    /// When channels expire, by place.
    expiring: BTreeSet<(Instant, u32)>,
    /// When sessions end, by place.
    ending: BTreeSet<(Instant, u32)>,
    /// When what waits was last looked at.
    swept: Instant,
    /// When channels are closed, the backplane being down.
    leaving: BTreeSet<(Instant, ChannelId)>,
    /// When positions are compared again.
    check: Option<Instant>,
    /// When the backplane was last told that this node is there.
    beat: Option<Instant>,
    /// Places whose channels have overflowed while a message was put to many.
    slow: Vec<u32>,
    /// Readers that publishers wait for.
    crowd: Crowd,
}

impl Hub {
    /// A node without channels. `node` must be fresh entropy.
    pub fn new(node: NodeId, options: Arc<HubOptions>) -> Self {
        Self {
            node,
            options,
            seats: Seats::new(node),
            groups: Groups::default(),
            store: Store::default(),
            filters: Filters::default(),
            watched: BTreeMap::new(),
            here: Here::default(),
            outputs: VecDeque::new(),
            peak: Peak::default(),
            counters: Counters::default(),
            fan_outs: Histogram::default(),
            windows: [0; 16],
            asked: BTreeMap::new(),
            next: 0,
            down: false,
            listening: false,
            listening_whole: false,
            draining: false,
            holding: BTreeSet::new(),
            expiring: BTreeSet::new(),
            ending: BTreeSet::new(),
            leaving: BTreeSet::new(),
            swept: Instant::ZERO,
            check: None,
            beat: None,
            slow: Vec::new(),
            crowd: Crowd::default(),
        }
    }

    /// Which node it is.
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// How it behaves.
    pub const fn options(&self) -> &Arc<HubOptions> {
        &self.options
    }

    /// What is to be done next.
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

    /// From now on [`Output::Event`]s are given: of what happens on this node, and of the hub as a whole (presence on any node, the
    /// backplane going down or up) if `whole`. Of the nodes of one hub one is asked for the whole.
    pub fn listen(&mut self, listening: bool, whole: bool) {
        self.listening = listening;
        if core::mem::replace(&mut self.listening_whole, whole) != whole {
            self.command(Command::Listen(whole));
        }
        if whole && self.beat.is_none() && self.options.lease.is_some() {
            // A node that only listens is there too: it says so from the next tick on.
            self.beat = Some(Instant::ZERO);
        }
    }

    fn whole_event(&mut self, event: impl FnOnce() -> HubEvent) {
        if self.listening_whole {
            self.event(event);
        }
    }

    /// Does what an input says: the same as calling its method.
    pub fn handle(&mut self, now: Instant, input: Input) -> Result<Reply, HubError> {
        match input {
            Input::Open(open) => return self.open(now, open).map(Reply::Opened),
            Input::Join(id, group, join) => {
                return self.join(now, id, &group, join).map(Reply::Joined);
            }
            Input::Leave(id, group) => return self.leave(now, id, &group).map(Reply::Left),
            Input::SendTo(id, message) => return self.send_to(now, id, message).map(Reply::Sent),
            Input::SendToUser(user, message) => {
                return self.send_to_user(now, &user, message).map(Reply::Sent);
            }
            Input::Ask(question) => return self.ask(question).map(Reply::Asked),
            Input::Retire(id) => self.retire(now, id),
            Input::Closed(id) => self.closed(now, id),
            Input::Touch(id) => self.touch(now, id)?,
            Input::Instruct(target, instruction) => self.instruct(now, target, instruction)?,
            Input::CancelJoin(id, group) => self.cancel_join(now, id, &group),
            Input::Subscribe(id, filter) => {
                self.subscribe(now, id, filter)?;
            }
            Input::Unsubscribe(id, filter) => {
                self.unsubscribe(id, &filter)?;
            }
            Input::Publish(draft, token) => self.publish_draft(now, draft, token)?,
            Input::CloseAll(group, code, reason) => self.close_all(&group, code, &reason)?,
            Input::CloseUser(user, code, reason) => self.close_user(&user, code, &reason)?,
            Input::Close(id, code, reason) => {
                self.close(now, id, code, &reason);
            }
            Input::Event(event) => self.receive(now, event),
            Input::Tick => self.tick(now),
            Input::Drain => self.drain(),
        }
        Ok(Reply::Done)
    }

    /// When [`tick`](Self::tick) is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let expiring = self.expiring.first().map(|(at, _)| *at);
        let leaving = self.leaving.first().map(|(at, _)| *at);
        let ending = self.ending.first().map(|(at, _)| *at);
        let all = [
            expiring,
            ending,
            leaving,
            self.sweep_at(),
            self.judged_at(),
            self.here.deadline(),
            self.check,
            self.beat,
        ];
        all.into_iter().flatten().min()
    }

    /// How many messages were put to channels by publications so far.
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

    /// Nobody joins any more, and that users have gone is told once, with [`goodbye`](Self::goodbye).
    pub const fn drain(&mut self) {
        self.draining = true;
        self.here.drain();
    }

    /// This node ends: nobody is present on it any more, with no grace. It is the last thing that the backplane hears of it.
    pub fn goodbye(&mut self) {
        // Also while the link is broken: there is no other time to say it.
        self.outputs.push_back(Output::Command(Command::Goodbye));
        self.down = true;
    }

    /// How many members of a group are on this node.
    pub fn count(&self, group: &str) -> usize {
        let group = self.groups.find(group).and_then(|key| self.groups.get(key));
        group.map_or(0, |group| group.members.len())
    }

    /// The members of a group that are on this node, in no particular order.
    pub fn members(&self, group: &str) -> Vec<ChannelId> {
        let group = self.groups.find(group).and_then(|key| self.groups.get(key));
        let members = group.map_or(&[][..], |group| &group.members);
        let id = |member: &group::Member| self.seats.id(member.slot);
        members.iter().filter_map(id).collect()
    }

    /// The groups with members on this node, in order.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        let names = self.groups.iter().map(|group| &group.name);
        names.filter(|name| id::is_public(name))
    }

    /// The groups that a channel of this node is in, in the order it joined them.
    pub fn groups_of(&mut self, id: ChannelId) -> Vec<Arc<str>> {
        let Some(more) = self.seats.of(id).and_then(|seat| seat.more()) else {
            return Vec::new();
        };
        let name = |place: &seat::Place| self.groups.get(place.group).map(|group| &group.name);
        let names = more.joined.iter().filter_map(name);
        names.filter(|name| id::is_public(name)).cloned().collect()
    }

    /// The windows that its channels agreed on: bit `n` stands for 2^n octets.
    fn window_mask(&self) -> u16 {
        let used = self.windows.iter().enumerate();
        used.filter(|(_, count)| **count > 0)
            .fold(0, |mask, (bits, _)| mask | (1 << bits))
    }

    fn command(&mut self, command: Command) {
        // What is said while the link is broken is said again when it is not.
        if !self.down {
            self.outputs.push_back(Output::Command(command));
        }
    }

    fn token(&mut self) -> Token {
        self.next += 1;
        self.next
    }

    fn event(&mut self, event: impl FnOnce() -> HubEvent) {
        if self.listening {
            self.outputs.push_back(Output::Event(event()));
        }
    }
}
