//! What the backplane asks of Redis, and what Redis says: plain values.
//! What each request does in Redis stands in `scripts/`.
//! Knows no connection. A test answers these from memory, the driver from a server.

use std::sync::Arc;

use sansws_core::hub::{HistoryOptions, NodeId, Position, Present};
use sansws_core::time::Duration;

use crate::name::Name;
use crate::wire::Messages;

/// By which a reply is known.
pub type RequestId = u64;

/// What is published and subscribed to in Redis.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// What is published to a group, who came and went there.
    Group(Name),
    /// What is meant for the channels of one node.
    Node(NodeId),
    /// What is published to any group, for those who watch filters.
    Watch,
    /// What nodes tell all others.
    Control,
    /// Changes of presence in any group, for nodes that listen.
    Presence,
}

/// A node in presence. The term is another after each outage, so that what is cleared away of an earlier one can't hit what
/// was said since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat {
    /// The node.
    pub node: NodeId,
    /// Which of its terms.
    pub term: u32,
}

/// A place in a group, and when what stands there was published: two messages with one number are told apart by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The position.
    pub position: Position,
    /// When the message there was published, in microseconds by the clock of Redis.
    pub time: u64,
}

/// For how long it is known that a seat was cleared away: longer than anything that its node said is on its way.
pub const GIVEN_UP: Duration = Duration::from_secs(600);

/// A request. Each is one step in Redis: it happens in full or not at all.
#[derive(Clone, Debug)]
pub enum Request {
    /// Subscribe to a channel. Answered with [`Reply::Done`]; [`Push::Subscribed`] comes before anything that is received by it.
    Subscribe(Channel),
    /// Subscribe to it no more. [`Reply::Done`].
    Unsubscribe(Channel),
    /// Where a group stands: [`Reply::Position`]. A group that is not known begins, at 0, with the epoch `fresh`. The epoch changes to
    /// `fresh`, and the numbers go on, when the server took the place of another since (`first` asks for that), or when it does
    /// not have what stood at `ours`. The time of a group whose epoch is new is that of this step.
    Position {
        /// The group.
        group: Name,
        /// What the node has seen of it last.
        ours: Option<Mark>,
        /// It is asked for the first time over this connection.
        first: bool,
        /// The next epoch, if one is needed.
        fresh: u64,
    },
    /// Number and keep messages of a group, and send them to all who subscribed: [`Reply::Published`] or [`Reply::Again`].
    Publish {
        /// The group.
        group: Name,
        /// The messages. All of them have numbers, or none.
        messages: Messages,
        /// Whether they have numbers.
        saved: bool,
        /// The id by which it is known that this was published before; there is one message then.
        id: Option<Name>,
        /// What is kept.
        keep: Option<HistoryOptions>,
        /// Somebody watches filters.
        watched: bool,
        /// The epoch, if the group begins with this.
        fresh: u64,
    },
    /// Send a payload to all who subscribed to a channel. [`Reply::Done`].
    Send {
        /// The channel.
        channel: Channel,
        /// The payload, in wire format.
        payload: Vec<u8>,
    },
    /// What was published since a position: [`Reply::Kept`], the newest, no more than one recovery replays.
    Read {
        /// The group.
        group: Name,
        /// The position.
        since: Position,
        /// What is kept.
        keep: Option<HistoryOptions>,
        /// The epoch, if the group is not known.
        fresh: u64,
    },
    /// The newest messages: [`Reply::Kept`].
    History {
        /// The group.
        group: Name,
        /// Most of them.
        limit: usize,
        /// What is kept.
        keep: Option<HistoryOptions>,
    },
    /// Who is in a group: [`Reply::Presence`].
    Presence {
        /// The group.
        group: Name,
        /// Whether names are wanted, or only how many.
        members: bool,
    },
    /// Users are in a group, on a node. The metadata that were said last are kept. Versions count in one epoch for as long as the server
    /// runs: the first change after that begins another. All who subscribed, and all who listen, are told
    /// what changed. [`Reply::Done`]; [`Reply::GivenUp`] when the seat was cleared away in this group, and nothing is done.
    Enter {
        /// The group.
        group: Name,
        /// The node.
        seat: Seat,
        /// Who.
        users: Vec<Present>,
        /// The epoch of the group's presence, if one begins.
        fresh: u64,
    },
    /// Users are there no more, on this node; `None`: none of them are, and nobody enters on this seat again. All who subscribed are told what changed. [`Reply::Done`].
    Exit {
        /// The group.
        group: Name,
        /// The node.
        seat: Seat,
        /// Their names.
        users: Option<Vec<Name>>,
        /// The epoch of the group's presence, if one begins.
        fresh: u64,
    },
    /// The node has a place in the presence of these groups, from now until its lease ends or it says otherwise. [`Reply::Done`];
    /// [`Reply::GivenUp`] when its lease has ended and another was told to clear it away.
    Register {
        /// The node.
        seat: Seat,
        /// The groups.
        groups: Vec<Name>,
        /// For how long, from now, if nothing more is heard; what was said before stands.
        lease: Duration,
    },
    /// It has no place there any more. When `whole`, and no group is left, nothing is known of the node any more but that its seat was given
    /// up. [`Reply::Done`].
    Unregister {
        /// The node.
        seat: Seat,
        /// The groups.
        groups: Vec<Name>,
        /// The node is cleared away.
        whole: bool,
    },
    /// In which groups a node has a place: [`Reply::Groups`].
    Groups(Seat),
    /// The node is there: [`Reply::Beat`].
    Beat {
        /// The node.
        seat: Seat,
        /// Whether it watches filters.
        watching: bool,
        /// For how long, from now.
        lease: Duration,
    },
}

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done.
    Done,
    /// It was not done, since others were told to clear the seat away: the node takes another.
    GivenUp,
    /// Where a group stands.
    Position {
        /// The place.
        mark: Mark,
        /// When the newest message was published, be it one without a number. No two that watchers receive of one group have the same time.
        newest: u64,
    },
    /// Messages were published.
    Published {
        /// Where the group stood before them.
        before: Position,
        /// When.
        time: u64,
    },
    /// One with this id was published before, and stands there.
    Again(Position),
    /// What is kept.
    Kept {
        /// Where the group stands; `None` when it is not known.
        position: Option<Position>,
        /// The number of the last message that is not kept any more.
        floor: u64,
        /// The oldest first, without holes.
        entries: Vec<Entry>,
    },
    /// Who is there.
    Presence {
        /// In which numbering the version counts; 0 if none has begun.
        epoch: u64,
        /// How many changes there were.
        version: u64,
        /// How many users there are.
        count: usize,
        /// Who, if that was asked for.
        members: Vec<Present>,
    },
    /// In which groups a node has a place.
    Groups(Vec<Name>),
    /// The node was heard.
    Beat {
        /// Nothing was known of it: this is the first that was heard of it, or it was given up.
        anew: bool,
        /// Some node watches filters.
        watched: bool,
        /// Nodes whose lease has ended; it is for whoever hears of them to clear them away, until another lease has ended.
        dead: Vec<Seat>,
        /// What time it is, by the clock of Redis, in microseconds.
        time: u64,
    },
}

/// A message that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub offset: u64,
    /// When it was published, in microseconds by the clock of Redis.
    pub time: u64,
    /// The message, in wire format.
    pub message: Vec<u8>,
}

/// Why a request was not done, though the connection is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

/// What Redis says by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// The subscription begins here.
    Subscribed(Channel),
    /// It has ended here.
    Unsubscribed(Channel),
    /// Something was sent to a channel: a payload in wire format.
    Message(Channel, Vec<u8>),
}
