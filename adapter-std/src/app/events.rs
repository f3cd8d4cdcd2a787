//! Named events and requests with replies, as JSON over a connection.
//! `sansws_common::app` has the format, the ids and the limits; this file waits.
//! Knows no route.

use std::io::ErrorKind;
use std::time::Duration;

use sansws_common::Json;
use sansws_common::app::{EventMessage, EventProtocol, ReceivedEvent, RequestRefused};
use sansws_common::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::now;
use crate::socket::{Until, WebSocket};
use crate::stream::{ByteStream, Stream};

/// A connection whose messages are events with names, in both directions. An event may ask for a reply.
///
/// Each message is the JSON of an object: an event is `{"event":"moved","data":…}`, one that asks for a reply has an `"id"` as well, and the
/// reply to it is `{"reply":1,"data":…}` or `{"reply":1,"error":"…"}`. A message that is none of these closes with 1007. The page's
/// side is a function in JavaScript, which is in `docs/events.md`.
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use std::thread;
/// use sansws_std::app::EventSocket;
/// use sansws_std::{ConnectOptions, Result, Stream, Upgrade, accept, connect_over};
///
/// fn calculator(upgrade: Upgrade) -> Result {
///     let mut events = EventSocket::new(upgrade.accept()?);
///     let name: String = events.request("name", &())??;
///     events.emit("hello", &name)?;
///     while let Some(event) = events.next()? {
///         match event.name() {
///             "add" => {
///                 let (a, b): (i64, i64) = events.data(&event)?;
///                 events.reply(&event, &(a + b))?;
///             }
///             _ => events.refuse(&event, "unknown event")?,
///         }
///     }
///     Ok(())
/// }
///
/// # fn main() -> Result {
/// # let (ours, theirs) = UnixStream::pair()?;
/// # let server = thread::spawn(move || calculator(accept(Stream::unix(theirs)?, Default::default())?));
/// # let url = "ws://localhost/";
/// let socket = connect_over(Stream::unix(ours)?, url, ConnectOptions::default())?;
/// let mut events = EventSocket::new(socket);
/// let asked = events.next()?.expect("the server asks for a name");
/// events.reply(&asked, "Ada")?;
/// let sum: i64 = events.request("add", &(1, 2))??;
/// assert_eq!(sum, 3);
/// let greeting = events.next()?.expect("the server greets");
/// assert_eq!(events.data::<String>(&greeting)?, "Ada");
/// # events.socket().close(1000, "")?;
/// # server.join().expect("the server does not panic")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventSocket<S: ByteStream = Stream> {
    socket: WebSocket<S>,
    protocol: EventProtocol,
}

impl<S: ByteStream> EventSocket<S> {
    /// Speaks events over a connection.
    pub const fn new(socket: WebSocket<S>) -> Self {
        Self {
            socket,
            protocol: EventProtocol::new(),
        }
    }

    /// Returns the connection, for example to close it. Messages that are read from it are no events any more.
    pub const fn socket(&mut self) -> &mut WebSocket<S> {
        &mut self.socket
    }

    /// Returns the text of an event, to send it by other means to a peer that speaks events.
    ///
    /// # Errors
    /// [`Error::Json`] when the data cannot be serialized.
    pub fn text<V: Serialize + ?Sized>(name: &str, data: &V) -> Result<String, Error> {
        EventProtocol::event(name, data)
    }

    /// Sends an event.
    ///
    /// # Errors
    /// Those of [`WebSocket::send`], and [`Error::Json`] when the data cannot be serialized.
    pub fn emit<V: Serialize + ?Sized>(&mut self, name: &str, data: &V) -> Result<(), Error> {
        self.socket.send_text(EventProtocol::event(name, data)?)
    }

    /// Sends an event and waits for the reply. Events that arrive meanwhile are kept for [`next`](Self::next), at most 256 of 1 MiB
    /// together: one more closes with 1008. It does not time out by itself: see [`request_timeout`](Self::request_timeout).
    ///
    /// # Errors
    /// As for [`emit`](Self::emit) and [`WebSocket::receive`]; [`Error::Disconnect`] after a normal end of the connection too, because no reply can
    /// come. The inner error is the peer's refusal. After an error of a stream that does not block, the request is given up.
    pub fn request<V, A>(&mut self, name: &str, data: &V) -> Result<Result<A, RequestRefused>>
    where
        V: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        self.request_until(name, data, Until::Forever)
    }

    /// Sends an event and waits for the reply as [`request`](Self::request) does, but at most until `timeout` after the call. A reply that
    /// comes later is ignored. To send may take longer, while the peer does not read.
    ///
    /// # Errors
    /// As for [`request`](Self::request); [`Error::Io`] of the kind [`TimedOut`](std::io::ErrorKind::TimedOut) when no reply came in time.
    pub fn request_timeout<V, A>(
        &mut self,
        name: &str,
        data: &V,
        timeout: Duration,
    ) -> Result<Result<A, RequestRefused>>
    where
        V: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        self.request_until(name, data, Until::At(now() + timeout))
    }

    fn request_until<V, A>(
        &mut self,
        name: &str,
        data: &V,
        until: Until,
    ) -> Result<Result<A, RequestRefused>>
    where
        V: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let (id, text) = self.protocol.request(name, data)?;
        self.socket.send_text(text)?;
        loop {
            let Some(message) = self.receive(until)? else {
                return Err(EventProtocol::unanswered(self.socket.closed()).into());
            };
            match self.protocol.receive(id, message)? {
                Some(Ok(data)) => {
                    let Json(value) = self.socket.parse(data)?;
                    return Ok(Ok(value));
                }
                Some(Err(refused)) => return Ok(Err(refused)),
                None => in_time(until)?,
            }
        }
    }

    /// Returns the next event; `None` after a normal end of the connection.
    ///
    /// # Errors
    /// Those of [`WebSocket::receive`], and [`Error::Json`] for a message that is no event.
    #[expect(
        clippy::should_implement_trait,
        reason = "it has that name on runtimes, and an iterator would end at an error"
    )]
    pub fn next(&mut self) -> Result<Option<ReceivedEvent>, Error> {
        self.next_until(Until::Forever)
    }

    /// Returns the next event, and waits at most for `timeout`.
    ///
    /// # Errors
    /// As for [`next`](Self::next); [`Error::Io`] of the kind [`TimedOut`](std::io::ErrorKind::TimedOut) when there was none in time.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<ReceivedEvent>, Error> {
        self.next_until(Until::At(now() + timeout))
    }

    fn next_until(&mut self, until: Until) -> Result<Option<ReceivedEvent>, Error> {
        if let Some(event) = self.protocol.take_kept() {
            return Ok(Some(event));
        }
        loop {
            match self.receive(until)? {
                Some(EventMessage::Event(event)) => return Ok(Some(event)),
                Some(EventMessage::Reply(..)) => in_time(until)?,
                None => return Ok(None),
            }
        }
    }

    /// Parses the data of an event.
    ///
    /// # Errors
    /// [`Error::Json`] when they are of another type; a handler that returns it closes with 1007.
    pub fn data<V: DeserializeOwned>(&self, event: &ReceivedEvent) -> Result<V, Error> {
        let Json(value) = self.socket.parse(event.json())?;
        Ok(value)
    }

    /// Replies to an event. If the peer does not wait for a reply, nothing is sent.
    ///
    /// # Errors
    /// As for [`emit`](Self::emit).
    pub fn reply<V: Serialize + ?Sized>(
        &mut self,
        event: &ReceivedEvent,
        data: &V,
    ) -> Result<(), Error> {
        self.answer(event, Ok(data))
    }

    /// Refuses an event. If the peer does not wait for a reply, nothing is sent.
    ///
    /// # Errors
    /// As for [`emit`](Self::emit).
    pub fn refuse(&mut self, event: &ReceivedEvent, reason: &str) -> Result<(), Error> {
        self.answer::<()>(event, Err(reason))
    }

    fn answer<V: Serialize + ?Sized>(
        &mut self,
        event: &ReceivedEvent,
        answer: Result<&V, &str>,
    ) -> Result<(), Error> {
        match EventProtocol::answer(event, answer)? {
            Some(text) => self.socket.send_text(text),
            None => Ok(()),
        }
    }

    fn receive(&self, until: Until) -> Result<Option<EventMessage>, Error> {
        let message = self.socket.receive_until(until)?;
        let json = message.map(|message| self.socket.parse(message));
        Ok(json.transpose()?.map(|Json(message)| message))
    }
}

/// Fails after the time: messages that are of no use here may come without end.
fn in_time(until: Until) -> Result<(), Error> {
    match until {
        Until::At(at) if at <= now() => Err(Error::Io(ErrorKind::TimedOut.into())),
        Until::At(_) | Until::Forever | Until::Now => Ok(()),
    }
}
