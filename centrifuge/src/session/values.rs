//! Inputs and outputs of a session.

use std::sync::Arc;

use sansws_core::hub::{ChannelId, History, HistoryQuery, HubError, JoinOptions, Joined, Presence};
use sansws_core::message::Message;
use sansws_core::time::Instant;
use serde::{Deserialize, Serialize};

use crate::codes::{Disconnect, Refusal};
use crate::protocol::{
    ConnectRequest, PublishRequest, RpcRequest, SubRefreshRequest, SubscribeRequest,
};

/// Work that a session wants done.
///
/// For an example see [`Session`](super::Session).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send this directly.
    Send(Message),
    /// Send this after all publications that are queued for the client.
    SendInOrder(Message),
    /// Ask the application; the answer goes to [`Session::answer`](super::Session::answer).
    Ask(Question),
    /// Call the hub; the result goes to [`Session::hub_result`](super::Session::hub_result).
    Call(HubCall),
    /// Leave a group of the hub; there is no result.
    Leave(Arc<str>),
    /// Let queued messages go out.
    Release,
    /// Close the connection.
    Close(Disconnect),
}

/// A question to the application.
///
/// For an example see [`Session`](super::Session).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Question {
    /// May the client connect, and as whom?
    Connect(ConnectRequest),
    /// May it subscribe? With whether its namespace grants that already.
    Subscribe(SubscribeRequest, bool),
    /// May it publish? The namespace does not grant it.
    Publish(PublishRequest),
    /// What does this method return?
    Rpc(RpcRequest),
    /// A message for the application.
    Message(Vec<u8>),
    /// Is this token valid for the connection?
    Refresh(String),
    /// Is this token valid for the subscription?
    SubRefresh(SubRefreshRequest),
}

/// An answer of the application.
///
/// For an example see [`Session`](super::Session).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// The client may connect.
    Connect(Connect),
    /// It may subscribe.
    Subscribe(Subscribe),
    /// Yes; with the payload to publish, or the result of a method.
    Data(Vec<u8>),
    /// The connection or subscription expires at this time, or never.
    Expires(Option<Instant>),
    /// No.
    Refused(Refusal),
}

/// A connection that is granted.
///
/// ```
/// use sansws_centrifuge::Connect;
///
/// let connect = Connect::user("ada").info(r#"{"name":"Ada"}"#).channel("chat:lobby");
/// assert_eq!((&*connect.user, connect.channels.len()), ("ada", 1));
/// assert_eq!(connect.expires, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Connect {
    /// The user; empty if unknown.
    pub user: String,
    /// Information for others, in JSON.
    pub info: Option<String>,
    /// A payload for the client.
    pub data: Vec<u8>,
    /// When it expires unless it is refreshed.
    pub expires: Option<Instant>,
    /// Channels to which the client is subscribed at once.
    pub channels: Vec<String>,
}

impl Connect {
    /// Grants the connection to a user.
    pub fn user(user: &str) -> Self {
        Self {
            user: user.into(),
            ..Self::default()
        }
    }

    /// Sets information for others, in JSON.
    pub fn info(mut self, info: &str) -> Self {
        self.info = Some(info.into());
        self
    }

    /// Subscribes the client to a channel.
    pub fn channel(mut self, channel: &str) -> Self {
        self.channels.push(channel.into());
        self
    }
}

/// A subscription that is granted.
///
/// ```
/// use sansws_centrifuge::Subscribe;
/// use sansws_core::time::{Duration, Instant};
///
/// /// Grants a subscription for an hour; for `on_subscribe`.
/// fn for_an_hour(now: Instant) -> Subscribe {
///     Subscribe { expires: Some(now + Duration::from_secs(3600)), ..Subscribe::default() }
/// }
/// # let _ = for_an_hour(Instant::ZERO);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Subscribe {
    /// Information for others in this channel, in JSON.
    pub info: Option<String>,
    /// A payload for the client.
    pub data: Vec<u8>,
    /// When it expires unless it is refreshed.
    pub expires: Option<Instant>,
}

/// A call of the hub.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HubCall {
    /// Open the channel of the connection, with its queue held back.
    Open {
        /// The user, if there is one.
        user: Option<String>,
    },
    /// Join a group.
    Join(Arc<str>, JoinOptions),
    /// Publish to a group.
    Publish {
        /// The group.
        channel: Arc<str>,
        /// The message.
        message: Message,
        /// The client, as others see it.
        info: String,
    },
    /// Ask for presence.
    Presence(Arc<str>),
    /// Ask for kept messages.
    History(HistoryQuery),
}

/// The result of a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HubResult {
    /// The channel of the connection.
    Opened(ChannelId),
    /// The result of a join.
    Joined(Joined),
    /// It is published.
    Published,
    /// The connections in the group.
    Presence(Presence),
    /// Kept messages.
    History(History),
    /// The user has as many connections as it may have.
    UserLimit,
    /// It failed.
    Failed(HubError),
}

/// A request of another part of the application to a session; it travels as a signal of the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Control {
    /// End the connection.
    Disconnect {
        /// The close code.
        code: u16,
        /// A text for people.
        reason: String,
        /// The ids of clients that are to stay.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        except: Vec<String>,
    },
    /// Change when the connection expires.
    Refresh {
        /// The time in seconds since the Unix epoch; `None`: never. A time that has passed ends the connection.
        expire_at: Option<u64>,
    },
    /// End a subscription.
    Unsubscribe {
        /// The channel.
        channel: String,
        /// The code.
        code: u32,
        /// A text for people.
        reason: String,
    },
    /// Subscribe the client to a channel.
    Subscribe {
        /// The channel.
        channel: String,
        /// Information for others in the channel, in JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        info: Option<String>,
        /// A payload for the client, in JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<String>,
        /// When it expires, in seconds since the Unix epoch; `None`: never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expire_at: Option<u64>,
    },
    /// Handle commands of the client, which came beside its transport.
    Commands {
        /// The secret of the session.
        secret: String,
        /// A message in the codec of the session; in base64 if that is binary.
        data: String,
    },
    /// Send a payload, in JSON.
    Message {
        /// The payload.
        data: String,
    },
}

/// Returns a time that is given in seconds since the Unix epoch.
pub(super) const fn of_seconds(seconds: u64) -> Instant {
    Instant::from_micros(seconds.saturating_mul(1_000_000))
}

/// The time until an expiry in whole seconds, at least one.
pub(super) fn ttl(now: Instant, expires: Instant) -> u32 {
    let left = expires.as_micros().saturating_sub(now.as_micros());
    u32::try_from(left / 1_000_000).unwrap_or(u32::MAX).max(1)
}
