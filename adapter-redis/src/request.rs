//! Requests to Redis, and the replies: plain values.
//! `scripts/` contains what each request does in Redis.
//! Knows no connection. A test answers them from memory, the driver from a server.

use sansws_core::hub::{HistoryOptions, NodeId, Position, Present};
use sansws_core::time::Duration;

pub use crate::name::Name;
use crate::wire::Messages;

/// Identifies a request and its reply.
pub type RequestId = u64;

/// A channel that is published to and subscribed to in Redis.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Publications of a group, and its changes of presence.
    Group(Name),
    /// Messages for the channels of one node.
    Node(NodeId),
    /// Publications of all groups, for watchers of filters.
    Watch,
    /// Messages from one node to all others.
    Control,
    /// Changes of presence in any group, for nodes that listen.
    Presence,
}

/// A node in presence. Its term changes after each outage, so that clearing an earlier term cannot remove what was announced since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    /// The node.
    pub node: NodeId,
    /// Its term.
    pub term: u32,
}

/// A place in a group, with the time of the message there, which distinguishes two messages with one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The position.
    pub position: Position,
    /// When the message there was published, in microseconds by the clock of Redis.
    pub time: u64,
}

/// How long a cleared incarnation is remembered: longer than any message of its node can be in flight.
pub const GIVEN_UP: Duration = Duration::from_secs(600);

/// A request. Each is one step in Redis, which happens in full or not at all.
#[derive(Clone, Debug)]
pub enum Request {
    /// Subscribe to a channel. Reply: [`Reply::Done`]; [`Push::Subscribed`] precedes all messages of the channel.
    Subscribe(Channel),
    /// Unsubscribe from a channel. Reply: [`Reply::Done`].
    Unsubscribe(Channel),
    /// Get the position of a group: [`Reply::Position`]. An unknown group starts at 0, with the epoch `fresh`. The epoch changes to
    /// `fresh`, and the numbers go on, if the server has replaced another one since (`first` checks this), or if it does not have the
    /// message that stood at `ours`. The time of a group with a new epoch is that of this step.
    Position {
        /// The group.
        group: Name,
        /// The last mark that the node has seen of it.
        ours: Option<Mark>,
        /// This is the first request over this connection.
        first: bool,
        /// The next epoch, if one is needed.
        fresh: u64,
    },
    /// Number, keep and send messages of a group: [`Reply::Published`] or [`Reply::Again`].
    Publish {
        /// The group.
        group: Name,
        /// The messages. Either all of them have numbers, or none.
        messages: Messages,
        /// Whether they have numbers.
        saved: bool,
        /// The id that shows whether this was published before; there is only one message then.
        id: Option<Name>,
        /// The limits of the history.
        keep: Option<HistoryOptions>,
        /// Whether any node watches filters.
        watched: bool,
        /// The epoch, in case the group starts with this message.
        fresh: u64,
    },
    /// Send a payload to all subscribers of a channel. Reply: [`Reply::Done`].
    Send {
        /// The channel.
        channel: Channel,
        /// The payload, in wire format.
        payload: Vec<u8>,
    },
    /// Get the messages since a position: [`Reply::Kept`], the newest, at most as many as one recovery replays.
    Read {
        /// The group.
        group: Name,
        /// The position.
        since: Position,
        /// The limits of the history.
        keep: Option<HistoryOptions>,
        /// The epoch, in case the group is unknown.
        fresh: u64,
    },
    /// Get the newest messages: [`Reply::Kept`].
    History {
        /// The group.
        group: Name,
        /// Maximum number of messages.
        limit: usize,
        /// The limits of the history.
        keep: Option<HistoryOptions>,
    },
    /// Drop the kept messages of a group; its position stays. Reply: [`Reply::Done`].
    RemoveHistory(Name),
    /// Get the users in a group: [`Reply::Presence`].
    Presence {
        /// The group.
        group: Name,
        /// Whether names are requested, or only their number.
        members: bool,
    },
    /// Add users to a group, on a node. The metadata that were set last are kept. Versions count in one epoch for as long as the server
    /// runs; the first change after that starts another. All subscribers and listeners are notified. Reply: [`Reply::Done`], or
    /// [`Reply::GivenUp`] without any change if the incarnation was cleared in this group.
    Enter {
        /// The group.
        group: Name,
        /// The node.
        incarnation: Incarnation,
        /// The users.
        users: Vec<Present>,
        /// The epoch of the group's presence, in case one starts.
        fresh: u64,
    },
    /// Remove users from a group, on this node; `None` removes all, and bars this incarnation from entering again. All subscribers are
    /// notified. Reply: [`Reply::Done`].
    Exit {
        /// The group.
        group: Name,
        /// The node.
        incarnation: Incarnation,
        /// Their names.
        users: Option<Vec<Name>>,
        /// The epoch of the group's presence, in case one starts.
        fresh: u64,
    },
    /// Register the node in the presence of these groups, until its lease ends or it unregisters. Reply: [`Reply::Done`], or
    /// [`Reply::GivenUp`] if its lease has ended and another node was told to clear it.
    Register {
        /// The node.
        incarnation: Incarnation,
        /// The groups.
        groups: Vec<Name>,
        /// The lease, from now on, if there is none yet.
        lease: Duration,
    },
    /// Unregister the node from these groups. If `whole`, and no group is left, the node is forgotten except that its incarnation was given
    /// up. Reply: [`Reply::Done`].
    Unregister {
        /// The node.
        incarnation: Incarnation,
        /// The groups.
        groups: Vec<Name>,
        /// Whether the node is being cleared.
        whole: bool,
    },
    /// Get the groups in which a node has a place: [`Reply::Groups`].
    Groups(Incarnation),
    /// Renew the lease of a node: [`Reply::Beat`].
    Beat {
        /// The node.
        incarnation: Incarnation,
        /// Whether it watches filters.
        watching: bool,
        /// The lease, from now on.
        lease: Duration,
    },
}

/// The reply to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The request was executed.
    Done,
    /// Nothing was done, because other nodes were told to clear the incarnation: the node takes a new one.
    GivenUp,
    /// The position of a group.
    Position {
        /// The place.
        mark: Mark,
        /// When the newest message was published, numbered or not. No two messages of a group that watchers receive have the same
        /// time.
        newest: u64,
    },
    /// Messages were published.
    Published {
        /// The position of the group before them.
        before: Position,
        /// When they were published.
        time: u64,
    },
    /// A message with this id was published before, at this position.
    Again(Position),
    /// Kept messages.
    Kept {
        /// The position of the group; `None` if it is unknown.
        position: Option<Position>,
        /// The number of the last message that is no longer kept.
        floor: u64,
        /// The messages, oldest first, without gaps.
        entries: Vec<Entry>,
    },
    /// The users in a group.
    Presence {
        /// The epoch of the version; 0 if there is none yet.
        epoch: u64,
        /// The version: the number of changes.
        version: u64,
        /// The number of users.
        count: usize,
        /// The users, if names were requested.
        members: Vec<Present>,
    },
    /// The groups in which a node has a place.
    Groups(Vec<Name>),
    /// The lease was renewed.
    Beat {
        /// The node was unknown: this is its first beat, or it was given up.
        anew: bool,
        /// Whether any node watches filters.
        watched: bool,
        /// Nodes whose lease has ended. The node that learns of them clears them, within another lease.
        dead: Vec<Incarnation>,
        /// The time by the clock of Redis, in microseconds.
        time: u64,
    },
}

/// A kept message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub offset: u64,
    /// When it was published, in microseconds by the clock of Redis.
    pub time: u64,
    /// The message, in wire format.
    pub message: Vec<u8>,
}

/// Why a request failed although the connection works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

/// A message that Redis sends unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// The subscription starts here.
    Subscribed(Channel),
    /// The subscription ends here.
    Unsubscribed(Channel),
    /// A payload in wire format was sent to a channel.
    Message(Channel, Vec<u8>),
}
