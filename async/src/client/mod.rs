//! A client that reconnects: its connection is re-established when it ends.
//! RFC 6455 section 7.2.3; `sansws_core::dial::Reconnect` decides whether and when.
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
pub(crate) mod race;
pub(crate) mod redirects;
mod run;
pub(crate) mod tunnel;

pub use connect::connect_until;
pub use dial::{Dialer, accept, connect, connect_over};
pub use race::first_to_connect;
pub use redirects::follow;
pub(crate) use sansws_common::client::options;
pub use sansws_common::client::options::ConnectOptions;
pub use sansws_common::client::request::IntoRequest;
use sansws_common::client::{queue, state};
pub use state::{ClientState, Stop};
pub use tunnel::tunnel;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;

use crate::error::{Error, Result};
use crate::socket::from_message::FromMessage;
#[cfg(feature = "json")]
use crate::socket::from_message::Json;
use crate::socket::read_ahead::ReadAhead;
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;
use sansws_core::close::{CloseCode, Closed};
use sansws_core::dial::{Reconnect, ReconnectOptions};
use sansws_core::http::Url;
use sansws_core::message::Message;
use sansws_core::random::Seed;
use sansws_core::time::{Duration, Instant};

use queue::Queue;
use run::Link;
use state::OnChange;

/// The runtime functions that an adapter provides for a [`Client`].
///
/// Its methods are called by a [`Client`]; an application chooses an adapter's connector, or wraps one to change how it dials:
///
/// ```
/// use std::cell::Cell;
/// use sansws_async::core::http::Url;
/// use sansws_async::core::random::Seed;
/// use sansws_async::core::time::{Duration, Instant};
/// use sansws_async::{ConnectOptions, Connector, Error};
///
/// /// Counts the attempts of another connector.
/// struct Counted<C>(C, Cell<u32>);
///
/// impl<C: Connector> Connector for Counted<C> {
///     type Transport = C::Transport;
///     type Dialing = C::Dialing;
///     type Sleeping = C::Sleeping;
///
///     fn dial(&self, url: &Url, options: &ConnectOptions) -> Self::Dialing {
///         self.1.update(|attempts| attempts + 1);
///         self.0.dial(url, options)
///     }
/// #   fn now(&self) -> Instant { self.0.now() }
/// #   fn seed(&self) -> Result<Seed, Error> { self.0.seed() }
/// #   fn sleep(&self, time: Duration) -> Self::Sleeping { self.0.sleep(time) }
///     // `now`, `seed` and `sleep` call those of `self.0`.
/// }
/// ```
pub trait Connector {
    /// The transport of its connections.
    type Transport: Transport;
    /// The future of an attempt. Dropping it aborts the attempt.
    type Dialing: Future<Output = Result<WebSocket<Self::Transport>, Error>> + Unpin;
    /// The future of a wait.
    type Sleeping: Future<Output = ()> + Unpin;

    /// Starts to dial `url`, including redirects and proxies.
    fn dial(&self, url: &Url, dial: &ConnectOptions) -> Self::Dialing;

    /// Starts to wait.
    fn sleep(&self, time: Duration) -> Self::Sleeping;

    /// Returns the current time. The connector chooses the epoch.
    fn now(&self) -> Instant;

    /// Returns fresh entropy, from which waits are drawn: clients with equal seeds would reconnect at the same moment.
    fn seed(&self) -> Result<Seed, Error>;
}

/// A connection to a server that is re-established when it ends.
///
/// **Polling runs it.** It dials, waits and sends while one of its futures is polled, and has no task of its own: keep a
/// [`receive`](Self::receive) pending, and send from another branch of the same `select!`. All futures are cancel-safe: work in progress
/// lives in the client, and the next future continues it. There is one attempt at a time. Sending also watches for the end of the
/// connection; about [`Limits::read_ahead`](sansws_core::config::Limits::read_ahead) bytes of messages that it finds are kept.
///
/// **Messages are sent at most once.** Messages sent while there is no connection are [queued](Self::queue), and sent in order as soon as
/// there is one, after those of [`on_open`](Self::on_open). A message that finds no room is refused with
/// [`SendError::QueueFull`](sansws_core::error::SendError::QueueFull), and never replaces another. A message leaves the queue once a connection has
/// accepted it. If that connection breaks, messages that the server had not received are lost, and none is sent again, because a client
/// cannot know which they were. If you need to know, let the server answer. Received messages are always delivered before the end of their
/// connection is reported.
///
/// **Reconnection** follows the table of [`Reconnect`]. A refused request (`401`), a final close code (1000, 1008, 4500 to 4999) or a
/// server that breaks the protocol stop the client; failing networks and servers do not. Each attempt starts at the original URL, wherever
/// it was redirected before. Of a host with several addresses, one that accepted TCP in a failed attempt is tried last until a connection
/// is open, so a server that hangs does not keep a client from the others.
///
/// In an adapter, it is `Client`, without a parameter:
///
/// ```
/// use sansws_async::core::dial::ReconnectOptions;
/// use sansws_async::{Client, ClientState, ConnectOptions, Dialer, Result, Runtime};
///
/// async fn news<R: Runtime>() -> Result {
///     let options = ConnectOptions::default().bearer("s3cret")?;
///     let mut client = Client::<Dialer<R>>::new("wss://example.org/news", options)?
///         .reconnect(ReconnectOptions { attempts: Some(100), ..ReconnectOptions::default() })
///         .on_open(async |mut socket| Ok(socket.send_text("subscribe").await?))
///         .on_change(|state| {
///             if let ClientState::Waiting { wait, why } = state {
///                 println!("{why}; next attempt in {wait:?}");
///             }
///         });
///     while let Some(text) = client.receive_text().await? {
///         println!("{text}");
///     }
///     Ok(())
/// }
/// ```
pub struct Client<C: Connector> {
    connector: C,
    url: Url,
    dial: ConnectOptions,
    seed: Seed,
    reconnect: Reconnect,
    on_open: Option<OnOpen<C::Transport>>,
    on_change: Option<OnChange>,
    queue: Queue,
    /// Messages that were received while another call sent, or waited for a connection.
    inbox: ReadAhead,
    link: Link<C>,
    state: ClientState,
}

type Hook = Pin<Box<dyn Future<Output = Result> + Send>>;
type OnOpen<T> = Box<dyn FnMut(WebSocket<T>) -> Hook + Send>;

impl<C: Connector + Default> Client<C> {
    /// Creates a client of a `ws://` or `wss://` URL. It dials when it is first polled.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::BadHeader`], and [`Error::InvalidInput`] for invalid subprotocols.
    pub fn new(url: impl IntoRequest, dial: ConnectOptions) -> Result<Self, Error> {
        let (url, dial) = url.into_request(dial)?;
        Self::with(C::default(), url, dial)
    }
}

impl<C: Connector> Client<C> {
    /// Creates a client that connects by the caller's connector.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with(connector: C, url: Url, dial: ConnectOptions) -> Result<Self, Error> {
        let seed = connector.seed()?;
        Ok(Self {
            connector,
            dial: dial.with_auto_pong().for_client(&url, &seed)?,
            url,
            seed,
            reconnect: Reconnect::new(ReconnectOptions::default(), &seed),
            on_open: None,
            on_change: None,
            queue: Queue::default(),
            inbox: ReadAhead::default(),
            link: Link::Idle,
            state: ClientState::Connecting,
        })
    }

    /// Sets the reconnection options: the bounds of its waits, and the maximum number of attempts in a row.
    #[must_use]
    pub fn reconnect(mut self, options: ReconnectOptions) -> Self {
        self.reconnect = Reconnect::new(options, &self.seed);
        self
    }

    /// Runs `hook` on each new connection, before queued messages are sent: log in, subscribe again, request missed messages. It gets a
    /// second handle of the connection, which it may use, and should not keep.
    ///
    /// An error ends the connection, with the close code that it stands for ([`Error::close`], otherwise 1011), and is judged by that
    /// code: 1011 reconnects later, `Error::close(CloseCode::POLICY, …)` stops the client. A panic counts as 1011. The hook has no
    /// timeout, and pings are not answered while it waits for something else.
    #[must_use]
    pub fn on_open<H, F>(mut self, mut hook: H) -> Self
    where
        H: FnMut(WebSocket<C::Transport>) -> F + Send + 'static,
        F: Future<Output = Result> + Send + 'static,
    {
        self.on_open = Some(Box::new(move |socket| Box::pin(hook(socket))));
        self
    }

    /// Calls `hook` with each new state. If it panics, this is logged, and it is called again with the next state.
    #[must_use]
    pub fn on_change(mut self, hook: impl FnMut(&ClientState) + Send + 'static) -> Self {
        self.on_change = Some(Box::new(hook));
        self
    }

    /// Sets the limits of the queue for messages while there is no connection: the number of messages, and their total bytes; default
    /// 256 and 1 MiB. With 0 messages, sending needs a connection.
    #[must_use]
    pub const fn queue(mut self, messages: usize, bytes: usize) -> Self {
        self.queue.most_messages = messages;
        self.queue.most_bytes = bytes;
        self
    }

    /// Returns the current state.
    pub const fn state(&self) -> &ClientState {
        &self.state
    }

    /// Returns the number of queued messages.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Returns the connection, while there is one: its subprotocol, the fields of the answer, its counters.
    pub const fn socket(&self) -> Option<&WebSocket<C::Transport>> {
        match &self.link {
            Link::Open(socket) => Some(socket),
            _ => None,
        }
    }

    /// Receives the next message, over any number of connections. `None` once the client has stopped; [`state`](Self::state) tells why.
    ///
    /// # Errors
    /// None of its own; the methods for a kind of message have some.
    pub async fn receive(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Receives a text message; a binary one is [`Error::WrongKind`], and skipped.
    pub async fn receive_text(&mut self) -> Result<Option<String>, Error> {
        self.receive()
            .await?
            .map(FromMessage::from_message)
            .transpose()
    }

    /// Receives a binary message; a text one is [`Error::WrongKind`], and skipped.
    pub async fn receive_bytes(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.receive()
            .await?
            .map(FromMessage::from_message)
            .transpose()
    }

    /// Receives a message of either kind as JSON; invalid data is [`Error::Json`], and skipped.
    #[cfg(feature = "json")]
    pub async fn receive_json<V: serde::de::DeserializeOwned>(
        &mut self,
    ) -> Result<Option<V>, Error> {
        let json = self.receive().await?.map(Json::from_message);
        Ok(json.transpose()?.map(|Json(value)| value))
    }

    /// Sends a message, or queues it while there is no connection. It waits only while a connection has too much unsent output
    /// ([`Limits::write_queue`](sansws_core::config::Limits::write_queue)). If the future is dropped early, nothing was sent or queued.
    ///
    /// # Errors
    /// [`SendError::QueueFull`](sansws_core::error::SendError::QueueFull) when there is no connection and no room in the queue,
    /// [`SendError::Stopped`](sansws_core::error::SendError::Stopped) once the client has stopped. The message was then not accepted.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut message = Some(message.into());
        poll_fn(|cx| self.poll_send(cx, &mut message)).await
    }

    /// Sends a text message.
    pub async fn send_text(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.send(Message::Text(text.into())).await
    }

    /// Sends a binary message.
    pub async fn send_bytes(&mut self, bytes: impl Into<Vec<u8>>) -> Result<(), Error> {
        self.send(Message::Binary(bytes.into())).await
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
    /// [`SendError::Stopped`](sansws_core::error::SendError::Stopped) once the client has stopped.
    pub async fn ready(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_accepting(cx, false)).await
    }

    /// Waits until all queued and sent data is in the hands of the operating system, over any number of connections.
    ///
    /// # Errors
    /// [`SendError::Stopped`](sansws_core::error::SendError::Stopped) once the client has stopped.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_accepting(cx, true)).await
    }

    /// Closes permanently: sends Close on a connection and waits for its end, at most
    /// [`Timeouts::close`](sansws_core::config::Timeouts::close) for each step; aborts an attempt or a wait. Returns how the connection
    /// ended, if there was one. Queued messages are dropped: call [`flush`](Self::flush) before, or check [`queued`](Self::queued).
    ///
    /// The client is closing from the first poll on: if the future is dropped, the next call continues.
    ///
    /// # Errors
    /// [`InvalidInput::ReservedCode`](sansws_core::error::InvalidInput::ReservedCode) when `code` may not be sent; then nothing has happened.
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
