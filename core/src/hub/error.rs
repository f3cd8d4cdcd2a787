//! What the operations of a hub can fail with.
//! RFC 6455 section 7.4.1 for the close codes.
//! Plain values.

use thiserror::Error;

use crate::close::CloseCode;
use crate::time::Instant;

/// Why an operation of a hub was refused. Nothing was done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum HubError {
    /// The name of a group, a user or a key has no octets, more than 255, or a control character.
    #[error("a name must have 1 to 255 bytes and no control characters")]
    BadName,
    /// A text is not the id of a channel.
    #[error("expected the id of a channel")]
    BadId,
    /// A text is not a position.
    #[error("expected a position")]
    BadPosition,
    /// The channel is not open any more.
    #[error("the channel is not open")]
    Gone,
    /// The connection has no hub: give the server, the router or the route one.
    #[error("this route has no hub: see `Router::hub`")]
    NoHub,
    /// The connection has a channel already.
    #[error("the connection already has a channel")]
    IsOpen,
    /// The channel is in as many groups as it may be in.
    #[error("the channel is in too many groups")]
    TooManyGroups,
    /// There are as many groups as there may be.
    #[error("there are too many groups")]
    Crowded,
    /// There are as many channels as there may be.
    #[error("there are too many channels")]
    TooManyChannels,
    /// The message is longer than it may be.
    #[error("the message is too long")]
    TooLong,
    /// The metadata are longer than they may be.
    #[error("the metadata are too long")]
    MetadataTooLong,
    /// The channel does this more often than it may; again from this moment on.
    #[error("the channel exceeds its rate limit")]
    RateLimited(Instant),
    /// A member of the group is behind, and the group makes publishers wait.
    #[error("a member of the group has a full queue")]
    Backpressure,
    /// The hub drains: nobody joins and nothing is published any more.
    #[error("the hub drains")]
    Draining,
    /// The backplane is down, and nothing is published then.
    #[error("the backplane is down")]
    Down,
    /// The backplane is there and refused it: it has no memory left, or what lies under its keys is not ours.
    #[error("the backplane refused the operation")]
    Refused,
    /// As many ids of publications are remembered as may be: one more could not be kept apart from its repetition.
    #[error("too many publication ids are remembered: see `HubOptions::max_ids`")]
    TooManyIds,
    /// The envelope of the group failed on this message: it was published to nobody.
    #[error("the envelope of the group failed on this message")]
    EnvelopeFailed,
    /// An envelope or notices of the hub called it. They run while it is locked: hand the work to a task of its own.
    #[error("envelopes and notices must not call their own hub; use a task instead")]
    InCallback,
    /// Recovery needs a group of its own: a filter has no position.
    #[error("a filter has no position")]
    NoPosition,
}

impl HubError {
    /// The close code for a connection whose handler failed with this.
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
            Self::Crowded
            | Self::TooManyChannels
            | Self::Backpressure
            | Self::Down
            | Self::Refused
            | Self::TooManyIds => CloseCode::AGAIN,
            Self::Draining => CloseCode::RESTART,
            Self::Gone | Self::NoHub | Self::IsOpen | Self::EnvelopeFailed | Self::InCallback => {
                CloseCode::INTERNAL
            }
        }
    }
}
