//! TLS over a byte stream.

use std::io::{IoSlice, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use sansws_core::connection::SendProgress;

use super::byte_stream::{ByteStream, FuturesIo};

/// TLS over a byte stream.
#[derive(Debug)]
pub struct TlsStream<S>(pub(super) futures_rustls::TlsStream<FuturesIo<S>>);

impl<S> TlsStream<S> {
    /// Returns the stream underneath.
    pub fn get_ref(&self) -> &S {
        &self.0.get_ref().0.0
    }
}

impl<S: ByteStream + Unpin> ByteStream for TlsStream<S> {
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

    fn send_progress(&self) -> Option<SendProgress> {
        self.get_ref().send_progress()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.get_ref().peer_addr()
    }
}
