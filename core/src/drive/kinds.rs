//! Messages as the types a handler wants.
//! RFC 6455 sections 5.6 (text, binary) and 7.4.1 (1003, 1007).
//! Knows no connection: a message becomes a value, or an error that knows its close code.

use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::Stream;

use super::{Error, Result, Transport, WebSocket};
use crate::message::Message;

/// A value that a message can become.
pub trait FromMessage: Sized {
    /// Takes a message.
    ///
    /// # Errors
    /// [`Error::WrongKind`] (1003) when it is of the other kind, [`Error::Json`] (1007) when it does not fit.
    fn from_message(message: Message) -> Result<Self>;
}

/// Messages of either kind.
impl FromMessage for Message {
    fn from_message(message: Message) -> Result<Self> {
        Ok(message)
    }
}

/// Text messages.
impl FromMessage for String {
    fn from_message(message: Message) -> Result<Self> {
        match message {
            Message::Text(text) => Ok(text),
            Message::Binary(_) => Err(Error::WrongKind),
        }
    }
}

/// Binary messages.
impl FromMessage for Vec<u8> {
    fn from_message(message: Message) -> Result<Self> {
        match message {
            Message::Binary(octets) => Ok(octets),
            Message::Text(_) => Err(Error::WrongKind),
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
    fn from_message(message: Message) -> Result<Self> {
        Ok(Self(serde_json::from_slice(message.as_bytes())?))
    }
}

/// The messages of a connection as one type, until the end; made by [`WebSocket::messages`].
#[derive(Debug)]
pub struct Messages<'a, T: Transport, M> {
    socket: &'a mut WebSocket<T>,
    message: PhantomData<fn() -> M>,
}

impl<T: Transport> WebSocket<T> {
    /// The messages as a stream of one type: `String`, `Vec<u8>`, `Json<V>` or [`Message`]. A message that is of another type is an
    /// error, which maps to its close code when the handler returns it.
    pub fn messages<M: FromMessage>(&mut self) -> Messages<'_, T, M> {
        Messages {
            socket: self,
            message: PhantomData,
        }
    }
}

impl<T: Transport, M: FromMessage> Messages<'_, T, M> {
    /// The next one; `None` after a normal end.
    pub async fn next(&mut self) -> Result<Option<M>> {
        self.socket
            .receive()
            .await?
            .map(M::from_message)
            .transpose()
    }
}

impl<T: Transport, M: FromMessage> Stream for Messages<'_, T, M> {
    type Item = Result<M>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.get_mut().socket)
            .poll_next(cx)
            .map(|next| next.map(|message| message.and_then(M::from_message)))
    }
}
