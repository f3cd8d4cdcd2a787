//! A client that reconnects: its connection is re-established when it ends.
//! RFC 6455 section 7.2.3; `sansws_core::dial::Reconnect` decides whether and when.
//! Knows no socket: it dials, waits, sends and receives.

use std::fmt;
use std::io;
use std::mem;
use std::thread;
use std::time::Duration;

#[cfg(feature = "json")]
use sansws_common::Json;
use sansws_common::client::queue::Queue;
use sansws_common::client::state::OnChange;
use sansws_common::contain::contain;
use sansws_common::entropy::seed;
use sansws_common::error::{Error, HandlerError, Result};
use sansws_common::server::verdict::{OwnConnection, Verdict};
use sansws_common::socket::read_ahead::{Item, ReadAhead};
use sansws_common::{ClientState, ConnectOptions, FromMessage, IntoRequest, Stop};
use sansws_core::close::{CloseCode, Closed};
use sansws_core::dial::{Reconnect, ReconnectOptions};
use sansws_core::error::SendError;
use sansws_core::http::Url;
use sansws_core::message::Message;
use sansws_core::random::Seed;
use sansws_core::time::Instant;

use super::dial::follow;
use crate::clock::now;
use crate::socket::{Until, WebSocket};

/// Maximum number of messages that are kept for `receive` while another call sends or waits.
const KEPT: usize = 1 << 10;

/// A connection to a server that is re-established when it ends.
///
/// **Calls run it.** It dials, waits and sends within its calls, and has no thread of its own. [`receive`](Self::receive) dials, and waits
/// between attempts; [`send`](Self::send) dials when an attempt is due, and otherwise queues the message.
///
/// **Messages are sent at most once.** Messages sent while there is no connection are [queued](Self::queue), and sent in order as soon as
/// there is one, after those of [`on_open`](Self::on_open). A message that finds no room is refused with
/// [`SendError::QueueFull`], and never replaces another. A message leaves the queue once a connection has accepted it. If that connection
/// breaks, messages that the server had not received are lost, and none is sent again, because a client cannot know which they were. If you
/// need to know, let the server answer. Received messages are always delivered before the end of their connection is reported.
///
/// **Reconnection** follows the table of [`Reconnect`]. A refused request (`401`), a final close code (1000, 1008, 4500 to 4999) or a
/// server that breaks the protocol stop the client; failing networks and servers do not. Each attempt starts at the original URL, wherever
/// it was redirected before. Of a host with several addresses, one that accepted TCP in a failed attempt is tried last until a connection
/// is open, so a server that hangs does not keep a client from the others.
///
/// ```no_run
/// use sansws_std::{Client, ClientState, ConnectOptions, Result};
///
/// # fn main() -> Result {
/// let mut client = Client::new("wss://example.org/news", ConnectOptions::default())?
///     .on_open(|socket| Ok(socket.send_text("subscribe")?))
///     .on_change(|state| {
///         if let ClientState::Waiting { wait, why } = state {
///             println!("{why}; next attempt in {wait:?}");
///         }
///     });
/// while let Some(text) = client.receive_text()? {
///     println!("{text}");
/// }
/// # Ok(())
/// # }
/// ```
pub struct Client {
    url: Url,
    dial: ConnectOptions,
    seed: Seed,
    reconnect: Reconnect,
    on_open: Option<OnOpen>,
    on_change: Option<OnChange>,
    queue: Queue,
    /// Messages that were received while another call sent.
    inbox: ReadAhead,
    link: Link,
    state: ClientState,
}

type OnOpen = Box<dyn FnMut(&mut WebSocket) -> Result + Send>;

/// The current activity.
enum Link {
    /// None: dial.
    Idle,
    Open(WebSocket),
    /// The next attempt is due at this moment.
    Waiting(Instant),
    Stopped,
}

/// The result of proceeding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    Open,
    /// An attempt is due later.
    Waiting,
    Stopped,
}

impl Client {
    /// Creates a client of a `ws://` or `wss://` URL. It dials with its first call.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::BadHeader`], and [`Error::InvalidInput`] for invalid subprotocols.
    pub fn new(url: impl IntoRequest, dial: ConnectOptions) -> Result<Self, Error> {
        let (url, dial) = url.into_request(dial)?;
        let seed = seed().map_err(Error::other)?;
        Ok(Self {
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

    /// Runs `hook` on each new connection, before queued messages are sent: log in, subscribe again, request missed messages.
    ///
    /// An error ends the connection, with the close code that it stands for ([`Error::close`], otherwise 1011), and is judged by that
    /// code: 1011 reconnects later, `Error::close(CloseCode::POLICY, …)` stops the client. A panic counts as 1011.
    #[must_use]
    pub fn on_open(mut self, hook: impl FnMut(&mut WebSocket) -> Result + Send + 'static) -> Self {
        self.on_open = Some(Box::new(hook));
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
    pub const fn socket(&self) -> Option<&WebSocket> {
        match &self.link {
            Link::Open(socket) => Some(socket),
            _ => None,
        }
    }

    /// Waits for the next message, over any number of connections. `None` once the client has stopped; [`state`](Self::state) tells why.
    ///
    /// # Errors
    /// None of its own; the methods for a kind of message have some.
    pub fn receive(&mut self) -> Result<Option<Message>, Error> {
        self.receive_until(Until::Forever)
    }

    /// Waits for the next message, at most for `timeout`. An attempt to connect is not cut short: it has its own timeouts.
    ///
    /// # Errors
    /// [`Error::Io`] of the kind [`TimedOut`](io::ErrorKind::TimedOut) when there was none in time.
    pub fn receive_timeout(&mut self, timeout: Duration) -> Result<Option<Message>, Error> {
        self.receive_until(Until::At(now() + timeout))
    }

    fn receive_until(&mut self, until: Until) -> Result<Option<Message>, Error> {
        loop {
            if let Some(Item { message, .. }) = self.inbox.pop() {
                return Ok(Some(message));
            }
            match self.proceed(true) {
                Reached::Open => {}
                Reached::Stopped => return Ok(None),
                Reached::Waiting => {
                    self.wait(until)?;
                    continue;
                }
            }
            match self.take(until) {
                Ok(Some(message)) => return Ok(Some(message)),
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Receives a text message; a binary one is [`Error::WrongKind`], and skipped.
    pub fn receive_text(&mut self) -> Result<Option<String>, Error> {
        self.receive()?.map(FromMessage::from_message).transpose()
    }

    /// Receives a binary message; a text one is [`Error::WrongKind`], and skipped.
    pub fn receive_bytes(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.receive()?.map(FromMessage::from_message).transpose()
    }

    /// Receives a message of either kind as JSON; invalid data is [`Error::Json`], and skipped.
    #[cfg(feature = "json")]
    pub fn receive_json<V: serde::de::DeserializeOwned>(&mut self) -> Result<Option<V>, Error> {
        let json = self.receive()?.map(Json::from_message);
        Ok(json.transpose()?.map(|Json(value)| value))
    }

    /// Sends a message, or queues it while there is no connection. If an attempt to connect is due, it is made first.
    ///
    /// # Errors
    /// [`SendError::QueueFull`] when there is no connection and no room in the queue, [`SendError::Stopped`] once the client has
    /// stopped. The message was then not accepted.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let message = message.into();
        loop {
            match self.proceed(false) {
                Reached::Stopped => return Err(SendError::Stopped.into()),
                Reached::Open if self.queue.is_empty() => {
                    if self.look() {
                        continue;
                    }
                    if self.pass_on(&message) {
                        return Ok(());
                    }
                    // The end that it met is judged; the message waits for the next connection.
                    self.finish();
                }
                Reached::Open | Reached::Waiting => {
                    return Ok(self.queue.push(&mut Some(message))?);
                }
            }
        }
    }

    /// Sends a text message.
    pub fn send_text(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.send(Message::Text(text.into()))
    }

    /// Sends a binary message.
    pub fn send_bytes(&mut self, bytes: impl Into<Vec<u8>>) -> Result<(), Error> {
        self.send(Message::Binary(bytes.into()))
    }

    /// Sends a value as JSON, in a text message.
    #[cfg(feature = "json")]
    pub fn send_json<V: serde::Serialize + ?Sized>(&mut self, value: &V) -> Result<(), Error> {
        self.send_text(serde_json::to_string(value)?)
    }

    /// Waits for an open connection. Messages that arrive meanwhile are kept for [`receive`](Self::receive).
    ///
    /// # Errors
    /// [`SendError::Stopped`] once the client has stopped.
    pub fn ready(&mut self) -> Result<(), Error> {
        loop {
            match self.proceed(false) {
                Reached::Open if !self.look() => return Ok(()),
                Reached::Open => {}
                Reached::Stopped => return Err(SendError::Stopped.into()),
                Reached::Waiting => self.wait(Until::Forever)?,
            }
        }
    }

    /// Waits until all queued messages were sent, over any number of connections.
    ///
    /// # Errors
    /// [`SendError::Stopped`] once the client has stopped.
    pub fn flush(&mut self) -> Result<(), Error> {
        loop {
            self.ready()?;
            if self.queue.is_empty() {
                return Ok(());
            }
        }
    }

    /// Closes permanently: sends Close on a connection and waits for its end, at most
    /// [`Timeouts::close`](sansws_core::config::Timeouts::close) for each step. Returns how the connection ended, if there was one.
    /// Queued messages are dropped: call [`flush`](Self::flush) before, or check [`queued`](Self::queued).
    ///
    /// # Errors
    /// [`InvalidInput::ReservedCode`](sansws_core::error::InvalidInput::ReservedCode) when `code` may not be sent; then nothing has
    /// happened.
    pub fn close(&mut self, code: u16, reason: &str) -> Result<Option<Closed>, Error> {
        CloseCode::try_from(code)?;
        self.inbox.clear();
        match mem::replace(&mut self.link, Link::Stopped) {
            Link::Open(mut socket) => {
                let closed = socket.close(code, reason)?;
                self.change(ClientState::Stopped(Stop::Closed(closed.clone())));
                Ok(closed)
            }
            Link::Idle | Link::Waiting(_) => {
                self.change(ClientState::Stopped(Stop::Closed(None)));
                Ok(None)
            }
            Link::Stopped => Ok(match &self.state {
                ClientState::Stopped(Stop::Closed(closed)) => closed.clone(),
                ClientState::Stopped(Stop::Done(closed)) => Some(closed.clone()),
                _ => None,
            }),
        }
    }

    /// Proceeds as far as possible without waiting for the next attempt: dials when one is due, and sends queued messages. With `receives`,
    /// an end that they meet is left to the caller: messages can still be received before it.
    fn proceed(&mut self, receives: bool) -> Reached {
        loop {
            match &self.link {
                Link::Idle => {
                    self.change(ClientState::Connecting);
                    match follow(self.url.clone(), self.dial.clone()) {
                        Ok(socket) => self.begin(socket),
                        Err(error) => self.over(error),
                    }
                }
                Link::Waiting(until) if *until <= now() => self.link = Link::Idle,
                Link::Waiting(_) => return Reached::Waiting,
                Link::Stopped => return Reached::Stopped,
                Link::Open(_) => {
                    if self.send_queue() || (receives && !self.is_accepting()) {
                        return Reached::Open;
                    }
                    // The end that they met is judged; they wait for the next connection.
                    self.finish();
                }
            }
        }
    }

    /// The connection is established.
    fn begin(&mut self, mut socket: WebSocket) {
        let hooked = match &mut self.on_open {
            Some(hook) => contain(|| hook(&mut socket)).map_err(HandlerError::from),
            None => Ok(Ok(())),
        };
        match hooked.and_then(|done| done) {
            Ok(()) => {
                self.reconnect.opened(now());
                self.dial.opened();
                self.link = Link::Open(socket);
                self.change(ClientState::Open);
            }
            Err(error) => self.unhooked(socket, error),
        }
    }

    /// The hook failed.
    fn unhooked(&mut self, mut socket: WebSocket, error: HandlerError) {
        let verdict = Verdict::of_hook(&error, &**socket.shared());
        if verdict.is_end && !socket.shared().is_open() {
            // The hook met the end of the connection: that end counts, after messages that can still be received.
            self.link = Link::Open(socket);
            return;
        }
        let error = verdict.hook_error(error, || socket.shared().engine().disconnected());
        if !verdict.is_end {
            let reason = sansws_core::close::cut_reason(&verdict.reason);
            socket.start_close(Some(verdict.code), reason);
            let _ = socket.shared().finish_close();
        }
        self.over(error);
    }

    /// A connection or an attempt has ended.
    fn over(&mut self, error: Error) {
        let now = now();
        let state = ClientState::after(error, &mut self.reconnect, now);
        self.link = match state {
            ClientState::Waiting { wait, .. } => Link::Waiting(now + wait),
            _ => Link::Stopped,
        };
        self.change(state);
    }

    fn change(&mut self, state: ClientState) {
        self.state = state;
        self.state.report(&self.url, self.on_change.as_deref_mut());
    }

    /// Waits for the next attempt.
    fn wait(&self, until: Until) -> Result<(), Error> {
        let Link::Waiting(attempt) = self.link else {
            return Ok(());
        };
        let now = now();
        match until {
            Until::At(at) if at < attempt => {
                thread::sleep(at.since(now));
                Err(io::Error::from(io::ErrorKind::TimedOut).into())
            }
            Until::Now => Err(io::Error::from(io::ErrorKind::WouldBlock).into()),
            Until::At(_) | Until::Forever => {
                thread::sleep(attempt.since(now));
                Ok(())
            }
        }
    }

    /// Receives from the open connection; `None` when it has ended, which has then been judged.
    ///
    /// # Errors
    /// Only when there is no message in time.
    fn take(&mut self, until: Until) -> Result<Option<Message>, Error> {
        let Link::Open(socket) = &mut self.link else {
            return Ok(None);
        };
        let error = match socket.receive_until(until) {
            Ok(Some(message)) => return Ok(Some(message)),
            Ok(None) => socket.shared().engine().disconnected(),
            // The end may be a timeout too, of the operating system's.
            Err(error) if is_not_now(&error) && socket.closed().is_none() => return Err(error),
            Err(error) => error,
        };
        self.over(error);
        Ok(None)
    }

    /// Reads ahead for `receive`, so that senders see the end. Returns whether the end came; it has then been judged.
    fn look(&mut self) -> bool {
        let most = self.dial.config.limits.read_ahead;
        while self.inbox.bytes() < most && self.inbox.items() < KEPT {
            match self.take(Until::Now) {
                Ok(Some(message)) => self.inbox.push(Item {
                    message,
                    piece: None,
                }),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    }

    /// A send has met the end of the connection: messages before it are kept.
    fn finish(&mut self) {
        if self.is_accepting() {
            // `on_open` has forgotten the rest of a message: nothing can follow that.
            return self.over(SendError::UnfinishedMessage.into());
        }
        loop {
            if self.look() || !matches!(self.link, Link::Open(_)) {
                return;
            }
            match self.take(Until::Forever) {
                Ok(Some(message)) if self.inbox.items() < KEPT => self.inbox.push(Item {
                    message,
                    piece: None,
                }),
                Ok(Some(_)) | Err(_) => {
                    let vanished = sansws_common::socket::ending::vanished();
                    return self.over(Error::Disconnect(vanished.into()));
                }
                Ok(None) => return,
            }
        }
    }

    /// Returns whether there is a connection that messages can be sent on.
    fn is_accepting(&self) -> bool {
        matches!(&self.link, Link::Open(socket) if socket.shared().engine().accepts())
    }

    /// Sends a message over the open connection. Returns whether it was accepted.
    fn pass_on(&self, message: &Message) -> bool {
        let Link::Open(socket) = &self.link else {
            return false;
        };
        let payload = message.payload();
        let send =
            |connection: &mut sansws_core::connection::Connection| connection.send_payload(payload);
        let accepted = socket.shared().submit(true, false, send).is_ok();
        // If this fails, the message was accepted and is lost; the next call finds the end.
        let _ = socket.shared().flush();
        accepted
    }

    /// Sends queued messages; returns `false` when the connection does not accept one.
    fn send_queue(&mut self) -> bool {
        while let Some(message) = self.queue.front() {
            if !self.pass_on(message) {
                return false;
            }
            self.queue.pop();
        }
        true
    }
}

/// Returns whether there was no message in time.
fn is_not_now(error: &Error) -> bool {
    matches!(error, Error::Io(error) if matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    ))
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.url)
            .field("state", &self.state)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
