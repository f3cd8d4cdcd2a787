//! A valid request for a WebSocket, and its acceptance.
//! RFC 6455 sections 4.2.1 and 4.2.2.
//! Knows not how the head arrived: from octets, from another HTTP stack, or over HTTP/2.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Agreement, Refusal, accept_key, hold_own, is_key};
use crate::config::Config;
use crate::error::Misuse;
use crate::extension::{self, deflate};
use crate::http::field::{Cursor, Malformed, has_token, is_host};
use crate::http::{Fields, RequestHead, response};

/// A request that may be accepted. Whoever holds one need not check it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    head: RequestHead,
    /// `Sec-WebSocket-Accept`; over HTTP/2 there is none.
    accept: Option<String>,
}

/// How a request is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    /// The subprotocol; it must be one of the offered ones. See [`Request::choose`].
    pub subprotocol: Option<String>,
    /// Further fields of the response, such as `Set-Cookie`.
    pub fields: Fields,
}

impl Request {
    /// Checks the head of an HTTP/1.1 request (4.2.1).
    pub fn check(head: RequestHead) -> Result<Self, Refusal> {
        let fields = &head.fields;
        if head.method != "GET" {
            return Err(Refusal::Method);
        }
        // RFC 9112 3.2: 400 for a request that lacks Host, has more than one, or one "with an invalid field value"
        if !only(fields, "host").is_some_and(is_host) {
            return Err(Refusal::Host);
        }
        if !head.target.starts_with('/') && path_of_url(&head.target).is_none() {
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

    /// What HTTP/1.1 and HTTP/2 have in common.
    pub(super) fn check_common(head: RequestHead, accept: Option<String>) -> Result<Self, Refusal> {
        let fields = &head.fields;
        // 4.2.1: "with a value of 13"
        if only(fields, "sec-websocket-version") != Some(b"13".as_slice()) {
            return Err(Refusal::Version);
        }
        if fields.get("transfer-encoding").is_some()
            || fields.all("content-length").any(|length| length != b"0")
        {
            return Err(Refusal::Body);
        }
        subprotocols(fields).map_err(|_| Refusal::Subprotocol)?;
        extension::parse(fields.all("sec-websocket-extensions"))
            .map_err(|_| Refusal::Extensions)?;
        Ok(Self { head, accept })
    }

    /// The request target, as sent.
    pub fn target(&self) -> &str {
        &self.head.target
    }

    /// The path, as sent: still percent-encoded.
    pub fn path(&self) -> &str {
        let target = self.head.target.as_str();
        let target = path_of_url(target).unwrap_or(target);
        target.split(['?', '#']).next().unwrap_or_default()
    }

    /// What stands behind the `?`, as sent.
    pub fn query(&self) -> Option<&str> {
        self.head
            .target
            .split('#')
            .next()
            .and_then(|target| target.split_once('?'))
            .map(|(_, query)| query)
    }

    /// All header fields.
    pub const fn fields(&self) -> &Fields {
        &self.head.fields
    }

    /// The first field called `name`, in any case, if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.fields.get_str(name)
    }

    /// `Host`, or `:authority`.
    pub fn host(&self) -> &str {
        self.header("host").unwrap_or_default()
    }

    /// `Origin`: which page wants the connection (10.2). Browsers send it; a server that serves them should check it.
    pub fn origin(&self) -> Option<&str> {
        self.header("origin")
    }

    /// The cookies, as name and value (RFC 6265 section 5.4).
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self
            .head
            .fields
            .all("cookie")
            .filter_map(|field| core::str::from_utf8(field).ok());
        fields
            .flat_map(|field| field.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
    }

    /// The subprotocols the client offers, in its order of preference.
    pub fn subprotocols(&self) -> Vec<&str> {
        subprotocols(&self.head.fields).unwrap_or_default()
    }

    /// The first of `ours`, the server's preference, that the client offers.
    pub fn choose<'a>(&self, ours: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let theirs = self.subprotocols();
        ours.into_iter()
            .find(|name| theirs.contains(name))
            .map(ToString::to_string)
    }

    /// Accepts: the octets of the response, and what was agreed.
    pub fn accept(&self, config: &Config, accept: Accept) -> Result<(Vec<u8>, Agreement), Misuse> {
        let (fields, agreement) = self.accept_fields(config, accept)?;
        let mut out = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
        response::write_fields(&fields, &mut out);
        out.extend_from_slice(b"\r\n");
        Ok((out, agreement))
    }

    /// The fields of the response that accepts, for a stack that writes it itself; the status is 101, over HTTP/2 200.
    pub fn accept_fields(
        &self,
        config: &Config,
        accept: Accept,
    ) -> Result<(Fields, Agreement), Misuse> {
        response::check_fields(&accept.fields)?;
        if hold_own(&accept.fields) {
            return Err(Misuse::BadHeader);
        }
        let mut fields = Fields::default();
        if let Some(accept) = &self.accept {
            fields.push("Upgrade", b"websocket");
            fields.push("Connection", b"Upgrade");
            fields.push("Sec-WebSocket-Accept", accept.as_bytes());
        }
        if let Some(subprotocol) = &accept.subprotocol {
            // 4.2.2: "the value MUST be one that the client offered", or the client fails the connection
            if !self.subprotocols().contains(&subprotocol.as_str()) {
                return Err(Misuse::Subprotocol);
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

/// The one field called `name`, if there is exactly one.
pub(super) fn only<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    let mut all = fields.all(name);
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

/// 4.2.1: "The request [...] MUST contain a Request-URI that is either a relative URI or an absolute http/https URI"
fn path_of_url(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    if !["http", "https", "ws", "wss"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return None;
    }
    let (authority, path) = rest
        .find(['/', '?', '#'])
        .map_or((rest, ""), |at| rest.split_at(at));
    (!authority.is_empty()).then_some(if path.starts_with('/') { path } else { "/" })
}

/// 4.1: "one or more comma-separated subprotocols [...] MUST all be unique strings"
fn subprotocols(fields: &Fields) -> Result<Vec<&str>, Malformed> {
    let mut all = Vec::new();
    for field in fields.all("sec-websocket-protocol") {
        let mut cursor = Cursor::new(field);
        while !cursor.skip_commas() {
            let name = cursor.token()?;
            if all.contains(&name) {
                return Err(Malformed);
            }
            all.push(name);
            cursor.end_of_element()?;
        }
    }
    Ok(all)
}
