//! A client that comes back: a connection that is made anew when it ends.
//! RFC 6455 section 7.2.3; whether and when is decided by `sansws_core::policy::Reconnect`.
//! Knows no runtime: a [`Connector`] dials and sleeps.
//!
//! ```text
//!             ┌──────── the wait is over ────────┐
//!             ▼                                  │
//! ──▶ Connecting ── dialled, on_open done ──▶ Open ── it ended ──▶ Waiting
//!             └── an attempt failed ────────────────────────────────▲
//!                 each end is judged: Waiting, or Stopped
//! ```

pub(crate) mod connect;
pub(crate) mod dial;
pub(crate) mod options;
mod queue;
pub(crate) mod race;
pub(crate) mod redirects;
mod run;
mod state;
pub(crate) mod tunnel;

pub use connect::connect_until;
pub use dial::{Dialer, accept, connect, connect_over};
pub use options::ConnectOptions;
pub use race::first_to_connect;
pub use redirects::follow;
pub use state::{ClientState, Stop};
pub use tunnel::tunnel;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::socket::from_message::FromMessage;
#[cfg(feature = "json")]
use crate::socket::from_message::Json;
use crate::socket::read_ahead::Ahead;
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;
use sansws_core::close::{CloseCode, Closed};
use sansws_core::config::AutoPong;
use sansws_core::handshake::ClientHandshake;
use sansws_core::http::Url;
use sansws_core::message::Message;
use sansws_core::policy::{Reconnect, ReconnectOptions};
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};

use queue::Queue;
use run::Link;

/// What a runtime's adapter brings for a [`Client`].
pub trait Connector {
    /// What its connections come over.
    type Transport: Transport;
    /// One attempt. Dropping it gives the attempt up.
    type Dialing: Future<Output = Result<WebSocket<Self::Transport>, Error>> + Unpin;
    /// One wait.
    type Sleeping: Future<Output = ()> + Unpin;

    /// Begins to dial `url`, redirects and proxies included.
    fn dial(&self, url: &Url, dial: &ConnectOptions) -> Self::Dialing;

    /// Begins to wait.
    fn sleep(&self, time: Duration) -> Self::Sleeping;

    /// What time it is. The epoch is the connector's.
    fn now(&self) -> Instant;

    /// Fresh entropy, from which the waits are drawn: clients of the same seed would come back at the same moment.
    fn seed(&self) -> Result<Seed, Error>;
}

/// A connection to a server that is made anew when it ends.
///
/// **Whoever polls it runs it.** It dials, waits and sends while one of its futures is polled, and has no task of its own: keep
/// a [`receive`](Self::receive) going, and send from another branch of the same `select!`. All futures are cancel-safe: what
/// they have begun lies in the client, and is gone on with by the next one. There is one attempt at a time. Who sends also looks
/// for the end of the connection; messages that it finds are kept, about [`Limits::read_ahead`](sansws_core::config::Limits::read_ahead)
/// octets of them.
///
/// **Messages are sent at most once.** What is sent while there is no connection is [queued](Self::queue), and goes out in order
/// as soon as there is one, behind what [`on_open`](Self::on_open) sends; it is refused with [`Misuse::Full`](sansws_core::error::Misuse::Full) when it finds no
/// room, and never thrown away for a newer one. A message is out of the queue once a connection has accepted it. When that
/// connection breaks, those that the server had not received are lost, and none is sent a second time: a client can't know which
/// they were. Whoever needs to know lets the server answer. What was received is lost to nobody: the messages of a connection
/// come before its end.
///
/// **Which ends it comes back from** is the table of [`Reconnect`]. A refused request (`401`), a close code that is final (1000,
/// 1008, 4500 to 4999) or a server that breaks the protocol stop it; networks and servers that fail do not. Each attempt begins
/// at the URL that was given, wherever it was redirected before.
pub struct Client<C: Connector> {
    connector: C,
    url: Url,
    dial: ConnectOptions,
    seed: Seed,
    reconnect: Reconnect,
    on_open: Option<OnOpen<C::Transport>>,
    on_change: Option<OnChange>,
    queue: Queue,
    /// What was received while somebody sent, or waited for a connection.
    inbox: Ahead,
    link: Link<C>,
    state: ClientState,
}

type Hook = Pin<Box<dyn Future<Output = Result> + Send>>;
type OnOpen<T> = Box<dyn FnMut(WebSocket<T>) -> Hook + Send>;
type OnChange = Box<dyn FnMut(&ClientState) + Send>;

impl<C: Connector + Default> Client<C> {
    /// A client of a `ws://` or `wss://` URL. It dials when it is first polled.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::BadHeader`], and [`Error::Misuse`] for subprotocols that can't stand in a request.
    pub fn new(url: &str, dial: ConnectOptions) -> Result<Self, Error> {
        Self::with(C::default(), Error::parse_url(url)?, dial)
    }
}

impl<C: Connector> Client<C> {
    /// Makes a client that connects by a connector of the caller.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with(connector: C, url: Url, mut dial: ConnectOptions) -> Result<Self, Error> {
        let seed = connector.seed()?;
        // Nobody else can: it shows no control frames.
        if dial.config.auto_pong == AutoPong::Off {
            Arc::make_mut(&mut dial.config).auto_pong = AutoPong::On;
        }
        // What no attempt could send is said at once.
        ClientHandshake::new(&dial.config, &url, dial.options.clone(), seed.nonce())
            .map_err(|misuse| Error::of_request(misuse, &dial.options.fields))?;
        Ok(Self {
            connector,
            url,
            dial,
            seed,
            reconnect: Reconnect::new(ReconnectOptions::default(), &seed),
            on_open: None,
            on_change: None,
            queue: Queue::default(),
            inbox: Ahead::default(),
            link: Link::Idle,
            state: ClientState::Connecting,
        })
    }

    /// Sets when it comes back: the bounds of its waits, how many attempts in a row.
    #[must_use]
    pub fn reconnect(mut self, options: ReconnectOptions) -> Self {
        self.reconnect = Reconnect::new(options, &self.seed);
        self
    }

    /// Runs `hook` on each fresh connection, before anything that was queued is sent: log in, subscribe again, ask for what was
    /// missed. It is given a second handle of the connection, which it may send on and receive from, and should not keep.
    ///
    /// An error ends the connection, with the close code that it stands for ([`Error::close`], else 1011), and is judged by that
    /// code: 1011 comes back later, `Error::close(CloseCode::POLICY, …)` stops the client. So does a panic, as 1011. The hook is not
    /// bounded in time, and while it waits for something else nobody answers pings.
    #[must_use]
    pub fn on_open<H, F>(mut self, mut hook: H) -> Self
    where
        H: FnMut(WebSocket<C::Transport>) -> F + Send + 'static,
        F: Future<Output = Result> + Send + 'static,
    {
        self.on_open = Some(Box::new(move |socket| Box::pin(hook(socket))));
        self
    }

    /// Calls `hook` with each new state. One that panics is logged, and called again with the next.
    #[must_use]
    pub fn on_change(mut self, hook: impl FnMut(&ClientState) + Send + 'static) -> Self {
        self.on_change = Some(Box::new(hook));
        self
    }

    /// Sets how much is held while there is no connection: most messages, and most octets in all of them; default 256 and 1 MiB.
    /// With 0 messages nothing is: sending needs a connection.
    #[must_use]
    pub const fn queue(mut self, messages: usize, octets: usize) -> Self {
        self.queue.most_messages = messages;
        self.queue.most_octets = octets;
        self
    }

    /// The current state.
    pub const fn state(&self) -> &ClientState {
        &self.state
    }

    /// How many messages wait for a connection.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The connection, while there is one, to look at: its subprotocol, the fields of the answer, its counters.
    pub const fn socket(&self) -> Option<&WebSocket<C::Transport>> {
        match &self.link {
            Link::Open(socket) => Some(socket),
            _ => None,
        }
    }

    /// Receives the next message, over as many connections as it takes. `None` once the client has stopped;
    /// [`state`](Self::state) says why.
    ///
    /// # Errors
    /// None of its own; the forms that want a certain kind of message have some.
    pub async fn receive(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Receives a text message; a binary one is [`Error::WrongKind`], and passed over.
    pub async fn receive_text(&mut self) -> Result<Option<String>, Error> {
        self.receive()
            .await?
            .map(FromMessage::from_message)
            .transpose()
    }

    /// Receives a binary message; a text one is [`Error::WrongKind`], and passed over.
    pub async fn receive_bytes(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.receive()
            .await?
            .map(FromMessage::from_message)
            .transpose()
    }

    /// Receives a message of either kind as JSON; what does not fit is [`Error::Json`], and passed over.
    #[cfg(feature = "json")]
    pub async fn receive_json<V: serde::de::DeserializeOwned>(
        &mut self,
    ) -> Result<Option<V>, Error> {
        let json = self.receive().await?.map(Json::from_message);
        Ok(json.transpose()?.map(|Json(value)| value))
    }

    /// Sends a message, or queues it while there is no connection. It waits only while a connection has too much unsent
    /// ([`Limits::write_queue`](sansws_core::config::Limits::write_queue)). Dropped before it is done, it has sent and queued nothing.
    ///
    /// # Errors
    /// [`Misuse::Full`](sansws_core::error::Misuse::Full) when there is no connection and no room in the queue, [`Misuse::Stopped`](sansws_core::error::Misuse::Stopped) once the client has stopped.
    /// The message was not taken then.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut message = Some(message.into());
        poll_fn(|cx| self.poll_send(cx, &mut message)).await
    }

    /// Sends a text message.
    pub async fn send_text(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.send(Message::Text(text.into())).await
    }

    /// Sends a binary message.
    pub async fn send_bytes(&mut self, octets: impl Into<Vec<u8>>) -> Result<(), Error> {
        self.send(Message::Binary(octets.into())).await
    }

    /// Sends a value as JSON, in a text message.
    #[cfg(feature = "json")]
    pub async fn send_json<V: serde::Serialize + ?Sized>(
        &mut self,
        value: &V,
    ) -> Result<(), Error> {
        let text = serde_json::to_string(value)?;
        self.send_text(text).await
    }

    /// Waits for an open connection. Messages that arrive meanwhile are kept for [`receive`](Self::receive).
    ///
    /// # Errors
    /// [`Misuse::Stopped`](sansws_core::error::Misuse::Stopped) once the client has stopped.
    pub async fn ready(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_accepting(cx, false)).await
    }

    /// Waits until all that was queued and sent is in the hands of the operating system, over as many connections as it takes.
    ///
    /// # Errors
    /// [`Misuse::Stopped`](sansws_core::error::Misuse::Stopped) once the client has stopped.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_accepting(cx, true)).await
    }

    /// Closes for good: says Close on a connection and waits for its end, at most
    /// [`Timeouts::close`](sansws_core::config::Timeouts::close) for each step; gives up an attempt or a wait. How the connection ended,
    /// if there was one. What is still queued is dropped: [`flush`](Self::flush) before, or look at [`queued`](Self::queued).
    ///
    /// The client is closing from the first poll on: if this is dropped, the next call goes on with it.
    ///
    /// # Errors
    /// [`Misuse::ReservedCode`](sansws_core::error::Misuse::ReservedCode) when `code` may not be sent; then nothing has happened.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<Option<Closed>, Error> {
        let code = CloseCode::try_from(code)?;
        self.leave(code, reason);
        poll_fn(|cx| self.poll_stopped(cx)).await;
        Ok(match &self.state {
            ClientState::Stopped(Stop::Closed(closed)) => closed.clone(),
            ClientState::Stopped(Stop::Done(closed)) => Some(closed.clone()),
            _ => None,
        })
    }
}

impl<C: Connector> fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.url)
            .field("state", &self.state)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
