//! The server's side of the opening handshake, from raw bytes.
//! RFC 6455 section 4.2.
//! Knows no socket: it parses a head, and returns a request or a refusal.

use alloc::sync::Arc;

use super::{Refusal, Request};
use crate::config::Config;
use crate::http::{RequestHead, Scan, parse_request};

/// A server that waits for a request.
///
/// ```
/// use sansws_core::config::Config;
/// use sansws_core::handshake::{Refusal, ServerHandshake};
///
/// let mut handshake = ServerHandshake::new(Config::default().into());
/// // A head may arrive in any chunks; `input` holds all of it.
/// let input = b"GET /chat HTTP/1.1\r\nHost: example.org\r\n\r\n";
/// assert_eq!(handshake.receive(&input[..9]), Ok(None));
/// let refusal = handshake.receive(input).unwrap_err();
/// assert_eq!((refusal, refusal.response().status), (Refusal::NotWebSocket, 426));
/// ```
#[derive(Debug)]
pub struct ServerHandshake {
    config: Arc<Config>,
    scan: Scan,
}

impl ServerHandshake {
    /// Starts a handshake.
    pub fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            scan: Scan::default(),
        }
    }

    /// Examines the input: `input` holds all of it, from the first byte.
    ///
    /// Once the head is complete, returns the request and the number of bytes it took: the bytes after it belong to the connection.
    /// Answer a refusal with [`Refusal::response`].
    pub fn receive(&mut self, input: &[u8]) -> Result<Option<(Request, usize)>, Refusal> {
        match self.receive_head(input)? {
            Some((head, length)) => Ok(Some((Request::check(head)?, length))),
            None => Ok(None),
        }
    }

    /// Receives a head, for a server that also answers other requests: it does not check the purpose of the request. The next call
    /// looks for the next head, from the first byte after this one.
    pub fn receive_head(&mut self, input: &[u8]) -> Result<Option<(RequestHead, usize)>, Refusal> {
        let Some(length) = self.scan.find(input, &self.config.limits)? else {
            return Ok(None);
        };
        self.scan = Scan::default();
        let head = parse_request(input.get(..length).unwrap_or_default(), &self.config.limits)?;
        Ok(Some((head, length)))
    }
}
