//! Messages: what applications exchange.
//! RFC 6455 sections 5.4 (fragments) and 5.6 (kinds).
//! Knows no frame header: only kinds, chunks, and the buffer that assembles chunks.

#[cfg(any(feature = "bytes", feature = "tungstenite"))]
mod foreign;
mod prepared;
mod stream;

pub use prepared::PreparedMessage;
pub use stream::StreamFormat;

use alloc::string::String;
use alloc::vec::Vec;

use crate::copy::{append, append_text, copied, copied_text};

pub use crate::frame::MessageKind;

/// A whole message, owned.
///
/// Pings, pongs and closes are not messages: section 5.5 calls them control frames.
///
/// ```
/// use sansws_core::message::{Message, MessageKind};
///
/// let (text, binary) = (Message::from("café"), Message::from(vec![1, 2, 3]));
/// assert_eq!((text.as_text(), text.len()), (Some("café"), 5));
/// assert_eq!((binary.kind(), binary.as_bytes()), (MessageKind::Binary, &[1, 2, 3][..]));
/// match text {
///     Message::Text(text) => assert_eq!(text, "café"),
///     Message::Binary(bytes) => println!("{} bytes", bytes.len()),
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// UTF-8.
    Text(String),
    /// Any bytes.
    Binary(Vec<u8>),
}

impl Message {
    /// Returns whether it is text or binary.
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// Returns its bytes.
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes.as_slice(),
        }
    }

    /// Returns its bytes, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns the text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Lends its content.
    pub const fn payload(&self) -> Payload<'_> {
        match self {
            Self::Text(text) => Payload::Text(text.as_str()),
            Self::Binary(bytes) => Payload::Binary(bytes.as_slice()),
        }
    }

    /// Returns its length in bytes.
    pub const fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether it is empty.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Replaces the message by a copy of this one, in the memory that it has, which grows if need be.
    pub fn assign(&mut self, payload: Payload<'_>) {
        let memory = core::mem::replace(self, Self::Binary(Vec::new())).into_bytes();
        *self = payload.to_message_in(memory);
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(copied_text(text))
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(copied(bytes))
    }
}

/// The content of a message or of a chunk, borrowed.
///
/// ```
/// use sansws_core::message::{Message, Payload};
///
/// fn length(payload: Payload<'_>) -> usize {
///     match payload {
///         Payload::Text(text) => text.chars().count(),
///         Payload::Binary(bytes) => bytes.len(),
///     }
/// }
///
/// assert_eq!(length("café".into()), 4);
/// assert_eq!(length(Payload::Binary(&[0; 3])), 3);
/// assert_eq!(Payload::Text("hi").to_message(), Message::from("hi"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Valid UTF-8.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// Returns whether it is text or binary.
    pub const fn kind(self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// Returns its bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns an owned copy.
    pub fn to_message(self) -> Message {
        match self {
            Self::Text(text) => Message::Text(copied_text(text)),
            Self::Binary(bytes) => Message::Binary(copied(bytes)),
        }
    }

    /// Returns an owned copy in this memory, which is cleared first, and grows if need be.
    #[inline]
    pub fn to_message_in(self, mut memory: Vec<u8>) -> Message {
        memory.clear();
        match self {
            Self::Text(text) => {
                // Empty memory is always text.
                let mut owned = String::from_utf8(memory).unwrap_or_default();
                append_text(&mut owned, text);
                Message::Text(owned)
            }
            Self::Binary(bytes) => {
                append(&mut memory, bytes);
                Message::Binary(memory)
            }
        }
    }
}

impl<'a> From<&'a str> for Payload<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a> From<&'a Message> for Payload<'a> {
    fn from(message: &'a Message) -> Self {
        message.payload()
    }
}

/// A chunk of a message that is received as it arrives. Text is split between characters.
///
/// Chunks follow the arrival of bytes, not the frames of the peer: fragmentation has no meaning (section 5.4).
///
/// ```
/// use sansws_core::config::Config;
/// use sansws_core::connection::{Connection, Event};
/// use sansws_core::handshake::Agreement;
/// use sansws_core::message::{Assembly, Payload};
/// use sansws_core::time::Instant;
///
/// let config = Config::default().into();
/// let mut server = Connection::server(config, &Agreement::default(), Instant::ZERO);
/// let mut assembly = Assembly::default();
/// // The first 2 of 5 bytes, with a mask of zeros.
/// let mut input = *b"\x81\x85\0\0\0\0He";
/// let step = server.receive_piece(Instant::ZERO, &mut input, &mut assembly)?;
/// let Some(Event::Piece(chunk)) = step.event else { panic!("a chunk") };
/// assert_eq!(chunk.payload, Payload::Text("He"));
/// assert!(chunk.first && !chunk.last);
/// # Ok::<(), sansws_core::error::Violation>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The data that arrived; may be empty.
    pub payload: Payload<'a>,
    /// Whether the message starts here.
    pub first: bool,
    /// Whether it ends here.
    pub last: bool,
}

/// The buffer for a message that does not arrive whole, or arrives compressed.
///
/// It belongs to the caller, so that events borrow from it and never from the connection. It holds no memory until it is needed, grows with
/// the received data, and keeps at most 64 KiB from one message to the next.
///
/// ```
/// use sansws_core::config::Config;
/// use sansws_core::connection::{Connection, Event};
/// use sansws_core::handshake::Agreement;
/// use sansws_core::message::Assembly;
/// use sansws_core::time::Instant;
///
/// let config = Config::default().into();
/// let mut server = Connection::server(config, &Agreement::default(), Instant::ZERO);
/// let mut assembly = Assembly::default();
/// // A message in two frames, with masks of zeros.
/// let mut input = *b"\x01\x82\0\0\0\0He\x80\x83\0\0\0\0llo";
/// let step = server.receive(Instant::ZERO, &mut input, &mut assembly)?;
/// assert_eq!((step.event, step.assembled), (Some(Event::Text("Hello")), true));
/// let owned: String = assembly.take_text(); // without a copy
/// assert_eq!(owned, "Hello");
/// # Ok::<(), sansws_core::error::Violation>(())
/// ```
#[derive(Debug, Default)]
pub struct Assembly {
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
    /// The content was taken: the next part starts a new message.
    pub(crate) stale: bool,
}

const KEPT: usize = 64 << 10;

impl Assembly {
    /// Takes the text, without a copy. Call it after a step whose `assembled` is set.
    pub fn take_text(&mut self) -> String {
        core::mem::take(&mut self.text)
    }

    /// Takes the bytes, without a copy. Call it after a step whose `assembled` is set.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.bytes)
    }

    /// Returns the number of bytes of memory held.
    pub const fn capacity(&self) -> usize {
        self.text.capacity() + self.bytes.capacity()
    }

    /// Returns the number of bytes of an unfinished message.
    #[doc(hidden)]
    pub const fn pending_bytes(&self) -> usize {
        if self.stale {
            0
        } else {
            self.text.len() + self.bytes.len()
        }
    }

    /// Frees the memory if nothing is held.
    pub fn release(&mut self) {
        if self.pending_bytes() == 0 {
            *self = Self::default();
        }
    }

    #[inline]
    pub(crate) fn freshen(&mut self) {
        if self.stale {
            self.discard();
        }
    }

    fn discard(&mut self) {
        self.stale = false;
        self.text.clear();
        self.bytes.clear();
        self.text.shrink_to(KEPT);
        self.bytes.shrink_to(KEPT);
    }

    /// Returns the content: after a step whose `assembled` is set, the message.
    pub fn payload(&self, kind: MessageKind) -> Payload<'_> {
        match kind {
            MessageKind::Text => Payload::Text(&self.text),
            MessageKind::Binary => Payload::Binary(&self.bytes),
        }
    }
}
