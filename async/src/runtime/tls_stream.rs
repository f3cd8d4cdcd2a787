//! TLS over a byte stream.

use std::io::{Error, ErrorKind, IoSlice, Read, Result};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use sansws_core::connection::SendProgress;

use super::byte_stream::{ByteStream, FuturesIo};

/// TLS over a byte stream.
#[derive(Debug)]
pub struct TlsStream<S> {
    tls: FuturesIo<futures_rustls::TlsStream<FuturesIo<S>>>,
    /// Why nothing follows what was decrypted.
    failed: Option<Error>,
}

impl<S> TlsStream<S> {
    pub(super) fn new(stream: impl Into<futures_rustls::TlsStream<FuturesIo<S>>>) -> Self {
        Self {
            tls: FuturesIo(stream.into()),
            failed: None,
        }
    }

    /// Returns the stream underneath.
    pub fn get_ref(&self) -> &S {
        &self.tls.0.get_ref().0.0
    }

    /// Reads what is decrypted already.
    fn decrypted(&mut self, into: &mut [u8]) -> Result<usize> {
        match &mut self.tls.0 {
            futures_rustls::TlsStream::Client(stream) => stream.get_mut().1.reader().read(into),
            futures_rustls::TlsStream::Server(stream) => stream.get_mut().1.reader().read(into),
        }
    }
}

impl<S: ByteStream + Unpin> ByteStream for TlsStream<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<usize>> {
        if self.failed.is_none() {
            match ready!(self.tls.poll_read(cx, into)) {
                Err(error) if error.kind() == ErrorKind::InvalidData => self.failed = Some(error),
                read => return Poll::Ready(read),
            }
        }
        // An alert or a broken record ends what arrived before it, and does not undo that.
        match self.decrypted(into) {
            Ok(count) if count > 0 => Poll::Ready(Ok(count)),
            read => Poll::Ready(self.failed.take().map_or(read, Err)),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        ByteStream::poll_write(&mut self.tls, cx, from)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ByteStream::poll_flush(&mut self.tls, cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.tls.poll_shutdown(cx)
    }

    fn send_progress(&self) -> Option<SendProgress> {
        self.get_ref().send_progress()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.get_ref().peer_addr()
    }
}
