//! The streams that a server accepts and a client dials: TCP, Unix, TLS.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use sansws_core::connection::SendProgress;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// One of the streams that sockets come as.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
    /// TLS over TCP.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::TlsStream<TcpStream>>),
    /// TLS inside the TLS of an `https://` proxy.
    #[cfg(feature = "tls")]
    TlsInTls(Box<tokio_rustls::TlsStream<tokio_rustls::TlsStream<TcpStream>>>),
    /// A connection that another stack has upgraded, or is asked to.
    #[cfg(feature = "hyper")]
    Bridge(Box<crate::hyper::bridge::Bridge>),
    /// An end of a connection in memory.
    #[cfg(feature = "test-kit")]
    Memory(crate::test::Memory),
}

impl Stream {
    /// The address of the peer; none on a Unix socket.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            #[cfg(unix)]
            Self::Unix(_) => None,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0.peer_addr().ok(),
            #[cfg(feature = "tls")]
            Self::TlsInTls(stream) => stream.get_ref().0.get_ref().0.peer_addr().ok(),
            #[cfg(feature = "hyper")]
            Self::Bridge(_) => None,
            #[cfg(feature = "test-kit")]
            Self::Memory(_) => None,
        }
    }

    /// How far the peer has taken what was written; known of TCP on Linux.
    #[cfg(target_os = "linux")]
    pub(crate) fn send_progress(&self) -> Option<SendProgress> {
        match self {
            Self::Tcp(stream) => crate::progress::of(stream),
            Self::Unix(_) => None,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => crate::progress::of(stream.get_ref().0),
            #[cfg(feature = "tls")]
            Self::TlsInTls(stream) => crate::progress::of(stream.get_ref().0.get_ref().0),
            #[cfg(feature = "test-kit")]
            Self::Memory(_) => None,
            // What another stack holds is not known.
            #[cfg(feature = "hyper")]
            Self::Bridge(_) => None,
        }
    }

    /// How far the peer has taken what was written; known of TCP on Linux.
    #[cfg(not(target_os = "linux"))]
    pub(crate) const fn send_progress(&self) -> Option<SendProgress> {
        None
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
            #[cfg(feature = "hyper")]
            Self::Bridge(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
            #[cfg(feature = "test-kit")]
            Self::Memory(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
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

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, poll_shutdown(cx))
    }
}
