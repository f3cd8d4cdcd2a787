//! The errors of the operations of a hub.
//! RFC 6455 section 7.4.1 for the close codes.
//! Plain values.

use thiserror::Error;

use crate::close::CloseCode;
use crate::time::Instant;

/// Why an operation of a hub was refused. It had no effect.
///
/// ```
/// use sansws_core::hub::{ChannelOptions, HubError, HubOptions, JoinOptions, LocalHub};
/// use sansws_core::random::Seed;
/// use sansws_core::time::Instant;
///
/// let now = Instant::ZERO;
/// let options = HubOptions { groups_per_channel: 1, ..HubOptions::default() };
/// let mut hub = LocalHub::new(Seed::new([7; 32]), options.into());
/// let channel = hub.open(now, ChannelOptions::default())?;
/// hub.join(now, channel, "lobby", JoinOptions::default())?;
/// let refused = hub.join(now, channel, "kitchen", JoinOptions::default());
/// assert_eq!(refused, Err(HubError::TooManyGroups));
/// # Ok::<(), HubError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum HubError {
    /// The name of a group, a user or a key is empty, longer than 255 bytes, or contains a control character.
    #[error("a name must have 1 to 255 bytes and no control characters")]
    BadName,
    /// A text is not a channel id.
    #[error("expected the id of a channel")]
    BadId,
    /// A text is not a position.
    #[error("expected a position")]
    BadPosition,
    /// The channel is no longer open.
    #[error("the channel is not open")]
    Gone,
    /// The connection has no hub: set one on the server, the router or the route.
    #[error("this route has no hub: see `Router::hub`")]
    NoHub,
    /// The connection already has a channel.
    #[error("the connection already has a channel")]
    IsOpen,
    /// The channel is in the maximum number of groups.
    #[error("the channel is in too many groups: see `HubOptions::groups_per_channel`")]
    TooManyGroups,
    /// The maximum number of groups exists.
    #[error("there are too many groups: see `HubOptions::max_groups`")]
    TooManyGroupsInHub,
    /// The hub has no format of the number that a channel or a join asks for.
    #[error("the hub has no such format: see `HubOptions::format`")]
    NoFormat,
    /// The maximum number of channels is open.
    #[error("there are too many channels: see `HubOptions::max_channels`")]
    TooManyChannels,
    /// The message exceeds the maximum length.
    #[error("the message is too long: see `HubOptions::max_message`")]
    TooLong,
    /// The metadata exceed the maximum length.
    #[error("the metadata are too long: see `HubOptions::max_metadata`")]
    MetadataTooLong,
    /// The channel exceeds its rate limit, until this moment.
    #[error("the channel exceeds its rate limit")]
    RateLimited(Instant),
    /// A member's queue is full, and the group makes publishers wait.
    #[error("a member of the group has a full queue")]
    Backpressure,
    /// The hub drains: joins and subscriptions are refused.
    #[error("the hub drains")]
    Draining,
    /// The backplane is down, and publications are refused meanwhile.
    #[error("the backplane is down")]
    Down,
    /// The backplane refused: it has no memory left, or its keys contain foreign data.
    #[error("the backplane refused the operation")]
    Refused,
    /// The maximum number of publication ids is remembered: a repetition of another one could not be detected.
    #[error("too many publication ids are remembered: see `HubOptions::max_ids`")]
    TooManyIds,
    /// The envelope of the group failed on this message: no member received it.
    #[error("the envelope of the group failed on this message")]
    EnvelopeFailed,
    /// An envelope or notices of the hub called it. They run while it is locked: use a task instead.
    #[error("envelopes and notices must not call their own hub; use a task instead")]
    InCallback,
    /// Recovery needs a group: a filter has no position.
    #[error("a filter has no position")]
    NoPosition,
}

impl HubError {
    /// Returns the close code for a connection whose handler failed with this error.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::BadName
            | Self::BadId
            | Self::BadPosition
            | Self::TooManyGroups
            | Self::MetadataTooLong
            | Self::NoPosition
            | Self::RateLimited(_) => CloseCode::POLICY,
            Self::TooLong => CloseCode::TOO_BIG,
            Self::TooManyGroupsInHub
            | Self::TooManyChannels
            | Self::Backpressure
            | Self::Down
            | Self::Refused
            | Self::TooManyIds => CloseCode::AGAIN,
            Self::Draining => CloseCode::RESTART,
            Self::Gone
            | Self::NoHub
            | Self::NoFormat
            | Self::IsOpen
            | Self::EnvelopeFailed
            | Self::InCallback => CloseCode::INTERNAL,
        }
    }
}
