//! Messages as the types a handler wants.
//! RFC 6455 sections 5.6 (text, binary) and 7.4.1 (1003, 1007).
//! Knows no connection: a message becomes a value, or an error that knows its close code.

use crate::error::{ConnectionTag, Error, Result};
use crate::socket::read_ahead::Control;
use sansws_core::message::Message;

/// Something that a peer sent: a message, or a control frame for who asks for those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketEvent {
    /// A whole message.
    Message(Message),
    /// A ping. The pong has been sent, unless it is [`AutoPong::Off`](sansws_core::config::AutoPong::Off).
    Ping(Vec<u8>),
    /// A pong, whether asked for or not: to our `ping`, to one of keepalive (then it is empty), or to none.
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

/// A value that a message can become.
///
/// One of your own fails with [`Error::close`] when the message is at fault, as in `Error::close(CloseCode::INVALID, "no such command")`:
/// what else it fails with is a failure of the application.
#[diagnostic::on_unimplemented(
    message = "a message does not become a `{Self}`",
    label = "not what a message can become",
    note = "a message becomes a `String` (text), a `Vec<u8>` (binary), a `Message` (either), or `Json<V>` where `V: DeserializeOwned`"
)]
pub trait FromMessage: Sized {
    /// Takes a message.
    ///
    /// # Errors
    /// [`Error::WrongKind`] (1003) when it is of the other kind, [`Error::Json`] (1007) when it does not fit.
    fn from_message(message: Message) -> Result<Self, Error>;
}

/// Messages of either kind.
impl FromMessage for Message {
    fn from_message(message: Message) -> Result<Self, Error> {
        Ok(message)
    }
}

/// Text messages.
impl FromMessage for String {
    fn from_message(message: Message) -> Result<Self, Error> {
        match message {
            Message::Text(text) => Ok(text),
            Message::Binary(_) => Err(Error::WrongKind(ConnectionTag::default())),
        }
    }
}

/// Binary messages.
impl FromMessage for Vec<u8> {
    fn from_message(message: Message) -> Result<Self, Error> {
        match message {
            Message::Binary(octets) => Ok(octets),
            Message::Text(_) => Err(Error::WrongKind(ConnectionTag::default())),
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
