//! The commands and events between a node and the backplane: plain values.
//! The link of a node keeps the order of commands, and that of events.
//! Knows no link: in one process it is [`Broker`](super::Broker), between machines another backplane.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::id::Name;
use super::publication::PublishRequest;
use super::{ChannelId, Filter, HubError, Position, Publication};
use crate::close::CloseCode;
use crate::message::PreparedMessage;
use crate::time::Instant;

/// The target of an [`Instruction`].
///
/// For an example see [`Instruction`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One channel.
    Channel(ChannelId),
    /// All channels of a user.
    User(Arc<str>),
}

/// An operation on a channel.
///
/// ```
/// use sansws_core::hub::{ChannelOptions, HubOptions, Instruction, LocalHub, Target};
/// use sansws_core::random::Seed;
/// use sansws_core::time::Instant;
///
/// let now = Instant::ZERO;
/// let mut hub = LocalHub::new(Seed::new([7; 32]), HubOptions::default().into());
/// let user = ChannelOptions { user: Some("ada".into()), ..ChannelOptions::default() };
/// let channel = hub.open(now, user)?;
/// // All connections of ada, wherever they are:
/// hub.instruct(now, Target::User("ada".into()), Instruction::Join("staff".into()))?;
/// while hub.poll_output(now).is_some() {}
/// assert_eq!(hub.members("staff"), [channel]);
/// # Ok::<(), sansws_core::hub::HubError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instruction {
    /// Join a group.
    Join(Arc<str>),
    /// Leave a group.
    Leave(Arc<str>),
    /// Change the user, or remove it.
    SetUser(Option<Arc<str>>),
    /// Change the metadata.
    SetMetadata(Arc<str>),
    /// Expire at this time, by the clock of the hub; or never.
    SetExpiry(Option<Instant>),
    /// Pass a text to the handler, which receives it as [`Signal::Text`](super::Signal).
    Signal(Arc<str>),
}

/// Identifies the answer to a command.
pub type Token = u64;

/// A command of a node.
///
/// For an example see [`Broker`](super::Broker).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BackplaneCommand {
    /// The compression windows that its channels negotiated: bit `n` stands for 2^n bytes.
    Windows(u16),
    /// Subscribe to a group, and get its position. If repeated: only get the position.
    Subscribe {
        /// The group.
        group: Name,
        /// Returned in the answer.
        token: Token,
    },
    /// Unsubscribe from a group.
    Unsubscribe(Name),
    /// Subscribe to all groups that match a filter.
    Watch(Filter),
    /// Unsubscribe from a filter.
    Unwatch(Filter),
    /// Publish a message. The node receives it in order, if it subscribes to the group.
    Publish {
        /// Returned in the answer; `None`: no answer is wanted.
        token: Option<Token>,
        /// The message.
        draft: PublishRequest,
    },
    /// Read the messages since a position.
    Read {
        /// The group.
        group: Name,
        /// Returned in the answer.
        token: Token,
        /// The position.
        since: Position,
    },
    /// Answer a query.
    Ask {
        /// Returned with the answer.
        token: Token,
        /// The query.
        question: Query,
    },
    /// Add users to a group, on this node, or change their metadata.
    Enter {
        /// The group.
        group: Name,
        /// The users.
        users: Vec<Present>,
    },
    /// Remove users from a group, on this node.
    Exit {
        /// The group.
        group: Name,
        /// Their names.
        users: Vec<Name>,
    },
    /// All users on this node, by group: others that were announced before are gone. Sent when the link is restored, because removals
    /// in the meantime got lost.
    Here(Vec<(Name, Vec<Present>)>),
    /// Send a message to a channel of another node.
    Direct {
        /// The channel.
        to: ChannelId,
        /// The message.
        message: PreparedMessage,
    },
    /// Close all channels of a group.
    Close {
        /// The group.
        group: Name,
        /// The close code.
        code: CloseCode,
        /// The reason.
        reason: String,
    },
    /// Close a channel of another node.
    CloseChannel {
        /// The channel.
        channel: ChannelId,
        /// The close code.
        code: CloseCode,
        /// The reason.
        reason: String,
    },
    /// Pass on an instruction: to a channel of another node, or to the channels of a user, on all nodes.
    Instruct {
        /// The channel, or the group of the user's channels.
        target: Target,
        /// The instruction.
        instruction: Instruction,
    },
    /// Whether the node wants all changes of presence, including those of groups to which it does not subscribe.
    Listen(bool),
    /// The node is alive.
    Beat,
    /// The node leaves: none of its users is present any more.
    Goodbye,
}

/// An event for a node.
///
/// For an example see [`Broker`](super::Broker).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BackplaneEvent {
    /// The link is restored. Earlier unanswered commands are lost.
    Up,
    /// The link is broken.
    Down,
    /// The answer to `Subscribe`: messages after this position will arrive.
    Subscribed {
        /// The group.
        group: Name,
        /// The token of the command.
        token: Token,
        /// The group's position.
        position: Position,
    },
    /// A publication.
    Received(Arc<Publication>),
    /// A publication in a group that matches a filter of the node, only for watchers: members get it as `Received`, or it is included
    /// in their position.
    Watched(Arc<Publication>),
    /// An answer to `Publish`.
    Published {
        /// The token of the command.
        token: Token,
        /// Its position, or why it was not published.
        result: Result<Published, HubError>,
    },
    /// An answer to `Read`.
    Read {
        /// The group.
        group: Name,
        /// The token of the command.
        token: Token,
        /// The messages.
        past: HistorySlice,
    },
    /// An answer to `Ask`.
    Answer {
        /// The token of the command.
        token: Token,
        /// The answer.
        answer: QueryResult,
    },
    /// `Ask` failed.
    Failed {
        /// The token of the command.
        token: Token,
        /// The reason.
        error: HubError,
    },
    /// `Subscribe` or `Read` failed: joins that wait for it fail. If the node stays subscribed, the position is sent once it is known.
    Unavailable {
        /// The group.
        group: Name,
        /// The token of the command.
        token: Token,
        /// The reason.
        error: HubError,
    },
    /// Users came, went, or changed, in a group to which the node subscribes: its members are notified.
    Presence(Arc<PresenceChange>),
    /// Presence changed in any group, for a node that [listens](BackplaneCommand::Listen).
    Changed(Arc<PresenceChange>),
    /// An instruction to channels.
    Instruct {
        /// The channel, or the group of a user's channels.
        target: Target,
        /// The instruction.
        instruction: Instruction,
    },
    /// A message for one channel.
    Direct {
        /// The channel.
        to: ChannelId,
        /// The message.
        message: PreparedMessage,
    },
    /// Close all channels of a group.
    Close {
        /// The group.
        group: Name,
        /// The close code.
        code: CloseCode,
        /// The reason.
        reason: String,
    },
    /// Close a channel.
    CloseChannel {
        /// The channel.
        channel: ChannelId,
        /// The close code.
        code: CloseCode,
        /// The reason.
        reason: String,
    },
}

/// The result of a publication.
///
/// For an example see [`PublishOptions`](super::PublishOptions).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Its position; `None` if it reached only this node because the backplane is down, or if the answer was not awaited.
    pub position: Option<Position>,
    /// Whether a message with this id was published before, at this position.
    pub again: bool,
}

/// A request about a group that is answered.
///
/// For an example see [`HistoryQuery`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Query {
    /// Kept messages.
    History(HistoryQuery),
    /// The users in the group.
    Presence(Name),
    /// The kept messages are to be dropped; the position of the group stays.
    RemoveHistory(Name),
}

/// A query for kept messages of a group.
///
/// ```
/// use sansws_core::hub::{HistoryQuery, Position};
///
/// // The page of 20 messages before one that the user has already seen.
/// let seen = Position { epoch: 7, offset: 120 };
/// let query = HistoryQuery::new("chat:lobby", 20).since(seen).reversed();
/// assert_eq!((query.limit, query.since, query.reverse), (20, Some(seen), true));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct HistoryQuery {
    /// The group.
    pub group: Arc<str>,
    /// Maximum number of messages.
    pub limit: usize,
    /// Only messages after this position, or before it if reversed. `None`: from the oldest, or from the newest if reversed.
    pub since: Option<Position>,
    /// Newest first.
    pub reverse: bool,
}

impl HistoryQuery {
    /// Asks for the oldest kept messages, in order.
    pub fn new(group: impl Into<Arc<str>>, limit: usize) -> Self {
        Self {
            group: group.into(),
            limit,
            since: None,
            reverse: false,
        }
    }

    /// Starts at a position.
    pub const fn since(mut self, position: Position) -> Self {
        self.since = Some(position);
        self
    }

    /// Asks for the newest first.
    pub const fn reversed(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Selects the requested messages of all that are kept, oldest first, where `top` is the position of the group. It is for backplanes.
    pub fn select(&self, kept: Vec<Arc<Publication>>, top: Option<Position>) -> History {
        let mut history = History {
            publications: Vec::new(),
            position: top,
            missed: None,
        };
        let offset = |publication: &Arc<Publication>| publication.offset();
        if let (Some(since), Some(top)) = (self.since, top) {
            let floor = kept
                .first()
                .map_or(top.offset, |first| offset(first).saturating_sub(1));
            history.missed = match (since.epoch == top.epoch, self.reverse) {
                (false, _) => Some(RecoveryFailure::Epoch),
                (true, false) if since.offset > top.offset => Some(RecoveryFailure::Ahead),
                (true, false) if since.offset < floor => Some(RecoveryFailure::Evicted),
                (true, _) => None,
            };
            if history.missed == Some(RecoveryFailure::Epoch) {
                return history;
            }
        }
        let since = self.since.map(|since| since.offset);
        history.publications = if self.reverse {
            let before = |one: &Arc<Publication>| since.is_none_or(|since| offset(one) < since);
            let all = kept.into_iter().rev().filter(before);
            all.take(self.limit).collect()
        } else {
            let after = |one: &Arc<Publication>| since.is_none_or(|since| offset(one) > since);
            kept.into_iter().filter(after).take(self.limit).collect()
        };
        history
    }
}

/// The answer to a query.
///
/// For an example see [`Broker`](super::Broker).
#[derive(Clone, Debug)]
pub enum QueryResult {
    /// The kept messages.
    History(History),
    /// The users in the group.
    Presence(Presence),
    /// The kept messages were dropped.
    HistoryRemoved,
}

/// Kept messages of a group.
///
/// For an example see [`HistoryQuery`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct History {
    /// The messages, in the requested order.
    pub publications: Vec<Arc<Publication>>,
    /// The position of the group; `None` if it is unknown.
    pub position: Option<Position>,
    /// Why messages since the requested position are missing, if any are.
    pub missed: Option<RecoveryFailure>,
}

/// The messages since a position, as far as they are kept.
///
/// For an example see [`Broker`](super::Broker).
#[derive(Clone, Debug)]
pub struct HistorySlice {
    /// The messages, oldest first.
    pub publications: Vec<Arc<Publication>>,
    /// The group's position now.
    pub position: Position,
    /// Why messages are missing.
    pub missed: Option<RecoveryFailure>,
}

/// Why missed messages cannot be replayed in full.
///
/// ```
/// use sansws_core::hub::{Recovered, RecoveryFailure};
///
/// /// Tells the client whether it must load the whole page.
/// fn must_reload(recovered: Recovered) -> bool {
///     match recovered {
///         Recovered::Incomplete { reason, .. } => {
///             println!("messages are missing: {}", reason.as_str());
///             true
///         }
///         _ => false,
///     }
/// }
///
/// let reason = RecoveryFailure::Evicted;
/// assert!(must_reload(Recovered::Incomplete { replayed: 0, reason }));
/// assert!(!must_reload(Recovered::Complete(3)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecoveryFailure {
    /// The group has a new epoch: nothing is replayed.
    Epoch,
    /// The position lies ahead of the group's: nothing is replayed.
    Ahead,
    /// Some are no longer kept: the others are replayed.
    Evicted,
    /// There are more than one recovery replays: the newest are replayed.
    Limit,
    /// The group keeps no history.
    NoHistory,
    /// The envelope of the group failed on some: the others are replayed.
    Unwrapped,
}

/// A user in a group.
///
/// For an example see [`Presence`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The user; the id of the channel if it has none.
    pub user: Arc<str>,
    /// The metadata that were set last, by any of its channels.
    pub metadata: Option<Arc<str>>,
    /// When they were set: if two nodes report metadata of one user, the later ones win.
    pub said: Instant,
}

/// The users who came and went, and those whose metadata changed.
///
/// Apply the changes of the snapshot's epoch whose version is higher than the snapshot's, each once. A change of another epoch means that
/// numbering restarted: take another snapshot.
///
/// ```
/// use std::collections::BTreeSet;
/// use sansws_core::hub::PresenceChange;
///
/// /// Applies a change to the names that a page shows.
/// fn apply(users: &mut BTreeSet<String>, change: &PresenceChange) {
///     for gone in &change.left {
///         users.remove(&*gone.user);
///     }
///     users.extend(change.joined.iter().map(|user| String::from(&*user.user)));
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceChange {
    /// The group.
    pub group: Arc<str>,
    /// The epoch of the version. It changes when the backplane lost its data, or had forgotten the group.
    pub epoch: u64,
    /// The version of the presence after this change: one more than before it.
    pub version: u64,
    /// The number of users now.
    pub count: usize,
    /// The users who came.
    pub joined: Vec<Present>,
    /// The users whose metadata changed.
    pub updated: Vec<Present>,
    /// The users who went, with their last metadata.
    pub left: Vec<Present>,
}

impl PresenceChange {
    /// Creates an empty change, for backplanes to fill.
    pub const fn new(group: Arc<str>, epoch: u64, version: u64, count: usize) -> Self {
        Self {
            group,
            epoch,
            version,
            count,
            joined: Vec::new(),
            updated: Vec::new(),
            left: Vec::new(),
        }
    }

    /// Returns whether nothing changed.
    pub const fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.updated.is_empty() && self.left.is_empty()
    }
}

/// The users in a group.
///
/// ```
/// use sansws_core::hub::{ChannelOptions, GroupOptions, HubOptions, JoinOptions, LocalHub, PresenceMode};
/// use sansws_core::random::Seed;
/// use sansws_core::time::Instant;
///
/// let now = Instant::ZERO;
/// let groups = GroupOptions::default().presence(PresenceMode::members());
/// let options = HubOptions::default().groups(groups);
/// let mut hub = LocalHub::new(Seed::new([7; 32]), options.into());
/// for _ in ["laptop", "phone"] {
///     let user = ChannelOptions { user: Some("ada".into()), ..ChannelOptions::default() };
///     let channel = hub.open(now, user)?;
///     hub.join(now, channel, "lobby", JoinOptions::default())?;
/// }
/// while hub.poll_output(now).is_some() {}
/// let presence = hub.broker().presence("lobby");
/// assert_eq!((presence.count, &*presence.members[0].user), (1, "ada"));
/// # Ok::<(), sansws_core::hub::HubError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presence {
    /// The epoch of the version; 0 if the group is unknown.
    pub epoch: u64,
    /// The version: the number of changes.
    pub version: u64,
    /// The number of users.
    pub count: usize,
    /// The users; empty if only their number is kept.
    pub members: Vec<Present>,
}
