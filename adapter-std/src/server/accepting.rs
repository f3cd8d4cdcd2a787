//! A server's end of a stream that a client opened, up to the request.
//! RFC 6455 section 4.2.1.
//! Knows how to read and time out; `sansws_core::handshake` interprets heads.

use std::io;
use std::sync::Arc;

use sansws_common::Scope;
use sansws_common::error::{Error, Result};
use sansws_common::server::answer::written;
use sansws_common::server::scope::Head;
use sansws_core::config::Config;
use sansws_core::error::InvalidInput;
use sansws_core::handshake::{Refusal, Request, ServerHandshake};
use sansws_core::internal::Framing;
use sansws_core::time::Instant;

use super::request_loop::await_head;
use super::upgrade::Upgrade;
use crate::clock::now;
use crate::stream::ByteStream;
use crate::wire::Wire;

/// Reads the request from a stream that a client opened. If the stream does not block, use [`Accepting`].
///
/// # Errors
/// When the request is invalid; it has then already been answered.
pub fn accept<S: ByteStream>(stream: S, config: Arc<Config>) -> Result<Upgrade<S>, Error> {
    let mut accepting = Accepting::new(stream, config);
    match accepting.resume()? {
        Some(upgrade) => Ok(upgrade),
        None => Err(io::Error::from(io::ErrorKind::WouldBlock).into()),
    }
}

/// The reading of a request that is going on, for streams that do not block.
///
/// ```
/// use std::io;
/// use std::os::unix::net::UnixStream;
/// use sansws_std::{Accepting, Result};
///
/// # fn main() -> Result {
/// let (client, server) = UnixStream::pair()?;
/// server.set_nonblocking(true)?;
/// let mut accepting = Accepting::new(server, Default::default());
/// // Call it each time that the stream is readable.
/// assert!(accepting.resume()?.is_none());
/// drop(client);
/// assert!(accepting.resume().is_err()); // the client left
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Accepting<S> {
    /// Present until it is done.
    wire: Option<Wire<S>>,
    handshake: ServerHandshake,
    config: Arc<Config>,
    deadline: Option<Instant>,
}

impl<S: ByteStream> Accepting<S> {
    /// Starts to read a request; call [`resume`](Self::resume) next. The timeout is
    /// [`Timeouts::handshake`](sansws_core::config::Timeouts::handshake), from now.
    pub fn new(stream: S, config: Arc<Config>) -> Self {
        Self {
            wire: Some(Wire::new(stream)),
            handshake: ServerHandshake::new(Arc::clone(&config)),
            deadline: config.timeouts.handshake.map(|wait| now() + wait),
            config,
        }
    }

    /// Goes on reading: over a stream that blocks, until the request is complete; otherwise as far as possible now. `None` when the stream
    /// would block: call it again once the stream is ready.
    ///
    /// # Errors
    /// As for [`accept`]; [`InvalidInput::OutOfTurn`] after it was done.
    pub fn resume(&mut self) -> Result<Option<Upgrade<S>>, Error> {
        let error = match self.request() {
            Ok(request) => {
                let wire = self.wire.take().ok_or(InvalidInput::OutOfTurn)?;
                let now = now();
                let scope = Scope::new(Head::WebSocket(request), None, None, now);
                let left = self.deadline.map(|deadline| deadline.since(now));
                return Ok(Some(Upgrade::new(
                    scope,
                    Arc::clone(&self.config),
                    wire,
                    left,
                )));
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                if self.deadline.is_none_or(|deadline| deadline > now()) {
                    return Ok(None);
                }
                Refusal::Timeout.into()
            }
            Err(Error::ConnectTimeout(_)) => Refusal::Timeout.into(),
            Err(error) => error,
        };
        if let Error::Refusal(refusal) = &error
            && let Some(wire) = self.wire.take()
        {
            let bytes = written(&refusal.response(), Framing::default());
            wire.answer_and_end(bytes, &self.config.timeouts);
        }
        Err(error)
    }

    /// Returns the stream, until the request was read.
    pub fn get_ref(&self) -> Option<&S> {
        self.wire.as_ref().map(|wire| &wire.stream)
    }

    fn request(&mut self) -> Result<Request, Error> {
        let wire = self.wire.as_mut().ok_or(InvalidInput::OutOfTurn)?;
        let head = await_head(wire, &mut self.handshake, self.deadline)?;
        Ok(Request::check(head)?)
    }
}
