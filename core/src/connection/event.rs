//! The events of a connection.
//! RFC 6455 sections 5.5 and 6.2.
//! Knows only values; they borrow the caller's bytes, never the connection.

use crate::close::CloseFrame;
use crate::message::Chunk;

/// An event caused by the peer.
///
/// For an example see [`Connection`](super::Connection).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'b> {
    /// A whole text message.
    Text(&'b str),
    /// A whole binary message.
    Binary(&'b [u8]),
    /// A chunk of a message; only from [`receive_piece`](super::Connection::receive_piece), and for the rest of a message of which a
    /// chunk was already returned.
    Piece(Chunk<'b>),
    /// A ping; the pong is already queued, unless [`Config::auto_pong`](crate::config::Config::auto_pong) is off.
    Ping(&'b [u8]),
    /// A pong, solicited or not.
    Pong(&'b [u8]),
    /// The peer's Close frame; the answer is already queued. No event follows.
    Close(CloseFrame<'b>),
}

/// One step through the input.
///
/// The events are those of a connection or, from the first byte on, those of an endpoint. For an example see
/// [`Connection`](super::Connection).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "`consumed` bytes must be dropped from the front of the input"]
pub struct Step<E> {
    /// Number of bytes at the front of the input that are processed, once the event is dropped.
    pub consumed: usize,
    /// The event; `None` when more input is needed.
    pub event: Option<E>,
    /// Whether the event's message is in the assembly: take it from there to own it without a copy.
    pub assembled: bool,
}

impl<E> Step<E> {
    /// Returns the step without an event.
    pub(super) const fn nothing(consumed: usize) -> Self {
        Self {
            consumed,
            event: None,
            assembled: false,
        }
    }
}
