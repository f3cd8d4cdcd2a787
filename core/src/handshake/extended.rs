//! The handshake over HTTP/2 and HTTP/3: validation and response fields; another stack speaks the protocol.
//! RFC 8441 sections 4 and 5; RFC 9220 section 3.
//! Knows no stream: once the response is sent, the bytes of DATA frames are the bytes of the connection.

use super::{Refusal, Request};
use crate::http::{Headers, RequestHead};

/// An extended CONNECT request, as an HTTP/2 or HTTP/3 stack delivers it.
///
/// ```
/// use sansws_core::config::Config;
/// use sansws_core::handshake::{AcceptOptions, ExtendedConnect};
///
/// // As an HTTP/2 stack delivers it.
/// let request = ExtendedConnect {
///     method: "CONNECT",
///     protocol: "websocket",
///     scheme: "https",
///     path: "/chat",
///     authority: "example.org",
///     fields: [("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat.v1")]
///         .into_iter()
///         .collect(),
/// };
/// let request = request.check()?;
/// let options = AcceptOptions::default().subprotocol(Some("chat.v1"));
/// let (fields, _) = request.accept_fields(&Config::default(), options)?;
/// assert_eq!(fields.get_str("sec-websocket-protocol"), Some("chat.v1")); // with status 200
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedConnect<'a> {
    /// `:method`
    pub method: &'a str,
    /// `:protocol`
    pub protocol: &'a str,
    /// `:scheme`
    pub scheme: &'a str,
    /// `:path`
    pub path: &'a str,
    /// `:authority`
    pub authority: &'a str,
    /// The other fields.
    pub fields: Headers,
}

impl ExtendedConnect<'_> {
    /// Validates it (RFC 8441 section 5). The answer to an accepted request has status 200 and the fields of
    /// [`Request::accept_fields`]; there is no key, and no `Upgrade` or `Connection`.
    ///
    /// END_STREAM is the end of input; a reset with CANCEL is a reset of TCP. Clients mask as usual.
    pub fn check(self) -> Result<Request, Refusal> {
        if self.method != "CONNECT" {
            return Err(Refusal::Method);
        }
        // RFC 9220 3: "an unknown :protocol [...] SHOULD be answered with 501"
        if self.protocol != "websocket" {
            return Err(Refusal::Protocol);
        }
        // RFC 8441 4: ":scheme and :path MUST be included"; 5: https for wss, http for ws
        if !matches!(self.scheme, "http" | "https") || !self.path.starts_with('/') {
            return Err(Refusal::Target);
        }
        if self.authority.is_empty() {
            return Err(Refusal::Host);
        }
        // RFC 9113 8.2.2: connection-specific fields make a request malformed
        if ["connection", "upgrade", "transfer-encoding"]
            .iter()
            .any(|name| self.fields.get(name).is_some())
        {
            return Err(Refusal::Malformed);
        }
        let mut fields = Headers::default();
        fields.push("host", self.authority.as_bytes());
        for (name, value) in self
            .fields
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("host"))
        {
            fields.push(name, value);
        }
        Request::check_common(
            RequestHead {
                method: self.method.into(),
                target: self.path.into(),
                fields,
            },
            None,
        )
    }
}
