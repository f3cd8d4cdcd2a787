//! The options of a hub.
//! Every bound has a default.
//! Plain data.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::callback::{Envelope, Format, Guard, Notices};
use super::notice::Notice;
use super::{Callback, Filter, Publication};
use crate::limits::Rate;
use crate::message::Message;
use crate::time::Duration;

/// Options of a hub.
///
/// ```
/// use core::time::Duration;
/// use sansws_core::hub::{GroupOptions, HistoryOptions, HubOptions, PresenceMode, QueueLimits};
/// use sansws_core::limits::Rate;
///
/// let chat = GroupOptions::default()
///     .history(HistoryOptions { messages: 50, ..HistoryOptions::default() })
///     .presence(PresenceMode::members());
/// let limits = QueueLimits { stall: Duration::from_secs(20), ..QueueLimits::default() };
/// let options = HubOptions {
///     publishes: Some(Rate::per_second(10)),
///     max_message: 16 << 10,
///     ..HubOptions::default()
/// };
/// let options = options.namespace("chat", chat).queue_limits(limits);
/// assert_eq!(options.of("chat:lobby").history.unwrap().messages, 50);
/// assert!(options.of("prices/oslo").history.is_none());
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct HubOptions {
    /// Options of groups without a rule.
    pub groups: GroupOptions,
    /// Options for messages to all channels of a user. By default they have neither history nor envelope. A history is an inbox:
    /// messages sent while the link of the user's node was broken are delivered when it is restored.
    pub users: GroupOptions,
    /// Options of groups by namespace, which is the part of a name before the first `:`. They precede the rules.
    pub namespaces: BTreeMap<Arc<str>, GroupOptions>,
    /// Options of groups that match a filter; the first match decides.
    pub rules: Vec<(Filter, GroupOptions)>,
    /// Formats for channels with [`Encoding::Format`](super::Encoding).
    pub formats: Vec<Format>,
    /// The limits of one channel's queue.
    pub queue_limits: QueueLimits,
    /// Maximum number of channels; default 1 048 576.
    pub max_channels: usize,
    /// Maximum number of groups with members; default 1 048 576. The channels of each [user](super::ChannelOptions::user) are a group, too.
    pub max_groups: usize,
    /// Maximum number of empty groups that are remembered, for their history and numbers; default 65 536. Beyond it the group that has
    /// been idle longest is forgotten, and counted.
    pub max_idle_groups: usize,
    /// Maximum number of groups and filters that one channel may be in; default 128, and at most 65 534.
    pub groups_per_channel: usize,
    /// Maximum length of a message that is published or sent, in bytes; default 1 MiB.
    pub max_message: usize,
    /// Maximum length of a channel's metadata, in bytes; default 1024.
    pub max_metadata: usize,
    /// How often a channel may join and leave; default unlimited.
    pub joins: Option<Rate>,
    /// How often a channel may publish; default unlimited.
    pub publishes: Option<Rate>,
    /// Maximum number of publication ids that are remembered, for 5 minutes each, in all groups of a process; default 262 144. Beyond
    /// it, a publication with another id fails with [`HubError::TooManyIds`](super::HubError). With Redis its memory is the limit.
    pub max_ids: usize,
    /// Maximum number of bytes in the histories of all groups together; default 256 MiB. Messages beyond it are not kept, and counted.
    pub max_history: usize,
    /// Compression level of shared messages, from 1 to 9; default 6, because each is compressed only once for all.
    pub compression_level: u8,
    /// How often each group's position is compared with the backplane's, which detects a loss that no later message reveals. `None`,
    /// the default: never, because nothing is lost between the threads of a process.
    pub check: Option<Duration>,
    /// How long the users of a silent node stay present. `None`, the default: forever.
    pub lease: Option<Duration>,
    /// The treatment of publications while the backplane is down.
    pub on_outage: OutagePolicy,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            groups: GroupOptions::default(),
            users: GroupOptions::default(),
            namespaces: BTreeMap::new(),
            rules: Vec::new(),
            formats: Vec::new(),
            queue_limits: QueueLimits::default(),
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
            on_outage: OutagePolicy::default(),
        }
    }
}

impl HubOptions {
    /// Sets the options of groups without a rule.
    pub fn groups(mut self, options: GroupOptions) -> Self {
        self.groups = options;
        self
    }

    /// Sets the options of groups that match `filter`, unless an earlier rule does.
    pub fn rule(mut self, filter: Filter, options: GroupOptions) -> Self {
        self.rules.push((filter, options));
        self
    }

    /// Sets the options of groups whose names begin with `name` and a colon.
    pub fn namespace(mut self, name: &str, options: GroupOptions) -> Self {
        self.namespaces.insert(name.into(), options);
        self
    }

    /// Adds a format; the first has number 0.
    pub fn format(mut self, format: Format) -> Self {
        self.formats.push(format);
        self
    }

    /// Sets the limits of one channel's queue.
    pub const fn queue_limits(mut self, budget: QueueLimits) -> Self {
        self.queue_limits = budget;
        self
    }

    /// Runs each callback of each group in `guard` from now on: it is passed the callback, the group, and the call. If it does not let
    /// the call complete, an envelope has failed and a notice is not sent.
    pub fn guard(
        mut self,
        guard: impl Fn(Callback, &str, &mut dyn FnMut()) + Send + Sync + 'static,
    ) -> Self {
        let guard: Guard = Arc::new(guard);
        let rules = self.rules.iter_mut().map(|(_, options)| options);
        let groups = rules.chain(self.namespaces.values_mut());
        for group in groups.chain([&mut self.groups, &mut self.users]) {
            group.envelope = group.envelope.as_ref().map(|known| known.guarded(&guard));
            group.notices = group.notices.as_ref().map(|known| known.guarded(&guard));
        }
        for format in &mut self.formats {
            *format = format.guarded(&guard);
        }
        self
    }

    /// Returns the formats, below 63, in which publications may be differences: bit `n` stands for format `n`.
    pub(super) fn with_delta(&self) -> u64 {
        let formats = self.formats.iter().take(63).enumerate();
        let formats = formats.filter(|(_, format)| format.has_delta());
        formats.fold(0, |all, (number, _)| all | 1 << number)
    }

    /// Returns the options of a group. No rule applies to the channels of a user.
    pub fn of(&self, group: &str) -> &GroupOptions {
        if !super::id::is_public(group) {
            return &self.users;
        }
        if !self.namespaces.is_empty()
            && let Some((namespace, _)) = group.split_once(':')
            && let Some(options) = self.namespaces.get(namespace)
        {
            return options;
        }
        let rule = self.rules.iter().find(|(filter, _)| filter.matches(group));
        rule.map_or(&self.groups, |(_, options)| options)
    }
}

/// Options of a group.
///
/// ```
/// use sansws_core::hub::{Compress, GroupOptions, HubOptions, SlowConsumerPolicy};
/// use sansws_core::message::Message;
///
/// // Prices: only the newest of each counts, and each message tells its number.
/// let prices = GroupOptions::default()
///     .slow_consumer(SlowConsumerPolicy::KeepLatest)
///     .compress(Compress::Never)
///     .envelope(|publication| {
///         let number = publication.position.map_or(0, |position| position.offset);
///         Message::Text(format!("{number} {}", publication.as_text().unwrap_or("?")))
///     });
/// let options = HubOptions::default().rule("prices/#".parse()?, prices);
/// assert_eq!(options.of("prices/oslo").slow_consumer, SlowConsumerPolicy::KeepLatest);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct GroupOptions {
    /// The history to keep. `None`, the default: none.
    pub history: Option<HistoryOptions>,
    /// The kind of presence that is kept.
    pub presence: PresenceMode,
    /// The treatment of a member that reads too slowly.
    pub slow_consumer: SlowConsumerPolicy,
    /// Whether messages are compressed for members that negotiated it.
    pub compress: Compress,
    /// Members receive this instead of a message. It may contain the position, so that they can recover.
    pub envelope: Option<Envelope>,
    /// Notices that members receive in addition to messages: of gaps, skipped messages, presence. `None`, the default: nothing.
    pub notices: Option<Notices>,
}

impl GroupOptions {
    /// Keeps a history.
    pub const fn history(mut self, history: HistoryOptions) -> Self {
        self.history = Some(history);
        self
    }

    /// Keeps presence.
    pub const fn presence(mut self, presence: PresenceMode) -> Self {
        self.presence = presence;
        self
    }

    /// Sets what happens to members that read too slowly.
    pub const fn slow_consumer(mut self, overflow: SlowConsumerPolicy) -> Self {
        self.slow_consumer = overflow;
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

    /// Notifies members of gaps, skipped messages and presence; notices for which `word` returns `None` are not sent.
    pub fn notices(
        mut self,
        word: impl Fn(&Notice) -> Option<Message> + Send + Sync + 'static,
    ) -> Self {
        self.notices = Some(Notices(Arc::new(word)));
        self
    }
}

/// The history of a group: the newest messages, within all three limits. The oldest are dropped first.
///
/// For an example see [`HubOptions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryOptions {
    /// Maximum number of messages; default 100. Zero counts as one.
    pub messages: usize,
    /// Maximum number of payload bytes; default 1 MiB. A single longer message is kept alone.
    pub bytes: usize,
    /// Maximum age; default 5 minutes. An empty group is kept as long.
    pub age: Duration,
    /// Maximum number of messages that one recovery replays; default 300. Older ones are reported as missed.
    pub recovery: usize,
}

impl Default for HistoryOptions {
    fn default() -> Self {
        Self {
            messages: 100,
            bytes: 1 << 20,
            age: Duration::from_secs(300),
            recovery: 300,
        }
    }
}

/// The limits of one channel's queue, in the hub. The connection's own limits bound the messages that it has taken.
///
/// For an example see [`HubOptions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Maximum number of bytes, with each message counted in full although all channels share it; default 1 MiB. A single longer
    /// message may wait alone.
    pub bytes: usize,
    /// Maximum number of messages; default 1024.
    pub messages: u32,
    /// Maximum time that a message may wait; default 30 s. It is checked about every eighth of that. Less than 8 ms counts as 8 ms.
    pub age: Duration,
    /// Maximum time in which a channel may take nothing while messages wait; then it is closed with 1013, whatever the policy of its
    /// groups; default 60 s. Less than 8 ms counts as 8 ms.
    pub stall: Duration,
}

/// Minimum time that messages may wait, and channels may take nothing. A loop takes what it has published in its next turn, and the checks of
/// shorter times would be all that it does.
const LEAST: Duration = Duration::from_millis(8);

impl QueueLimits {
    pub(super) fn age(&self) -> Duration {
        self.age.max(LEAST)
    }

    pub(super) fn stall(&self) -> Duration {
        self.stall.max(LEAST)
    }
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            messages: 1024,
            age: Duration::from_secs(30),
            stall: Duration::from_secs(60),
        }
    }
}

/// The treatment of a message that finds no room in the queue of a channel. Each message that is not delivered is counted.
///
/// For an example see [`GroupOptions`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowConsumerPolicy {
    /// The channel is closed with 1013: the client can reconnect and recover.
    #[default]
    Close,
    /// The message is dropped.
    DropNewest,
    /// The oldest queued messages of the group are dropped to make room.
    DropOldest,
    /// Of the queued messages of the group, only the newest of each key stays ([`PublishOptions::key`](super::PublishOptions)); if that
    /// is not enough, the oldest are dropped too.
    KeepLatest,
    /// The publisher waits, or fails with [`HubError::Backpressure`](super::HubError) if it cannot wait. Messages from other nodes
    /// cannot wait: for those the channel is closed as by `Close`.
    Wait,
}

impl SlowConsumerPolicy {
    /// Returns whether no queued message is ever dropped while the channel stays open.
    pub(super) const fn keeps_all(self) -> bool {
        match self {
            Self::Close | Self::Wait => true,
            Self::DropNewest | Self::DropOldest | Self::KeepLatest => false,
        }
    }
}

/// The kind of presence that a group keeps.
///
/// ```
/// use core::time::Duration;
/// use sansws_core::hub::{GroupOptions, PresenceMode};
///
/// let grace = Duration::from_secs(10); // a phone in a tunnel stays present
/// let rooms = GroupOptions::default().presence(PresenceMode::Members { grace });
/// let streams = GroupOptions::default().presence(PresenceMode::Count);
/// assert!(rooms.presence.keeps_members() && !streams.presence.keeps_members());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PresenceMode {
    /// None.
    #[default]
    Off,
    /// The number of users.
    Count,
    /// The users, with their metadata.
    Members {
        /// How long a user whose last connection has ended stays present; one who reconnects within it was never away.
        grace: Duration,
    },
    /// Each connection by itself, under the text of its [`ChannelId`](super::ChannelId), with the metadata of its membership and without a
    /// grace period.
    Connections,
}

impl PresenceMode {
    /// Keeps the users, with a grace period of 3 s.
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
            Self::Connections => Some(Duration::ZERO),
        }
    }

    /// Returns whether the members are kept, not only their number.
    pub const fn keeps_members(self) -> bool {
        matches!(self, Self::Members { .. } | Self::Connections)
    }
}

/// Whether the messages of a group are compressed, once for all members that negotiated it.
///
/// For an example see [`GroupOptions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compress {
    /// Never: secrets must not share a window with data that others choose (CRIME, BREACH).
    Never,
    /// Messages of at least this length, in bytes.
    From(usize),
}

impl Default for Compress {
    /// Messages of at least 256 bytes.
    fn default() -> Self {
        Self::From(256)
    }
}

/// The treatment of publications while the backplane is down.
///
/// ```
/// use sansws_core::hub::{HubOptions, OutagePolicy};
///
/// // Better no bids than bids that only this server's clients see.
/// let options = HubOptions { on_outage: OutagePolicy::Refuse, ..HubOptions::default() };
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutagePolicy {
    /// They reach the members on this node, without a position and without history.
    #[default]
    ServeLocal,
    /// They are refused with [`HubError::Down`](super::HubError::Down).
    Refuse,
    /// They are refused, and channels are closed with 1012, so that clients go to a linked node.
    Close {
        /// How long to wait first, because most outages are short.
        patience: Duration,
        /// The time over which channels are then closed, evenly.
        window: Duration,
    },
}
