//! What the operations of a connection can fail with.
//! RFC 6455 section 7.4.1: the close code that a handler's failure maps to.
//! Knows no transport.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use std::io;

use thiserror::Error as ThisError;

use crate::close::{CloseCode, Closed};
use crate::error::{Misuse, Violation};
use crate::handshake::{Failure, RedirectError, Refusal};
use crate::http::Response;
use crate::hub::HubError;
use crate::proxy::TunnelError;
use crate::route::{ParamError, RouteErrors, UrlError};

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
    /// The server sent us elsewhere, and we did not follow.
    #[error("{0}")]
    Redirect(#[from] RedirectError),
    /// The proxy did not lead us to the server.
    #[error("{0}")]
    Proxy(TunnelError),
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
    /// A handler wants the connection closed with this code and reason; see [`Error::close`].
    #[error("the handler closes with code {}: {}", .0.0, .0.1)]
    Close(Box<(CloseCode, String)>),
    /// A handler answers the request with this response, if it has not accepted it; see [`Error::reject`].
    #[error("the handler rejects with status {}", .0.status)]
    Reject(Box<Response>),
    /// A parameter of the path can't be had as asked: 400, or 500 when there is none of that name.
    #[error("{0}")]
    Param(#[from] ParamError),
    /// The routes of a router are in each other's way.
    #[error("{0}")]
    Routes(#[from] RouteErrors),
    /// The path of a route can't be made.
    #[error("{0}")]
    Url(#[from] UrlError),
    /// The hub refused.
    #[error("{0}")]
    Hub(HubError),
    /// Nobody attached a state of this type: 500.
    #[error("there is no state of type {0}")]
    NoState(&'static str),
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

    /// Ends the connection with `code` and `reason`; a reason of more than 123 octets is cut between characters.
    ///
    /// ```
    /// use sansws_core::close::CloseCode;
    /// use sansws_core::drive::Error;
    /// let error = Error::close(CloseCode::POLICY, "no shouting");
    /// assert_eq!(error.close_code(), CloseCode::POLICY);
    /// ```
    pub fn close(code: CloseCode, reason: impl Into<String>) -> Self {
        Self::Close(Box::new((code, reason.into())))
    }

    /// Answers a request that is not accepted yet; afterwards it closes with 1011.
    pub fn reject(response: Response) -> Self {
        Self::Reject(Box::new(response))
    }

    /// The close code that a handler's failure ends the connection with.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::Violation(violation) => violation.close_code(),
            Self::WrongKind => CloseCode::UNSUPPORTED,
            #[cfg(feature = "json")]
            Self::Json(_) => CloseCode::INVALID,
            Self::Close(close) => close.0,
            Self::Disconnect(_) => CloseCode::NORMAL,
            Self::Hub(error) => error.close_code(),
            Self::Io(_)
            | Self::Misuse(_)
            | Self::Refusal(_)
            | Self::Handshake(_)
            | Self::Refused(_)
            | Self::Redirect(_)
            | Self::Proxy(_)
            | Self::ConnectTimeout
            | Self::Reject(_)
            | Self::Param(_)
            | Self::Routes(_)
            | Self::Url(_)
            | Self::NoState(_)
            | Self::Panic
            | Self::Other(_) => CloseCode::INTERNAL,
        }
    }

    /// What the peer is told about it in the Close frame. What went wrong inside is the log's business, not the peer's.
    pub(crate) fn close_reason(&self) -> String {
        match self {
            Self::WrongKind | Self::Violation(_) => self.to_string(),
            #[cfg(feature = "json")]
            Self::Json(_) => self.to_string(),
            Self::Close(close) => close.1.clone(),
            Self::Hub(error) if error.close_code() != CloseCode::INTERNAL => error.to_string(),
            _ => String::new(),
        }
    }

    /// The response to a request whose handler failed before it accepted.
    pub(crate) fn response(&self) -> Response {
        match self {
            Self::Reject(response) => Response::clone(response),
            Self::Param(error @ ParamError::Unfit(_)) => {
                Response::text(400, alloc::format!("{error}\n"))
            }
            _ => Response::text(500, "the request could not be handled\n"),
        }
    }

    /// Whether the peer simply left.
    pub const fn is_disconnect(&self) -> bool {
        matches!(self, Self::Disconnect(_))
    }
}
