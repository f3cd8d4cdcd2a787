//! The streams that a server accepts and a client dials: TCP, Unix, TLS.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_io::{Async, IoSafe};
use futures_io::{AsyncRead, AsyncWrite};
use sansws_core::connection::SendProgress;

/// One of the streams that sockets come as.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// TCP.
    Tcp(Socket<TcpStream>),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(Socket<UnixStream>),
    /// TLS over TCP.
    #[cfg(feature = "tls")]
    Tls(Box<futures_rustls::TlsStream<Socket<TcpStream>>>),
    /// TLS inside the TLS of an `https://` proxy.
    #[cfg(feature = "tls")]
    TlsInTls(Box<futures_rustls::TlsStream<futures_rustls::TlsStream<Socket<TcpStream>>>>),
    /// An end of a connection in memory.
    #[cfg(feature = "test-kit")]
    Memory(crate::test::Memory),
}

impl Stream {
    /// The address of the peer; none on a Unix socket.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.source.get_ref().peer_addr().ok(),
            #[cfg(unix)]
            Self::Unix(_) => None,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0.source.get_ref().peer_addr().ok(),
            #[cfg(feature = "tls")]
            Self::TlsInTls(stream) => stream
                .get_ref()
                .0
                .get_ref()
                .0
                .source
                .get_ref()
                .peer_addr()
                .ok(),
            #[cfg(feature = "test-kit")]
            Self::Memory(_) => None,
        }
    }

    /// How far the peer has taken what was written; known of TCP on Linux.
    #[cfg(target_os = "linux")]
    pub(crate) fn send_progress(&self) -> Option<SendProgress> {
        match self {
            Self::Tcp(stream) => crate::progress::of(stream.source.get_ref()),
            Self::Unix(_) => None,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => crate::progress::of(stream.get_ref().0.source.get_ref()),
            #[cfg(feature = "tls")]
            Self::TlsInTls(stream) => {
                crate::progress::of(stream.get_ref().0.get_ref().0.source.get_ref())
            }
            #[cfg(feature = "test-kit")]
            Self::Memory(_) => None,
        }
    }

    /// How far the peer has taken what was written; known of TCP on Linux.
    #[cfg(not(target_os = "linux"))]
    pub(crate) const fn send_progress(&self) -> Option<SendProgress> {
        None
    }
}

/// A socket that knows when it was read empty: then it waits for the reactor, where a read would only say "would block".
#[derive(Debug)]
pub struct Socket<S> {
    source: Async<S>,
    empty: bool,
}

impl<S> Socket<S> {
    /// Wraps a registered socket.
    pub const fn new(source: Async<S>) -> Self {
        Self {
            source,
            empty: false,
        }
    }
}

impl<S: Read + IoSafe> AsyncRead for Socket<S>
where
    Async<S>: Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.empty {
            ready!(self.source.poll_readable(cx))?;
            self.empty = false;
        }
        let read = Pin::new(&mut self.source).poll_read(cx, into);
        // The kernel gave nothing, or less than was asked for: there was no more. The end of input must be read, not awaited.
        self.empty = match &read {
            Poll::Pending => true,
            Poll::Ready(Ok(count)) => 0 < *count && *count < into.len(),
            Poll::Ready(Err(_)) => false,
        };
        read
    }
}

/// Ends the writing side; `futures_io` has no other word for it than "close".
pub trait EndWriting {
    /// Sends FIN.
    fn end_writing(&self) -> io::Result<()>;
}

impl EndWriting for TcpStream {
    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

#[cfg(unix)]
impl EndWriting for UnixStream {
    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl<S: Write + IoSafe + EndWriting> AsyncWrite for Socket<S>
where
    Async<S>: Unpin,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.source).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.source).poll_write_vectored(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.source.get_ref().end_writing())
    }
}

/// Calls a method of whichever stream it is.
macro_rules! each {
    ($stream:expr, $method:ident($($argument:expr),*)) => {
        match $stream.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
            #[cfg(feature = "tls")]
            Self::TlsInTls(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
            #[cfg(feature = "test-kit")]
            Self::Memory(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, poll_read(cx, into))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, poll_write(cx, from))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, poll_write_vectored(cx, from))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, poll_close(cx))
    }
}
