//! Why a server refuses a request, and its answer.
//! RFC 6455 sections 4.2.1, 4.2.2 and 4.4; RFC 9110 section 15.5.
//! Knows no connection: a reason and its HTTP response.

use thiserror::Error;

use crate::http::{HeadError, Response};

/// The request is not an acceptable WebSocket request. It must be answered with [`Refusal::response`] (4.2.1).
///
/// ```
/// use sansws_core::handshake::Refusal;
///
/// assert_eq!(Refusal::Version.status(), 426);
/// // The client learns which version it should use.
/// let response = Refusal::Version.response();
/// assert_eq!(response.fields.get_str("sec-websocket-version"), Some("13"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// 400: not HTTP.
    #[error("the request is malformed")]
    Malformed,
    /// 431: the head is longer than [`Limits::head`](crate::config::Limits::head).
    #[error("the request head is too large")]
    HeadTooLarge,
    /// 431: there are more fields than [`Limits::headers`](crate::config::Limits::headers).
    #[error("the request has too many header fields")]
    TooManyHeaders,
    /// 505: not HTTP/1.1.
    #[error("the HTTP version is not 1.1")]
    HttpVersion,
    /// 405: not GET.
    #[error("the method is not GET")]
    Method,
    /// 400: the target is neither a path nor an http URL.
    #[error("the request target is malformed")]
    Target,
    /// 400: there is no `Host`, more than one, or an invalid one (RFC 9112 section 3.2).
    #[error("there must be exactly one Host header, which names a host")]
    Host,
    /// 426: no `Upgrade: websocket`.
    #[error("this is a WebSocket endpoint")]
    NotWebSocket,
    /// 400: `Connection` does not list `Upgrade`.
    #[error("the Connection header does not list Upgrade")]
    ConnectionMissing,
    /// 400: no `Sec-WebSocket-Key`, more than one, or not 16 bytes.
    #[error("there must be exactly one Sec-WebSocket-Key header, of 16 bytes in base64")]
    Key,
    /// 426: `Sec-WebSocket-Version` is not 13.
    #[error("the WebSocket version is not 13")]
    Version,
    /// 400: `Sec-WebSocket-Protocol` is not a list of unique tokens.
    #[error("the Sec-WebSocket-Protocol header is malformed")]
    Subprotocol,
    /// 400: `Sec-WebSocket-Extensions` breaks its grammar.
    #[error("the Sec-WebSocket-Extensions header is malformed")]
    Extensions,
    /// 400: a handshake has no body.
    #[error("the request has a body")]
    Body,
    /// 413: the body of a request for a page is longer than [`Limits::body`](crate::config::Limits::body).
    #[error("the body of the request is too large")]
    Content,
    /// 501: extended CONNECT for a protocol other than websocket (RFC 9220 section 3).
    #[error("the :protocol is not websocket")]
    Protocol,
    /// 408: the head did not arrive in time.
    #[error("the request did not arrive in time")]
    Timeout,
    /// 503: as many connections as allowed are open, or the server shuts down.
    #[error("the server accepts no more connections now")]
    Busy,
}

impl Refusal {
    /// Returns the HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::Target | Self::Host | Self::ConnectionMissing | Self::Key => {
                400
            }
            Self::Subprotocol | Self::Extensions | Self::Body => 400,
            Self::Method => 405,
            Self::Timeout => 408,
            Self::Content => 413,
            Self::NotWebSocket | Self::Version => 426,
            Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::Protocol => 501,
            Self::Busy => 503,
            Self::HttpVersion => 505,
        }
    }

    /// Returns the exact answer: status, the fields that belong to it, and a line of text with the reason.
    pub fn response(self) -> Response {
        let response = Response::text(self.status(), alloc::format!("{self}\n"));
        match self.status() {
            405 => response.with("Allow", "GET"),
            // RFC 9110 15.5.22: "The server MUST send an Upgrade header field in a 426 response"; RFC 6455 4.4: the version
            426 => response
                .with("Upgrade", "websocket")
                .with("Sec-WebSocket-Version", "13"),
            503 => response.with("Retry-After", "5"),
            _ => response,
        }
    }
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Malformed => Self::Malformed,
            HeadError::TooLarge => Self::HeadTooLarge,
            HeadError::TooManyFields => Self::TooManyHeaders,
            HeadError::Version => Self::HttpVersion,
        }
    }
}
