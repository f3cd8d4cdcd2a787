//! The streams that a server accepts and a client dials: TCP, Unix, TLS.

use std::fmt;
use std::io::{IoSlice, Result};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use sansws_core::connection::SendProgress;

use super::Runtime;
use super::byte_stream::ByteStream;
#[cfg(feature = "tls")]
use super::tls_stream::TlsStream;

/// A stream of a server or a client.
///
/// ```
/// use sansws_async::{Io, Result, Runtime, Stream, Transport, Upgrade};
///
/// # #[cfg(unix)]
/// /// Greets local clients only.
/// async fn local<R: Runtime>(upgrade: Upgrade<Io<R, Stream<R>>>) -> Result {
///     let stream = upgrade.transport().map(Io::get_ref);
///     if !matches!(stream, Some(Stream::Unix(_))) {
///         return Err("the client is not local".into());
///     }
///     Ok(upgrade.accept().await?.send_text("hello").await?)
/// }
/// ```
#[non_exhaustive]
pub enum Stream<R: Runtime> {
    /// TCP.
    Tcp(R::Tcp),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(R::Unix),
    /// TLS over TCP.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<R::Tcp>>),
    /// TLS inside the TLS of an `https://` proxy.
    #[cfg(feature = "tls")]
    TlsInTls(Box<TlsStream<TlsStream<R::Tcp>>>),
    /// A stream of another kind, such as a connection that another HTTP stack has upgraded.
    Other(Box<dyn ByteStream + Send>),
    /// One end of a connection in memory.
    #[cfg(feature = "test-kit")]
    Memory(crate::test_kit::MemoryStream),
}

/// Calls a method of the stream's variant.
macro_rules! each {
    ($stream:expr, $method:ident($($argument:expr),*)) => {
        match $stream {
            Self::Tcp(stream) => stream.$method($($argument),*),
            #[cfg(unix)]
            Self::Unix(stream) => stream.$method($($argument),*),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.$method($($argument),*),
            #[cfg(feature = "tls")]
            Self::TlsInTls(stream) => stream.$method($($argument),*),
            Self::Other(stream) => stream.$method($($argument),*),
            #[cfg(feature = "test-kit")]
            Self::Memory(stream) => stream.$method($($argument),*),
        }
    };
}

impl<R: Runtime> ByteStream for Stream<R> {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<usize>> {
        each!(self, poll_read(cx, into))
    }

    fn poll_append(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<Result<usize>> {
        each!(self, poll_append(cx, into))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        each!(self, poll_write(cx, from))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        each!(self, poll_flush(cx))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        each!(self, poll_shutdown(cx))
    }

    fn closes_when_dropped(&self) -> bool {
        #[cfg(unix)]
        if let Self::Unix(_) = self {
            // A socket of the system, although an adapter's type for it may stand for any stream.
            return true;
        }
        each!(self, closes_when_dropped())
    }

    fn send_progress(&self) -> Option<SendProgress> {
        each!(self, send_progress())
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        each!(self, peer_addr())
    }
}

impl<R: Runtime> fmt::Debug for Stream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(stream) => f.debug_tuple("Tcp").field(stream).finish(),
            #[cfg(unix)]
            Self::Unix(stream) => f.debug_tuple("Unix").field(stream).finish(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => f.debug_tuple("Tls").field(stream).finish(),
            #[cfg(feature = "tls")]
            Self::TlsInTls(stream) => f.debug_tuple("TlsInTls").field(stream).finish(),
            Self::Other(_) => f.debug_tuple("Other").finish_non_exhaustive(),
            #[cfg(feature = "test-kit")]
            Self::Memory(stream) => f.debug_tuple("Memory").field(stream).finish(),
        }
    }
}
