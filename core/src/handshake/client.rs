//! The client's side of the opening handshake.
//! RFC 6455 section 4.1; RFC 9112 section 6 for the body of a refusal.
//! Knows no socket: it writes a request, and checks the answer.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;

use super::request::only;
use super::{Agreement, accept_key, is_own, key};
use crate::config::Config;
use crate::error::InvalidInput;
use crate::extension::{self, deflate};
use crate::http::field::{has_token, is_host, is_token};
use crate::http::{
    HeadError, Headers, Response, ResponseHead, Scan, Url, parse_response, response,
};

/// Additions to a client's request.
///
/// ```
/// use sansws_core::config::Config;
/// use sansws_core::handshake::{ClientHandshake, ClientOptions};
/// use sansws_core::random::Seed;
///
/// let options = ClientOptions {
///     subprotocols: vec!["chat.v2".into(), "chat.v1".into()],
///     fields: [("Origin", "https://example.org")].into_iter().collect(),
/// };
/// let (config, url) = (Config::default().into(), "ws://example.org/chat".parse()?);
/// let handshake = ClientHandshake::new(&config, &url, options, Seed::new([7; 32]).nonce())?;
/// let request = String::from_utf8_lossy(handshake.request());
/// assert!(request.contains("\r\nSec-WebSocket-Protocol: chat.v2, chat.v1\r\n"));
/// # Ok::<(), sansws_core::error::InvalidInput>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientOptions {
    /// The subprotocols it offers, the preferred one first.
    pub subprotocols: Vec<String>,
    /// Additional fields, such as `Origin`, `Authorization` or `Cookie`. A `Host` replaces the URL's, and an `Authorization` that of
    /// its user name and password. Other fields of the handshake itself are refused.
    pub fields: Headers,
}

/// Why the answer breaks a rule of section 4.1: the client "MUST _Fail the WebSocket Connection_".
///
/// ```
/// use sansws_core::config::Config;
/// use sansws_core::handshake::{ClientHandshake, ClientOptions, Failure};
/// use sansws_core::random::Seed;
///
/// let (config, url) = (Config::default().into(), "ws://example.org/chat".parse()?);
/// let nonce = Seed::new([7; 32]).nonce();
/// let mut handshake = ClientHandshake::new(&config, &url, ClientOptions::default(), nonce)?;
/// let input = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n";
/// let failure = handshake.receive(input, false).unwrap_err();
/// assert_eq!(failure, Failure::Upgrade);
/// assert_eq!(failure.to_string(), "the response does not upgrade to websocket");
/// # Ok::<(), sansws_core::error::InvalidInput>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Failure {
    /// Not HTTP.
    #[error("the response is malformed")]
    Malformed,
    /// An alert of TLS in place of HTTP.
    #[error("the server speaks TLS on this port: use wss://")]
    Tls,
    /// The head is longer than [`Limits::head`](crate::config::Limits::head) or has too many fields.
    #[error("the response head is too large")]
    HeadTooLarge,
    /// Not HTTP/1.1.
    #[error("the HTTP version of the response is not 1.1")]
    HttpVersion,
    /// `Upgrade` is missing or not `websocket`.
    #[error("the response does not upgrade to websocket")]
    Upgrade,
    /// `Connection` does not list `Upgrade`.
    #[error("the Connection header of the response does not list Upgrade")]
    Connection,
    /// `Sec-WebSocket-Accept` is missing, repeated, or does not answer our key.
    #[error("the Sec-WebSocket-Accept header does not answer our key")]
    Accept,
    /// An extension that was not offered, or parameters that do not match the offer.
    #[error("the response names an extension or parameters that were not offered")]
    Extensions,
    /// A subprotocol that was not offered, or more than one.
    #[error("the response names a subprotocol that was not offered")]
    Subprotocol,
    /// The input ended before the head.
    #[error("the connection ended before the response")]
    EndOfInput,
    /// The answer did not arrive in time.
    #[error("the response did not arrive in time")]
    Timeout,
}

impl From<HeadError> for Failure {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Malformed => Self::Malformed,
            HeadError::TooLarge | HeadError::TooManyFields => Self::HeadTooLarge,
            HeadError::Version => Self::HttpVersion,
        }
    }
}

/// The server's answer.
///
/// ```
/// use sansws_core::config::Config;
/// use sansws_core::handshake::{ClientHandshake, ClientOptions, ServerAnswer};
/// use sansws_core::random::Seed;
///
/// let (config, url) = (Config::default().into(), "ws://example.org/chat".parse()?);
/// let nonce = Seed::new([7; 32]).nonce();
/// let mut handshake = ClientHandshake::new(&config, &url, ClientOptions::default(), nonce)?;
/// let input = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /talk\r\nContent-Length: 0\r\n\r\n";
/// let (answer, _) = handshake.receive(input, false)?.expect("it is complete");
/// let ServerAnswer::Redirect(response) = answer else { panic!("a redirect") };
/// assert_eq!(url.join(response.location().unwrap())?.to_string(), "ws://example.org/talk");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAnswer {
    /// 101: the connection is open.
    Open(Opened),
    /// 3xx with a `Location`; the caller decides whether to follow it.
    Redirect(Response),
    /// Any other status, with its fields and the body up to [`Limits::body`](crate::config::Limits::body).
    Refused(Response),
}

/// A 101 that passed all checks.
///
/// For an example see [`ServerAnswer`] and the [page of the crate](crate).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The agreement.
    pub agreement: Agreement,
    /// All fields of the response.
    pub fields: Headers,
}

/// An answer that is not 101, whose body is arriving.
#[derive(Debug)]
struct Refused {
    head: ResponseHead,
    /// The bytes before the body.
    start: usize,
    chunks: Chunks,
}

/// A client that waits for the answer.
///
/// The [example of the crate](crate) shows both sides of a handshake.
pub struct ClientHandshake {
    config: Arc<Config>,
    request: Vec<u8>,
    accept: String,
    subprotocols: Vec<String>,
    scan: Scan,
    /// The bytes of interim responses that were skipped.
    passed: usize,
    refused: Option<Refused>,
}

impl ClientHandshake {
    /// Starts a handshake. The nonce must be fresh entropy for each connection.
    pub fn new(
        config: &Arc<Config>,
        url: &Url,
        options: ClientOptions,
        nonce: [u8; 16],
    ) -> Result<Self, InvalidInput> {
        response::check_fields(&options.fields)?;
        let host = host(&options.fields)?;
        let others = |name: &str| !name.eq_ignore_ascii_case("host");
        if options
            .fields
            .iter()
            .any(|(name, _)| others(name) && is_own(name))
        {
            return Err(InvalidInput::BadHeader);
        }
        // 4.1: "MUST all be unique strings", and tokens
        let names = &options.subprotocols;
        if names
            .iter()
            .enumerate()
            .any(|(at, name)| !is_token(name) || names.iter().take(at).any(|other| other == name))
        {
            return Err(InvalidInput::Subprotocol);
        }
        let key = key::encode_key(nonce);
        let mut request = Vec::with_capacity(256);
        for part in ["GET ", url.target(), " HTTP/1.1\r\n"] {
            request.extend_from_slice(part.as_bytes());
        }
        let mut field =
            |name: &str, value: &str| response::write_field(name, value.as_bytes(), &mut request);
        field("Host", &host.map_or_else(|| url.authority(), String::from));
        field("Upgrade", "websocket");
        field("Connection", "Upgrade");
        field("Sec-WebSocket-Key", &key);
        field("Sec-WebSocket-Version", "13");
        if !names.is_empty() {
            field("Sec-WebSocket-Protocol", &names.join(", "));
        }
        if let Some(deflate) = config
            .deflate
            .as_ref()
            .filter(|_| cfg!(feature = "deflate"))
        {
            field("Sec-WebSocket-Extensions", &deflate::offer(deflate));
        }
        if let Some(authorization) = url.authorization()
            && options.fields.get("authorization").is_none()
        {
            field("Authorization", &authorization);
        }
        for (name, value) in options.fields.iter().filter(|(name, _)| others(name)) {
            response::write_field(name, value, &mut request);
        }
        request.extend_from_slice(b"\r\n");
        Ok(Self {
            config: Arc::clone(config),
            request,
            accept: accept_key(key.as_bytes()),
            subprotocols: options.subprotocols,
            scan: Scan::default(),
            passed: 0,
            refused: None,
        })
    }

    /// Returns the bytes to send first. Nothing may follow them before the answer (4.1).
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Examines the input: `input` holds all of it, from the first byte; `ended` tells that no more will come.
    ///
    /// Returns the answer with the number of bytes that it took: the bytes after it belong to the connection.
    pub fn receive(
        &mut self,
        input: &[u8],
        ended: bool,
    ) -> Result<Option<(ServerAnswer, usize)>, Failure> {
        loop {
            if let Some(mut refused) = self.refused.take() {
                let body = input.get(refused.start..).unwrap_or_default();
                return Ok(match refused.body(body, ended, self.config.limits.body) {
                    Some(body) => Some((answer(refused.head, body), input.len())),
                    None => {
                        self.refused = Some(refused);
                        None
                    }
                });
            }
            let rest = input.get(self.passed..).unwrap_or_default();
            let failed = |error| match error {
                // RFC 8446 5.1: the content type `alert`.
                HeadError::Malformed if rest.first() == Some(&21) => Failure::Tls,
                error => error.into(),
            };
            let found = self.scan.find(rest, &self.config.limits);
            let Some(length) = found.map_err(failed)? else {
                return if ended {
                    Err(Failure::EndOfInput)
                } else {
                    Ok(None)
                };
            };
            let head = parse_response(rest.get(..length).unwrap_or_default(), &self.config.limits)?;
            let end = self.passed + length;
            match head.status {
                101 => return Ok(Some((ServerAnswer::Open(self.check(head.fields)?), end))),
                // RFC 9110 15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final response"
                100..=199 => {
                    self.scan = Scan::default();
                    self.passed = end;
                    if end > self.config.limits.head {
                        return Err(Failure::HeadTooLarge);
                    }
                }
                _ => {
                    self.refused = Some(Refused {
                        head,
                        start: end,
                        chunks: Chunks::default(),
                    });
                }
            }
        }
    }

    /// Returns whether the server has refused, and the body of the refusal is incomplete. It may never arrive: do not wait long for it,
    /// and then call [`give_up`](Self::give_up).
    pub const fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Stops waiting, for example because time is up: returns a refusal whose body is incomplete, with the part of the body that
    /// arrived. `None` before its head. `input` is as for [`receive`](Self::receive).
    pub fn give_up(&mut self, input: &[u8]) -> Option<ServerAnswer> {
        let mut refused = self.refused.take()?;
        let body = input.get(refused.start..).unwrap_or_default();
        let body = refused.body(body, true, self.config.limits.body);
        Some(answer(refused.head, body.unwrap_or_default()))
    }

    #[cfg(feature = "http")]
    pub(super) fn body_limit(&self) -> usize {
        self.config.limits.body
    }

    /// Performs the checks of 4.1 on a 101.
    pub(super) fn check(&self, fields: Headers) -> Result<Opened, Failure> {
        if !only(&fields, "upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
            return Err(Failure::Upgrade);
        }
        if !has_token(fields.all("connection"), "upgrade") {
            return Err(Failure::Connection);
        }
        if only(&fields, "sec-websocket-accept") != Some(self.accept.as_bytes()) {
            return Err(Failure::Accept);
        }
        let agreement = self.check_common(&fields)?;
        Ok(Opened { agreement, fields })
    }

    /// Performs the checks that HTTP/1.1 and HTTP/2 share.
    pub(super) fn check_common(&self, fields: &Headers) -> Result<Agreement, Failure> {
        let answers = extension::parse(fields.all("sec-websocket-extensions"))
            .map_err(|_| Failure::Extensions)?;
        let deflate = match (answers.as_slice(), &self.config.deflate) {
            ([], _) => None,
            ([one], Some(config))
                if one.name.eq_ignore_ascii_case(deflate::NAME) && cfg!(feature = "deflate") =>
            {
                Some(deflate::check_answer(config, one).ok_or(Failure::Extensions)?)
            }
            _ => return Err(Failure::Extensions),
        };
        // 11.3.4: "MUST NOT appear more than once in an HTTP response"
        let subprotocol = match fields.all("sec-websocket-protocol").count() {
            0 => None,
            1 => {
                let name = fields.get_str("sec-websocket-protocol").unwrap_or_default();
                if !self.subprotocols.iter().any(|offered| offered == name) {
                    return Err(Failure::Subprotocol);
                }
                Some(name.to_string())
            }
            _ => return Err(Failure::Subprotocol),
        };
        Ok(Agreement {
            subprotocol,
            deflate,
        })
    }
}

impl fmt::Debug for ClientHandshake {
    /// The request may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHandshake")
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

/// Returns the caller's `Host`, if there is one. RFC 9112 3.2: "A client MUST send a Host header field" with its host, and only one.
fn host(fields: &Headers) -> Result<Option<&str>, InvalidInput> {
    let mut all = fields.all("host");
    let Some(host) = all.next() else {
        return Ok(None);
    };
    if host.is_empty() || !is_host(host) || all.next().is_some() {
        return Err(InvalidInput::BadHeader);
    }
    // A host is ASCII.
    core::str::from_utf8(host)
        .map(Some)
        .map_err(|_| InvalidInput::BadHeader)
}

fn answer(head: ResponseHead, body: Vec<u8>) -> ServerAnswer {
    ServerAnswer::other(Response {
        status: head.status,
        fields: head.fields,
        body,
    })
}

impl ServerAnswer {
    /// Handles an answer that does not open the connection.
    pub(super) fn other(response: Response) -> Self {
        if response.location().is_some() {
            Self::Redirect(response)
        } else {
            Self::Refused(response)
        }
    }
}

impl Refused {
    /// Returns the body, once it is complete or as long as the limit; `None` when more must arrive (RFC 9112 section 6.3).
    fn body(&mut self, input: &[u8], ended: bool, limit: usize) -> Option<Vec<u8>> {
        let head = &self.head;
        if matches!(head.status, 204 | 304) {
            return Some(Vec::new());
        }
        if has_token(head.fields.all("transfer-encoding"), "chunked") {
            let whole = self.chunks.take(input, limit);
            return (whole || ended || input.len() >= limit.saturating_mul(2))
                .then(|| core::mem::take(&mut self.chunks.body));
        }
        let length = head
            .fields
            .get_str("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(usize::MAX)
            .min(limit);
        let body = input.get(..length.min(input.len())).unwrap_or_default();
        (ended || body.len() == length).then(|| body.to_vec())
    }
}

/// A chunked body, parsed as it arrives: no byte is examined twice.
#[derive(Debug, Default)]
struct Chunks {
    body: Vec<u8>,
    /// The number of processed bytes of the input.
    done: usize,
    /// The rest of a chunk, including its line end.
    left: usize,
}

/// The line end after a chunk.
const LINE_END: usize = 2;

/// A longer line before a chunk is malformed.
const LONGEST_LINE: usize = 1 << 10;

impl Chunks {
    /// Examines all of the body that has arrived; returns whether it is complete, or as long as `limit`. A malformed chunk ends it.
    fn take(&mut self, input: &[u8], limit: usize) -> bool {
        loop {
            let rest = input.get(self.done..).unwrap_or_default();
            let here = self.left.min(rest.len());
            let data = self.left.saturating_sub(LINE_END).min(here);
            let kept = data.min(limit.saturating_sub(self.body.len()));
            self.body
                .extend_from_slice(rest.get(..kept).unwrap_or_default());
            self.done += here;
            self.left -= here;
            if self.body.len() >= limit {
                return true;
            }
            if self.left > 0 {
                return false;
            }
            let rest = rest.get(here..).unwrap_or_default();
            match httparse::parse_chunk_size(rest) {
                Ok(httparse::Status::Complete((_, 0))) | Err(_) => return true,
                Ok(httparse::Status::Complete((start, size))) => {
                    self.done += start;
                    self.left = usize::try_from(size)
                        .unwrap_or(usize::MAX)
                        .saturating_add(LINE_END);
                }
                Ok(httparse::Status::Partial) => return rest.len() > LONGEST_LINE,
            }
        }
    }
}
