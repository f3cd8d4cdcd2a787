//! Errors by whose fault they are: `Violation` (the peer), `SendError` (the state of the connection), `InvalidInput` (the caller).
//! RFC 6455 sections 5 to 8 and RFC 7692; each variant quotes the sentence it stands for.
//! Knows no connection: plain values that compare with `==`.

use thiserror::Error;

use crate::close::CloseCode;

/// The peer broke a rule of the protocol after the opening handshake, or exceeded one of our limits.
///
/// When the connection reports one, it has already queued the Close frame with [`Violation::close_code`].
///
/// ```
/// use sansws_core::close::CloseCode;
/// use sansws_core::config::Config;
/// use sansws_core::connection::Connection;
/// use sansws_core::error::Violation;
/// use sansws_core::handshake::Agreement;
/// use sansws_core::message::Assembly;
/// use sansws_core::time::Instant;
///
/// let config = Config::default().into();
/// let mut server = Connection::server(config, &Agreement::default(), Instant::ZERO);
/// let mut input = *b"\x81\x02hi"; // without a mask
/// let mut assembly = Assembly::default();
/// let result = server.receive(Instant::ZERO, &mut input, &mut assembly);
/// assert_eq!(result.unwrap_err(), Violation::MaskMissing);
/// assert_eq!(Violation::MaskMissing.close_code(), CloseCode::PROTOCOL);
/// assert!(server.take_output(Vec::new()).starts_with(b"\x88")); // a Close frame
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Violation {
    /// 5.2: "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values."
    #[error("a reserved bit is set")]
    ReservedBit,
    /// 5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."
    #[error("the opcode is reserved")]
    ReservedOpcode,
    /// 5.2: "the minimal number of bytes MUST be used to encode the length"
    #[error("the length is not in its shortest form")]
    LengthNotMinimal,
    /// 5.2: "the most significant bit MUST be 0"
    #[error("the length has its highest bit set")]
    LengthTooLarge,
    /// 5.1: "The server MUST close the connection upon receiving a frame that is not masked."
    #[error("a client's frame is not masked")]
    MaskMissing,
    /// 5.1: "A client MUST close a connection if it detects a masked frame."
    #[error("a server's frame is masked")]
    MaskUnexpected,
    /// 5.5: "All control frames [...] MUST NOT be fragmented."
    #[error("a control frame is fragmented")]
    ControlFragmented,
    /// 5.5: "All control frames MUST have a payload length of 125 bytes or less"
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// 5.4: a continuation frame continues a message that has started.
    #[error("a continuation frame continues nothing")]
    ContinuationUnexpected,
    /// 5.4: "The fragments of one message MUST NOT be interleaved between the fragments of another message"
    #[error("a message begins inside another")]
    ContinuationExpected,
    /// 5.5.1: "the first two bytes of the body MUST be a 2-byte unsigned integer"
    #[error("a Close frame holds a single byte")]
    CloseTooShort,
    /// 7.4: the code is reserved or not assigned.
    #[error("the close code may not be sent")]
    CloseCodeInvalid,
    /// 5.5.1: "the body MAY contain UTF-8-encoded data"
    #[error("the close reason is not UTF-8")]
    CloseReasonInvalid,
    /// 8.1: "that endpoint MUST _Fail the WebSocket Connection_"
    #[error("a text message is not UTF-8")]
    InvalidUtf8,
    /// 10.4: a frame longer than [`Limits::frame`](crate::config::Limits::frame).
    #[error("a frame is larger than the limit")]
    FrameTooLarge,
    /// 10.4: a message longer than [`Limits::message`](crate::config::Limits::message).
    #[error("a message is larger than the limit")]
    MessageTooLarge,
    /// 10.4: more frames in a message than [`Limits::fragments`](crate::config::Limits::fragments).
    #[error("a message has more fragments than the limit")]
    TooManyFragments,
    /// RFC 7692 section 7.2.2: the compressed data cannot be decoded.
    #[error("compressed data is corrupt")]
    DeflateInvalid,
}

impl Violation {
    /// Every violation, in the order of their declaration.
    pub const ALL: [Self; 18] = [
        Self::ReservedBit,
        Self::ReservedOpcode,
        Self::LengthNotMinimal,
        Self::LengthTooLarge,
        Self::MaskMissing,
        Self::MaskUnexpected,
        Self::ControlFragmented,
        Self::ControlTooLong,
        Self::ContinuationUnexpected,
        Self::ContinuationExpected,
        Self::CloseTooShort,
        Self::CloseCodeInvalid,
        Self::CloseReasonInvalid,
        Self::InvalidUtf8,
        Self::FrameTooLarge,
        Self::MessageTooLarge,
        Self::TooManyFragments,
        Self::DeflateInvalid,
    ];

    /// Returns the code of the Close frame that answers it (RFC 6455 section 7.4.1).
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::CloseReasonInvalid | Self::DeflateInvalid => {
                CloseCode::INVALID
            }
            Self::FrameTooLarge | Self::MessageTooLarge => CloseCode::TOO_BIG,
            Self::TooManyFragments => CloseCode::POLICY,
            Self::ReservedBit
            | Self::ReservedOpcode
            | Self::LengthNotMinimal
            | Self::LengthTooLarge
            | Self::MaskMissing
            | Self::MaskUnexpected
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::ContinuationUnexpected
            | Self::ContinuationExpected
            | Self::CloseTooShort
            | Self::CloseCodeInvalid => CloseCode::PROTOCOL,
        }
    }

    /// Returns the section of the rule.
    pub const fn section(self) -> &'static str {
        match self {
            Self::ReservedBit
            | Self::ReservedOpcode
            | Self::LengthNotMinimal
            | Self::LengthTooLarge => "RFC 6455 section 5.2",
            Self::MaskMissing | Self::MaskUnexpected => "RFC 6455 section 5.1",
            Self::ControlFragmented | Self::ControlTooLong => "RFC 6455 section 5.5",
            Self::ContinuationUnexpected | Self::ContinuationExpected => "RFC 6455 section 5.4",
            Self::CloseTooShort | Self::CloseReasonInvalid => "RFC 6455 section 5.5.1",
            Self::CloseCodeInvalid => "RFC 6455 section 7.4",
            Self::InvalidUtf8 => "RFC 6455 section 8.1",
            Self::FrameTooLarge | Self::MessageTooLarge | Self::TooManyFragments => {
                "RFC 6455 section 10.4"
            }
            Self::DeflateInvalid => "RFC 7692 section 7.2.2",
        }
    }
}

/// Why something was not sent, or a connection not closed. Nothing has happened then.
///
/// ```
/// use sansws_core::config::{Config, Limits};
/// use sansws_core::connection::Connection;
/// use sansws_core::error::SendError;
/// use sansws_core::handshake::Agreement;
/// use sansws_core::time::Instant;
///
/// let limits = Limits { write_queue: 1_000, ..Limits::default() };
/// let config = Config { limits, ..Config::default() };
/// let mut server = Connection::server(config.into(), &Agreement::default(), Instant::ZERO);
/// server.send_binary(&[0; 2_000])?; // one message is always accepted
/// assert_eq!(server.send_text("more"), Err(SendError::QueueFull));
/// let bytes = server.take_output(Vec::new());
/// server.transmitted(bytes.len()); // once they are written to the socket
/// server.send_text("more")?;
/// # Ok::<(), SendError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The opening handshake is not done.
    #[error("the connection is not open yet")]
    NotOpen,
    /// The closing handshake has begun: no more data may be sent (RFC 6455 section 5.5.1).
    #[error("the connection is closing")]
    Closing,
    /// Unsent output has reached [`Limits::write_queue`](crate::config::Limits::write_queue): send again when it has drained. Or a
    /// client is offline, and its queue is full.
    #[error("the write queue is full")]
    QueueFull,
    /// A message that is being sent in chunks has not ended: send its last chunk first (RFC 6455 section 5.4).
    #[error("a message sent in chunks is not finished")]
    UnfinishedMessage,
    /// The chunk is of another kind than the message it continues.
    #[error("the chunk is of another kind than its message")]
    WrongChunkKind,
    /// A ping or pong holds at most 125 bytes (RFC 6455 section 5.5).
    #[error("a control frame holds at most 125 bytes")]
    ControlTooLong,
    /// The client has stopped and does not reconnect.
    #[error("the client has stopped")]
    Stopped,
}

/// A value that a caller passed and that may not be used: a mistake of the program, or of whoever wrote its configuration.
///
/// ```
/// use sansws_core::close::CloseCode;
/// use sansws_core::error::InvalidInput;
///
/// let error = CloseCode::try_from(1006).unwrap_err();
/// assert_eq!(error, InvalidInput::ReservedCode(1006));
/// assert_eq!(
///     error.to_string(),
///     "close code 1006 is reserved: use 1000 to 1003, 1007 to 1014, or 3000 to 4999",
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum InvalidInput {
    /// The opening handshake is not at this stage.
    #[error("the opening handshake is not at this stage")]
    OutOfTurn,
    /// The request has been answered already, because the decision took too long.
    #[error("the decision on the request came too late")]
    TooLate,
    /// The close code may not be sent (RFC 6455 section 7.4).
    #[error("close code {0} is reserved: use 1000 to 1003, 1007 to 1014, or 3000 to 4999")]
    ReservedCode(u16),
    /// A header name or value, target or reason phrase contains bytes that would break the HTTP head.
    #[error("a header name or value is not allowed")]
    BadHeader,
    /// The subprotocol was not offered by the client (RFC 6455 section 4.2.2), or is not a token.
    #[error("the subprotocol was not offered or is not a token")]
    Subprotocol,
    /// The status cannot refuse a handshake: it must be 3xx, 4xx or 5xx, or 2xx over plain HTTP.
    #[error("status {0} cannot refuse a handshake")]
    BadStatus(u16),
    /// The URL is not a WebSocket URL (RFC 6455 section 3).
    #[error("the URL is not ws:// or wss:// with a host")]
    BadUrl,
    /// The method of a client's request is not GET (RFC 6455 section 4.1).
    #[error("the method of the request is not GET")]
    NotGet,
    /// The URL of a proxy is not `http://`, `https://` or `socks5://` with a host, optionally with a name and a password.
    #[error("the URL of the proxy is not http://, https:// or socks5:// with a host")]
    BadProxy,
    /// The environment variable is not the URL of a proxy.
    #[error(
        "the environment variable {0} is not the URL of a proxy: http://, https:// or socks5:// with a host"
    )]
    ProxyVariable(&'static str),
    /// A text is not a network, such as a trusted one.
    #[error("expected a network such as 10.0.0.0/8")]
    BadNetwork,
    /// A user name, password, token or cookie contains a character that its header field does not allow (RFC 7617, 6750, 6265).
    #[error("a user name, password, token or cookie has a character that is not allowed")]
    Credentials,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn each_violation_has_a_code_a_section_and_a_sentence() {
        for (at, violation) in Violation::ALL.iter().enumerate() {
            assert_eq!(*violation as usize, at);
            assert!((1002..=1009).contains(&violation.close_code().get()));
            assert!(violation.section().starts_with("RFC "));
            assert!(violation.to_string().len() <= crate::close::MAX_REASON);
        }
    }
}
