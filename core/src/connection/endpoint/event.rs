//! The events of an endpoint.
//! RFC 6455 sections 4.1, 4.2.1, 5.5 and 6.2.
//! Knows only values; those of messages borrow the caller's bytes, never the endpoint.

use alloc::boxed::Box;

use thiserror::Error;

use super::super::event::Event as Received;
use crate::close::CloseFrame;
use crate::error::Violation;
use crate::handshake::{Failure, Opened, Refusal, Request};
use crate::http::Response;
use crate::message::Chunk;

/// The result of processing input.
///
/// For an example see [`Endpoint`](super::Endpoint).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointEvent<'b> {
    /// On a server: a valid WebSocket request. Call [`accept`](super::Endpoint::accept) or [`refuse`](super::Endpoint::refuse), at once
    /// or later.
    Request(Box<Request>),
    /// On a client: the server has accepted, and messages may be sent.
    Open(Box<Opened>),
    /// On a client: the server answered with another status, possibly with a [redirect](Response::location). The endpoint is over.
    Refused(Box<Response>),
    /// A whole text message.
    Text(&'b str),
    /// A whole binary message.
    Binary(&'b [u8]),
    /// A chunk of a message; see [`Connection::receive_piece`](crate::connection::Connection::receive_piece).
    Piece(Chunk<'b>),
    /// A ping; the pong is already queued, unless [`Config::auto_pong`](crate::config::Config::auto_pong) is off.
    Ping(&'b [u8]),
    /// A pong, solicited or not.
    Pong(&'b [u8]),
    /// The peer's Close frame; the answer is already queued. No event follows.
    Close(CloseFrame<'b>),
}

impl<'b> From<Received<'b>> for EndpointEvent<'b> {
    fn from(event: Received<'b>) -> Self {
        match event {
            Received::Text(text) => Self::Text(text),
            Received::Binary(bytes) => Self::Binary(bytes),
            Received::Piece(piece) => Self::Piece(piece),
            Received::Ping(bytes) => Self::Ping(bytes),
            Received::Pong(bytes) => Self::Pong(bytes),
            Received::Close(close) => Self::Close(close),
        }
    }
}

/// An error of the peer. The answer to it, if any, is queued.
///
/// ```
/// use sansws_core::config::Config;
/// use sansws_core::connection::Endpoint;
/// use sansws_core::connection::endpoint::PeerError;
/// use sansws_core::handshake::Refusal;
/// use sansws_core::message::Assembly;
/// use sansws_core::time::Instant;
///
/// let mut server = Endpoint::server(Config::default().into(), Instant::ZERO);
/// let mut input = *b"GET / HTTP/1.0\r\n\r\n";
/// let mut assembly = Assembly::default();
/// let error = server.receive(Instant::ZERO, &mut input, &mut assembly).unwrap_err();
/// assert_eq!(error, PeerError::Request(Refusal::HttpVersion));
/// assert!(server.take_output(Vec::new()).starts_with(b"HTTP/1.1 505 ")); // the answer
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum PeerError {
    /// On a server: the request is not acceptable, or ended before it was complete.
    #[error(transparent)]
    Request(#[from] Refusal),
    /// On a client: the answer breaks the rules of the opening handshake, or never arrived.
    #[error(transparent)]
    Response(#[from] Failure),
    /// A frame or a message breaks the protocol, or a limit.
    #[error(transparent)]
    Protocol(#[from] Violation),
}
