//! What the operations of a connection can fail with.
//! RFC 6455 section 7.4.1.
//! Knows no transport.

mod handler_error;
mod request_error;

pub(crate) use handler_error::Chain;
pub use handler_error::HandlerError;
pub use request_error::RequestError;

use std::io;

use thiserror::Error as ThisError;

use sansws_core::close::{CloseCode, Closed};
use sansws_core::error::{Misuse, Violation};
use sansws_core::handshake::{Failure, RedirectError, Refusal};
use sansws_core::http::field::{is_token, is_value};
use sansws_core::http::{Fields, Response, Url};
use sansws_core::hub::HubError;
use sansws_core::internal::is_own;
use sansws_core::proxy::TunnelError;
use sansws_core::route::{ParamError, RouteErrors, UrlError};

/// What a peer that sent other JSON is told.
#[cfg(feature = "json")]
pub(crate) const NOT_JSON: &str = "the message is not the JSON that was expected";

/// The result of a handler: `?` takes any error; see [`HandlerError`]. What the operations of a connection return is
/// `Result<T, Error>`; as the last expression of a handler it stands in `Ok(socket.send_text("bye").await?)`.
pub type Result<T = (), E = HandlerError> = std::result::Result<T, E>;

/// Why an operation failed, by whose fault.
///
/// Its text says all that is known; [`source`](std::error::Error::source) goes on with what the text does not say yet, so that
/// nothing is printed twice by whoever prints the whole chain.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The transport failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer closed with a code that is not normal, or vanished (1006). Not a failure of ours, and nothing to log as one.
    #[error("{0}")]
    Disconnect(Box<Closed>),
    /// The peer broke the protocol; the connection was closed with the code that belongs to it.
    #[error("the peer broke the protocol: {0}")]
    Violation(Violation),
    /// The caller asked for what cannot be done.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// A header field holds what would break the head, or is one that the handshake itself sets.
    #[error("the header field {name:?} is not allowed: {why}")]
    BadHeader {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A text is no WebSocket URL.
    #[error("{url:?} is not a WebSocket URL: {why}")]
    BadUrl {
        /// The text up to its query, without a user name and a password.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The server refused the request that a peer sent; it was answered.
    #[error("the handshake was refused: {0}")]
    Refusal(Refusal),
    /// The server's answer to our handshake breaks the protocol, or did not come.
    #[error("the handshake failed: {0}")]
    Handshake(Failure),
    /// The server answered our handshake with another status than 101.
    #[error("the server answered with status {}", .0.status)]
    Refused(Box<Response>),
    /// The server sent us elsewhere, and we did not follow.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// The proxy did not lead us to the server.
    #[error(transparent)]
    Proxy(TunnelError),
    /// The connection could not be made in time.
    #[error("connecting took too long")]
    ConnectTimeout,
    /// Text came where octets were expected, or the other way round: 1003, on the connection that it came over.
    #[error("a message of the other kind was expected")]
    WrongKind(ConnectionTag),
    /// A message is not the JSON that was expected: 1007, on the connection that it came over.
    #[cfg(feature = "json")]
    #[error(transparent)]
    Json(JsonError),
    /// A handler wants the connection closed with this code and reason; see [`Error::close`].
    #[error("the handler closes with code {}: {}", .0.0, .0.1)]
    Close(Box<(CloseCode, String)>),
    /// A handler answers the request with this response, if it has not accepted it; see [`Error::reject`].
    #[error("the handler rejects with status {}", .0.status)]
    Reject(Box<Response>),
    /// A parameter of the path can't be had as asked: 400, or 500 when there is none of that name.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// The query or the body of a request is not what was expected: 400.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The routes of a router are in each other's way.
    #[error(transparent)]
    Routes(#[from] RouteErrors),
    /// The path of a route can't be made.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The hub refused.
    #[error(transparent)]
    Hub(HubError),
    /// Nobody attached a state of this type: 500.
    #[error("there is no state of type {0}")]
    NoState(&'static str),
    /// A handler panicked: 1011.
    #[error("the handler panicked")]
    Panic,
    /// A handler's own error: 1011.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

/// An error of the system, with what was tried.
#[derive(Debug)]
struct Tried {
    text: String,
    error: io::Error,
}

impl std::fmt::Display for Tried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Tried {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Which connection an error was met by. It says nothing else: a handler's connection knows its own, and what an upstream
/// connection of the handler met is not taken for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionTag(usize);

impl ConnectionTag {
    /// That of a connection which lies at `address` for as long as it lives.
    pub(crate) const fn new(address: usize) -> Self {
        Self(address)
    }
}

/// JSON that could not be read or written.
#[cfg(feature = "json")]
#[derive(Debug)]
pub struct JsonError {
    error: serde_json::Error,
    pub(crate) tag: ConnectionTag,
}

#[cfg(feature = "json")]
impl JsonError {
    /// What is wrong with it, and where.
    pub const fn get(&self) -> &serde_json::Error {
        &self.error
    }
}

#[cfg(feature = "json")]
impl std::fmt::Display for JsonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the JSON is not what was expected: {}", self.error)
    }
}

#[cfg(feature = "json")]
impl std::error::Error for JsonError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

#[cfg(feature = "json")]
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        let tag = ConnectionTag::default();
        Self::Json(JsonError { error, tag })
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Handshake(failure)
    }
}

impl Error {
    /// An error of the transport that says what was tried: `listen on 127.0.0.1:80`.
    #[doc(hidden)]
    pub fn io(tried: impl std::fmt::Display, error: io::Error) -> Self {
        let text = format!("cannot {tried}: {error}");
        Self::Io(io::Error::new(error.kind(), Tried { text, error }))
    }

    /// A URL, or why a text is none.
    #[doc(hidden)]
    pub fn parse_url(text: &str) -> Result<Url, Self> {
        text.parse().map_err(|misuse| match misuse {
            Misuse::BadUrl => {
                let shown = text.split(['?', '#']).next().unwrap_or_default();
                // What stands before the last @ may be a password.
                let shown = match shown.rsplit_once('@') {
                    Some((before, host)) => {
                        let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
                        format!("{scheme}://…@{host}")
                    }
                    None => shown.into(),
                };
                Self::BadUrl {
                    url: shown,
                    why: sansws_core::internal::why_not_a_url(text),
                }
            }
            misuse => misuse.into(),
        })
    }

    /// Names the field that was refused.
    pub(crate) fn of_fields(misuse: Misuse, fields: &Fields) -> Self {
        if misuse != Misuse::BadHeader {
            return misuse.into();
        }
        let found = fields.iter().find_map(|(name, value)| {
            let why = if !is_token(name) {
                "its name is not a token"
            } else if !is_value(value) {
                "its value holds control characters, or blanks at an end"
            } else if is_own(name) {
                "the handshake sets it"
            } else {
                return None;
            };
            Some((name, why))
        });
        found.map_or_else(
            || misuse.into(),
            |(name, why)| Self::BadHeader {
                name: name.into(),
                why,
            },
        )
    }

    /// Checks a field of a client's request, where the caller may set `Host`.
    pub(crate) fn of_request(misuse: Misuse, fields: &Fields) -> Self {
        let is_host = |name: &str| name.eq_ignore_ascii_case("host");
        let others: Fields = fields.iter().filter(|(name, _)| !is_host(name)).collect();
        match Self::of_fields(misuse, &others) {
            Self::Misuse(Misuse::BadHeader) => Self::BadHeader {
                name: "Host".into(),
                why: "it must be one host, with a port or without",
            },
            error => error,
        }
    }

    /// Wraps any error of a handler.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// Ends the connection with `code` and `reason`; a reason of more than 123 octets is cut between characters.
    ///
    /// ```
    /// use sansws_core::close::CloseCode;
    /// use sansws_async::{Error, Result};
    ///
    /// fn check(text: &str) -> Result {
    ///     if text == text.to_uppercase() {
    ///         return Err(Error::close(CloseCode::POLICY, "no shouting"));
    ///     }
    ///     Ok(())
    /// }
    /// # assert!(check("HELLO").is_err());
    /// ```
    pub fn close(code: CloseCode, reason: impl Into<String>) -> HandlerError {
        Self::Close(Box::new((code, reason.into()))).into()
    }

    /// Answers a request that is not accepted yet; afterwards it is a failure of the handler, and closes with 1011.
    pub fn reject(response: Response) -> HandlerError {
        Self::Reject(Box::new(response)).into()
    }

    /// Whether the peer simply left.
    pub const fn is_disconnect(&self) -> bool {
        matches!(self, Self::Disconnect(_))
    }

    /// The error as one that was met by this connection, if it is about a message.
    pub(crate) fn met_by(mut self, by: ConnectionTag) -> Self {
        match &mut self {
            Self::WrongKind(tag) => *tag = by,
            #[cfg(feature = "json")]
            Self::Json(error) => error.tag = by,
            _ => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;
    use std::string::ToString;

    #[test]
    fn no_text_repeats_its_source() {
        let closed = Closed {
            code: CloseCode::new(1008),
            reason: "no shouting\n".into(),
            clean: true,
        };
        let inner = || io::Error::other(Error::Violation(Violation::InvalidUtf8));
        let cases = [
            Error::Io(inner()),
            Error::io("listen on 127.0.0.1:80", inner()),
            Error::Disconnect(Box::new(closed.clone())),
            Error::Violation(Violation::InvalidUtf8),
            Misuse::Closing.into(),
            Refusal::Timeout.into(),
            Failure::Timeout.into(),
            RedirectError::TooMany.into(),
            Error::Proxy(TunnelError::Malformed),
            ParamError::Unknown("n".into()).into(),
            Error::Hub(HubError::NoHub),
            Error::other(inner()),
            #[cfg(feature = "json")]
            serde_json::from_str::<u8>("x")
                .map(drop)
                .unwrap_err()
                .into(),
        ];
        for error in cases {
            let text = error.to_string();
            let mut next = error.source();
            while let Some(source) = next {
                assert!(!text.contains(&source.to_string()), "{text}: {source}");
                next = source.source();
            }
        }
        let text = Error::Disconnect(Box::new(closed)).to_string();
        assert_eq!(text, r#"the peer closed with code 1008: "no shouting\n""#);
    }
}
