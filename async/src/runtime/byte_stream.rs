//! A stream of bytes, as runtimes, TLS and other stacks have them.

use std::io::{IoSlice, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use sansws_core::connection::SendProgress;

use crate::transport::append;

/// A stream of bytes in both directions.
///
/// `poll_read` and `poll_write` register the context's waker when they are pending, separately, and only the newest.
///
/// For an example see [a runtime over async-executor](https://github.com/sansws/sansws/blob/main/examples/runtime/src/adapter.rs) in the
/// repository.
pub trait ByteStream {
    /// Reads into `into`; returns 0 at the end of input.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<usize>>;

    /// Appends to `into`, within its spare capacity, of which there is some; returns 0 at the end of input. When it is pending or fails,
    /// nothing was appended.
    ///
    /// The default first fills a part of the capacity with zeros: a stream that can read into memory that is not initialized should do so.
    fn poll_append(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<Result<usize>> {
        append(into, |room| self.poll_read(cx, room))
    }

    /// Writes from the front of `from`, and returns the number of bytes taken.
    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<Result<usize>>;

    /// Sends data that was written but is still buffered, as under TLS.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// Shuts down the writing side; reading goes on.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// Returns whether dropping it closes it in order: its peer reads all that was written, and then the end of input. This is so for a socket of
    /// which all input was read, and not for a stream that buffers output itself. After the closing handshake, a server then drops it at once,
    /// and does not wait for the peer's end.
    fn closes_when_dropped(&self) -> bool {
        false
    }

    /// Returns how much of the output the peer has taken, if the operating system tells.
    fn send_progress(&self) -> Option<SendProgress> {
        None
    }

    /// Returns the address of the peer, if it has one.
    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }
}

/// Adapts a [`ByteStream`] to the traits of `futures-io`, and a stream of those traits to [`ByteStream`].
///
/// An adapter for a runtime of these traits names it `Compat`:
///
/// ```
/// use sansws_async::ByteStream;
/// use sansws_async::runtime::FuturesIo;
///
/// fn takes_a_stream(stream: impl ByteStream) {
///     println!("the peer: {:?}", stream.peer_addr());
/// }
///
/// takes_a_stream(FuturesIo(Silent));
/// # use std::io::Result;
/// # use std::pin::Pin;
/// # use std::task::{Context, Poll};
/// # struct Silent;
/// # impl futures_io::AsyncRead for Silent {
/// #     fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<Result<usize>> {
/// #         Poll::Pending
/// #     }
/// # }
/// # impl futures_io::AsyncWrite for Silent {
/// #     fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<Result<usize>> {
/// #         Poll::Pending
/// #     }
/// #     fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
/// #         Poll::Pending
/// #     }
/// #     fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
/// #         Poll::Pending
/// #     }
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FuturesIo<S>(pub S);

impl<S: ByteStream + Unpin> AsyncRead for FuturesIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<usize>> {
        self.get_mut().0.poll_read(cx, into)
    }
}

impl<S: ByteStream + Unpin> AsyncWrite for FuturesIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<Result<usize>> {
        self.get_mut().0.poll_write(cx, &[IoSlice::new(from)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.get_mut().0.poll_write(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().0.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().0.poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ByteStream for FuturesIo<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        match from {
            [one] => Pin::new(&mut self.0).poll_write(cx, one),
            many => Pin::new(&mut self.0).poll_write_vectored(cx, many),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
