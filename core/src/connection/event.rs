//! What a connection tells its caller.
//! RFC 6455 sections 5.5 and 6.2.
//! Knows nothing but values; they borrow the caller's octets, never the connection.

use crate::close::CloseFrame;
use crate::message::Chunk;

/// Something the peer said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'b> {
    /// A whole text message.
    Text(&'b str),
    /// A whole binary message.
    Binary(&'b [u8]),
    /// Part of a message; only from [`receive_piece`](super::Connection::receive_piece), and for the rest of a message
    /// of which a piece was handed out.
    Piece(Chunk<'b>),
    /// A ping; the pong is already queued, unless [`AutoPong::Off`](crate::config::AutoPong::Off).
    Ping(&'b [u8]),
    /// A pong, whether asked for or not.
    Pong(&'b [u8]),
    /// The peer's Close frame; the answer is already queued. Nothing else follows.
    Close(CloseFrame<'b>),
}

/// One step through the input.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "`consumed` octets must be dropped from the front of the input"]
pub struct Step<'b> {
    /// Octets at the front of the input that are done with, once the event is dropped.
    pub consumed: usize,
    /// What they said; `None` when more input is needed.
    pub event: Option<Event<'b>>,
    /// The event's message lies in the assembly: take it out there to own it without a copy.
    pub assembled: bool,
}
