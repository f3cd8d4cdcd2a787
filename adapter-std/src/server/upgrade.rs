//! A WebSocket request that waits for its answer.
//! RFC 6455 section 4.2.2.
//! Knows how to answer; the handler decides.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sansws_common::Scope;
use sansws_common::error::{Error, Result};
use sansws_common::metrics::trace;
use sansws_common::server::scope::Head;
use sansws_core::config::Config;
use sansws_core::connection::Connection;
use sansws_core::handshake::{AcceptOptions, Agreement, Opened, Refusal};
use sansws_core::http::{Headers, Response};

use crate::ConnectionPolicy;
use crate::clock::now;
use crate::socket::{Engine, Served, Shared, WebSocket};
use crate::stream::{ByteStream, Stream};
use crate::wire::Wire;

/// The outcome of an [`Upgrade`], for the thread that serves the connection.
#[derive(Debug)]
pub(super) enum UpgradeOutcome<S> {
    /// Undecided.
    Open,
    /// Accepted.
    Accepted(Arc<Shared<S>>),
    /// Dropped without an answer.
    Dropped(Wire<S>),
    /// The stream failed while the answer was written.
    Lost,
    /// Rejected, and answered with this status.
    Rejected(u16),
    /// The handler has returned.
    Over,
}

/// Where an [`Upgrade`] leaves its outcome.
#[derive(Debug)]
pub(super) struct Slot<S>(Mutex<UpgradeOutcome<S>>);

impl<S> Slot<S> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(UpgradeOutcome::Open)))
    }

    pub(super) fn outcome(&self) -> MutexGuard<'_, UpgradeOutcome<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// State that a server adds to a connection.
#[derive(Debug)]
pub(super) struct Terms<S> {
    pub(super) slot: Arc<Slot<S>>,
    pub(super) policy: Arc<ConnectionPolicy>,
    pub(super) served: Box<Served>,
}

/// A WebSocket request that is not yet answered. It has no method to send messages, so nothing can be sent before it is accepted.
///
/// ```
/// # fn connect_to(
/// #     handler: fn(sansws_std::Upgrade) -> sansws_std::Result,
/// #     url: &str,
/// # ) -> Result<sansws_std::WebSocket, sansws_std::Error> {
/// #     let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
/// #     std::thread::spawn(move || -> sansws_std::Result {
/// #         handler(sansws_std::accept(sansws_std::Stream::unix(theirs)?, Default::default())?)
/// #     });
/// #     sansws_std::connect_over(sansws_std::Stream::unix(ours)?, url, Default::default())
/// # }
/// use sansws_std::{Error, Response, Result, Upgrade};
///
/// fn chat(upgrade: Upgrade) -> Result {
///     let Some(user) = upgrade.query_value("user").map(String::from) else {
///         return Ok(upgrade.reject(Response::text(401, "who are you?\n"))?);
///     };
///     Ok(upgrade.accept()?.send_text(format!("hello, {user}"))?)
/// }
///
/// # fn main() -> Result {
/// let mut socket = connect_to(chat, "ws://localhost/?user=ada")?;
/// assert_eq!(socket.receive_text()?.as_deref(), Some("hello, ada"));
/// let refused = connect_to(chat, "ws://localhost/");
/// assert!(matches!(refused, Err(Error::Refused(response)) if response.status == 401));
/// # Ok(())
/// # }
/// ```
pub struct Upgrade<S: ByteStream = Stream> {
    inner: Box<Unanswered<S>>,
}

struct Unanswered<S> {
    scope: Scope,
    config: Arc<Config>,
    /// Present until it is answered.
    wire: Option<Wire<S>>,
    /// The rest of the handshake's timeout; the handler's own time does not count.
    left: Option<Duration>,
    /// Part of an answer was written: no other may follow.
    begun: bool,
    terms: Option<Terms<S>>,
}

/// The data of the request: its head, parameters, state.
impl<S: ByteStream> Deref for Upgrade<S> {
    type Target = Scope;

    fn deref(&self) -> &Scope {
        &self.inner.scope
    }
}

impl<S: ByteStream> Upgrade<S> {
    pub(super) fn new(
        scope: Scope,
        config: Arc<Config>,
        wire: Wire<S>,
        left: Option<Duration>,
    ) -> Self {
        Self {
            inner: Box::new(Unanswered {
                scope,
                config,
                wire: Some(wire),
                left,
                begun: false,
                terms: None,
            }),
        }
    }

    pub(super) fn on(mut self, terms: Terms<S>) -> Self {
        self.inner.terms = Some(terms);
        self
    }

    /// Returns the stream.
    pub fn get_ref(&self) -> Option<&S> {
        self.inner.wire.as_ref().map(|wire| &wire.stream)
    }

    /// Accepts, without a subprotocol.
    ///
    /// # Errors
    /// As for [`accept_with`](Self::accept_with).
    pub fn accept(self) -> Result<WebSocket<S>, Error> {
        self.accept_with(AcceptOptions::default())
    }

    /// Accepts with a subprotocol or additional header fields.
    ///
    /// # Errors
    /// [`Error::BadHeader`] and [`Error::InvalidInput`] for options that are not allowed in a response; [`Error::Io`] when the stream
    /// fails. A stream that does not block sends what it has not taken with the first call of the connection.
    pub fn accept_with(self, accept: AcceptOptions) -> Result<WebSocket<S>, Error> {
        let mut inner = self.inner;
        inner.accept(accept)
    }

    /// Rejects with an HTTP response, such as `Response::text(403, "members only")`, and ends the connection.
    ///
    /// # Errors
    /// When the response holds values that are not allowed.
    pub fn reject(self, response: Response) -> Result<(), Error> {
        let mut inner = self.inner;
        inner.reject(&response)
    }
}

impl<S: ByteStream> Unanswered<S> {
    fn accept(&mut self, accept: AcceptOptions) -> Result<WebSocket<S>, Error> {
        let Head::WebSocket(request) = &self.scope.head else {
            return Err(Refusal::NotWebSocket.into());
        };
        let fields = accept.fields.clone();
        let accepted = request.accept(&self.config, accept);
        let (mut response, agreement) =
            accepted.map_err(|misuse| Error::of_fields(misuse, &fields))?;
        if !self.is_awaited() {
            // The server's thread is done with the connection, and no longer counts it.
            let _ = self.reject(&Response::text(403, NOT_ACCEPTED));
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        }
        if let Some(wire) = &mut self.wire {
            let deadline = self.left.map(|left| now() + left);
            self.begun = true;
            match wire.write(&mut response, deadline) {
                // The connection sends the rest.
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(Error::ConnectTimeout(_)) => return Err(Refusal::Timeout.into()),
                written => written?,
            }
        }
        let wire = self.wire.take();
        let wire = wire.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        trace::agreed(agreement.subprotocol.as_deref());
        self.open(wire, response, agreement)
    }

    /// Makes the connection; `head` is the part of the response that is still to be written.
    fn open(
        &mut self,
        wire: Wire<S>,
        head: Vec<u8>,
        agreement: Agreement,
    ) -> Result<WebSocket<S>, Error> {
        let connection = Connection::server(Arc::clone(&self.config), &agreement, now());
        let opened = agreement.subprotocol.is_some().then(|| {
            Arc::new(Opened {
                agreement,
                fields: Headers::default(),
            })
        });
        let mut engine = Engine::new(wire, connection);
        engine.send_first(head);
        let terms = self.terms.take();
        if let Some(terms) = &terms {
            if let Some(limits) = &terms.policy.traffic {
                engine.limit(limits);
            }
            if let Some(lifetime) = terms.policy.lifetime {
                engine.live_for(lifetime);
            }
        }
        let socket = WebSocket::new(engine, opened);
        if let Some(terms) = terms {
            let mut outcome = terms.slot.outcome();
            // The handler returned while another thread wrote the answer: nobody drives the connection, or counts it.
            if !matches!(*outcome, UpgradeOutcome::Open) {
                return Err(io::Error::from(io::ErrorKind::NotConnected).into());
            }
            socket.shared().engine().serve(terms.served);
            *outcome = UpgradeOutcome::Accepted(Arc::clone(socket.shared()));
        }
        Ok(socket)
    }

    fn reject(&mut self, response: &Response) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let written = response.write(&mut bytes);
        written.map_err(|misuse| Error::of_fields(misuse, &response.fields))?;
        if let Some(wire) = self.wire.take() {
            if let Some(terms) = &self.terms {
                *terms.slot.outcome() = UpgradeOutcome::Rejected(response.status);
            }
            wire.answer_and_end(bytes, &self.config.timeouts);
        }
        Ok(())
    }

    /// Returns whether the server, if there is one, waits for the outcome: until its handler has returned.
    fn is_awaited(&self) -> bool {
        self.terms
            .as_ref()
            .is_none_or(|terms| matches!(*terms.slot.outcome(), UpgradeOutcome::Open))
    }
}

/// The answer to a request that a handler did not accept.
const NOT_ACCEPTED: &str = "the request was not accepted\n";

impl<S> Drop for Unanswered<S> {
    fn drop(&mut self) {
        if let Some(wire) = self.wire.take()
            && let Some(terms) = &self.terms
        {
            let mut outcome = terms.slot.outcome();
            if matches!(*outcome, UpgradeOutcome::Open) {
                *outcome = if self.begun {
                    UpgradeOutcome::Lost
                } else {
                    UpgradeOutcome::Dropped(wire)
                };
            }
        }
    }
}

impl<S: ByteStream> fmt::Debug for Upgrade<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("scope", &self.inner.scope)
            .finish_non_exhaustive()
    }
}
