//! What the operations of a connection can fail with.
//! RFC 6455 section 7.4.1: the close code that a handler's failure maps to.
//! Knows no transport.

use alloc::boxed::Box;
use std::io;

use thiserror::Error as ThisError;

use crate::close::{CloseCode, Closed};
use crate::error::{Misuse, Violation};
use crate::handshake::{Failure, Refusal};
use crate::http::Response;

/// The result of a handler, and of most operations.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// Why an operation failed, by whose fault.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Io(#[from] io::Error),
    /// The peer closed with a code that is not normal, or vanished (1006). Not a failure of ours, and nothing to log as one.
    #[error("the peer left with code {}", .0.code())]
    Disconnect(Box<Closed>),
    /// The peer broke the protocol; the connection was closed with the code that belongs to it.
    #[error("the peer broke the protocol: {0}")]
    Violation(#[from] Violation),
    /// The caller asked for what cannot be done.
    #[error("{0}")]
    Misuse(#[from] Misuse),
    /// The server refused the request that a peer sent; it was answered.
    #[error("the handshake was refused: {0}")]
    Refusal(#[from] Refusal),
    /// The server's answer to our handshake breaks the protocol, or did not come.
    #[error("the handshake failed: {0}")]
    Handshake(#[from] Failure),
    /// The server answered our handshake with another status than 101.
    #[error("the server answered with status {}", .0.status)]
    Refused(Box<Response>),
    /// The connection could not be made in time.
    #[error("connecting took too long")]
    ConnectTimeout,
    /// Text came where octets were expected, or the other way round: 1003.
    #[error("a message of the other kind was expected")]
    WrongKind,
    /// A message is not the JSON that was expected: 1007.
    #[cfg(feature = "json")]
    #[error("the message is not the JSON that was expected: {0}")]
    Json(#[from] serde_json::Error),
    /// A handler panicked: 1011.
    #[error("the handler panicked")]
    Panic,
    /// A handler's own error: 1011.
    #[error("{0}")]
    Other(Box<dyn core::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps any error of a handler.
    pub fn other(error: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// The close code that a handler's failure ends the connection with.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::Violation(violation) => violation.close_code(),
            Self::WrongKind => CloseCode::UNSUPPORTED,
            #[cfg(feature = "json")]
            Self::Json(_) => CloseCode::INVALID,
            Self::Disconnect(_) => CloseCode::NORMAL,
            Self::Io(_)
            | Self::Misuse(_)
            | Self::Refusal(_)
            | Self::Handshake(_)
            | Self::Refused(_)
            | Self::ConnectTimeout
            | Self::Panic
            | Self::Other(_) => CloseCode::INTERNAL,
        }
    }

    /// Whether the peer simply left.
    pub const fn is_disconnect(&self) -> bool {
        matches!(self, Self::Disconnect(_))
    }
}
