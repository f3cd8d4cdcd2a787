//! Endpoints: the callbacks of an application, with data for each connection.
//! Knows no loop but by its callbacks.

use std::any::Any;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

use sansws_common::Scope;
use sansws_common::error::{Error, Result};
use sansws_core::close::Closed;
use sansws_core::handshake::AcceptOptions;
use sansws_core::http::Response;
use sansws_core::hub::{HubError, Joined, Signal};
use slab::Slab;

use crate::event_loop::{At, Handler, Host, Loop, Visit, WeakHandler};
use crate::message::Incoming;
use crate::socket::Socket;

/// An endpoint: what an application does on one loop when something happens on a connection.
///
/// All callbacks run on the thread of the loop, one at a time, and hold up its other connections meanwhile: wait for nothing in them.
/// An error closes the connection like one of a handler in the other adapters: [`Error::close`](crate::Error::close) with its code, one of
/// the application with 1011, and it is logged. So does a panic; the loop goes on.
///
/// Small output of up to 64 connections that are ready at once is written together, at most 200 µs after the first callback began, or when the
/// callback that runs then has returned: this costs less. After a callback of a millisecond, and for a thousand turns of the loop, the output of each connection
/// leaves before the next one is called back.
///
/// A closure `FnMut(&mut Socket<'_, ()>, Incoming<'_>) -> Result` is an endpoint that accepts every request.
///
/// ```
/// use sansws_mio::{AcceptOptions, Endpoint, Incoming, Result, Scope, Socket};
///
/// /// Counts the messages of each client.
/// struct Counter;
///
/// impl Endpoint for Counter {
///     type Data = u64;
///
///     fn upgrade(&mut self, request: &mut Scope, _: &mut AcceptOptions) -> Result<u64> {
///         Ok(request.param("from")?)
///     }
///
///     fn message(&mut self, socket: &mut Socket<'_, u64>, message: Incoming<'_>) -> Result {
///         *socket.data() += 1;
///         let reply = format!("{}: {}", socket.data(), message.text()?);
///         let _ = socket.send(reply.as_str());
///         Ok(())
///     }
/// }
/// # let router = sansws_mio::Router::new().route("/count/{from:uint}", Counter);
/// # drop(router);
/// ```
pub trait Endpoint: 'static {
    /// The data of each connection. They are made when a request is accepted, and dropped with the connection.
    type Data: 'static;

    /// Decides on a request: accepts it with the data of the connection, or fails. `accept` may be filled with a subprotocol and header
    /// fields. Nothing can be sent before. Unless it is implemented, all requests are answered with 404: the endpoint is one of clients, see
    /// [`Dialer`](crate::Dialer).
    ///
    /// # Errors
    /// [`Error::reject`](crate::Error::reject) answers with that response. Others are answered as by the other adapters: 400 for what
    /// the client's request lacks, 500 for a failure of the application, which is logged.
    fn upgrade(&mut self, request: &mut Scope, accept: &mut AcceptOptions) -> Result<Self::Data> {
        let _ = (request, accept);
        Err(Error::reject(Response::text(404, "not found\n")))
    }

    /// A connection to a server could not be opened; `data` are those given to [`Dialer::connect`](crate::Dialer::connect). For a
    /// [`Client`](crate::Client), it has stopped without a connection.
    fn failed(&mut self, within: &mut Loop, data: Self::Data, error: Error) {
        let _ = (within, data, error);
    }

    /// The connection is open.
    ///
    /// # Errors
    /// See the trait.
    fn open(&mut self, socket: &mut Socket<'_, Self::Data>) -> Result {
        let _ = socket;
        Ok(())
    }

    /// A message arrived. Unless it is implemented, messages are ignored.
    ///
    /// # Errors
    /// See the trait.
    fn message(&mut self, socket: &mut Socket<'_, Self::Data>, message: Incoming<'_>) -> Result {
        let _ = (socket, message);
        Ok(())
    }

    /// A ping arrived, in its place between the messages. Its pong is queued already, unless
    /// [`Config::auto_pong`](crate::Config::auto_pong) is off: then [`Socket::pong`] answers it. Called with
    /// [`Config::control_frames`](crate::Config::control_frames), or with `auto_pong` off.
    ///
    /// ```
    /// use sansws_mio::{AcceptOptions, Config, Endpoint, Result, Router, Scope, ServerOptions, Socket};
    ///
    /// /// Answers the pings of welcome clients by itself.
    /// struct Choosy;
    ///
    /// impl Endpoint for Choosy {
    ///     type Data = bool;
    ///
    ///     fn upgrade(&mut self, request: &mut Scope, _: &mut AcceptOptions) -> Result<bool> {
    ///         Ok(request.raw_query() == Some("welcome"))
    ///     }
    ///
    ///     fn ping(&mut self, socket: &mut Socket<'_, bool>, payload: &[u8]) -> Result {
    ///         if *socket.data() {
    ///             socket.pong(payload)?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let config = Config { auto_pong: false, ..Config::default() };
    /// let options = ServerOptions::default().config(config);
    /// # drop((options, Router::new().route("/", Choosy)));
    /// ```
    ///
    /// # Errors
    /// See the trait.
    fn ping(&mut self, socket: &mut Socket<'_, Self::Data>, payload: &[u8]) -> Result {
        let _ = (socket, payload);
        Ok(())
    }

    /// A pong arrived, in its place between the messages: the answer to a ping of [`Socket::ping`] or of keepalive, whose payload is empty, or
    /// an unsolicited one. Called with [`Config::control_frames`](crate::Config::control_frames), or with
    /// [`auto_pong`](crate::Config::auto_pong) off.
    ///
    /// # Errors
    /// See the trait.
    fn pong(&mut self, socket: &mut Socket<'_, Self::Data>, payload: &[u8]) -> Result {
        let _ = (socket, payload);
        Ok(())
    }

    /// The peer has taken its output, after something was [`Queued`](crate::Sent::Queued) or [`Full`](crate::Sent::Full).
    ///
    /// # Errors
    /// See the trait.
    fn drained(&mut self, socket: &mut Socket<'_, Self::Data>) -> Result {
        let _ = socket;
        Ok(())
    }

    /// The connection has joined a group: [`Socket::join`] was answered. What is sent here precedes messages of the group that the peer has
    /// not been sent yet.
    ///
    /// # Errors
    /// See the trait.
    fn joined(
        &mut self,
        socket: &mut Socket<'_, Self::Data>,
        group: &str,
        joined: Joined,
    ) -> Result {
        let _ = (socket, group, joined);
        Ok(())
    }

    /// The connection is not in a group: [`Socket::join`] was answered by an error of the backplane. Unless it is implemented, the error
    /// closes the connection.
    ///
    /// # Errors
    /// See the trait.
    fn join_failed(
        &mut self,
        socket: &mut Socket<'_, Self::Data>,
        group: &str,
        error: HubError,
    ) -> Result {
        let _ = (socket, group);
        Err(error.into())
    }

    /// A signal to this connection: [`Hub::signal`](crate::hub::Hub::signal) sends one, and channels with a format also learn of lost
    /// messages.
    ///
    /// # Errors
    /// See the trait.
    fn signal(&mut self, socket: &mut Socket<'_, Self::Data>, signal: Signal) -> Result {
        let _ = (socket, signal);
        Ok(())
    }

    /// A [streamed response](crate::app::streamed) is about to end: by [`Socket::close`], by its hub, or because the server shuts down.
    /// Messages that are sent here are the last that the peer gets; there is room for a queue of them, even behind a full one. A WebSocket has
    /// a Close frame for this.
    ///
    /// # Errors
    /// See the trait.
    fn closing(&mut self, socket: &mut Socket<'_, Self::Data>, closed: &Closed) -> Result {
        let _ = (socket, closed);
        Ok(())
    }

    /// The connection has ended, by the closing handshake or without one. It is called once for each connection that was open, also
    /// after errors and panics; nothing can be sent any more.
    fn close(&mut self, socket: &mut Socket<'_, Self::Data>, closed: &Closed) {
        let _ = (socket, closed);
    }
}

/// A closure is an endpoint without data that accepts every request.
impl<F> Endpoint for F
where
    F: FnMut(&mut Socket<'_, ()>, Incoming<'_>) -> Result + 'static,
{
    type Data = ();

    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result {
        Ok(())
    }

    fn message(&mut self, socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
        self(socket, message)
    }
}

/// An endpoint with the data of its connections.
struct Hosted<E: Endpoint> {
    endpoint: E,
    data: Slab<E::Data>,
}

impl<E: Endpoint> Hosted<E> {
    /// Calls back, unless the data are gone.
    fn with<R>(
        &mut self,
        at: At,
        within: &mut Loop,
        call: impl FnOnce(&mut E, &mut Socket<'_, E::Data>) -> R,
    ) -> Option<R> {
        let data = self.data.get_mut(at.key)?;
        Some(call(
            &mut self.endpoint,
            &mut Socket::new(at.id, data, within),
        ))
    }
}

impl<E: Endpoint> Host for Hosted<E> {
    fn upgrade(&mut self, request: &mut Scope, accept: &mut AcceptOptions) -> Result<usize> {
        let data = self.endpoint.upgrade(request, accept)?;
        Ok(self.data.insert(data))
    }

    fn adopt(&mut self, data: Box<dyn Any>) -> Option<usize> {
        let data = data.downcast().ok()?;
        Some(self.data.insert(*data))
    }

    fn failed(&mut self, within: &mut Loop, data: Box<dyn Any>, error: Error) {
        if let Ok(data) = data.downcast() {
            self.endpoint.failed(within, *data, error);
        }
    }

    fn open(&mut self, at: At, within: &mut Loop) -> Result {
        self.with(at, within, Endpoint::open).unwrap_or(Ok(()))
    }

    fn message(&mut self, at: At, within: &mut Loop, message: Incoming<'_>) -> Result {
        let call =
            |endpoint: &mut E, socket: &mut Socket<'_, E::Data>| endpoint.message(socket, message);
        self.with(at, within, call).unwrap_or(Ok(()))
    }

    fn ping(&mut self, at: At, within: &mut Loop, payload: &[u8]) -> Result {
        let call =
            |endpoint: &mut E, socket: &mut Socket<'_, E::Data>| endpoint.ping(socket, payload);
        self.with(at, within, call).unwrap_or(Ok(()))
    }

    fn pong(&mut self, at: At, within: &mut Loop, payload: &[u8]) -> Result {
        let call =
            |endpoint: &mut E, socket: &mut Socket<'_, E::Data>| endpoint.pong(socket, payload);
        self.with(at, within, call).unwrap_or(Ok(()))
    }

    fn drained(&mut self, at: At, within: &mut Loop) -> Result {
        self.with(at, within, Endpoint::drained).unwrap_or(Ok(()))
    }

    fn joined(
        &mut self,
        at: At,
        within: &mut Loop,
        group: &str,
        joined: Result<Joined, HubError>,
    ) -> Result {
        let call = |endpoint: &mut E, socket: &mut Socket<'_, E::Data>| match joined {
            Ok(joined) => endpoint.joined(socket, group, joined),
            Err(error) => endpoint.join_failed(socket, group, error),
        };
        self.with(at, within, call).unwrap_or(Ok(()))
    }

    fn signal(&mut self, at: At, within: &mut Loop, signal: Signal) -> Result {
        let call =
            |endpoint: &mut E, socket: &mut Socket<'_, E::Data>| endpoint.signal(socket, signal);
        self.with(at, within, call).unwrap_or(Ok(()))
    }

    fn closing(&mut self, at: At, within: &mut Loop, closed: &Closed) -> Result {
        let call =
            |endpoint: &mut E, socket: &mut Socket<'_, E::Data>| endpoint.closing(socket, closed);
        self.with(at, within, call).unwrap_or(Ok(()))
    }

    fn close(&mut self, at: At, within: &mut Loop, closed: &Closed) {
        self.with(at, within, |endpoint, socket| {
            endpoint.close(socket, closed)
        });
    }

    fn visit(&mut self, at: At, within: &mut Loop, work: Visit) -> Result {
        match self.data.get_mut(at.key) {
            Some(data) => work(at.id, data, within),
            None => Ok(()),
        }
    }

    fn forget(&mut self, key: usize) {
        // The slab is whole again before the data are dropped, which may panic.
        drop(self.data.try_remove(key));
    }

    fn release(&mut self, key: usize) -> Option<Box<dyn Any>> {
        self.data
            .try_remove(key)
            .map(|data| Box::new(data) as Box<dyn Any>)
    }
}

/// Makes an endpoint that is given a reference to itself.
pub(crate) fn cyclic<E: Endpoint>(make: impl FnOnce(WeakHandler) -> E) -> Handler {
    Handler::of(Rc::new_cyclic(|weak: &Weak<RefCell<Hosted<E>>>| {
        let endpoint = make(Handler::weak(weak));
        let data = Slab::new();
        RefCell::new(Hosted { endpoint, data })
    }))
}

impl<E: Endpoint> From<E> for Handler {
    fn from(endpoint: E) -> Self {
        let data = Slab::new();
        Self::of(Rc::new(RefCell::new(Hosted { endpoint, data })))
    }
}
