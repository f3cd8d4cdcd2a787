//! Responses whose bodies are written while they are made.
//! RFC 9112 section 7.1 (chunked transfer coding).
//! Knows no route. What the peer sends meanwhile is kept for the next request.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::contain::contain;
use crate::error::{Error, Result};
use crate::server::handle::ServerHandle;
use crate::socket::buffer::Unread;
use crate::socket::exchange::{Peer, look_at_peer};
use crate::transport::Transport;
use sansws_core::config::Config;
use sansws_core::handshake::Refusal;
use sansws_core::http::Response;
use sansws_core::internal::{LAST_CHUNK, write_chunk};
use sansws_core::time::Instant;

/// Number of chunks after which a task lets others run.
const CHUNKS: usize = 32;

/// A response whose body is a stream of chunks, written as they come.
///
/// The stream is polled only when everything before has been written, so that a peer that reads slowly slows it down. It is dropped when the
/// peer is gone or sends more than 64 KiB, when the server closes, or when the peer has not taken a chunk after
/// [`Timeouts::keep_alive`](sansws_core::config::Timeouts) and another second for each KiB. A panic of the stream ends the connection without the end of the body, which the peer notices.
///
/// ```
/// use std::ops::RangeInclusive;
/// use std::pin::Pin;
/// use std::task::{Context, Poll};
/// use futures_core::Stream;
/// use sansws_async::app::{Route, Router};
/// use sansws_async::test_kit::{MemoryTransport, TestServer};
/// use sansws_async::{Response, Result, Scope, ServerOptions, StreamedResponse};
///
/// /// Rows that are made one at a time.
/// struct Rows(RangeInclusive<u32>);
///
/// impl Stream for Rows {
///     type Item = Vec<u8>;
///
///     fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
///         let row = self.0.next();
///         Poll::Ready(row.map(|row| format!("{row},{}\n", row * row).into_bytes()))
///     }
/// }
///
/// async fn report(_: Scope) -> Result<StreamedResponse> {
///     let head = Response::new(200).with("Content-Type", "text/csv");
///     Ok(StreamedResponse::new(head, Rows(1..=3)))
/// }
///
/// # async fn run() -> Result {
/// let router = Router::new().add(Route::streamed(["GET"], "/report", report));
/// let server = TestServer::over(router, ServerOptions::default(), MemoryTransport::new)?;
/// let response = server.get("/report").await?;
/// assert_eq!(response.body, b"1,1\n2,4\n3,9\n");
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
pub struct StreamedResponse {
    pub(crate) head: Response,
    body: Body,
}

type Body = Pin<Box<dyn Stream<Item = Vec<u8>> + Send>>;

impl StreamedResponse {
    /// Creates a response with the status and fields of `head`. Empty chunks are left out.
    pub fn new(head: Response, body: impl Stream<Item = Vec<u8>> + Send + 'static) -> Self {
        Self {
            head,
            body: Box::pin(body),
        }
    }

    /// Keeps values as long as the stream.
    pub(crate) fn holding(self, guards: Vec<Box<dyn Any + Send + Sync>>) -> Self {
        if guards.is_empty() {
            return self;
        }
        Self::new(
            self.head,
            Guarded {
                body: self.body,
                _guards: guards,
            },
        )
    }
}

/// A body, and values that end with it.
struct Guarded {
    body: Body,
    _guards: Vec<Box<dyn Any + Send + Sync>>,
}

impl Stream for Guarded {
    type Item = Vec<u8>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        self.body.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for StreamedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedResponse")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// The answer of a page.
///
/// For an example see [`StreamedResponse`]: a page returns either kind.
#[derive(Debug)]
pub enum PageReply {
    /// A response in memory.
    Whole(Response),
    /// A response whose body is written while it is made.
    Streamed(StreamedResponse),
}

/// Writes a head, then chunks until the stream ends. Returns whether it did: a peer that goes before is no failure.
///
/// # Errors
/// When the transport fails, the peer takes too long, or the stream panicked.
pub(crate) async fn write_streamed<T: Transport>(
    transport: &mut T,
    unread: &mut Unread,
    (head, streamed): (Vec<u8>, StreamedResponse),
    handle: &ServerHandle,
    config: &Config,
) -> Result<bool, Error> {
    let mut writing = Writing {
        body: Some(streamed.body),
        out: head,
        written: 0,
        late: None,
        is_done: false,
    };
    let result = poll_fn(|cx| writing.poll(transport, unread, handle, config, cx)).await;
    // It is application code.
    let dropped = contain(|| writing.body = None);
    dropped.and(result)
}

struct Writing {
    body: Option<Body>,
    /// Bytes of which `written` are written.
    out: Vec<u8>,
    written: usize,
    /// When a peer that does not take all of `out` is given up.
    late: Option<Instant>,
    /// The last chunk is in `out`.
    is_done: bool,
}

impl Writing {
    fn poll<T: Transport>(
        &mut self,
        transport: &mut T,
        unread: &mut Unread,
        handle: &ServerHandle,
        config: &Config,
        cx: &mut Context<'_>,
    ) -> Poll<Result<bool, Error>> {
        match look_at_peer(transport, unread, cx)? {
            Peer::Waits => {}
            Peer::Floods | Peer::Left => return Poll::Ready(Ok(false)),
        }
        for _ in 0..CHUNKS {
            match self.write(transport, cx)? {
                Poll::Ready(()) if self.is_done => return Poll::Ready(Ok(true)),
                Poll::Ready(()) => self.late = None,
                Poll::Pending => {
                    let at = transport.now() + config.timeouts.to_take(self.out.len());
                    return self.is_late(transport, at, cx).map_ok(|()| true);
                }
            }
            (self.written, _) = (0, self.out.clear());
            let next = match &mut self.body {
                Some(_) if handle.is_closing() => Poll::Ready(None),
                Some(body) => contain(|| body.as_mut().poll_next(cx))?,
                None => Poll::Ready(None),
            };
            match next {
                Poll::Ready(Some(chunk)) => write_chunk(&chunk, &mut self.out),
                Poll::Ready(None) => {
                    self.out.extend_from_slice(LAST_CHUNK);
                    self.is_done = true;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        // A stream that is always ready must starve neither other tasks nor the look at the peer.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn write<T: Transport>(
        &mut self,
        transport: &mut T,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Error> {
        while let Some(left) = self.out.get(self.written..)
            && !left.is_empty()
        {
            match transport.poll_write(cx, &[IoSlice::new(left)])? {
                Poll::Ready(0) => return Err(Error::Io(io::ErrorKind::WriteZero.into())),
                Poll::Ready(count) => self.written += count,
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        Ok(transport.poll_flush(cx)?)
    }

    /// Waits for a peer, until it is given up.
    fn is_late<T: Transport>(
        &mut self,
        transport: &mut T,
        at: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if self.late.is_none() {
            self.late = Some(at);
            transport.set_alarm(at);
        }
        while let (Some(late), Poll::Ready(())) = (self.late, transport.poll_alarm(cx)) {
            if transport.now() >= late {
                return Poll::Ready(Err(Refusal::Timeout.into()));
            }
            transport.set_alarm(late);
        }
        Poll::Pending
    }
}
