//! Named events and requests with replies, as JSON over a connection.
//! [`EventSocket`] describes the format of the messages.
//! Knows no route.

use std::collections::VecDeque;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::event_message::{Received, ReceivedEvent, RequestRefused, Sent};
use crate::error::{Error, Result};
use crate::socket::Json;
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;
use sansws_common::socket::ending::vanished;
use sansws_core::close::CloseCode;
use sansws_core::message::Message;

/// Maximum number of events that wait while a request waits for its reply.
const MOST: usize = 256;

/// Maximum number of bytes of their names and data.
const MOST_BYTES: usize = 1 << 20;

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
    /// The id of the last request.
    last: u64,
    /// Events that arrived while a request waited.
    waiting: VecDeque<ReceivedEvent>,
}

impl<T: Transport> EventSocket<T> {
    /// Speaks events over a connection.
    pub const fn new(socket: WebSocket<T>) -> Self {
        Self {
            socket,
            last: 0,
            waiting: VecDeque::new(),
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
        Ok(serde_json::to_string(&Sent {
            event: Some(name),
            id: None,
            reply: None,
            data: Some(data),
            error: None,
        })?)
    }

    /// Sends an event.
    ///
    /// # Errors
    /// Those of [`WebSocket::send`], and [`Error::Json`] when the data cannot be serialized.
    pub async fn emit<V: Serialize + ?Sized>(&mut self, name: &str, data: &V) -> Result<(), Error> {
        let text = Self::text(name, data)?;
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
        self.last += 1;
        let id = self.last;
        let text = serde_json::to_string(&Sent {
            event: Some(name),
            id: Some(id),
            reply: None,
            data: Some(data),
            error: None,
        });
        self.socket.send_text(text.map_err(Error::from)?).await?;
        loop {
            match self.step().await? {
                // No reply can come, however normal this end is: a handler that meets it has not failed.
                None => {
                    let closed = self.socket.closed().unwrap_or_else(vanished);
                    return Err(Error::Disconnect(closed.into()).into());
                }
                Some(Received::Reply(of, reply)) if of == id => {
                    return match reply {
                        Ok(data) => Ok(Ok(self.parse(data.as_deref())?)),
                        Err(refused) => Ok(Err(refused)),
                    };
                }
                // Its request has been given up.
                Some(Received::Reply(..)) => {}
                Some(Received::Event(event)) if !self.has_room(&event) => {
                    let why = "too many events before a reply";
                    return Err(Error::close(CloseCode::POLICY, why));
                }
                Some(Received::Event(event)) => self.waiting.push_back(event),
            }
        }
    }

    /// Returns whether an event may wait behind the others.
    fn has_room(&self, event: &ReceivedEvent) -> bool {
        let bytes: usize = self.waiting.iter().map(ReceivedEvent::bytes).sum();
        self.waiting.len() < MOST && bytes + event.bytes() <= MOST_BYTES
    }

    /// Returns the next event; `None` after a normal end of the connection.
    ///
    /// # Errors
    /// Those of [`WebSocket::receive`], and [`Error::Json`] for a message that is no event.
    pub async fn next(&mut self) -> Result<Option<ReceivedEvent>, Error> {
        if let Some(event) = self.waiting.pop_front() {
            return Ok(Some(event));
        }
        loop {
            match self.step().await? {
                Some(Received::Event(event)) => return Ok(Some(event)),
                Some(Received::Reply(..)) => {}
                None => return Ok(None),
            }
        }
    }

    /// Parses the data of an event.
    ///
    /// # Errors
    /// [`Error::Json`] when they are of another type; a handler that returns it closes with 1007.
    pub fn data<V: DeserializeOwned>(&self, event: &ReceivedEvent) -> Result<V, Error> {
        self.parse(event.data.as_deref())
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
        self.answer(event, Some(data), None).await
    }

    /// Refuses an event. If the peer does not wait for a reply, nothing is sent.
    ///
    /// # Errors
    /// As for [`emit`](Self::emit).
    pub async fn refuse(&mut self, event: &ReceivedEvent, reason: &str) -> Result<(), Error> {
        self.answer::<()>(event, None, Some(reason)).await
    }

    async fn answer<V: Serialize + ?Sized>(
        &mut self,
        event: &ReceivedEvent,
        data: Option<&V>,
        error: Option<&str>,
    ) -> Result<(), Error> {
        if event.id.is_none() {
            return Ok(());
        }
        let text = serde_json::to_string(&Sent {
            event: None,
            id: None,
            reply: event.id,
            data,
            error,
        })?;
        self.socket.send_text(text).await
    }

    fn parse<V: DeserializeOwned>(&self, data: Option<&RawValue>) -> Result<V, Error> {
        let text = data.map_or("null", RawValue::get);
        let Json(value) = self.socket.parse(Message::Text(text.to_owned()))?;
        Ok(value)
    }

    async fn step(&mut self) -> Result<Option<Received>, Error> {
        self.socket.receive_json().await
    }
}
