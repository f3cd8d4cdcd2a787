//! Inputs and outputs of a hub.
//! RFC 6455 section 7.4.1 for close codes.
//! Plain values.

use alloc::string::String;
use alloc::sync::Arc;

use super::backplane::{BackplaneCommand, BackplaneEvent, Published, Query, QueryResult, Token};
use super::join::Joined;
use super::publication::PublishRequest;
use super::{ChannelId, Filter, HubError, Instruction, JoinOptions, PresenceChange, Target};
use crate::close::CloseCode;
use crate::message::PreparedMessage;
use crate::time::Duration;

/// The options of a channel.
///
/// ```
/// use core::time::Duration;
/// use sansws_core::hub::{ChannelOptions, HubOptions, LocalHub};
/// use sansws_core::random::Seed;
/// use sansws_core::time::Instant;
///
/// let mut hub = LocalHub::new(Seed::new([7; 32]), HubOptions::default().into());
/// let options = ChannelOptions {
///     user: Some("ada".into()),
///     metadata: Some(r#"{"name":"Ada"}"#.into()),
///     expiry: Some(Duration::from_secs(60)),
///     ..ChannelOptions::default()
/// };
/// let channel = hub.open(Instant::ZERO, options)?;
/// assert!(hub.groups_of(channel).is_empty());
/// # Ok::<(), sansws_core::hub::HubError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ChannelOptions {
    /// Its user: you can send to all channels of a user, and they count as one in presence.
    pub user: Option<String>,
    /// Its metadata in presence, visible to others: a short text, such as JSON.
    pub metadata: Option<String>,
    /// The kind of messages it takes.
    pub encoding: Encoding,
    /// How long it may be silent before it is closed with 1001. Data from its peer and [`Hub::touch`](super::Hub::touch) restart the
    /// time.
    pub expiry: Option<Duration>,
    /// The base-2 logarithm of the negotiated window for compressed messages to it; `None`: no compression.
    pub window_bits: Option<u8>,
}

/// The kind of messages that a channel takes.
///
/// For an example see [`Format`](super::Format).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The kind in which a message was sent.
    #[default]
    AsSent,
    /// Text, including JSON. Bytes that are not UTF-8 cannot be converted: they are dropped, and counted.
    Text,
    /// Binary messages.
    Binary,
    /// Publications and notices in the format of this number ([`HubOptions::formats`](super::HubOptions)); messages to the channel alone
    /// as they were sent.
    Format(u8),
}

/// An operation on a hub, as a value; each corresponds to a method.
///
/// ```
/// use sansws_core::hub::{ChannelOptions, HubInput, HubOptions, LocalHub, Reply};
/// use sansws_core::random::Seed;
/// use sansws_core::time::Instant;
///
/// // Operations as values, from a queue or a log.
/// let mut hub = LocalHub::new(Seed::new([7; 32]), HubOptions::default().into());
/// let input = HubInput::Open(ChannelOptions::default());
/// assert!(matches!(hub.handle(Instant::ZERO, input)?, Reply::Opened(_)));
/// # Ok::<(), sansws_core::hub::HubError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HubInput {
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
    Event(BackplaneEvent),
    /// [`Hub::tick`](super::Hub::tick).
    Tick,
    /// [`Hub::drain`](super::Hub::drain).
    Drain,
}

/// The result of an [`HubInput`].
///
/// For an example see [`HubInput`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// The channel that was opened.
    Opened(ChannelId),
    /// The channel joined; [`None`] if the answer comes as [`Output::Joined`].
    Joined(Option<Joined>),
    /// The channel left.
    Left(Left),
    /// Where the message went.
    Sent(Sent),
    /// The answer comes as [`Output::Answer`] with this token.
    Asked(Token),
    /// No result.
    Done,
}

/// An output of a hub.
///
/// For an example see [`LocalHub`](super::LocalHub).
#[derive(Clone, Debug)]
pub enum Output {
    /// Messages are queued for the channel in this slot: take them. Emitted once, until all are taken.
    Wake(u32),
    /// Pass this to the backplane.
    Command(BackplaneCommand),
    /// The result of a channel's join. After an error it is not a member.
    Joined(ChannelId, Arc<str>, Result<Joined, HubError>),
    /// A signal for the handler of a channel.
    Signal(ChannelId, Signal),
    /// The result of a publication.
    Published(Token, Result<Published, HubError>),
    /// The answer to a query.
    Answer(Token, Result<QueryResult, HubError>),
    /// There is room again for publishers that got [`HubError::Backpressure`].
    Room,
    /// An event; see [`Hub::listen`](super::Hub::listen).
    Event(HubEvent),
}

/// A signal for the handler of a connection, which its peer does not see.
///
/// ```
/// use sansws_core::hub::Signal;
///
/// fn handle(signal: Signal) {
///     match signal {
///         Signal::Text(text) => println!("another part of the application says {text}"),
///         Signal::Gap { group, .. } => println!("messages of {group} were lost: reload them"),
///         _ => println!("earlier signals were lost"),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Messages of a group were lost on the way to this node, and are not delivered. Only for channels with [`Encoding::Format`].
    Gap {
        /// The group.
        group: Arc<str>,
        /// The number of messages; `None` if unknown.
        count: Option<u64>,
    },
    /// A text from another part of the application ([`Instruction::Signal`]).
    Text(Arc<str>),
    /// Earlier signals were lost because the handler did not take them.
    Lost,
}

/// The result of leaving a group.
///
/// ```
/// use sansws_core::hub::{ChannelOptions, HubOptions, JoinOptions, LocalHub};
/// use sansws_core::random::Seed;
/// use sansws_core::time::Instant;
///
/// let now = Instant::ZERO;
/// let mut hub = LocalHub::new(Seed::new([7; 32]), HubOptions::default().into());
/// let channel = hub.open(now, ChannelOptions::default())?;
/// hub.join(now, channel, "lobby", JoinOptions::default())?;
/// let left = hub.leave(now, channel, "lobby")?;
/// assert!(left.removed && left.emptied); // no member is left on this node
/// assert!(!hub.leave(now, channel, "lobby")?.removed);
/// # Ok::<(), sansws_core::hub::HubError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// Whether it was a member.
    pub removed: bool,
    /// Whether no member is left on this node.
    pub emptied: bool,
}

/// The result of sending a message to a channel or a user.
///
/// ```
/// use sansws_core::hub::{ChannelOptions, HubOptions, LocalHub, Sent};
/// use sansws_core::random::Seed;
/// use sansws_core::time::Instant;
///
/// let now = Instant::ZERO;
/// let mut hub = LocalHub::new(Seed::new([7; 32]), HubOptions::default().into());
/// let channel = hub.open(now, ChannelOptions::default())?;
/// assert_eq!(hub.send_to(now, channel, "hello".into())?, Sent::Queued);
/// hub.closed(now, channel);
/// assert_eq!(hub.send_to(now, channel, "anybody?".into())?, Sent::Gone);
/// # Ok::<(), sansws_core::hub::HubError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is queued for the channel.
    Queued,
    /// The channel's queue has no room: its policy was applied.
    Overflowed,
    /// Another node was asked to deliver it, or the backplane.
    Forwarded,
    /// No channel has that id any more.
    Gone,
}

/// The next item of a channel.
///
/// For an example see [`LocalHub`](super::LocalHub).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken<R> {
    /// A message.
    Message(R),
    /// For a listener: it took too slowly, and so many messages of a group were skipped here.
    Skipped {
        /// The group.
        group: Arc<str>,
        /// The number of messages.
        count: u64,
    },
    /// Close the connection: nothing else will come.
    Close(CloseCode, String),
    /// The queue is empty. [`Output::Wake`] reports the next message.
    Nothing,
}

/// An event on this node.
///
/// ```
/// use sansws_core::hub::HubEvent;
///
/// /// Logs what needs attention; the events come from `Hub::events`.
/// fn log(event: &HubEvent) {
///     match event {
///         HubEvent::Slow(channel) => println!("{channel} reads too slowly"),
///         HubEvent::Gap { group, .. } => println!("messages of {group} were lost"),
///         HubEvent::Down => println!("the backplane is down"),
///         _ => {}
///     }
/// }
/// ```
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
    /// Messages were lost on the way to this node.
    Gap {
        /// The group.
        group: Arc<str>,
        /// The number of messages; `None` if unknown.
        count: Option<u64>,
    },
    /// Messages to all channels of the user were lost on the way to this node.
    UserGap {
        /// The user.
        user: Arc<str>,
        /// The number of messages; `None` if unknown.
        count: Option<u64>,
    },
    /// A channel is closed because it read too slowly.
    Slow(ChannelId),
    /// The backplane is down.
    Down,
    /// The backplane is up again.
    Up,
}
