//! Converts messages to the types that handlers want.
//! RFC 6455 sections 5.6 (text, binary) and 7.4.1 (1003, 1007).
//! Knows no connection: a message becomes a value, or an error that knows its close code.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::error::{Error, KindError, Result};
use crate::socket::read_ahead::Control;
use crate::socket::websocket::Shared;
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;
use sansws_core::close::CloseCode;
use sansws_core::frame::MessageKind;
use sansws_core::message::Message;

/// An event from the peer: a message, or a control frame for applications that want them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketEvent {
    /// A whole message.
    Message(Message),
    /// A ping. The pong has been sent, unless it is [`AutoPong::Off`](sansws_core::config::AutoPong::Off).
    Ping(Vec<u8>),
    /// A pong, solicited or not: to our `ping`, to a keepalive ping (then it is empty), or to none.
    Pong(Vec<u8>),
}

impl From<Message> for SocketEvent {
    fn from(message: Message) -> Self {
        Self::Message(message)
    }
}

impl From<Control> for SocketEvent {
    fn from(control: Control) -> Self {
        match control {
            Control::Ping(octets) => Self::Ping(octets),
            Control::Pong(octets) => Self::Pong(octets),
        }
    }
}

/// A type that a message can be converted to.
///
/// For your own type, return [`Error::close`] if the message is at fault, as in `Error::close(CloseCode::INVALID, "no such command")`: any
/// other error is a failure of the application.
#[diagnostic::on_unimplemented(
    message = "a message does not become a `{Self}`",
    label = "not what a message can become",
    note = "a message becomes a `String` (text), a `Vec<u8>` (binary), a `Message` (either), or `Json<V>` where `V: DeserializeOwned`"
)]
pub trait FromMessage: Sized {
    /// Converts a message.
    ///
    /// # Errors
    /// [`Error::WrongKind`] (1003) when it has the wrong kind, [`Error::Json`] (1007) when the JSON does not fit.
    fn from_message(message: Message) -> Result<Self, Error>;
}

/// Accepts messages of either kind.
impl FromMessage for Message {
    fn from_message(message: Message) -> Result<Self, Error> {
        Ok(message)
    }
}

/// Accepts text messages.
impl FromMessage for String {
    fn from_message(message: Message) -> Result<Self, Error> {
        match message {
            Message::Text(text) => Ok(text),
            Message::Binary(_) => Err(Error::WrongKind(KindError::new(MessageKind::Text))),
        }
    }
}

/// Accepts binary messages.
impl FromMessage for Vec<u8> {
    fn from_message(message: Message) -> Result<Self, Error> {
        match message {
            Message::Binary(octets) => Ok(octets),
            Message::Text(_) => Err(Error::WrongKind(KindError::new(MessageKind::Binary))),
        }
    }
}

/// A value as JSON, in a message of either kind.
#[cfg(feature = "json")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<V>(
    /// The value.
    pub V,
);

#[cfg(feature = "json")]
impl<V: serde::de::DeserializeOwned> FromMessage for Json<V> {
    fn from_message(message: Message) -> Result<Self, Error> {
        Ok(Self(serde_json::from_slice(message.as_bytes())?))
    }
}

/// The messages of a connection as one type, until its end; created by [`WebSocket::messages`].
#[derive(Debug)]
pub struct Messages<'a, T: Transport, M> {
    socket: &'a mut WebSocket<T>,
    message: PhantomData<fn() -> M>,
}

impl<T: Transport> Shared<T> {
    /// Converts a message of this connection; an error is attributed to it.
    pub(crate) fn parse<M: FromMessage>(&self, message: Message) -> Result<M, Error> {
        M::from_message(message).map_err(|error| self.at_fault(error))
    }

    #[cold]
    fn at_fault(&self, error: Error) -> Error {
        let error = error.met_by(self.tag());
        match &error {
            Error::WrongKind(_) => {
                let reason = error.to_string();
                (self.engine()).note_fault(&error, CloseCode::UNSUPPORTED, reason);
            }
            #[cfg(feature = "json")]
            Error::Json(_) => {
                let reason = crate::server::verdict::NOT_JSON.into();
                self.engine().note_fault(&error, CloseCode::INVALID, reason);
            }
            _ => {}
        }
        error
    }
}

impl<T: Transport> WebSocket<T> {
    /// The messages as a stream of one type: `String`, `Vec<u8>`, `Json<V>` or [`Message`]. A message that does not fit is an error,
    /// which maps to its close code when the handler returns it.
    pub fn messages<M: FromMessage>(&mut self) -> Messages<'_, T, M> {
        Messages {
            socket: self,
            message: PhantomData,
        }
    }
}

impl<T: Transport, M: FromMessage> Messages<'_, T, M> {
    /// Returns the next message; `None` after a normal end.
    pub async fn next(&mut self) -> Result<Option<M>, Error> {
        let message = self.socket.receive().await?;
        message
            .map(|message| self.socket.parse(message))
            .transpose()
    }
}

impl<T: Transport, M: FromMessage> Stream for Messages<'_, T, M> {
    type Item = Result<M, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let socket = &mut *self.get_mut().socket;
        let next = Pin::new(&mut *socket).poll_next(cx);
        next.map(|next| next.map(|message| message.and_then(|message| socket.parse(message))))
    }
}
