//! The errors of a connection's operations.
//! RFC 6455 section 7.4.1.
//! Knows no transport.

mod handler_error;
mod request_error;

#[doc(hidden)]
pub use handler_error::Chain;
pub use handler_error::HandlerError;
pub use request_error::RequestError;

use std::io;

use thiserror::Error as ThisError;

use sansws_core::close::{CloseCode, Closed, LossCause};
use sansws_core::error::{InvalidInput, SendError, Violation};
use sansws_core::frame::MessageKind;
use sansws_core::handshake::{Failure, RedirectError, Refusal};
use sansws_core::http::field::{is_token, is_value};
use sansws_core::http::{Headers, Response, Url};
use sansws_core::hub::HubError;
use sansws_core::internal::is_own;
use sansws_core::proxy::TunnelError;
use sansws_core::route::{ParamError, RouteErrors, UrlError};

/// The reason for closing when a peer sent invalid JSON.
#[cfg(feature = "json")]
#[doc(hidden)]
pub const NOT_JSON: &str = "the message is not the JSON that was expected";

/// The result of a handler: `?` takes any error; see [`HandlerError`]. Operations of a connection return `Result<T, Error>`; as the last
/// expression of a handler, write `Ok(socket.send_text("bye").await?)`.
pub type Result<T = (), E = HandlerError> = std::result::Result<T, E>;

/// Why an operation failed, by whose fault.
///
/// Its text tells everything known; [`source`](std::error::Error::source) continues with what the text omits, so that printing the whole
/// chain repeats nothing.
///
/// ```
/// use sansws_common::Error;
/// use sansws_core::close::{CloseCode, Closed};
///
/// fn report(error: &Error) -> &'static str {
///     match error {
///         Error::Disconnect(_) => "the peer left",
///         Error::Refused(response) if response.status == 401 => "sign in again",
///         Error::Io(_) | Error::ConnectTimeout(_) => "the network is down",
///         _ => "this is our fault, or the peer's",
///     }
/// }
///
/// let closed = Closed { code: CloseCode::new(4001), reason: "kicked".into(), clean: true, cause: None };
/// let error = Error::Disconnect(Box::new(closed));
/// assert_eq!(report(&error), "the peer left");
/// assert!(error.is_disconnect());
/// ```
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The transport failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer closed with a code that is not normal, or the connection was lost (1006), for which [`Closed::cause`] says why. This is
    /// not our failure, and need not be logged as one.
    #[error("{0}")]
    Disconnect(Box<Closed>),
    /// The peer broke the protocol; the connection was closed with the matching code.
    #[error("the peer broke the protocol: {0}")]
    Violation(Violation),
    /// Something cannot be sent now, such as while the connection is closing or its write queue is full.
    #[error(transparent)]
    NotSent(#[from] SendError),
    /// A value that the caller passed may not be used.
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    /// A header field contains bytes that would break the head, or is one that the handshake itself sets.
    #[error("the header field {name:?} is not allowed: {why}")]
    BadHeader {
        /// Its name.
        name: String,
        /// The fault.
        why: &'static str,
    },
    /// A text is not a WebSocket URL.
    #[error("{url:?} is not a WebSocket URL: {why}")]
    BadUrl {
        /// The text up to its query, without a user name and a password.
        url: String,
        /// The fault.
        why: &'static str,
    },
    /// The server refused the peer's request, which has been answered.
    #[error("the handshake was refused: {0}")]
    Refusal(Refusal),
    /// The server's answer to our handshake breaks the protocol, or did not arrive.
    #[error("the handshake failed: {0}")]
    Handshake(Failure),
    /// The server answered our handshake with a status other than 101.
    #[error("the server answered with status {}{}", .0.status, hint(.0))]
    Refused(Box<Response>),
    /// The server redirected us, and we did not follow.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// The proxy did not connect us to the server.
    #[error(transparent)]
    Proxy(TunnelError),
    /// The connection could not be established in time. Of a client, it names the host and the port of the server, and the proxy if there is
    /// one.
    #[error("connecting{} timed out", to(.0.as_deref()))]
    ConnectTimeout(Option<Box<str>>),
    /// The message has the wrong kind, text or binary: 1003, on the connection that received it.
    #[error(transparent)]
    WrongKind(KindError),
    /// A message is not the expected JSON: 1007, on the connection that received it.
    #[cfg(feature = "json")]
    #[error(transparent)]
    Json(JsonError),
    /// A handler wants the connection closed with this code and reason; see [`Error::close`].
    #[error("the handler closed with code {}: {}", .0.0, .0.1)]
    Close(Box<(CloseCode, String)>),
    /// A handler answers the request with this response, if it has not accepted it; see [`Error::reject`].
    #[error("the handler rejected with status {}", .0.status)]
    Reject(Box<Response>),
    /// A path parameter cannot be returned as requested: 400, or 500 if there is none with that name.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// The query or the body of a request is invalid: 400.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The routes of a router conflict.
    #[error(transparent)]
    Routes(#[from] RouteErrors),
    /// The path of a route cannot be built.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The hub refused the operation.
    #[error(transparent)]
    Hub(HubError),
    /// No state of this type was attached: 500.
    #[error("no state of type {0} is attached")]
    NoState(&'static str),
    /// A handler panicked: 1011.
    #[error("the handler panicked")]
    Panic,
    /// A handler's own error: 1011.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

/// Returns what to do about a refusal, if we know.
fn hint(refusal: &Response) -> &'static str {
    match refusal.location() {
        Some(_) => ", a redirect: `ConnectOptions::redirects` follows it",
        None => "",
    }
}

/// Returns where a connection was to lead.
fn to(target: Option<&str>) -> String {
    target.map_or_else(String::new, |target| format!(" to {target}"))
}

/// A system error, with the operation that failed.
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

/// A message has another kind than was expected.
///
/// ```
/// use sansws_common::{Error, FromMessage};
/// use sansws_core::frame::MessageKind;
/// use sansws_core::message::Message;
///
/// let Err(Error::WrongKind(error)) = String::from_message(Message::Binary(vec![1, 2])) else {
///     panic!("binary became text");
/// };
/// assert_eq!(error.expected(), MessageKind::Text);
/// assert_eq!(error.to_string(), "expected text, received binary");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
#[error("{}", match .expected {
    MessageKind::Text => "expected text, received binary",
    MessageKind::Binary => "expected binary, received text",
})]
pub struct KindError {
    expected: MessageKind,
    #[doc(hidden)]
    pub tag: ConnectionTag,
}

impl KindError {
    /// Creates the error of a message that is not of the `expected` kind.
    pub const fn new(expected: MessageKind) -> Self {
        let tag = ConnectionTag(0);
        Self { expected, tag }
    }

    /// Returns the kind that was expected.
    pub const fn expected(&self) -> MessageKind {
        self.expected
    }
}

/// Identifies the connection that met an error, so that an error of a handler's upstream connection is not attributed to its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionTag(usize);

impl ConnectionTag {
    /// Returns the tag of a connection that stays at `address` for its whole life.
    #[doc(hidden)]
    pub const fn new(address: usize) -> Self {
        Self(address)
    }
}

/// JSON could not be parsed or written.
///
/// ```
/// use sansws_common::{Error, FromMessage, Json};
/// use sansws_core::message::Message;
///
/// let Err(Error::Json(error)) = Json::<Vec<u32>>::from_message(Message::from("[1, 2, x]")) else {
///     panic!("this is no JSON");
/// };
/// assert_eq!((error.get().line(), error.get().column()), (1, 8));
/// ```
#[cfg(feature = "json")]
#[derive(Debug)]
pub struct JsonError {
    error: serde_json::Error,
    #[doc(hidden)]
    pub tag: ConnectionTag,
}

#[cfg(feature = "json")]
impl JsonError {
    /// Returns what is wrong with it, and where.
    pub const fn get(&self) -> &serde_json::Error {
        &self.error
    }
}

#[cfg(feature = "json")]
impl std::fmt::Display for JsonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the JSON is invalid or does not fit: {}", self.error)
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

impl From<TunnelError> for Error {
    fn from(error: TunnelError) -> Self {
        match error {
            // The proxy is not at fault: nothing was sent.
            TunnelError::Host => InvalidInput::BadUrl.into(),
            TunnelError::Credentials => InvalidInput::Credentials.into(),
            error => Self::Proxy(error),
        }
    }
}

impl From<HubError> for Error {
    fn from(error: HubError) -> Self {
        Self::Hub(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Handshake(failure)
    }
}

impl Error {
    /// Wraps a transport error with the operation that failed, such as `listen on 127.0.0.1:80`.
    #[doc(hidden)]
    pub fn io(tried: impl std::fmt::Display, error: io::Error) -> Self {
        let text = format!("cannot {tried}: {error}");
        Self::Io(io::Error::new(error.kind(), Tried { text, error }))
    }

    /// Returns the error of a thread that cannot be started. The system's is `WouldBlock`, but nothing becomes ready later.
    #[doc(hidden)]
    pub fn no_thread(error: &io::Error) -> Self {
        Self::Io(io::Error::other(format!(
            "no thread can be started: {error}"
        )))
    }

    /// Parses a URL, or returns why it is invalid.
    #[doc(hidden)]
    pub fn parse_url(text: &str) -> Result<Url, Self> {
        text.parse().map_err(|misuse| match misuse {
            InvalidInput::BadUrl => {
                let shown = text.split(['?', '#']).next().unwrap_or_default();
                // The part before the last @ may be a password.
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

    /// Returns how a connection ended as an error, however normal that was.
    #[doc(hidden)]
    pub fn of_end(closed: Closed) -> Self {
        match closed.cause {
            Some(LossCause::Violation(violation)) => violation.into(),
            _ => Self::Disconnect(Box::new(closed)),
        }
    }

    /// Names the refused field.
    #[doc(hidden)]
    pub fn of_fields(misuse: InvalidInput, fields: &Headers) -> Self {
        if misuse != InvalidInput::BadHeader {
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

    /// Checks a field of a client's request, in which the caller may set `Host`.
    #[doc(hidden)]
    pub fn of_request(misuse: InvalidInput, fields: &Headers) -> Self {
        let is_host = |name: &str| name.eq_ignore_ascii_case("host");
        let others: Headers = fields.iter().filter(|(name, _)| !is_host(name)).collect();
        match Self::of_fields(misuse, &others) {
            Self::InvalidInput(InvalidInput::BadHeader) => Self::BadHeader {
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

    /// Ends the connection with `code` and `reason`; a reason of more than 123 bytes is cut between characters.
    ///
    /// ```
    /// use sansws_core::close::CloseCode;
    /// use sansws_common::{Error, Result};
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

    /// Answers a request that is not accepted yet; after that it counts as a failure of the handler, and closes with 1011.
    pub fn reject(response: Response) -> HandlerError {
        Self::Reject(Box::new(response)).into()
    }

    /// Returns whether the peer simply left.
    pub const fn is_disconnect(&self) -> bool {
        matches!(self, Self::Disconnect(_))
    }

    /// Returns whether it took too long: connecting, or a call with a timeout of its own.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::ConnectTimeout(_) => true,
            Self::Io(error) => error.kind() == io::ErrorKind::TimedOut,
            _ => false,
        }
    }

    /// Tags an error about a message with this connection.
    #[doc(hidden)]
    pub fn met_by(mut self, by: ConnectionTag) -> Self {
        match &mut self {
            Self::WrongKind(error) => error.tag = by,
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
    fn a_redirect_that_is_not_followed_says_how_it_would_be() {
        let text = |response: Response| Error::Refused(Box::new(response)).to_string();
        let moved = Response::new(308).with("Location", "wss://example.org/?token=s3cret");
        assert_eq!(
            text(moved),
            "the server answered with status 308, a redirect: `ConnectOptions::redirects` follows it"
        );
        for status in [308, 403] {
            let want = format!("the server answered with status {status}");
            assert_eq!(text(Response::new(status)), want);
        }
    }

    #[test]
    fn no_text_repeats_its_source() {
        let closed = Closed {
            code: CloseCode::new(1008),
            reason: "no shouting\n".into(),
            clean: true,
            cause: None,
        };
        let inner = || io::Error::other(Error::Violation(Violation::InvalidUtf8));
        let cases = [
            Error::Io(inner()),
            Error::io("listen on 127.0.0.1:80", inner()),
            Error::Disconnect(Box::new(closed.clone())),
            Error::Violation(Violation::InvalidUtf8),
            SendError::Closing.into(),
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
        assert_eq!(
            text,
            r#"the peer closed the connection with code 1008: "no shouting\n""#
        );
    }
}
