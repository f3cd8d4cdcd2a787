//! Clients that connect again when their connection ends.
//! RFC 6455 section 7.2.3; `sansws_core::dial` decides.
//! Knows no socket: the loop opens connections, and each client stands between it and the endpoint.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use sansws_common::contain::contain;
use sansws_common::entropy::seed;
use sansws_common::error::{Error, Result};
use sansws_common::{ClientState, ConnectOptions, IntoRequest, Scope, Stop};
use sansws_core::close::{CloseCode, Closed};
use sansws_core::dial::{Reconnect, ReconnectOptions};
use sansws_core::handshake::AcceptOptions;
use sansws_core::http::Url;
use sansws_core::hub::{HubError, Joined, Signal};
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};

use crate::dialer::Dialer;
use crate::endpoint::Endpoint;
use crate::event_loop::{At, Handler, Host, Loop, Visit, aborted};
use crate::id::{ConnectionId, TimerId};
use crate::message::Incoming;

/// A connection to a server that is re-established when it ends, with the callbacks of a [`Dialer`]'s endpoint.
///
/// [`Endpoint::open`] is called for each connection, and [`Endpoint::close`] for its end; the data stay with the client. Each connection has
/// an id of its own. Nothing is queued in between: a message is [`Closed`](crate::Sent::Closed) while there is no connection.
///
/// **Reconnection** follows the table of [`Reconnect`]. A refused request (`401`), a final close code (1000, 1008, 4500 to 4999) or a
/// server that breaks the protocol stop the client; failing networks and servers do not. If the endpoint closes an open
/// connection with 1000, that stops it too. [`Loop::close`] with another code or before the connection is open, and [`Loop::abort`], end that
/// connection or attempt alone; [`ClientHandle::close`] stops the client.
/// Each attempt starts at the original URL, wherever it was redirected before. Of a host with several addresses, one that accepted TCP in
/// a failed attempt is tried last until a connection is open, so a server that hangs does not keep a client from the others.
///
/// ```no_run
/// use sansws_mio::{
///     Client, ClientState, ConnectOptions, Dialer, Endpoint, EventLoop, Incoming, Result, Socket,
/// };
///
/// /// Prints what servers send; the data are the name of the feed.
/// struct Feed;
///
/// impl Endpoint for Feed {
///     type Data = String;
///
///     fn open(&mut self, socket: &mut Socket<'_, String>) -> Result {
///         let subscribe = format!("subscribe {}", socket.data());
///         let _ = socket.send(subscribe);
///         Ok(())
///     }
///
///     fn message(&mut self, socket: &mut Socket<'_, String>, message: Incoming<'_>) -> Result {
///         println!("{}: {}", socket.data(), message.text()?);
///         Ok(())
///     }
/// }
///
/// fn main() -> Result {
///     let mut event_loop = EventLoop::new()?;
///     let dialer = Dialer::new(Feed);
///     for name in ["news", "weather"] {
///         Client::new("wss://example.org/feed", ConnectOptions::default())?
///             .on_change(move |state| {
///                 if let ClientState::Waiting { wait, why } = state {
///                     println!("{name}: {why}; next attempt in {wait:?}");
///                 }
///             })
///             .start(event_loop.context(), &dialer, name.to_owned())?;
///     }
///     Ok(event_loop.run()?)
/// }
/// ```
#[must_use = "a client does nothing until it is started"]
pub struct Client {
    url: Url,
    options: ConnectOptions,
    seed: Seed,
    reconnect: Reconnect,
    on_change: Option<Hook>,
}

type Hook = Box<dyn FnMut(&ClientState)>;

impl Client {
    /// Creates a client of a `ws://` or `wss://` URL.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::BadHeader`], and [`Error::InvalidInput`] for a request that is no GET, or invalid subprotocols.
    pub fn new(url: impl IntoRequest, options: ConnectOptions) -> Result<Self, Error> {
        let (url, options) = url.into_request(options)?;
        let seed = seed().map_err(Error::other)?;
        Ok(Self {
            options: options.for_client(&url, &seed)?,
            url,
            seed,
            reconnect: Reconnect::new(ReconnectOptions::default(), &seed),
            on_change: None,
        })
    }

    /// Sets the reconnection options: the bounds of its waits, and the maximum number of attempts in a row.
    pub fn reconnect(mut self, options: ReconnectOptions) -> Self {
        self.reconnect = Reconnect::new(options, &self.seed);
        self
    }

    /// Sets a hook that is called with each new state. If it keeps a state whose error stopped the client, [`Endpoint::failed`] gets an
    /// [`Error::Other`] of which that error is the source.
    pub fn on_change(mut self, hook: impl FnMut(&ClientState) + 'static) -> Self {
        self.on_change = Some(Box::new(hook));
        self
    }

    /// Starts to connect. `data` are those of all its connections; [`Endpoint::failed`] gets them if the client stops while it has no
    /// connection, also because the loop ends. The loop keeps the client until it stops.
    ///
    /// # Errors
    /// As for [`Dialer::connect`], once the loop is ending. Later errors go to the hook and to [`Endpoint::failed`].
    pub fn start<E: Endpoint>(
        self,
        within: &mut Loop,
        dialer: &Dialer<E>,
        data: E::Data,
    ) -> Result<ClientHandle, Error> {
        let endpoint = dialer.handler()?;
        let client = Rc::new_cyclic(|client| {
            RefCell::new(Running {
                client: Weak::clone(client),
                settings: self,
                endpoint,
                data: Data::Held(Box::new(data)),
                place: Rc::default(),
                has_stopped: false,
            })
        });
        let place = Rc::clone(&client.borrow().place);
        let handle = ClientHandle {
            client: Rc::downgrade(&client),
            place,
        };
        let dialed = client.borrow_mut().dial(within);
        dialed.map(|()| handle)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A handle of a started [`Client`]; clones are of the same client, and none keeps it.
///
/// For an example see [`ClientHandle::close`].
#[derive(Clone)]
pub struct ClientHandle {
    client: Weak<RefCell<Running>>,
    place: Rc<Place>,
}

/// Where a client is, for its handles: they are used from callbacks, in which the client itself is borrowed.
#[derive(Default)]
struct Place {
    connection: Cell<Option<ConnectionId>>,
    /// The timer of a wait, and where the loop keeps the client meanwhile.
    wait: Cell<Option<(TimerId, usize)>>,
    /// It was told to close.
    is_closing: Cell<bool>,
}

impl ClientHandle {
    /// Returns the id of its connection, which may not be open yet; `None` while it waits, and once it has stopped.
    pub fn connection(&self) -> Option<ConnectionId> {
        self.place.connection.get()
    }

    /// Closes the connection, and opens no other one; `within` is the loop that it was started in. If it is not open,
    /// [`Endpoint::failed`] is called after this turn. Closing twice is not an error.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use sansws_mio::{Client, CloseCode, ConnectOptions, Dialer, EventLoop, Incoming, Result, Socket};
    ///
    /// fn main() -> Result {
    ///     let mut event_loop = EventLoop::new()?;
    ///     let print = |_: &mut Socket<'_, ()>, message: Incoming<'_>| -> Result {
    ///         println!("{}", message.text()?);
    ///         Ok(())
    ///     };
    ///     let within = event_loop.context();
    ///     let client = Client::new("ws://127.0.0.1:8080/", ConnectOptions::default())?;
    ///     let client = client.start(within, &Dialer::new(print), ())?;
    ///     within.after(Duration::from_secs(60), move |within| {
    ///         client.close(within, CloseCode::NORMAL, "");
    ///         within.stop();
    ///     });
    ///     Ok(event_loop.run()?)
    /// }
    /// ```
    pub fn close(&self, within: &mut Loop, code: impl Into<Option<CloseCode>>, reason: &str) {
        if self.place.is_closing.replace(true) {
            return;
        }
        if let Some(connection) = self.place.connection.get() {
            return within.close(connection, code, reason);
        }
        let (Some(client), Some((timer, kept))) = (self.client.upgrade(), self.place.wait.take())
        else {
            return;
        };
        within.cancel(timer);
        within.after(Duration::ZERO, move |within| {
            within.release_client(kept);
            client.borrow_mut().failed_for_good(within, aborted());
        });
    }
}

impl fmt::Debug for ClientHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHandle").finish_non_exhaustive()
    }
}

/// A started client, as the endpoint of its own connections. The loop keeps it: by its connection, or by itself while it waits.
struct Running {
    client: Weak<RefCell<Self>>,
    settings: Client,
    endpoint: Handler,
    data: Data,
    place: Rc<Place>,
    /// No other connection will follow: the data end with the next one that is removed. Several may be in the loop, as an old one waits
    /// for the end of TCP, but none of them calls back any more.
    has_stopped: bool,
}

/// The data of the connections.
enum Data {
    /// No connection was open yet.
    Held(Box<dyn Any>),
    /// The endpoint has them, under this key.
    Adopted(usize),
    Gone,
}

impl Running {
    fn dial(&mut self, within: &mut Loop) -> Result<(), Error> {
        let Some(client) = self.client.upgrade() else {
            return Ok(());
        };
        let (url, options) = (self.settings.url.clone(), self.settings.options.clone());
        let connection = within.connect(url, options, Handler::of(client), Box::new(()), false)?;
        self.place.connection.set(Some(connection));
        self.change(&ClientState::Connecting);
        Ok(())
    }

    /// Returns the state after the end of a connection or an attempt, by `judge` unless the client was closed, and sets the timer of a
    /// wait.
    fn next(
        &mut self,
        within: &mut Loop,
        closed: Option<&Closed>,
        judge: impl FnOnce(&mut Reconnect, Instant) -> ClientState,
    ) -> ClientState {
        self.place.connection.set(None);
        let state = if self.place.is_closing.get() || within.is_ending() {
            ClientState::Stopped(Stop::Closed(closed.cloned()))
        } else {
            judge(&mut self.settings.reconnect, within.now())
        };
        if let (ClientState::Waiting { wait, .. }, Some(client)) = (&state, self.client.upgrade()) {
            let kept = within.keep_client(Handler::of(Rc::clone(&client)));
            let again = move |within: &mut Loop| {
                within.release_client(kept);
                let mut client = client.borrow_mut();
                client.place.wait.set(None);
                if let Err(error) = client.dial(within) {
                    client.failed_for_good(within, error);
                }
            };
            let timer = within.after(*wait, again);
            self.place.wait.set(Some((timer, kept)));
        }
        state
    }

    fn change(&mut self, state: &ClientState) {
        let Client { url, on_change, .. } = &mut self.settings;
        state.report(url, on_change.as_deref_mut());
    }

    /// Stops without a connection: the endpoint gets the data back.
    fn failed_for_good(&mut self, within: &mut Loop, error: Error) {
        if matches!(self.data, Data::Gone) {
            return;
        }
        let state = if self.place.is_closing.get() || within.is_ending() {
            ClientState::Stopped(Stop::Closed(None))
        } else {
            ClientState::Stopped(Stop::Failed(Arc::new(error)))
        };
        self.stop(within, state);
    }

    /// Reports that it has stopped without a connection, and gives the data back.
    fn stop(&mut self, within: &mut Loop, state: ClientState) {
        self.change(&state);
        let error = match state {
            // A hook may have kept the state.
            ClientState::Stopped(Stop::Failed(why)) => {
                Arc::try_unwrap(why).unwrap_or_else(Error::other)
            }
            ClientState::Stopped(Stop::Done(closed)) => Error::Disconnect(Box::new(closed)),
            _ => aborted(),
        };
        let data = match std::mem::replace(&mut self.data, Data::Gone) {
            Data::Held(data) => Some(data),
            Data::Adopted(key) => self.endpoint.call(|host| host.release(key)).flatten(),
            Data::Gone => None,
        };
        if let Some(data) = data {
            within.tell_failure(&self.endpoint, data, error);
        }
    }

    fn call(&self, work: impl FnOnce(&mut dyn Host) -> Result) -> Result {
        self.endpoint.call(work).unwrap_or(Ok(()))
    }
}

impl Host for Running {
    /// It has no route.
    fn upgrade(&mut self, _: &mut Scope, _: &mut AcceptOptions) -> Result<usize> {
        Err(aborted().into())
    }

    fn adopt(&mut self, _: Box<dyn Any>) -> Option<usize> {
        let key = match std::mem::replace(&mut self.data, Data::Gone) {
            Data::Held(data) => self.endpoint.call(|host| host.adopt(data)).flatten()?,
            Data::Adopted(key) => key,
            Data::Gone => return None,
        };
        self.data = Data::Adopted(key);
        Some(key)
    }

    fn open(&mut self, at: At, within: &mut Loop) -> Result {
        self.settings.reconnect.opened(within.now());
        self.call(|host| host.open(at, within))?;
        self.settings.options.opened();
        self.change(&ClientState::Open);
        Ok(())
    }

    fn failed(&mut self, within: &mut Loop, _: Box<dyn Any>, error: Error) {
        if matches!(self.data, Data::Gone) {
            return;
        }
        let judge = |reconnect: &mut Reconnect, now| ClientState::after(error, reconnect, now);
        match self.next(within, None, judge) {
            state @ ClientState::Stopped(_) => self.stop(within, state),
            state => self.change(&state),
        }
    }

    fn close(&mut self, at: At, within: &mut Loop, closed: &Closed) {
        // It is decided first: the callback finds the client waiting, and may close it.
        let said = within.said(at.id);
        let judge = |reconnect: &mut Reconnect, now| {
            ClientState::after_end(closed.clone(), said, reconnect, now)
        };
        let state = self.next(within, Some(closed), judge);
        self.has_stopped = matches!(state, ClientState::Stopped(_));
        let endpoint = &self.endpoint;
        let called = contain(|| endpoint.call(|host| host.close(at, within, closed)));
        // A client that the callback has closed reports that, when it gives the data back.
        if self.has_stopped || !self.place.is_closing.get() {
            self.change(&state);
        }
        if called.is_err() {
            // The loop logs it.
            std::panic::resume_unwind(Box::new("a callback of a client panicked"));
        }
    }

    fn forget(&mut self, _: usize) {
        if self.has_stopped
            && let Data::Adopted(key) = std::mem::replace(&mut self.data, Data::Gone)
        {
            self.endpoint.call(|host| host.forget(key));
        }
    }

    fn release(&mut self, key: usize) -> Option<Box<dyn Any>> {
        self.endpoint.call(|host| host.release(key)).flatten()
    }

    fn message(&mut self, at: At, within: &mut Loop, message: Incoming<'_>) -> Result {
        self.call(|host| host.message(at, within, message))
    }

    fn ping(&mut self, at: At, within: &mut Loop, payload: &[u8]) -> Result {
        self.call(|host| host.ping(at, within, payload))
    }

    fn pong(&mut self, at: At, within: &mut Loop, payload: &[u8]) -> Result {
        self.call(|host| host.pong(at, within, payload))
    }

    fn drained(&mut self, at: At, within: &mut Loop) -> Result {
        self.call(|host| host.drained(at, within))
    }

    fn joined(
        &mut self,
        at: At,
        within: &mut Loop,
        group: &str,
        joined: Result<Joined, HubError>,
    ) -> Result {
        self.call(|host| host.joined(at, within, group, joined))
    }

    fn signal(&mut self, at: At, within: &mut Loop, signal: Signal) -> Result {
        self.call(|host| host.signal(at, within, signal))
    }

    fn closing(&mut self, at: At, within: &mut Loop, closed: &Closed) -> Result {
        self.call(|host| host.closing(at, within, closed))
    }

    fn visit(&mut self, at: At, within: &mut Loop, work: Visit) -> Result {
        self.call(|host| host.visit(at, within, work))
    }
}
