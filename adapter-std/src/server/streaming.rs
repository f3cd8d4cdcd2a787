//! Responses whose bodies are written while they are made.
//! RFC 9112 section 7.1 (chunked transfer coding).
//! Knows no route. Input that arrives meanwhile is kept for the next request.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::Arc;

use sansws_common::contain::contain;
use sansws_common::error::{Error, HandlerError, Result};
use sansws_common::metrics::trace;
use sansws_common::server::answer::{encodable, failed};
use sansws_common::{Scope, ServerHandle};
use sansws_core::config::Timeouts;
use sansws_core::handshake::Refusal;
use sansws_core::http::Response;
use sansws_core::internal::{LAST_CHUNK, MAX_MEANWHILE, write_chunk};
use sansws_core::route::Pattern;

use crate::clock::now;
use crate::stream::{ByteStream, Stream};
use crate::wire::Wire;

/// A response whose body is an iterator over chunks, written as they come.
///
/// The iterator is asked for a chunk only when everything before has been written, so that a peer that reads slowly slows it down. It runs on
/// the thread of its connection, and may wait; whether the peer has left, and whether the server closes, is looked at before each chunk. It is
/// dropped when the peer is gone or sends more than 64 KiB, when the server closes, or when the peer has not taken a chunk after
/// [`Timeouts::keep_alive`](crate::Timeouts::keep_alive) and another second for each KiB. A panic of the iterator ends the connection without
/// the end of the body, which the peer notices.
///
/// ```
/// # use std::io::{Read, Write};
/// use sansws_std::{Response, Result, Router, Scope, StreamedResponse, app};
///
/// fn report(_: Scope) -> Result<StreamedResponse> {
///     let head = Response::new(200).with("Content-Type", "text/csv");
///     // Rows that are made one at a time.
///     let rows = (1..=3_u32).map(|row| format!("{row},{}\n", row * row).into_bytes());
///     Ok(StreamedResponse::new(head, rows))
/// }
///
/// # fn main() -> Result {
/// let router = Router::new().add(app::streamed(["GET"], "/report", report));
/// # let mut server = sansws_std::Server::bind("127.0.0.1:0")?;
/// # let (address, handle) = (server.local_addr()?, server.handle());
/// # let client = std::thread::spawn(move || {
/// #     let mut stream = std::net::TcpStream::connect(address).unwrap();
/// #     let request = b"GET /report HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
/// #     stream.write_all(request).unwrap();
/// #     let mut answer = String::new();
/// #     stream.read_to_string(&mut answer).unwrap();
/// #     assert!(answer.ends_with("\r\n\r\n4\r\n1,1\n\r\n4\r\n2,4\n\r\n4\r\n3,9\n\r\n0\r\n\r\n"));
/// #     handle.close();
/// # });
/// # server.serve(router)?;
/// # client.join().unwrap();
/// # Ok(())
/// # }
/// ```
pub struct StreamedResponse {
    head: Response,
    body: Body,
}

type Body = Box<dyn Iterator<Item = Vec<u8>>>;

/// A page whose responses are streamed.
pub(crate) type StreamedPage = Arc<dyn Fn(Scope) -> Result<StreamedResponse> + Send + Sync>;

impl StreamedResponse {
    /// Creates a response with the status and fields of `head`. Empty chunks are left out.
    pub fn new(head: Response, body: impl Iterator<Item = Vec<u8>> + 'static) -> Self {
        Self {
            head,
            body: Box::new(body),
        }
    }
}

impl fmt::Debug for StreamedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedResponse")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// The body of a response, with the guards that end with it.
pub(super) struct Streaming {
    body: Option<Body>,
    route: Option<Pattern>,
    _guards: Vec<Box<dyn Any + Send + Sync>>,
}

/// Returns the head of a page's response, and its body; without one, it is the whole response to a page that failed.
pub(super) fn answer_of(
    page: &StreamedPage,
    mut scope: Scope,
    handle: &ServerHandle,
) -> (Response, Option<Streaming>) {
    let route = scope.pattern().cloned();
    let guards = scope.take_held();
    let answered = contain(|| page(scope)).map_err(HandlerError::from);
    let StreamedResponse { head, body } = match answered.and_then(|answer| answer) {
        Ok(streamed) => streamed,
        Err(error) => {
            // They are application code.
            if contain(|| drop(guards)).is_err() {
                let _ = contain(|| tracing::error!("dropping the guards of a page panicked"));
            }
            return (failed(&error, route.as_ref(), handle), None);
        }
    };
    let streaming = Streaming {
        body: Some(body),
        route,
        _guards: guards,
    };
    match encodable(head) {
        Ok(head) => (head, Some(streaming)),
        Err(instead) => (instead, None),
    }
}

impl Streaming {
    /// Writes a head, then chunks until the body ends. Returns whether it did: a peer that goes before is no failure, and a panic is one of
    /// the application, which is counted and logged.
    ///
    /// # Errors
    /// When the stream fails, or the peer takes too long.
    pub(super) fn write(
        mut self,
        wire: &mut Wire<Stream>,
        head: Vec<u8>,
        handle: &ServerHandle,
        timeouts: &Timeouts,
    ) -> Result<bool, Error> {
        match self.write_chunks(wire, head, handle, timeouts) {
            Err(Error::Panic) => {
                trace::page_failed(&Error::Panic.into(), self.route.as_ref(), handle);
                Ok(false)
            }
            written => written,
        }
    }

    fn write_chunks(
        &mut self,
        wire: &mut Wire<Stream>,
        mut out: Vec<u8>,
        handle: &ServerHandle,
        timeouts: &Timeouts,
    ) -> Result<bool, Error> {
        loop {
            if !is_there(wire)? {
                return Ok(false);
            }
            put(wire, &mut out, timeouts)?;
            let Some(body) = &mut self.body else {
                return Ok(true);
            };
            let next = if handle.is_closing() {
                None
            } else {
                contain(|| body.next())?
            };
            match next {
                Some(chunk) => write_chunk(&chunk, &mut out),
                None => {
                    out.extend_from_slice(LAST_CHUNK);
                    put(wire, &mut out, timeouts)?;
                    // It is application code, whose end no longer matters to the peer.
                    if contain(|| self.body = None).is_err() {
                        trace::page_failed(&Error::Panic.into(), self.route.as_ref(), handle);
                    }
                    return Ok(true);
                }
            }
        }
    }
}

/// It is application code.
impl Drop for Streaming {
    fn drop(&mut self) {
        let values = (self.body.take(), std::mem::take(&mut self._guards));
        if contain(|| drop(values)).is_err() {
            let _ = contain(|| tracing::error!("dropping the body of a response panicked"));
        }
    }
}

/// Writes, for as long as the peer may take for this.
fn put(wire: &mut Wire<Stream>, out: &mut Vec<u8>, timeouts: &Timeouts) -> Result<(), Error> {
    let late = now() + timeouts.to_take(out.len());
    match wire.write(out, Some(late)) {
        Err(Error::ConnectTimeout(_)) => Err(Refusal::Timeout.into()),
        written => written,
    }
}

/// Returns whether a peer is still there. Its input is kept for later, but not without end.
fn is_there(wire: &mut Wire<Stream>) -> Result<bool, Error> {
    loop {
        let most = MAX_MEANWHILE.saturating_sub(wire.unread.bytes().len());
        if most == 0 {
            return Ok(false);
        }
        let room = wire.unread.room();
        let most = most.min(room.len());
        let room = room.get_mut(..most).unwrap_or_default();
        match wire.stream.read_some(room) {
            Ok(0) => return Ok(false),
            Ok(count) => wire.unread.filled(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
