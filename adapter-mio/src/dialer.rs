//! Clients of a loop: connections to servers, with the callbacks of an endpoint.

use std::fmt;
use std::marker::PhantomData;

use sansws_common::error::{Error, Result};
use sansws_common::{ConnectOptions, IntoRequest};

use crate::endpoint::{Endpoint, cyclic};
use crate::event_loop::{Handler, Loop, WeakHandler};
use crate::id::ConnectionId;

/// Opens connections to servers in a loop, all with the callbacks of one endpoint: [`Endpoint::open`] is called for each that is open,
/// [`Endpoint::failed`] for each that could not be opened. Clones share the endpoint.
///
/// A client receives even while much of its output is unsent, because two ends that both stopped would wait for each other forever. If it
/// answers what it receives, it has to [`pause`](crate::Socket::pause) when a message is [`Full`](crate::Sent::Full), and to send it again and
/// [`resume`](crate::Socket::resume) when it is [`drained`](Endpoint::drained).
///
/// ```no_run
/// use sansws_mio::{ConnectOptions, Dialer, EventLoop, Incoming, Result, Socket};
///
/// fn main() -> Result {
///     let mut event_loop = EventLoop::new()?;
///     let print = |_: &mut Socket<'_, ()>, message: Incoming<'_>| -> Result {
///         println!("{}", message.text()?);
///         Ok(())
///     };
///     let dialer = Dialer::new(print);
///     for _ in 0..10_000 {
///         let options = ConnectOptions::default();
///         dialer.connect(event_loop.context(), "ws://127.0.0.1:8080/", options, ())?;
///     }
///     Ok(event_loop.run()?)
/// }
/// ```
pub struct Dialer<E: Endpoint> {
    shared: Shared,
    endpoint: PhantomData<fn(E)>,
}

#[derive(Clone)]
enum Shared {
    Own(Handler),
    /// That of an endpoint itself: it does not keep the endpoint.
    Weak(WeakHandler),
}

impl<E: Endpoint> Dialer<E> {
    /// Creates a dialer of an endpoint.
    pub fn new(endpoint: E) -> Self {
        Self::of(Shared::Own(endpoint.into()))
    }

    /// Creates a dialer of an endpoint that connects by itself: it is given a dialer of itself. Only the dialer that is returned keeps the
    /// endpoint while it has no connection: hold it as long as the loop runs. A [`Client`](crate::Client) connects again by itself.
    ///
    /// ```no_run
    /// use sansws_mio::{
    ///     ConnectOptions, Dialer, Endpoint, Error, EventLoop, Incoming, Loop, Result, Socket,
    /// };
    ///
    /// /// Asks a server for other servers, and these in turn.
    /// struct Crawler(Dialer<Self>);
    ///
    /// impl Endpoint for Crawler {
    ///     type Data = ();
    ///
    ///     fn open(&mut self, socket: &mut Socket<'_, ()>) -> Result {
    ///         let _ = socket.send("your peers?");
    ///         Ok(())
    ///     }
    ///
    ///     fn message(&mut self, socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
    ///         let options = ConnectOptions::default();
    ///         self.0.connect(socket.context(), message.text()?, options, ())?;
    ///         Ok(())
    ///     }
    ///
    ///     fn failed(&mut self, _: &mut Loop, (): (), error: Error) {
    ///         eprintln!("{error}");
    ///     }
    /// }
    ///
    /// fn main() -> Result {
    ///     let mut event_loop = EventLoop::new()?;
    ///     let dialer = Dialer::new_cyclic(Crawler);
    ///     let options = ConnectOptions::default();
    ///     dialer.connect(event_loop.context(), "wss://example.org/peers", options, ())?;
    ///     Ok(event_loop.run()?)
    /// }
    /// ```
    pub fn new_cyclic(make: impl FnOnce(Self) -> E) -> Self {
        let make = |weak: WeakHandler| make(Self::of(Shared::Weak(weak)));
        Self::of(Shared::Own(cyclic(make)))
    }

    const fn of(shared: Shared) -> Self {
        Self {
            shared,
            endpoint: PhantomData,
        }
    }

    /// Starts to connect to a `ws://` or `wss://` URL, directly or through a proxy; see [`ConnectOptions`]. `data` are those of the
    /// connection. Until it is open, messages to it are [`Closed`](crate::Sent::Closed); [`Loop::close`] and [`Loop::abort`] give it up.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::InvalidInput`] for a request that is no GET; [`Error::Other`](Error::Other) once the loop is ending, or
    /// its server shuts down and has no connections left but those to other servers. Later errors go to [`Endpoint::failed`].
    pub fn connect(
        &self,
        within: &mut Loop,
        url: impl IntoRequest,
        options: ConnectOptions,
        data: E::Data,
    ) -> Result<ConnectionId, Error> {
        let (url, options) = url.into_request(options)?;
        within.connect(url, options, self.handler()?, Box::new(data), true)
    }

    /// Returns the endpoint.
    pub(crate) fn handler(&self) -> Result<Handler, Error> {
        match &self.shared {
            Shared::Own(handler) => Ok(handler.clone()),
            Shared::Weak(weak) => weak
                .upgrade()
                .ok_or_else(|| Error::other("the dialer that `new_cyclic` returned is gone")),
        }
    }
}

impl<E: Endpoint> Clone for Dialer<E> {
    fn clone(&self) -> Self {
        Self::of(self.shared.clone())
    }
}

impl<E: Endpoint> fmt::Debug for Dialer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}
