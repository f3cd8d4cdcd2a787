//! A valid WebSocket request, and its acceptance.
//! RFC 6455 sections 4.2.1 and 4.2.2.
//! Does not know how the head arrived: as bytes, from another HTTP stack, or over HTTP/2.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Deref;

use super::{Agreement, Refusal, accept_key, hold_own, is_key};
use crate::config::Config;
use crate::error::InvalidInput;
use crate::extension::{self, deflate};
use crate::http::field::{has_token, is_host};
use crate::http::{Headers, RequestHead, response};

/// The first line of a response that accepts.
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n";

/// Maximum number of fields of our own in it.
const OWN_FIELDS: usize = 5;

/// The usual length of these fields.
const OWN_BYTES: usize = 160;

/// A request that may be accepted. It needs no further checks.
///
/// ```
/// use sansws_core::config::{Config, Limits};
/// use sansws_core::handshake::{AcceptOptions, Request};
/// use sansws_core::http::parse_request;
///
/// let head = b"GET /chat HTTP/1.1\r\nHost: example.org\r\nConnection: Upgrade\r\n\
///     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///     Sec-WebSocket-Protocol: chat.v2, chat.v1\r\n\r\n";
/// let Ok(head) = parse_request(head, &Limits::default()) else { panic!("malformed") };
/// let request = Request::check(head)?;
/// let subprotocol = request.select_subprotocol(["chat.v1"]);
/// let options = AcceptOptions::default().subprotocol(subprotocol);
/// let (response, agreement) = request.accept(&Config::default(), options)?;
/// assert!(response.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
/// assert_eq!(agreement.subprotocol.as_deref(), Some("chat.v1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    head: RequestHead,
    /// `Sec-WebSocket-Accept`; over HTTP/2 there is none.
    accept: Option<String>,
}

/// Options for accepting a request.
///
/// For an example see [`Request`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptOptions {
    /// The subprotocol; it must be one of the offered ones. See [`RequestHead::select_subprotocol`].
    pub subprotocol: Option<String>,
    /// Additional fields of the response, such as `Set-Cookie`.
    pub fields: Headers,
}

/// Gives access to the head.
impl Deref for Request {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        &self.head
    }
}

impl AcceptOptions {
    /// Sets the subprotocol, if there is one: `Some("chat.v1")`, or what
    /// [`select_subprotocol`](crate::http::RequestHead::select_subprotocol) returns.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: Option<impl Into<String>>) -> Self {
        self.subprotocol = subprotocol.map(Into::into);
        self
    }

    /// Adds a field to the response.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push(name, value.as_ref());
        self
    }
}

impl Request {
    /// Validates the head of an HTTP/1.1 request (4.2.1).
    pub fn check(head: RequestHead) -> Result<Self, Refusal> {
        let fields = &head.fields;
        if head.method != "GET" {
            return Err(Refusal::Method);
        }
        // RFC 9112 3.2: 400 for a request that lacks Host, has more than one, or one "with an invalid field value"
        if !only(fields, "host").is_some_and(is_host) {
            return Err(Refusal::Host);
        }
        // 4.2.1: "a /resource name/ [...] (or an absolute HTTP/HTTPS URI containing the /resource name/)"
        if !head.has_target() {
            return Err(Refusal::Target);
        }
        if !has_token(fields.all("upgrade"), "websocket") {
            return Err(Refusal::NotWebSocket);
        }
        if !has_token(fields.all("connection"), "upgrade") {
            return Err(Refusal::ConnectionMissing);
        }
        // 11.3.1: "MUST NOT appear more than once in an HTTP request"
        let key = only(fields, "sec-websocket-key")
            .filter(|key| is_key(key))
            .ok_or(Refusal::Key)?;
        let accept = Some(accept_key(key));
        Self::check_common(head, accept)
    }

    /// Validates the head of any other request, to which a server may answer with a page: it must have no body.
    pub fn check_plain(head: &RequestHead) -> Result<(), Refusal> {
        if !only(&head.fields, "host").is_some_and(is_host) {
            return Err(Refusal::Host);
        }
        if !head.has_target() {
            return Err(Refusal::Target);
        }
        Ok(())
    }

    /// Returns whether a head asks for a WebSocket at all, even if invalid: then the error is worth reporting.
    pub fn is_meant(head: &RequestHead) -> bool {
        has_token(head.fields.all("upgrade"), "websocket")
            || head
                .fields
                .iter()
                .any(|(name, _)| name.len() > 14 && name.get(..14).is_some_and(is_ours))
    }

    /// Performs the checks that HTTP/1.1 and HTTP/2 share.
    pub(super) fn check_common(head: RequestHead, accept: Option<String>) -> Result<Self, Refusal> {
        let fields = &head.fields;
        // 4.2.1: "with a value of 13"
        if only(fields, "sec-websocket-version") != Some(b"13".as_slice()) {
            return Err(Refusal::Version);
        }
        if head.has_body() {
            return Err(Refusal::Body);
        }
        head.offered().map_err(|_| Refusal::Subprotocol)?;
        extension::parse(fields.all("sec-websocket-extensions"))
            .map_err(|_| Refusal::Extensions)?;
        Ok(Self { head, accept })
    }

    /// Accepts: returns the bytes of the response, and the agreement.
    pub fn accept(
        &self,
        config: &Config,
        accept: AcceptOptions,
    ) -> Result<(Vec<u8>, Agreement), InvalidInput> {
        let (fields, agreement) = self.accept_fields(config, accept)?;
        let mut out = Vec::with_capacity(SWITCHING.len() + response::length_of(&fields) + 2);
        out.extend_from_slice(SWITCHING);
        response::write_fields(&fields, &mut out);
        out.extend_from_slice(b"\r\n");
        Ok((out, agreement))
    }

    /// Returns the fields of the accepting response, for a stack that writes it itself; the status is 101, over HTTP/2 200.
    pub fn accept_fields(
        &self,
        config: &Config,
        accept: AcceptOptions,
    ) -> Result<(Headers, Agreement), InvalidInput> {
        response::check_fields(&accept.fields)?;
        if hold_own(&accept.fields) {
            return Err(InvalidInput::BadHeader);
        }
        let mut fields = Headers::default();
        fields.reserve(
            OWN_FIELDS + accept.fields.len(),
            OWN_BYTES + accept.fields.bytes(),
        );
        if let Some(accept) = &self.accept {
            fields.push("Upgrade", b"websocket");
            fields.push("Connection", b"Upgrade");
            fields.push("Sec-WebSocket-Accept", accept.as_bytes());
        }
        if let Some(subprotocol) = &accept.subprotocol {
            // 4.2.2: "The value chosen MUST be derived from the client's handshake, specifically by selecting one of the values", or
            // the client fails the connection
            if !self.head.subprotocols().contains(&subprotocol.as_str()) {
                return Err(InvalidInput::Subprotocol);
            }
            fields.push("Sec-WebSocket-Protocol", subprotocol.as_bytes());
        }
        let deflate = config
            .deflate
            .as_ref()
            .filter(|_| cfg!(feature = "deflate"))
            .and_then(|deflate| {
                let offers =
                    extension::parse(self.head.fields.all("sec-websocket-extensions")).ok()?;
                deflate::answer(deflate, &offers)
            });
        if let Some((_, answer)) = &deflate {
            fields.push("Sec-WebSocket-Extensions", answer.as_bytes());
        }
        for (name, value) in accept.fields.iter() {
            fields.push(name, value);
        }
        Ok((
            fields,
            Agreement {
                subprotocol: accept.subprotocol,
                deflate: deflate.map(|(agreed, _)| agreed),
            },
        ))
    }
}

/// Returns the field called `name`, if there is exactly one.
pub(super) fn only<'a>(fields: &'a Headers, name: &str) -> Option<&'a [u8]> {
    let mut all = fields.all(name);
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

fn is_ours(name: &str) -> bool {
    name.eq_ignore_ascii_case("sec-websocket-")
}
