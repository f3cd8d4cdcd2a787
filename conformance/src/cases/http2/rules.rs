//! Sentences that several families of HTTP/2 stand on.
//! RFC 8441; RFC 9113.

use crate::cases::rules::accepts;

pub(super) const TAKES: &str = concat!(
    accepts!(),
    " RFC 8441 5: the CONNECT request \"replaces the GET-based request in [RFC6455] and is used to process the WebSockets opening handshake\"."
);
pub(super) const MALFORMED: &str = "RFC 9113 8.1.1: \"Malformed requests or responses that are detected MUST be treated as a stream error (Section 5.4.2) of type PROTOCOL_ERROR. For malformed requests, a server MAY send an HTTP response prior to closing or resetting the stream.\"";
pub(super) const PSEUDO: &str = "RFC 9113 8.3: \"Any request or response that contains a pseudo-header field that appears in a field block after a regular field line MUST be treated as malformed\"; so MUST one with a pseudo-header field that is repeated, undefined or invalid.";
pub(super) const FIELD: &str = "RFC 9113 8.2.1: a field name MUST NOT contain uppercase characters, blanks or controls, a value no NUL, LF or CR. \"A request or response that contains a field that violates any of these conditions MUST be treated as malformed\".";
pub(super) const SPECIFIC: &str = "RFC 9113 8.2.2: \"Any message containing connection-specific header fields MUST be treated as malformed\"; RFC 8441 5: Connection and Upgrade \"MUST NOT be included in the CONNECT request defined here\".";
pub(super) const IGNORES: &str = "RFC 9113 5.5: \"Implementations MUST ignore unknown or unsupported values in all extensible protocol elements. Implementations MUST discard frames that have unknown or unsupported types.\"";
pub(super) const BLOCK: &str = "RFC 9113 10.5.1: \"The field block MUST be processed to ensure a consistent connection state, unless the connection is closed.\" 6.2, 6.10: it may be padded, have a priority, and go on in CONTINUATION frames.";
pub(super) const ACKNOWLEDGES: &str = "RFC 9113 6.5.3: \"Once all values have been processed, the recipient MUST immediately emit a SETTINGS frame with the ACK flag set.\" RFC 8441 3: \"A sender MUST NOT send a SETTINGS_ENABLE_CONNECT_PROTOCOL parameter with the value of 0 after previously sending a value of 1.\"";
pub(super) const CHOSEN: &str = "RFC 8441 5: Sec-WebSocket-Protocol and Sec-WebSocket-Extensions \"are used in the CONNECT request and response-header fields as defined in [RFC6455]\", by which a server MUST NOT choose what was not offered (4.2.2, 9).";
pub(super) const NO_KEY: &str = "RFC 8441 5: implementations \"do not do the processing of the Sec-WebSocket-Key and Sec-WebSocket-Accept header fields of [RFC6455] as that functionality has been superseded by the :protocol pseudo-header field\".";

/// The expected outcome of what opens a WebSocket.
pub(super) const OPENS: &str = "It is answered with 200, and text comes back.";

/// The expected outcome of what cannot be taken.
pub(super) const REFUSED: &str =
    "It is refused: with a status of 4xx or 5xx, RST_STREAM, or GOAWAY.";

/// The expected outcome of what must not matter.
pub(super) const COMES_BACK: &str = "Text comes back.";
