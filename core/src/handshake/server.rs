//! The server's side of the opening handshake, from raw octets.
//! RFC 6455 section 4.2.
//! Knows no socket: it reads a head, and says what it is.

use alloc::sync::Arc;

use super::{Refusal, Request};
use crate::config::Config;
use crate::http::{RequestHead, Scan, parse_request};

/// A server that awaits a request.
#[derive(Debug)]
pub struct ServerHandshake {
    config: Arc<Config>,
    scan: Scan,
}

impl ServerHandshake {
    /// Begins.
    pub fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            scan: Scan::default(),
        }
    }

    /// Looks at what has arrived: `input` holds all of it, from the first octet.
    ///
    /// Once the head is whole, the request comes back, and how many octets it took: what follows belongs to the connection.
    /// A refusal is to be answered with [`Refusal::response`].
    pub fn receive(&mut self, input: &[u8]) -> Result<Option<(Request, usize)>, Refusal> {
        match self.receive_head(input)? {
            Some((head, length)) => Ok(Some((Request::check(head)?, length))),
            None => Ok(None),
        }
    }

    /// Receives a head for a server that answers other requests too: it does not check what the head asks for. Once it was returned,
    /// the next head is looked for, from the first octet behind this one.
    pub fn receive_head(&mut self, input: &[u8]) -> Result<Option<(RequestHead, usize)>, Refusal> {
        let Some(length) = self.scan.find(input, &self.config.limits)? else {
            return Ok(None);
        };
        self.scan = Scan::default();
        let head = parse_request(input.get(..length).unwrap_or_default(), &self.config.limits)?;
        Ok(Some((head, length)))
    }
}
