//! Messages of a loop: received ones borrow its buffers, sent ones borrow those of the application.
//! RFC 6455 section 5.6.
//! Knows no connection.

use sansws_common::Error;
use sansws_common::KindError;
use sansws_core::message::{Assembly, Message, MessageKind, Payload, PreparedMessage};

/// A message of the peer. It borrows the buffers of the loop, and is gone when the callback returns.
///
/// ```
/// use sansws_mio::{Incoming, MessageKind, Result, Socket};
///
/// /// An endpoint: adds numbers, and sends files back.
/// fn message(socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
///     match message.kind() {
///         MessageKind::Text => {
///             let sum: i64 = message.text()?.split('+').map(str::parse::<i64>).sum::<Result<_, _>>()?;
///             let _ = socket.send(sum.to_string());
///         }
///         MessageKind::Binary => {
///             let _ = socket.send(message); // not copied if it is long
///         }
///     }
///     Ok(())
/// }
/// # drop(sansws_mio::Router::new().route("/", message));
/// ```
#[derive(Debug)]
pub struct Incoming<'a>(Source<'a>);

#[derive(Debug)]
enum Source<'a> {
    /// It lies in the input as a whole.
    Lent(Payload<'a>),
    /// It was put together from several reads or frames, or decompressed.
    Assembled(MessageKind, &'a mut Assembly),
}

impl<'a> Incoming<'a> {
    pub(crate) const fn lent(payload: Payload<'a>) -> Self {
        Self(Source::Lent(payload))
    }

    pub(crate) const fn assembled(kind: MessageKind, assembly: &'a mut Assembly) -> Self {
        Self(Source::Assembled(kind, assembly))
    }

    /// Returns its content.
    pub fn payload(&self) -> Payload<'_> {
        match &self.0 {
            Source::Lent(payload) => *payload,
            Source::Assembled(kind, assembly) => assembly.payload(*kind),
        }
    }

    /// Returns whether it is text or binary.
    pub fn kind(&self) -> MessageKind {
        self.payload().kind()
    }

    /// Returns its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.payload().as_bytes()
    }

    /// Returns its length in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the text.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when it is binary: a callback that fails with that closes with 1003.
    pub fn text(&self) -> Result<&str, Error> {
        match self.payload() {
            Payload::Text(text) => Ok(text),
            Payload::Binary(_) => Err(Error::WrongKind(KindError::new(MessageKind::Text))),
        }
    }

    /// Returns the bytes of a binary message.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when it is text: a callback that fails with that closes with 1003.
    pub fn binary(&self) -> Result<&[u8], Error> {
        match self.payload() {
            Payload::Binary(bytes) => Ok(bytes),
            Payload::Text(_) => Err(Error::WrongKind(KindError::new(MessageKind::Binary))),
        }
    }

    /// Parses a message of either kind as JSON; the value may borrow from it.
    ///
    /// # Errors
    /// [`Error::Json`]: a callback that fails with that closes with 1007.
    #[cfg(feature = "json")]
    pub fn json<'s, V: serde::Deserialize<'s>>(&'s self) -> Result<V, Error> {
        Ok(serde_json::from_slice(self.as_bytes())?)
    }

    /// Returns it as a value to keep. A message that did not arrive in one piece is not copied.
    pub fn into_message(self) -> Message {
        match self.0 {
            Source::Lent(payload) => payload.to_message(),
            Source::Assembled(MessageKind::Text, assembly) => Message::Text(assembly.take_text()),
            Source::Assembled(MessageKind::Binary, assembly) => {
                Message::Binary(assembly.take_bytes())
            }
        }
    }
}

/// A message to send: anything that a message can be made of, borrowed or owned, or a prepared message.
///
/// An owned message of 8 KiB or more, and a prepared one, are queued without a copy; everything else is copied into the output.
///
/// ```
/// use sansws_mio::{ConnectionId, Loop, PreparedMessage};
///
/// fn greet(within: &mut Loop, id: ConnectionId, news: &PreparedMessage) {
///     for sent in [
///         within.send(id, "borrowed"),
///         within.send(id, format!("owned {}", 1)),
///         within.send(id, vec![1, 2, 3]),
///         within.send(id, news), // framed once for all
///     ] {
///         println!("{sent:?}");
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Outgoing<'a>(pub(crate) Form<'a>);

impl Outgoing<'_> {
    /// Returns its kind and its bytes.
    pub(crate) fn parts(&self) -> (MessageKind, &[u8]) {
        match &self.0 {
            Form::Payload(payload) => (payload.kind(), payload.as_bytes()),
            Form::Owned(message) => (message.kind(), message.as_bytes()),
            Form::Prepared(prepared) => (prepared.kind(), prepared.payload()),
        }
    }
}

#[derive(Debug)]
pub(crate) enum Form<'a> {
    Payload(Payload<'a>),
    Owned(Message),
    Prepared(&'a PreparedMessage),
}

impl<'a> From<Payload<'a>> for Outgoing<'a> {
    fn from(payload: Payload<'a>) -> Self {
        Self(Form::Payload(payload))
    }
}

impl<'a> From<&'a str> for Outgoing<'a> {
    fn from(text: &'a str) -> Self {
        Payload::Text(text).into()
    }
}

impl<'a> From<&'a [u8]> for Outgoing<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Payload::Binary(bytes).into()
    }
}

impl<'a> From<&'a Message> for Outgoing<'a> {
    fn from(message: &'a Message) -> Self {
        match message {
            Message::Text(text) => text.as_str().into(),
            Message::Binary(bytes) => bytes.as_slice().into(),
        }
    }
}

impl<'a> From<&'a PreparedMessage> for Outgoing<'a> {
    fn from(prepared: &'a PreparedMessage) -> Self {
        Self(Form::Prepared(prepared))
    }
}

impl From<Message> for Outgoing<'_> {
    fn from(message: Message) -> Self {
        Self(Form::Owned(message))
    }
}

impl From<String> for Outgoing<'_> {
    fn from(text: String) -> Self {
        Message::Text(text).into()
    }
}

impl From<Vec<u8>> for Outgoing<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Message::Binary(bytes).into()
    }
}

/// Length up to which a message that was put together is copied into the output: the buffers on both sides stay.
const COPIED: usize = 64 << 10;

/// Sends a message back, or on: a long one is not copied.
impl<'a> From<Incoming<'a>> for Outgoing<'a> {
    fn from(message: Incoming<'a>) -> Self {
        match message.0 {
            Source::Lent(payload) => payload.into(),
            // Copying is cheaper than a new buffer for the next message.
            Source::Assembled(kind, assembly)
                if assembly.payload(kind).as_bytes().len() <= COPIED =>
            {
                let assembly: &'a Assembly = assembly;
                assembly.payload(kind).into()
            }
            Source::Assembled(..) => message.into_message().into(),
        }
    }
}

/// The result of sending a message.
///
/// ```
/// use sansws_mio::{Incoming, Result, Sent, Socket};
///
/// /// An endpoint: sends back what it gets, at the pace of the peer.
/// fn echo(socket: &mut Socket<'_, ()>, message: Incoming<'_>) -> Result {
///     match socket.send(message) {
///         Sent::Sent | Sent::Queued => {}
///         Sent::Full => println!("{:?} reads too slowly: {} bytes wait", socket.id(), socket.queued()),
///         Sent::Closed => println!("it has left"),
///     }
///     Ok(())
/// }
/// # drop(sansws_mio::Router::new().route("/", echo));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a message that found no room, or whose connection is closing, is not sent"]
pub enum Sent {
    /// It leaves at the end of the turn, together with everything else that the turn makes for the connection.
    Sent,
    /// It is accepted, but the peer does not take its output: it waits behind unsent bytes. Stop until
    /// [`Endpoint::drained`](crate::Endpoint::drained), or the queue grows up to [`Limits::write_queue`](crate::Limits::write_queue).
    Queued,
    /// It is not accepted: the queue is full. [`Endpoint::drained`](crate::Endpoint::drained) tells when there is room.
    Full,
    /// It is not accepted: the connection is closing or gone, or not open yet, or a message that is sent in chunks is not finished.
    Closed,
}

impl Sent {
    /// Returns whether the message was accepted.
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::Sent | Self::Queued)
    }
}
