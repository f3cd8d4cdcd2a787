//! What a hub is asked, and what it answers.
//! RFC 6455 section 7.4.1 for close codes.
//! Plain values.

use alloc::string::String;
use alloc::sync::Arc;

use super::backplane::{Command, Event, Published, Query, QueryResult, RecoveryFailure, Token};
use super::publication::PublishRequest;
use super::{
    ChannelId, Filter, HubError, Instruction, JoinOptions, Position, PresenceChange, Target,
};
use crate::close::CloseCode;
use crate::message::PreparedMessage;
use crate::time::Duration;

/// What is said of a connection when it gets a channel.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ChannelOptions {
    /// The user it belongs to: all channels of one user can be sent to, and count as one in presence.
    pub user: Option<String>,
    /// What others see of it in presence; a short text, such as JSON.
    pub metadata: Option<String>,
    /// What kind of messages it takes.
    pub encoding: Encoding,
    /// For how long it may be silent before it is closed with 1001; what its peer sends and
    /// [`Hub::touch`](super::Hub::touch) begin that time anew.
    pub expiry: Option<Duration>,
    /// The base-2 logarithm of the window it agreed on for what is sent to it compressed; `None`: nothing is.
    pub window_bits: Option<u8>,
}

/// What kind of messages a channel takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// What was sent.
    #[default]
    AsSent,
    /// Text, JSON too. Octets that are not UTF-8 can't be had so: they are dropped, and counted.
    Text,
    /// Octets.
    Binary,
}

/// What a hub is to do: the same as its methods, as a value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// [`Hub::open`](super::Hub::open).
    Open(ChannelOptions),
    /// [`Hub::retire`](super::Hub::retire).
    Retire(ChannelId),
    /// [`Hub::closed`](super::Hub::closed).
    Closed(ChannelId),
    /// [`Hub::touch`](super::Hub::touch).
    Touch(ChannelId),
    /// [`Hub::join`](super::Hub::join).
    Join(ChannelId, String, JoinOptions),
    /// [`Hub::instruct`](super::Hub::instruct).
    Instruct(Target, Instruction),
    /// [`Hub::cancel_join`](super::Hub::cancel_join).
    CancelJoin(ChannelId, String),
    /// [`Hub::leave`](super::Hub::leave).
    Leave(ChannelId, String),
    /// [`Hub::subscribe`](super::Hub::subscribe).
    Subscribe(ChannelId, Filter),
    /// [`Hub::unsubscribe`](super::Hub::unsubscribe).
    Unsubscribe(ChannelId, Filter),
    /// [`Hub::publish`](super::Hub::publish).
    Publish(PublishRequest, Option<Token>),
    /// [`Hub::send_to`](super::Hub::send_to).
    SendTo(ChannelId, PreparedMessage),
    /// [`Hub::send_to_user`](super::Hub::send_to_user).
    SendToUser(String, PreparedMessage),
    /// [`Hub::close_all`](super::Hub::close_all).
    CloseAll(String, CloseCode, String),
    /// [`Hub::close_user`](super::Hub::close_user).
    CloseUser(String, CloseCode, String),
    /// [`Hub::ask`](super::Hub::ask).
    Ask(Query),
    /// [`Hub::close`](super::Hub::close).
    Close(ChannelId, CloseCode, String),
    /// [`Hub::receive`](super::Hub::receive).
    Event(Event),
    /// [`Hub::tick`](super::Hub::tick).
    Tick,
    /// [`Hub::drain`](super::Hub::drain).
    Drain,
}

/// What an [`Input`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// The channel that was opened.
    Opened(ChannelId),
    /// It joined; [`None`] when the answer comes as [`Output::Joined`].
    Joined(Option<Joined>),
    /// It left.
    Left(Left),
    /// Where the message went.
    Sent(Sent),
    /// The answer comes as [`Output::Answer`] with this token.
    Asked(Token),
    /// There is nothing to say.
    Done,
}

/// What is to be done for a hub.
#[derive(Clone, Debug)]
pub enum Output {
    /// Something waits for the channel at this place: take it. It is said once, until all was taken.
    Wake(u32),
    /// Give this to the backplane.
    Command(Command),
    /// A channel's join is done.
    Joined(ChannelId, Arc<str>, Joined),
    /// What became of a publication.
    Published(Token, Result<Published, HubError>),
    /// The answer to a question.
    Answer(Token, Result<QueryResult, HubError>),
    /// There is room again for publishers that were told [`HubError::Backpressure`].
    Room,
    /// Something happened; see [`Hub::listen`](super::Hub::listen).
    Event(HubEvent),
}

/// What a join came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Joined {
    /// Whether the channel was not a member before.
    pub added: bool,
    /// Whether it is the first member on this node.
    pub opened: bool,
    /// Where the group stood when it joined, replayed messages included: what comes later is received. Whoever reconnects gives
    /// it, or that of the last message received, to recover. Tell it the peer by way of its channel
    /// ([`Hub::send_to`](super::Hub::send_to)): what a handler sends by itself may overtake what is replayed.
    pub position: Option<Position>,
    /// What became of the messages that it missed.
    pub recovered: Recovered,
}

/// What became of messages that a member missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovered {
    /// It did not ask for any.
    Fresh,
    /// All were replayed; so many.
    Complete(usize),
    /// Some are missing.
    Incomplete {
        /// So many were replayed.
        replayed: usize,
        /// Why others were not.
        reason: RecoveryFailure,
    },
}

/// What leaving came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// Whether it was a member.
    pub removed: bool,
    /// Whether nobody on this node is left.
    pub emptied: bool,
}

/// Where a message to a channel or a user went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It waits for the channel.
    Queued,
    /// The channel's budget has no room: its policy was applied.
    Overflowed,
    /// Another node was asked to deliver it, or the backplane.
    Forwarded,
    /// Nobody has that id any more.
    Gone,
}

/// What was taken for a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken<R> {
    /// A message.
    Message(R),
    /// To a listener: it took too slowly, and here so many messages of a group were skipped.
    Skipped {
        /// The group.
        group: Arc<str>,
        /// How many.
        count: u64,
    },
    /// Close the connection: nothing else will come.
    Close(CloseCode, String),
    /// Nothing waits. The next thing that does is told by [`Output::Wake`].
    Nothing,
}

/// Something that happened on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubEvent {
    /// A channel joined a group.
    Joined {
        /// The group.
        group: Arc<str>,
        /// The channel.
        channel: ChannelId,
    },
    /// A channel left a group, by itself or with its connection.
    Left {
        /// The group.
        group: Arc<str>,
        /// The channel.
        channel: ChannelId,
    },
    /// A group has its first member.
    Opened(Arc<str>),
    /// A group has no members any more.
    Emptied(Arc<str>),
    /// Users came or went, on any node.
    Presence(Arc<PresenceChange>),
    /// Messages got lost on the way to this node.
    Gap {
        /// The group.
        group: Arc<str>,
        /// How many; `None` when nobody knows.
        count: Option<u64>,
    },
    /// Messages to all channels of a user got lost on the way to this node.
    UserGap {
        /// The user.
        user: Arc<str>,
        /// How many; `None` when nobody knows.
        count: Option<u64>,
    },
    /// A channel is closed, since it read too slowly.
    Slow(ChannelId),
    /// The backplane is down.
    Down,
    /// The backplane is there again.
    Up,
}
