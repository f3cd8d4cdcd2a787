//! Connections in memory: each of two ends reads what the other writes.
//! RFC 9293 section 3.6 for the semantics of a half-close and a vanished peer.
//! Knows only bytes. It buffers as much as a socket would, and no more.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::runtime::ByteStream;
use crate::test_kit::clock::{Alarm, Clock};
use crate::transport::Transport;
use sansws_core::time::Instant;

/// Number of bytes that may be buffered in each direction.
const ROOM: usize = 64 << 10;

/// One direction.
#[derive(Debug, Default)]
struct Way {
    bytes: VecDeque<u8>,
    ended: bool,
    unread_lost: bool,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One end of a connection in memory.
///
/// ```
/// use std::io::IoSlice;
/// use std::task::{Context, Poll, Waker};
/// use sansws_async::test_kit::MemoryStream;
///
/// let cx = Context::from_waker(Waker::noop());
/// let (mut client, mut server) = MemoryStream::pair();
/// assert!(client.poll_write(&cx, &[IoSlice::new(b"GET / HTTP/1.1\r\n")]).is_ready());
/// let mut into = [0; 3];
/// assert!(matches!(server.poll_read(&cx, &mut into), Poll::Ready(Ok(3))));
/// assert_eq!(&into, b"GET");
/// ```
#[derive(Debug)]
pub struct MemoryStream {
    inbound: Arc<Mutex<Way>>,
    outbound: Arc<Mutex<Way>>,
}

impl MemoryStream {
    /// Creates both ends of a connection.
    pub fn pair() -> (Self, Self) {
        let (one, two) = (Arc::<Mutex<Way>>::default(), Arc::<Mutex<Way>>::default());
        let first = Self {
            inbound: Arc::clone(&one),
            outbound: Arc::clone(&two),
        };
        let second = Self {
            inbound: two,
            outbound: one,
        };
        (first, second)
    }

    /// Reads bytes that the other end wrote; 0 is the end.
    pub fn poll_read(&mut self, cx: &Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut way = lock(&self.inbound);
        if way.bytes.is_empty() {
            if way.unread_lost {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if way.ended {
                return Poll::Ready(Ok(0));
            }
            way.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let read = way.bytes.read(into);
        wake(way.writer.take());
        Poll::Ready(read)
    }

    /// Writes as many bytes as there is room for.
    pub fn poll_write(
        &mut self,
        cx: &Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut way = lock(&self.outbound);
        if way.reader_gone || way.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let before = way.bytes.len();
        for slice in from {
            let room = ROOM - way.bytes.len().min(ROOM);
            way.bytes.extend(slice.iter().take(room));
        }
        let count = way.bytes.len() - before;
        if count == 0 && from.iter().any(|slice| !slice.is_empty()) {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        wake(way.reader.take());
        Poll::Ready(Ok(count))
    }

    /// Shuts down writing; reading goes on.
    pub fn end_writing(&mut self) {
        let mut way = lock(&self.outbound);
        way.ended = true;
        wake(way.reader.take());
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        let mut inbound = lock(&self.inbound);
        inbound.reader_gone = true;
        // Discarding unread data makes a system reset the connection.
        let reset = !inbound.bytes.is_empty();
        inbound.bytes.clear();
        wake(inbound.writer.take());
        drop(inbound);
        lock(&self.outbound).unread_lost = reset;
        self.end_writing();
    }
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A connection in memory and in virtual time.
///
/// ```
/// use sansws_async::test_kit::{Clock, MemoryStream, MemoryTransport};
/// use sansws_async::Transport;
///
/// let clock = Clock::default();
/// let (client, server) = MemoryStream::pair();
/// let client = MemoryTransport::new(client, &clock);
/// let server = MemoryTransport::new(server, &clock);
/// assert_eq!(client.now(), server.now());
/// ```
#[derive(Debug)]
pub struct MemoryTransport {
    stream: MemoryStream,
    alarm: Alarm,
}

impl MemoryTransport {
    /// Creates a transport over `stream`, with the time of `clock`.
    pub fn new(stream: MemoryStream, clock: &Clock) -> Self {
        Self {
            stream,
            alarm: clock.alarm(),
        }
    }
}

impl ByteStream for MemoryStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        Self::poll_read(self, cx, into)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Self::poll_write(self, cx, from)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end_writing();
        Poll::Ready(Ok(()))
    }
}

impl Transport for MemoryTransport {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_read(cx, into)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, from)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.end_writing();
        Poll::Ready(Ok(()))
    }

    fn now(&self) -> Instant {
        self.alarm.clock().now()
    }

    fn set_alarm(&mut self, at: Instant) {
        self.alarm.set(at);
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll(cx)
    }
}
