//! A connection, as its callbacks see it.

use std::any::Any;
use std::fmt;

use sansws_common::{Counters, HandlerError};
use sansws_core::close::{CloseCode, Closed};
use sansws_core::config::Config;
use sansws_core::error::SendError;
use sansws_core::handshake::Opened;
use sansws_core::message::Payload;
use sansws_core::time::Duration;

use crate::event_loop::{Loop, Visit};
use crate::id::{ConnectionId, TimerId};
use crate::message::{Outgoing, Sent};

/// A connection whose turn it is, with its data. What is sent leaves at the end of the turn, in as few writes as possible.
///
/// ```
/// use std::time::Duration;
/// use sansws_mio::{AcceptOptions, CloseCode, Endpoint, Incoming, Result, Scope, Socket};
///
/// /// A quiz: each client has ten seconds.
/// struct Quiz;
///
/// impl Endpoint for Quiz {
///     type Data = u32; // right answers
///
///     fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result<u32> {
///         Ok(0)
///     }
///
///     fn open(&mut self, socket: &mut Socket<'_, u32>) -> Result {
///         let _ = socket.send("6 x 7?");
///         socket.after(Duration::from_secs(10), |socket| {
///             let score = format!("{} right answers", socket.data());
///             socket.close(CloseCode::NORMAL, &score);
///             Ok(())
///         });
///         Ok(())
///     }
///
///     fn message(&mut self, socket: &mut Socket<'_, u32>, message: Incoming<'_>) -> Result {
///         *socket.data() += u32::from(message.text()? == "42");
///         Ok(())
///     }
/// }
/// # drop(sansws_mio::Router::new().route("/quiz", Quiz));
/// ```
pub struct Socket<'a, D> {
    id: ConnectionId,
    data: &'a mut D,
    within: &'a mut Loop,
}

impl<'a, D> Socket<'a, D> {
    pub(crate) const fn new(id: ConnectionId, data: &'a mut D, within: &'a mut Loop) -> Self {
        Self { id, data, within }
    }

    /// Returns its id, which stays valid outside of the callback.
    pub const fn id(&self) -> ConnectionId {
        self.id
    }

    /// Returns its data.
    pub const fn data(&mut self) -> &mut D {
        self.data
    }

    /// Returns the loop: other connections, timers, handles.
    pub const fn context(&mut self) -> &mut Loop {
        self.within
    }

    /// Returns both at once.
    pub const fn parts(&mut self) -> (&mut D, &mut Loop) {
        (self.data, self.within)
    }

    pub(crate) const fn loop_ref(&self) -> &Loop {
        self.within
    }

    pub(crate) const fn slot(&self) -> usize {
        self.id.slot as usize
    }

    /// Sends a message: text, bytes, the incoming one, an owned or a prepared one; see [`Outgoing`].
    pub fn send<'m>(&mut self, message: impl Into<Outgoing<'m>>) -> Sent {
        self.within.send_at(self.slot(), message.into())
    }

    /// Sends a value as JSON, in a text message.
    ///
    /// # Errors
    /// [`Error::Json`](crate::Error::Json) when it cannot be serialized.
    #[cfg(feature = "json")]
    pub fn send_json(&mut self, value: &impl serde::Serialize) -> Result<Sent, crate::Error> {
        Ok(self.send(serde_json::to_string(value)?))
    }

    /// Sends a message in chunks: each chunk is a frame, and the one with `last` ends the message. Until then, other messages are
    /// [`Closed`](Sent::Closed).
    ///
    /// # Errors
    /// [`SendError::WrongChunkKind`] when text follows bytes in one message, or the other way round.
    pub fn send_piece<'m>(
        &mut self,
        chunk: impl Into<Payload<'m>>,
        last: bool,
    ) -> Result<Sent, SendError> {
        self.within.send_piece_at(self.slot(), chunk.into(), last)
    }

    /// Sends a ping. Keepalive needs none: see [`Timeouts::ping`](crate::Timeouts::ping).
    ///
    /// # Errors
    /// [`SendError::ControlTooLong`] beyond 125 bytes; [`SendError::Closing`], [`SendError::QueueFull`].
    pub fn ping(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), SendError> {
        let bytes = bytes.as_ref();
        self.within
            .queue(self.slot(), |connection| connection.ping(bytes))
    }

    /// Sends a pong: an unsolicited one, or the answer to a ping with [`Config::auto_pong`](crate::Config::auto_pong) off.
    ///
    /// # Errors
    /// As for [`ping`](Self::ping).
    pub fn pong(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), SendError> {
        let bytes = bytes.as_ref();
        self.within
            .queue(self.slot(), |connection| connection.pong(bytes))
    }

    /// Starts the closing handshake, after everything that was sent. [`Endpoint::close`](crate::Endpoint::close) is called when it is
    /// done. Closing twice is not an error.
    pub fn close(&mut self, code: impl Into<Option<CloseCode>>, reason: &str) {
        self.within.close_at(self.slot(), code.into(), reason);
    }

    /// Polls a future on the loop, and passes its output to `then` together with this connection and its data, never before this call
    /// returns: for work that a callback cannot wait for. Other callbacks of the connection are called meanwhile.
    ///
    /// An error that `then` returns closes the connection like that of a callback, a panic of either with 1011. When the connection
    /// ends, a future that is not ready is dropped. Without a connection, see [`Loop::spawn`].
    ///
    /// ```
    /// # use sansws_mio::{Hub, Incoming, Result, Socket};
    /// # struct Visits(u64);
    /// # fn message(socket: &mut Socket<'_, Visits>, hub: &Hub) -> Result {
    /// let hub = hub.clone();
    /// let presence = Box::pin(async move { hub.presence("lobby").await });
    /// socket.spawn(presence, |socket, presence| {
    ///     socket.data().0 += 1;
    ///     let _ = socket.send(format!("{} users", presence?.count));
    ///     Ok(())
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn<F: IntoFuture>(
        &mut self,
        future: F,
        then: impl FnOnce(&mut Socket<'_, D>, F::Output) -> Result<(), HandlerError> + 'static,
    ) where
        F::IntoFuture: 'static,
        F::Output: 'static,
        D: 'static,
    {
        self.within.spawn_for(self.id, future, |output| {
            visit(move |socket| then(socket, output))
        });
    }

    /// Runs a closure after a time, with this connection and its data, unless the connection has ended. An error or a panic closes the
    /// connection like that of a callback. [`Loop::cancel`] forgets it.
    pub fn after(
        &mut self,
        time: Duration,
        run: impl FnOnce(&mut Socket<'_, D>) -> Result<(), HandlerError> + 'static,
    ) -> TimerId
    where
        D: 'static,
    {
        let id = self.id;
        self.within
            .after(time, move |within| within.visit(id, visit(run)))
    }

    /// Closes the connection because of an error, as if a callback had returned it.
    pub fn fail(&mut self, error: impl Into<HandlerError>) {
        self.within.fail(self.id.slot as usize, error.into());
    }

    /// Drops the connection without a closing handshake, after this callback.
    pub fn abort(&mut self) {
        self.within.abort_at(self.slot());
    }

    /// Stops receiving until [`resume`](Self::resume): the peer has to wait, and does not look dead meanwhile.
    ///
    /// Nothing of the peer is noticed until then: neither its Close, nor that it has gone. The end of TCP lies behind messages that were not
    /// received, and must not overtake them. To cancel work for a peer that leaves, go on receiving, keep what arrives, and pause only once
    /// that is much, such as [`Limits::read_ahead`](crate::Limits::read_ahead).
    pub fn pause(&mut self) {
        self.within.pause_at(self.slot(), true);
    }

    /// Goes on receiving.
    pub fn resume(&mut self) {
        self.within.pause_at(self.slot(), false);
    }

    /// Returns whether messages can be sent and received.
    pub fn is_open(&self) -> bool {
        self.within.is_open_at(self.slot())
    }

    /// Returns the number of unsent bytes, including those of this turn.
    pub fn queued(&self) -> usize {
        self.within.queued_at(self.slot())
    }

    /// Returns whether compression was negotiated.
    pub fn is_deflated(&self) -> bool {
        let connection = self.within.connection_at(self.slot());
        connection.is_some_and(|connection| connection.deflate().is_some())
    }

    /// Returns the time from the newest keepalive ping to its pong; `None` before the first. See
    /// [`Connection::round_trip`](sansws_core::connection::Connection::round_trip).
    pub fn round_trip(&self) -> Option<Duration> {
        self.within.connection_at(self.slot())?.round_trip()
    }

    /// Returns its settings, until its socket is dropped.
    pub fn config(&self) -> Option<&Config> {
        self.within.config_at(self.slot())
    }

    /// Returns how it ended, once it has.
    pub fn closed(&self) -> Option<&Closed> {
        self.within.closed_at(self.slot())
    }

    /// Returns the server's answer, of a client: the subprotocol, header fields. A server's connection has none.
    pub fn opened(&self) -> Option<&Opened> {
        self.within.opened_at(self.slot())
    }

    /// Returns its traffic.
    pub fn counters(&self) -> Counters {
        self.within.counters_at(self.slot())
    }

    /// Returns the TLS connection: the peer's certificates, the protocol version.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&rustls::Connection> {
        self.within.tls_at(self.slot())
    }
}

/// Makes work for a connection of a closure that knows the type of its data.
fn visit<D: 'static>(
    run: impl FnOnce(&mut Socket<'_, D>) -> Result<(), HandlerError> + 'static,
) -> Visit {
    Box::new(move |id, data, within| {
        if let Some(data) = data.downcast_mut() {
            return run(&mut Socket::new(id, data, within));
        }
        // `Loop::socket` lends connections of any endpoint, without their data.
        match (&mut () as &mut dyn Any).downcast_mut() {
            Some(none) => run(&mut Socket::new(id, none, within)),
            None => Ok(()),
        }
    })
}

impl<D: fmt::Debug> fmt::Debug for Socket<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.id)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}
