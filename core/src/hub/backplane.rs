//! What a node says to what links the nodes, and what it hears: plain values.
//! The link of one node keeps the order of commands, and that of events.
//! Knows no link: in one process it is [`Broker`](super::Broker), between machines something else.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::id::Name;
use super::publication::PublishRequest;
use super::{ChannelId, Filter, HubError, Position, Publication};
use crate::close::CloseCode;
use crate::message::PreparedMessage;
use crate::time::Instant;

/// Who is to follow an [`Instruction`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One channel.
    Channel(ChannelId),
    /// All channels of a user.
    User(Arc<str>),
}

/// Something that a channel is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instruction {
    /// Join a group.
    Join(Arc<str>),
    /// Leave a group.
    Leave(Arc<str>),
    /// Belong to another user, or to none.
    SetUser(Option<Arc<str>>),
    /// Have other metadata.
    SetMetadata(Arc<str>),
    /// End at this time, by the clock of the hub; or have no such end.
    SetExpiry(Option<Instant>),
}

/// A number by which a node knows the answer to what it asked.
pub type Token = u64;

/// What a node asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// The windows that its channels agreed on for compression: bit `n` stands for 2^n octets.
    Windows(u16),
    /// It wants what is published to a group, and is told the group's position. A second time: only the position.
    Subscribe {
        /// The group.
        group: Name,
        /// Comes back in the answer.
        token: Token,
    },
    /// It wants it no more.
    Unsubscribe(Name),
    /// It wants what is published to all groups that a filter matches.
    Watch(Filter),
    /// It wants it no more.
    Unwatch(Filter),
    /// Publish a message. The node gets it back in its turn, if it wants what is published to the group.
    Publish {
        /// Comes back in the answer; `None`: no answer is wanted.
        token: Option<Token>,
        /// The message.
        draft: PublishRequest,
    },
    /// Read what was published since a position.
    Read {
        /// The group.
        group: Name,
        /// Comes back in the answer.
        token: Token,
        /// The position.
        since: Position,
    },
    /// Answer a question.
    Ask {
        /// Comes back with the answer.
        token: Token,
        /// The question.
        question: Query,
    },
    /// Users are in a group, on this node; or they were before, and have other metadata now.
    Enter {
        /// The group.
        group: Name,
        /// Who.
        users: Vec<Present>,
    },
    /// Users are in a group no more, on this node.
    Exit {
        /// The group.
        group: Name,
        /// Their names.
        users: Vec<Name>,
    },
    /// All users that are on this node, by group: whoever was told of before and is not among them has gone. It is said when the
    /// link is there again, since what was said of those who went meanwhile got lost.
    Here(Vec<(Name, Vec<Present>)>),
    /// Send a message to a channel of another node.
    Direct {
        /// The channel.
        to: ChannelId,
        /// The message.
        message: PreparedMessage,
    },
    /// Close all channels that are in a group.
    Close {
        /// The group.
        group: Name,
        /// With this code.
        code: CloseCode,
        /// With this reason.
        reason: String,
    },
    /// Close a channel of another node.
    CloseChannel {
        /// The channel.
        channel: ChannelId,
        /// With this code.
        code: CloseCode,
        /// With this reason.
        reason: String,
    },
    /// Pass an instruction on: to a channel of another node, or to the channels of a user, on all nodes.
    Instruct {
        /// The channel, or the group of the user's channels.
        target: Target,
        /// What they are to do.
        instruction: Instruction,
    },
    /// Whether it wants to be told of all changes of presence, of groups too that it is not subscribed to.
    Listen(bool),
    /// It is there still.
    Beat,
    /// It goes: nothing of it is present any more.
    Goodbye,
}

/// What a node is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The link is there again. What was asked and not answered before is lost.
    Up,
    /// The link is broken.
    Down,
    /// An answer to `Subscribe`: what is published beyond this position comes.
    Subscribed {
        /// The group.
        group: Name,
        /// That of the command.
        token: Token,
        /// The group's position.
        position: Position,
    },
    /// Something was published.
    Received(Arc<Publication>),
    /// Something was published to a group that a filter of the node matches, and is for watchers alone: members get it as `Received`, or have
    /// it in their position.
    Watched(Arc<Publication>),
    /// An answer to `Publish`.
    Published {
        /// That of the command.
        token: Token,
        /// Where it stands, or why it was not published.
        result: Result<Published, HubError>,
    },
    /// An answer to `Read`.
    Read {
        /// The group.
        group: Name,
        /// That of the command.
        token: Token,
        /// What there is.
        past: HistorySlice,
    },
    /// An answer to `Ask`.
    Answer {
        /// That of the command.
        token: Token,
        /// The answer.
        answer: QueryResult,
    },
    /// An answer to `Ask`, or to `Subscribe`: it could not be done. A position is told later, when it is known.
    Failed {
        /// That of the command.
        token: Token,
        /// Why.
        error: HubError,
    },
    /// Users came or went, or changed, in a group that the node is subscribed to: its members are told.
    Presence(Arc<PresenceChange>),
    /// Presence changed in any group, for a node that [listens](Command::Listen).
    Changed(Arc<PresenceChange>),
    /// Channels are to do something.
    Instruct {
        /// The channel, or the group of a user's channels.
        target: Target,
        /// What they are to do.
        instruction: Instruction,
    },
    /// A message for one channel.
    Direct {
        /// The channel.
        to: ChannelId,
        /// The message.
        message: PreparedMessage,
    },
    /// All channels that are in a group are to be closed.
    Close {
        /// The group.
        group: Name,
        /// With this code.
        code: CloseCode,
        /// With this reason.
        reason: String,
    },
    /// A channel is to be closed.
    CloseChannel {
        /// The channel.
        channel: ChannelId,
        /// With this code.
        code: CloseCode,
        /// With this reason.
        reason: String,
    },
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Where it stands; `None` when it reached this node alone, the backplane being down, or when that was not waited for.
    pub position: Option<Position>,
    /// Whether one with the same id was published before, and stands there.
    pub again: bool,
}

/// What a node may ask about a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Query {
    /// Which messages are kept: the newest, at most so many.
    History(Name, usize),
    /// Who is there.
    Presence(Name),
}

/// What it is answered.
#[derive(Clone, Debug)]
pub enum QueryResult {
    /// What is kept.
    History(History),
    /// Who is there.
    Presence(Presence),
}

/// Messages of a group that are kept.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct History {
    /// The oldest first.
    pub publications: Vec<Arc<Publication>>,
    /// Where the group stands; `None` when nothing is known of it.
    pub position: Option<Position>,
}

/// What was published since a position, as far as it is kept.
#[derive(Clone, Debug)]
pub struct HistorySlice {
    /// The oldest first.
    pub publications: Vec<Arc<Publication>>,
    /// The group's position now.
    pub position: Position,
    /// What is missing.
    pub missed: Option<RecoveryFailure>,
}

/// Why what was missed can't be had in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecoveryFailure {
    /// The group began another numbering since: nothing is replayed.
    Epoch,
    /// The position lies ahead of the group's: nothing is replayed.
    Ahead,
    /// Some are not kept any more: what is left is replayed.
    Evicted,
    /// There are more than one recovery replays: the newest are replayed.
    Limit,
    /// The group keeps no history.
    NoHistory,
    /// The envelope of the group failed on some: the others are replayed.
    Unwrapped,
}

/// Somebody who is in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The user; the id of the channel where it has none.
    pub user: Arc<str>,
    /// What was said of it last, by any of its channels.
    pub metadata: Option<Arc<str>>,
    /// When that was said: of two nodes that say something of one user the later wins.
    pub said: Instant,
}

/// Who came, who went, and whose metadata changed.
///
/// Whoever has a snapshot applies the changes of its epoch whose version is beyond the snapshot's, each once. A change of another epoch
/// says that counting began anew: take another snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceChange {
    /// The group.
    pub group: Arc<str>,
    /// In which numbering the version counts. It is another one when the backplane lost its data, or had forgotten the group.
    pub epoch: u64,
    /// The version of the presence with this change: one more than before it.
    pub version: u64,
    /// How many users are there now.
    pub count: usize,
    /// Who came.
    pub joined: Vec<Present>,
    /// Who was there, and has other metadata now.
    pub updated: Vec<Present>,
    /// Who went.
    pub left: Vec<Arc<str>>,
}

impl PresenceChange {
    /// A change in which nothing changed, as whoever links nodes begins to make one.
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

/// Who is in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presence {
    /// In which numbering the version counts; 0 where nothing is known of the group.
    pub epoch: u64,
    /// How many changes there were.
    pub version: u64,
    /// How many users are there.
    pub count: usize,
    /// Who; nobody where only the count is kept.
    pub members: Vec<Present>,
}
