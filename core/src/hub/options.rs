//! What a caller may set on a hub.
//! Every bound has a default.
//! Plain data.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::{Filter, Publication};
use crate::message::Message;
use crate::policy::Rate;
use crate::time::Duration;

/// How a hub behaves.
#[derive(Clone, Debug)]
#[must_use]
pub struct HubOptions {
    /// What holds for groups that no rule is about.
    pub groups: GroupOptions,
    /// What holds for messages to all channels of a user. By default they have neither history nor words of their own. A history is an
    /// inbox: what was sent while the link of the user's node was broken is delivered when it is there again.
    pub users: GroupOptions,
    /// What holds for the groups that a filter matches; the first that does decides.
    pub rules: Vec<(Filter, GroupOptions)>,
    /// What may wait for one channel.
    pub budget: QueueLimits,
    /// Maximum number of channels; default 1 048 576.
    pub max_channels: usize,
    /// Maximum number of groups with members; default 1 048 576.
    pub max_groups: usize,
    /// Maximum number of groups that are remembered though nobody is there, for their history and numbers; default 65 536. Beyond it the one that
    /// has been idle longest is forgotten, and counted.
    pub max_idle_groups: usize,
    /// Maximum number of groups and filters that one channel may be in; default 128.
    pub groups_per_channel: usize,
    /// Longest message that is published or sent, in octets; default 1 MiB.
    pub max_message: usize,
    /// Longest metadata of a channel, in octets; default 1024.
    pub max_metadata: usize,
    /// How often a channel may join and leave; default: as often as it likes.
    pub joins: Option<Rate>,
    /// How often a channel may publish; default: as often as it likes.
    pub publishes: Option<Rate>,
    /// Ids of publications that are remembered, for 5 minutes each, in all groups of a process; default 262 144. While there are as
    /// many, a publication with another id fails with [`HubError::TooManyIds`](super::HubError). Through Redis its memory is the bound.
    pub max_ids: usize,
    /// Octets that the histories of all groups may hold together; default 256 MiB. What comes beyond is not kept, and counted.
    pub max_history: usize,
    /// How hard shared messages are compressed, from 1 to 9; default 6, since it is done once for all.
    pub compression_level: u8,
    /// How often each group's position is compared with the backplane's, which finds a loss that no later message shows.
    /// `None`, the default: never, as between the threads of a process nothing is lost.
    pub check: Option<Duration>,
    /// For how long a node that is not heard of keeps its place in presence. `None`, the default: for ever.
    pub lease: Option<Duration>,
    /// What is done with publications while the backplane is down.
    pub when_down: OutagePolicy,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            groups: GroupOptions::default(),
            users: GroupOptions::default(),
            rules: Vec::new(),
            budget: QueueLimits::default(),
            max_channels: 1 << 20,
            max_groups: 1 << 20,
            max_idle_groups: 1 << 16,
            groups_per_channel: 128,
            max_message: 1 << 20,
            max_metadata: 1024,
            joins: None,
            publishes: None,
            max_ids: 1 << 18,
            max_history: 256 << 20,
            compression_level: 6,
            check: None,
            lease: None,
            when_down: OutagePolicy::default(),
        }
    }
}

impl HubOptions {
    /// Sets what holds for groups that no rule is about.
    pub fn groups(mut self, options: GroupOptions) -> Self {
        self.groups = options;
        self
    }

    /// Sets what holds for the groups that `filter` matches, unless an earlier rule does.
    pub fn rule(mut self, filter: Filter, options: GroupOptions) -> Self {
        self.rules.push((filter, options));
        self
    }

    /// Sets what may wait for one channel.
    pub const fn budget(mut self, budget: QueueLimits) -> Self {
        self.budget = budget;
        self
    }

    /// Has `guard` run each callback of each group from now on: it is given the callback, the group, and the call. When it does not
    /// let the call come to its end, an envelope has failed and a notice is not told.
    pub fn guard(
        mut self,
        guard: impl Fn(Callback, &str, &mut dyn FnMut()) + Send + Sync + 'static,
    ) -> Self {
        let guard: Guard = Arc::new(guard);
        let rules = self.rules.iter_mut().map(|(_, options)| options);
        for group in rules.chain([&mut self.groups, &mut self.users]) {
            group.envelope = group.envelope.as_ref().map(|known| known.guarded(&guard));
            group.notices = group.notices.as_ref().map(|known| known.guarded(&guard));
        }
        self
    }

    /// What holds for a group. No rule is about the channels of a user.
    pub fn of(&self, group: &str) -> &GroupOptions {
        if !super::id::is_public(group) {
            return &self.users;
        }
        let rule = self.rules.iter().find(|(filter, _)| filter.matches(group));
        rule.map_or(&self.groups, |(_, options)| options)
    }
}

/// How a group behaves.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct GroupOptions {
    /// What is kept of what was published. `None`, the default: nothing.
    pub history: Option<HistoryOptions>,
    /// Who is told of, when somebody asks who is there.
    pub presence: PresenceMode,
    /// What happens to a member that reads too slowly.
    pub overflow: SlowConsumerPolicy,
    /// Whether messages are compressed for those who agreed on it.
    pub compress: Compress,
    /// What members receive in the place of a message: it may tell the position, so that they can recover.
    pub envelope: Option<Envelope>,
    /// What members are told of beside messages: gaps, skipped messages, presence. `None`, the default: nothing.
    pub notices: Option<Notices>,
}

impl GroupOptions {
    /// Keeps a history.
    pub const fn history(mut self, history: HistoryOptions) -> Self {
        self.history = Some(history);
        self
    }

    /// Keeps book of who is there.
    pub const fn presence(mut self, presence: PresenceMode) -> Self {
        self.presence = presence;
        self
    }

    /// Sets what happens to members that read too slowly.
    pub const fn overflow(mut self, overflow: SlowConsumerPolicy) -> Self {
        self.overflow = overflow;
        self
    }

    /// Sets whether messages are compressed.
    pub const fn compress(mut self, compress: Compress) -> Self {
        self.compress = compress;
        self
    }

    /// Wraps each publication, once for all members.
    pub fn envelope(
        mut self,
        wrap: impl Fn(&Publication) -> Message + Send + Sync + 'static,
    ) -> Self {
        self.envelope = Some(Envelope(Arc::new(move |publication| {
            Some(wrap(publication))
        })));
        self
    }

    /// Tells members of gaps, skipped messages and presence; those for which `word` gives nothing are not told.
    pub fn notices(
        mut self,
        word: impl Fn(&Notice) -> Option<Message> + Send + Sync + 'static,
    ) -> Self {
        self.notices = Some(Notices(Arc::new(word)));
        self
    }
}

/// What is kept of what was published: the newest, within all three bounds. The oldest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryOptions {
    /// Maximum number of messages; default 100.
    pub messages: usize,
    /// Maximum number of payload bytes; default 1 MiB. One longer message is kept alone.
    pub octets: usize,
    /// For how long; default 5 minutes. An empty group is kept as long.
    pub age: Duration,
    /// Maximum number of messages that one recovery replays; default 300. Older ones are reported as missed.
    pub recovery: usize,
}

impl Default for HistoryOptions {
    fn default() -> Self {
        Self {
            messages: 100,
            octets: 1 << 20,
            age: Duration::from_secs(300),
            recovery: 300,
        }
    }
}

/// What may wait for one channel, in the hub. What the connection has taken is bounded by its own limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Maximum number of bytes, each message counted in full though all share it; default 1 MiB. One longer message may wait alone.
    pub octets: usize,
    /// Maximum number of messages; default 1024.
    pub messages: u32,
    /// For how long a message may wait; default 30 s. It is looked at about every eighth of that.
    pub age: Duration,
    /// For how long a channel may take nothing though something waits: then it is closed with 1013, whatever the policy of
    /// its groups; default 60 s.
    pub stall: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            octets: 1 << 20,
            messages: 1024,
            age: Duration::from_secs(30),
            stall: Duration::from_secs(60),
        }
    }
}

/// What happens when a message finds no room in the budget of a channel. Each message that is not delivered is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowConsumerPolicy {
    /// The channel is closed with 1013: it can come back and recover.
    #[default]
    Close,
    /// The message is dropped.
    DropNewest,
    /// The oldest messages of the group that wait are dropped to make room.
    DropOldest,
    /// Of the messages of the group that wait only the newest of each key stays ([`PublishOptions::key`](super::PublishOptions)); when that is
    /// not enough, the oldest are dropped too.
    KeepLatest,
    /// Whoever publishes waits; it fails with [`HubError::Backpressure`](super::HubError) where it cannot wait. What comes from other
    /// nodes can't wait: there the channel is closed as by `Close`.
    Wait,
}

/// What is kept of who is in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PresenceMode {
    /// Nothing.
    #[default]
    Off,
    /// How many users.
    Count,
    /// Which users, with their metadata.
    Members {
        /// For how long somebody whose last connection has gone is still there: who reconnects meanwhile was never away.
        grace: Duration,
    },
}

impl PresenceMode {
    /// Which users, with a grace of 3 s.
    pub const fn members() -> Self {
        Self::Members {
            grace: Duration::from_secs(3),
        }
    }

    pub(super) const fn grace(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::Count => Some(Duration::from_secs(3)),
            Self::Members { grace } => Some(grace),
        }
    }
}

/// Whether the messages of a group are compressed: once for all who agreed on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compress {
    /// Never: what is secret must not share a window with what others choose (CRIME, BREACH).
    Never,
    /// From this length on, in octets.
    From(usize),
}

impl Default for Compress {
    /// From 256 octets on.
    fn default() -> Self {
        Self::From(256)
    }
}

/// What is done with publications while the backplane is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutagePolicy {
    /// They reach the members on this node, without a position, and no history.
    #[default]
    ServeLocal,
    /// They are refused with [`HubError::Down`](super::HubError::Down).
    Refuse,
    /// They are refused, and channels are closed with 1012, so that clients go to a node that is linked.
    Close {
        /// For how long it is waited: most outages are short.
        patience: Duration,
        /// Over which time channels are then closed, evenly.
        window: Duration,
    },
}

/// Something that happened to a member of a group, beside messages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Messages were dropped for this member alone, since it read too slowly.
    Skipped {
        /// The group.
        group: Arc<str>,
        /// How many.
        count: u64,
    },
    /// Messages got lost on the way to this node, and can't be had any more.
    Gap {
        /// The group.
        group: Arc<str>,
        /// How many; `None` when nobody knows.
        count: Option<u64>,
    },
    /// Messages to all channels of the user got lost on the way to this node.
    UserGap {
        /// The user.
        user: Arc<str>,
        /// How many; `None` when nobody knows.
        count: Option<u64>,
    },
    /// Users came or went.
    Presence(Arc<super::PresenceChange>),
}

impl Notice {
    /// Returns the group that it is about, or the user.
    pub fn group(&self) -> &Arc<str> {
        match self {
            Self::Skipped { group, .. } | Self::Gap { group, .. } => group,
            Self::UserGap { user, .. } => user,
            Self::Presence(change) => &change.group,
        }
    }
}

/// A function from publications to what members receive.
#[derive(Clone)]
pub struct Envelope(Arc<Wrap>);

type Wrap = dyn Fn(&Publication) -> Option<Message> + Send + Sync;

impl Envelope {
    /// Returns `None` when the function failed.
    pub(super) fn wrap(&self, publication: &Publication) -> Option<Message> {
        (self.0)(publication)
    }

    fn guarded(&self, guard: &Guard) -> Self {
        let (inner, guard) = (Arc::clone(&self.0), Arc::clone(guard));
        Self(Arc::new(move |publication| {
            let mut message = None;
            let mut call = || message = inner(publication);
            guard(Callback::Envelope, &publication.group, &mut call);
            message
        }))
    }
}

/// A callback of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Callback {
    /// [`GroupOptions::envelope`].
    Envelope,
    /// [`GroupOptions::notices`].
    Notices,
}

impl Callback {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Notices => "notices",
        }
    }
}

/// Runs a callback of a group, or stops it.
type Guard = Arc<dyn Fn(Callback, &str, &mut dyn FnMut()) + Send + Sync>;

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Envelope(..)")
    }
}

/// A function from notices to what members receive.
#[derive(Clone)]
pub struct Notices(Arc<Word>);

type Word = dyn Fn(&Notice) -> Option<Message> + Send + Sync;

impl Notices {
    pub(super) fn word(&self, notice: &Notice) -> Option<Message> {
        (self.0)(notice)
    }

    fn guarded(&self, guard: &Guard) -> Self {
        let (inner, guard) = (Arc::clone(&self.0), Arc::clone(guard));
        Self(Arc::new(move |notice| {
            let mut message = None;
            let mut call = || message = inner(notice);
            guard(Callback::Notices, notice.group(), &mut call);
            message
        }))
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices(..)")
    }
}

/// How to join a group.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct JoinOptions {
    /// Where the member stopped listening before: what was published since is replayed.
    pub since: Option<super::Position>,
}
