//! The client's opening handshake over a stream.
//! RFC 6455 section 4.1.
//! Knows how to read, write and time out; `sansws_core::handshake` interprets heads.

use std::io;
use std::sync::Arc;

use sansws_common::client::trace;
use sansws_common::entropy::seed;
use sansws_common::error::{Error, Result};
use sansws_common::{ConnectOptions, IntoRequest};
use sansws_core::config::Config;
use sansws_core::connection::Connection;
use sansws_core::error::InvalidInput;
use sansws_core::handshake::{ClientHandshake, ClientOptions, Failure, ServerAnswer};
use sansws_core::http::Url;
use sansws_core::random::Seed;
use sansws_core::time::Instant;

use crate::clock::now;
use crate::socket::{Engine, WebSocket};
use crate::stream::ByteStream;
use crate::wire::Wire;

/// Opens a connection over a stream that already leads to the host of `url`, such as a Unix socket or your own TLS. The proxy, the
/// redirects and the TLS settings of `options` are ignored. If the stream does not block, use [`Connecting`].
///
/// # Errors
/// [`Error::BadUrl`], and those of [`connect`](crate::connect) from the opening handshake on.
pub fn connect_over<S: ByteStream>(
    stream: S,
    url: impl IntoRequest,
    options: ConnectOptions,
) -> Result<WebSocket<S>, Error> {
    let mut connecting = Connecting::new(stream, url, options)?;
    let socket = connecting.resume()?;
    socket.ok_or_else(|| connecting.gave_up(io::Error::from(io::ErrorKind::WouldBlock).into()))
}

/// A client's opening handshake that is going on, for streams that do not block.
///
/// ```no_run
/// # fn main() -> Result<(), sansws_std::Error> {
/// use sansws_std::{ConnectOptions, Connecting};
///
/// let stream = std::net::TcpStream::connect("127.0.0.1:8080")?;
/// stream.set_nonblocking(true)?;
/// let url = "ws://127.0.0.1:8080/";
/// let mut connecting = Connecting::new(stream, url, ConnectOptions::default())?;
/// let socket = loop {
///     if let Some(socket) = connecting.resume()? {
///         break socket;
///     }
///     // Do something else until the stream is ready.
/// };
/// # drop(socket);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Connecting<S> {
    /// Present until it is done.
    wire: Option<Wire<S>>,
    handshake: ClientHandshake,
    request: Vec<u8>,
    config: Arc<Config>,
    seed: Seed,
    deadline: Option<Instant>,
    /// When to stop waiting for the rest of a refusal, whose status is known.
    body_until: Option<Instant>,
    ended: bool,
    /// `tracing` was told that it connects there, and is to be told of the outcome.
    told: Option<Url>,
}

impl<S: ByteStream> Connecting<S> {
    /// Starts the handshake over a stream that already leads to the host of `url`; call [`resume`](Self::resume) next. The timeout is
    /// [`Timeouts::handshake`](sansws_core::config::Timeouts::handshake), from now.
    ///
    /// # Errors
    /// [`Error::BadUrl`]; [`Error::BadHeader`] and [`Error::InvalidInput`] for options that are not allowed in a request.
    pub fn new(stream: S, url: impl IntoRequest, options: ConnectOptions) -> Result<Self, Error> {
        let (url, options) = url.into_request(options)?;
        let deadline = options.config.timeouts.handshake.map(|wait| now() + wait);
        trace::connects(&url);
        match Self::until(stream, &url, options.options, options.config, deadline) {
            Ok(connecting) => Ok(Self {
                told: Some(url),
                ..connecting
            }),
            Err(error) => {
                trace::connect_ended(&url, Some(&error));
                Err(error)
            }
        }
    }

    /// Like [`new`](Self::new), but a part of the timeout has passed, for example for TLS.
    pub(super) fn until(
        stream: S,
        url: &Url,
        options: ClientOptions,
        config: Arc<Config>,
        deadline: Option<Instant>,
    ) -> Result<Self, Error> {
        let seed = seed().map_err(Error::other)?;
        let fields = options.fields.clone();
        let handshake = ClientHandshake::new(&config, url, options, seed.nonce());
        let handshake = handshake.map_err(|misuse| Error::of_request(misuse, &fields))?;
        Ok(Self {
            wire: Some(Wire::new(stream)),
            request: handshake.request().into(),
            handshake,
            config,
            seed,
            deadline,
            body_until: None,
            ended: false,
            told: None,
        })
    }

    /// Goes on with the handshake: over a stream that blocks, to its end; otherwise as far as possible now. `None` when the stream would
    /// block: call it again once the stream is ready.
    ///
    /// # Errors
    /// As for [`connect_over`]; [`InvalidInput::OutOfTurn`] after it was done.
    pub fn resume(&mut self) -> Result<Option<WebSocket<S>>, Error> {
        match self.step() {
            Ok(Some(socket)) => {
                if let Some(url) = self.told.take() {
                    trace::connect_ended(&url, None);
                    if let Some(url) = trace::wanted(&url) {
                        socket.shared().engine().tell_client(url);
                    }
                }
                Ok(Some(socket))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(self.gave_up(error)),
        }
    }

    /// Tells that it failed, once.
    fn gave_up(&mut self, error: Error) -> Error {
        if let Some(url) = self.told.take() {
            trace::connect_ended(&url, Some(&error));
        }
        error
    }

    fn step(&mut self) -> Result<Option<WebSocket<S>>, Error> {
        let answer = match self.answer() {
            Err(Error::Io(error)) if is_not_now(&error) => {
                if self.deadline.is_some_and(|deadline| deadline <= now()) {
                    return Err(Failure::Timeout.into());
                }
                return Ok(None);
            }
            Err(Error::ConnectTimeout(_)) => return Err(Failure::Timeout.into()),
            answer => answer?,
        };
        let opened = match answer {
            ServerAnswer::Open(opened) => opened,
            ServerAnswer::Redirect(response) | ServerAnswer::Refused(response) => {
                return Err(Error::Refused(Box::new(response)));
            }
        };
        let wire = self.wire.take().ok_or(InvalidInput::OutOfTurn)?;
        let config = Arc::clone(&self.config);
        let connection = Connection::client(config, &opened.agreement, self.seed, now());
        let engine = Engine::new(wire, connection);
        Ok(Some(WebSocket::new(engine, Some(opened.into()))))
    }

    /// Returns the stream, until the handshake is done.
    pub fn get_ref(&self) -> Option<&S> {
        self.wire.as_ref().map(|wire| &wire.stream)
    }

    fn answer(&mut self) -> Result<ServerAnswer, Error> {
        let wire = self.wire.as_mut().ok_or(InvalidInput::OutOfTurn)?;
        wire.write(&mut self.request, self.deadline)?;
        loop {
            let bytes = wire.unread.bytes();
            if let Some((answer, length)) = self.handshake.receive(bytes, self.ended)? {
                wire.unread.consume(length);
                return Ok(answer);
            }
            if self.handshake.is_refused() && self.body_until.is_none() {
                let timeouts = &self.config.timeouts;
                self.body_until = Some(timeouts.refusal_until(now(), self.deadline));
            }
            match wire.read(self.body_until.or(self.deadline)) {
                Ok(more) => self.ended = !more,
                // The status is known: even if the body is cut off, this is the server's answer.
                Err(error) if self.body_until.is_some() && !is_would_block(&error) => {
                    let answer = self.handshake.give_up(wire.unread.bytes());
                    return answer.ok_or(error);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if is_not_now(error))
}

fn is_not_now(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
