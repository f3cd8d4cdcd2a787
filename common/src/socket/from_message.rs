//! Converts messages to the types that handlers want.
//! RFC 6455 sections 5.6 (text, binary) and 7.4.1 (1003, 1007).
//! Knows no connection: a message becomes a value, or an error that knows its close code.

use crate::error::{Error, KindError, Result};
use crate::socket::read_ahead::Control;
use sansws_core::frame::MessageKind;
use sansws_core::message::Message;

/// An event from the peer: a message, or a control frame for applications that want them.
///
/// For an example see `WebSocket::receive_event`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketEvent {
    /// A whole message.
    Message(Message),
    /// A ping. The pong has been sent, unless [`Config::auto_pong`](sansws_core::config::Config::auto_pong) is off.
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
            Control::Ping(bytes) => Self::Ping(bytes),
            Control::Pong(bytes) => Self::Pong(bytes),
        }
    }
}

/// A type that a message can be converted to.
///
/// For your own type, return [`Error::close`] if the message is at fault, as in `Error::close(CloseCode::INVALID, "no such command")`: any
/// other error is a failure of the application.
///
/// ```
/// use sansws_common::{Error, FromMessage};
/// use sansws_core::close::CloseCode;
/// use sansws_core::message::Message;
///
/// #[derive(Debug, PartialEq)]
/// enum Command {
///     Join(String),
///     Leave,
/// }
///
/// impl FromMessage for Command {
///     fn from_message(message: Message) -> Result<Self, Error> {
///         let text = String::from_message(message)?;
///         match text.split_once(' ') {
///             Some(("join", room)) => Ok(Self::Join(room.into())),
///             None if text == "leave" => Ok(Self::Leave),
///             _ => Err(Error::close(CloseCode::INVALID, "no such command").into()),
///         }
///     }
/// }
///
/// // `socket.messages::<Command>()` yields them.
/// let command = Command::from_message(Message::from("join lobby"))?;
/// assert_eq!(command, Command::Join("lobby".into()));
/// assert!(Command::from_message(Message::from("dance")).is_err());
/// # Ok::<(), Error>(())
/// ```
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

/// Accepts messages of either kind, whose payload is not copied.
#[cfg(feature = "bytes")]
impl FromMessage for bytes::Bytes {
    fn from_message(message: Message) -> Result<Self, Error> {
        Ok(message.into())
    }
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
            Message::Binary(bytes) => Ok(bytes),
            Message::Text(_) => Err(Error::WrongKind(KindError::new(MessageKind::Binary))),
        }
    }
}

/// A value as JSON, in a message of either kind.
///
/// ```
/// use sansws_common::{Error, FromMessage, Json};
/// use sansws_core::message::Message;
///
/// let message = Message::from(r#"[["ada", 3], ["bob", 5]]"#);
/// let Json(scores) = Json::<Vec<(String, u32)>>::from_message(message)?;
/// assert_eq!(scores[1], ("bob".into(), 5));
/// let wrong = Json::<u32>::from_message(Message::from("many"));
/// assert!(matches!(wrong, Err(Error::Json(_))));
/// # Ok::<(), Error>(())
/// ```
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
