//! A client's connection that is not open yet: the state of its steps.
//! RFC 6455 section 4.1; RFC 8305 for several addresses.
//! Knows its own bytes, and no loop.

use std::any::Any;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use sansws_common::ConnectOptions;
use sansws_common::entropy::seed;
use sansws_common::error::{Error, Result};
use sansws_core::dial::{Attempt, Attempts};
use sansws_core::handshake::{ClientHandshake, Failure, Opened, Redirects, ServerAnswer};
use sansws_core::http::Url;
use sansws_core::proxy::{ProxyHandshake, TunnelStep};
use sansws_core::random::Seed;
use sansws_core::time::Instant;

use super::Handler;
use crate::stream::Stream;

/// Maximum number of bytes of a read before a connection is open.
const READ: usize = 16 << 10;

/// A connection that is not open yet.
pub(super) struct Connecting {
    pub(super) phase: Phase,
    /// The URL before redirects, if `tracing` is told how it ends.
    pub(super) traced: Option<Url>,
    pub(super) redirects: Redirects,
    pub(super) dial: ConnectOptions,
    pub(super) handler: Handler,
    /// The data of the connection, until its endpoint has them.
    pub(super) data: Box<dyn Any>,
    pub(super) deadline: Option<Instant>,
    /// Identifies the lookup whose answer it waits for.
    pub(super) lookup: Option<Arc<()>>,
    /// It was closed before it was open.
    pub(super) is_given_up: bool,
}

/// The steps to an open connection.
pub(super) enum Phase {
    /// The addresses are looked up.
    Resolving,
    /// Some addresses are tried.
    Racing(Race),
    /// TCP is connected.
    Connected,
    #[cfg(feature = "tls")]
    ProxyTls,
    /// The proxy is asked to connect to the server.
    Tunnel(Box<ProxyHandshake>),
    /// The stream leads to the server.
    Reached,
    #[cfg(feature = "tls")]
    Tls,
    Handshake(Box<Shaking>),
}

/// Attempts to connect that go on at once.
pub(super) struct Race {
    attempts: Attempts,
    running: Vec<TcpStream>,
    last: io::Error,
    /// When the next one begins.
    pub(super) until: Option<Instant>,
}

/// The opening handshake.
pub(super) struct Shaking {
    handshake: ClientHandshake,
    request: Vec<u8>,
    input: Vec<u8>,
    seed: Seed,
    ended: bool,
}

impl std::fmt::Debug for Connecting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connecting")
            .field("url", self.redirects.url())
            .finish_non_exhaustive()
    }
}

impl Connecting {
    pub(super) fn url(&self) -> &Url {
        self.redirects.url()
    }

    /// Tries these addresses.
    pub(super) fn race(&mut self, addresses: Vec<SocketAddr>) {
        self.phase = Phase::Racing(Race::new(self.dial.attempts(addresses)));
    }

    /// Returns when something is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let until = match &self.phase {
            Phase::Racing(race) => race.until,
            _ => None,
        };
        [self.deadline, until].into_iter().flatten().min()
    }

    /// Returns the error of a deadline that has passed.
    pub(super) const fn timeout(&self) -> Error {
        match self.phase {
            Phase::Handshake(_) => Error::Handshake(Failure::Timeout),
            _ => Error::ConnectTimeout(None),
        }
    }
}

impl Race {
    pub(super) fn new(attempts: Attempts) -> Self {
        Self {
            attempts,
            running: Vec::new(),
            last: io::ErrorKind::NotFound.into(),
            until: None,
        }
    }

    /// Begins what is due; returns the first socket that has connected, or `None` while none has.
    pub(super) fn step(
        &mut self,
        now: Instant,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Option<TcpStream>> {
        loop {
            let mut at = 0;
            while let Some(stream) = self.running.get_mut(at) {
                let outcome = outcome(stream);
                if matches!(outcome, Ok(false)) {
                    at += 1;
                    continue;
                }
                let mut stream = self.running.swap_remove(at);
                match outcome {
                    Ok(_) => {
                        self.end(registry);
                        return Ok(Some(stream));
                    }
                    Err(error) => {
                        let _ = registry.deregister(&mut stream);
                        self.last = error;
                        self.attempts.failed();
                    }
                }
            }
            self.until = match self.attempts.step(now) {
                Attempt::Begin(address) => {
                    match begin(address, registry, token) {
                        Ok(stream) => self.running.push(stream),
                        Err(error) => {
                            self.last = error;
                            self.attempts.failed();
                        }
                    }
                    continue;
                }
                Attempt::Until(until) => Some(until),
                Attempt::Wait => None,
                Attempt::Failed => {
                    let none = io::Error::from(io::ErrorKind::NotFound);
                    return Err(std::mem::replace(&mut self.last, none));
                }
            };
            return Ok(None);
        }
    }

    /// Gives up what still goes on.
    pub(super) fn end(&mut self, registry: &Registry) {
        for mut stream in self.running.drain(..) {
            let _ = registry.deregister(&mut stream);
        }
    }
}

/// Starts to connect.
fn begin(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let both = Interest::READABLE | Interest::WRITABLE;
    registry.register(&mut stream, token, both)?;
    Ok(stream)
}

/// Returns whether a socket has connected, or its error.
fn outcome(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        // macOS reports so while it connects.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
        Err(error) => Err(error),
    }
}

/// Goes on with the request to a proxy; returns whether the stream leads to the server now. Not a byte after the proxy's answer is read.
pub(super) fn tunnel(handshake: &mut ProxyHandshake, stream: &mut Stream) -> Result<bool, Error> {
    loop {
        while !handshake.output().is_empty() {
            let count = stream.write(&[IoSlice::new(handshake.output())])?;
            handshake.written(count);
        }
        stream.flush()?;
        let mut input = vec![0; handshake.need().min(READ)];
        let count = stream.read(&mut input)?.count;
        input.truncate(count);
        if handshake.receive(&input)? == TunnelStep::Open {
            return Ok(true);
        }
    }
}

impl Shaking {
    pub(super) fn new(
        url: &Url,
        redirects: &Redirects,
        dial: &ConnectOptions,
    ) -> Result<Self, Error> {
        let seed = seed().map_err(Error::other)?;
        let options = redirects.options().clone();
        let fields = options.fields.clone();
        let handshake = ClientHandshake::new(&dial.config, url, options, seed.nonce());
        let handshake = handshake.map_err(|misuse| Error::of_request(misuse, &fields))?;
        Ok(Self {
            request: handshake.request().into(),
            handshake,
            input: Vec::new(),
            seed,
            ended: false,
        })
    }

    /// Returns what was agreed on, with the bytes that arrived behind the answer, once it is there.
    ///
    /// # Errors
    /// [`Error::Refused`] for another answer; `WouldBlock` when the socket must be ready first.
    pub(super) fn step(&mut self, stream: &mut Stream) -> Result<(Opened, Seed, Vec<u8>), Error> {
        while !self.request.is_empty() {
            let count = stream.write(&[IoSlice::new(&self.request)])?;
            self.request.drain(..count);
        }
        stream.flush()?;
        loop {
            if let Some((answer, length)) = self.handshake.receive(&self.input, self.ended)? {
                self.input.drain(..length);
                return match answer {
                    ServerAnswer::Open(opened) => {
                        Ok((opened, self.seed, std::mem::take(&mut self.input)))
                    }
                    ServerAnswer::Redirect(response) | ServerAnswer::Refused(response) => {
                        Err(Error::Refused(Box::new(response)))
                    }
                };
            }
            let mut input = vec![0; READ];
            match stream.read(&mut input) {
                Ok(arrived) => {
                    self.ended = arrived.count == 0;
                    self.input
                        .extend_from_slice(input.get(..arrived.count).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(error.into());
                }
                // The status is known: even if the body is cut off, this is the server's answer.
                Err(error) => return Err(self.give_up().unwrap_or_else(|| error.into())),
            }
        }
    }

    /// Returns whether the status of a refusal is known.
    pub(super) const fn is_refused(&self) -> bool {
        self.handshake.is_refused()
    }

    /// Returns the refusal of which the rest does not come.
    pub(super) fn give_up(&mut self) -> Option<Error> {
        let answer = self.handshake.give_up(&self.input)?;
        match answer {
            ServerAnswer::Open(_) => None,
            ServerAnswer::Redirect(response) | ServerAnswer::Refused(response) => {
                Some(Error::Refused(Box::new(response)))
            }
        }
    }
}

/// Returns the TLS connection of a client to this host.
#[cfg(feature = "tls")]
pub(super) fn tls(
    host: &str,
    config: Arc<rustls::ClientConfig>,
) -> Result<rustls::Connection, Error> {
    let name = sansws_common::tls::server_name(host)?;
    let connection = rustls::ClientConnection::new(config, name).map_err(Error::other)?;
    Ok(connection.into())
}
