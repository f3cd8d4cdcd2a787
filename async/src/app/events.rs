//! Named events and requests with replies, as JSON over a connection.
//! `sansws_common::app` has the format, the ids and the limits; this file waits.
//! Knows no route.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::socket::Json;
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;
use sansws_common::app::{EventMessage, EventProtocol, ReceivedEvent, RequestRefused};

/// A connection whose messages are events with names, in both directions. An event may ask for a reply.
///
/// Each message is the JSON of an object: an event is `{"event":"moved","data":…}`, one that asks for a reply has an `"id"` as well, and the
/// reply to it is `{"reply":1,"data":…}` or `{"reply":1,"error":"…"}`. A message that is none of these closes with 1007. The page's
/// side is a function in JavaScript, which is in `docs/events.md`.
///
/// ```
/// use sansws_async::app::EventSocket;
/// use sansws_async::{Result, Transport, Upgrade};
///
/// async fn calculator<T: Transport>(upgrade: Upgrade<T>) -> Result {
///     let mut events = EventSocket::new(upgrade.accept().await?);
///     let name: String = events.request("name", &()).await??;
///     events.emit("hello", &name).await?;
///     while let Some(event) = events.next().await? {
///         match event.name() {
///             "add" => {
///                 let (a, b): (i64, i64) = events.data(&event)?;
///                 events.reply(&event, &(a + b)).await?;
///             }
///             _ => events.refuse(&event, "unknown event").await?,
///         }
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct EventSocket<T: Transport> {
    socket: WebSocket<T>,
    protocol: EventProtocol,
}

impl<T: Transport> EventSocket<T> {
    /// Speaks events over a connection.
    pub const fn new(socket: WebSocket<T>) -> Self {
        Self {
            socket,
            protocol: EventProtocol::new(),
        }
    }

    /// Returns the connection, to join groups or to close it. Messages that are read from it are no events any more.
    pub const fn socket(&mut self) -> &mut WebSocket<T> {
        &mut self.socket
    }

    /// Returns the text of an event, to publish it to a group whose members speak events.
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
    pub async fn emit<V: Serialize + ?Sized>(&mut self, name: &str, data: &V) -> Result<(), Error> {
        let text = EventProtocol::event(name, data)?;
        self.socket.send_text(text).await
    }

    /// Sends an event and waits for the reply. Events that arrive meanwhile are kept for [`next`](Self::next), at most 256 of 1 MiB
    /// together: one more closes with 1008. It does not time out by itself; if it is dropped, a late reply is ignored.
    ///
    /// # Errors
    /// As for [`emit`](Self::emit) and [`WebSocket::receive`]; [`Error::Disconnect`] after a normal end of the connection too, because no reply can
    /// come. The inner error is the peer's refusal.
    pub async fn request<V, A>(&mut self, name: &str, data: &V) -> Result<Result<A, RequestRefused>>
    where
        V: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let (id, text) = self.protocol.request(name, data)?;
        self.socket.send_text(text).await?;
        loop {
            let Some(message) = self.socket.receive_json().await? else {
                return Err(EventProtocol::unanswered(self.socket.closed()).into());
            };
            match self.protocol.receive(id, message)? {
                Some(Ok(data)) => {
                    let Json(value) = self.socket.parse(data)?;
                    return Ok(Ok(value));
                }
                Some(Err(refused)) => return Ok(Err(refused)),
                None => {}
            }
        }
    }

    /// Returns the next event; `None` after a normal end of the connection.
    ///
    /// # Errors
    /// Those of [`WebSocket::receive`], and [`Error::Json`] for a message that is no event.
    pub async fn next(&mut self) -> Result<Option<ReceivedEvent>, Error> {
        if let Some(event) = self.protocol.take_kept() {
            return Ok(Some(event));
        }
        loop {
            match self.socket.receive_json().await? {
                Some(EventMessage::Event(event)) => return Ok(Some(event)),
                Some(EventMessage::Reply(..)) => {}
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
    pub async fn reply<V: Serialize + ?Sized>(
        &mut self,
        event: &ReceivedEvent,
        data: &V,
    ) -> Result<(), Error> {
        self.answer(event, Ok(data)).await
    }

    /// Refuses an event. If the peer does not wait for a reply, nothing is sent.
    ///
    /// # Errors
    /// As for [`emit`](Self::emit).
    pub async fn refuse(&mut self, event: &ReceivedEvent, reason: &str) -> Result<(), Error> {
        self.answer::<()>(event, Err(reason)).await
    }

    async fn answer<V: Serialize + ?Sized>(
        &mut self,
        event: &ReceivedEvent,
        answer: Result<&V, &str>,
    ) -> Result<(), Error> {
        match EventProtocol::answer(event, answer)? {
            Some(text) => self.socket.send_text(text).await,
            None => Ok(()),
        }
    }
}
