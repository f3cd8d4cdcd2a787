//! What an endpoint tells its caller.
//! RFC 6455 sections 4.1, 4.2.1, 5.5 and 6.2.
//! Knows nothing but values; those of messages borrow the caller's octets, never the endpoint.

use alloc::boxed::Box;

use thiserror::Error;

use super::super::event::Event as Received;
use crate::close::CloseFrame;
use crate::error::Violation;
use crate::handshake::{Failure, Opened, Refusal, Request};
use crate::http::Response;
use crate::message::Chunk;

/// What came of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'b> {
    /// On a server: a valid request for a WebSocket. Call [`accept`](super::Endpoint::accept) or [`refuse`](super::Endpoint::refuse), at once or later.
    Request(Box<Request>),
    /// On a client: the server has accepted, and messages may be sent.
    Open(Box<Opened>),
    /// On a client: the server answered with something else, perhaps with [where to go](Response::location). It is over.
    Refused(Box<Response>),
    /// A whole text message.
    Text(&'b str),
    /// A whole binary message.
    Binary(&'b [u8]),
    /// Part of a message; see [`Connection::receive_piece`](crate::connection::Connection::receive_piece).
    Piece(Chunk<'b>),
    /// A ping; the pong is already queued, unless [`AutoPong::Off`](crate::config::AutoPong::Off).
    Ping(&'b [u8]),
    /// A pong, whether asked for or not.
    Pong(&'b [u8]),
    /// The peer's Close frame; the answer is already queued. Nothing else follows.
    Close(CloseFrame<'b>),
}

impl<'b> From<Received<'b>> for Event<'b> {
    fn from(event: Received<'b>) -> Self {
        match event {
            Received::Text(text) => Self::Text(text),
            Received::Binary(octets) => Self::Binary(octets),
            Received::Piece(piece) => Self::Piece(piece),
            Received::Ping(octets) => Self::Ping(octets),
            Received::Pong(octets) => Self::Pong(octets),
            Received::Close(close) => Self::Close(close),
        }
    }
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

impl Step<'_> {
    pub(super) const fn nothing(consumed: usize) -> Self {
        Self {
            consumed,
            event: None,
            assembled: false,
        }
    }
}

/// What the peer did wrong. What there is to say to it is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum PeerError {
    /// On a server: the request is none that can be taken, or ended before it was whole.
    #[error(transparent)]
    Request(#[from] Refusal),
    /// On a client: the answer breaks the rules of the opening handshake, or never came.
    #[error(transparent)]
    Response(#[from] Failure),
    /// A frame or a message breaks the protocol, or a limit.
    #[error(transparent)]
    Protocol(#[from] Violation),
}
