//! TLS over a byte stream.

use std::io::{IoSlice, Result};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use sansws_core::connection::SendProgress;

use super::byte_stream::{ByteStream, FuturesIo};

/// TLS over a byte stream.
#[derive(Debug)]
pub struct TlsStream<S>(FuturesIo<futures_rustls::TlsStream<FuturesIo<S>>>);

impl<S> TlsStream<S> {
    pub(super) fn new(stream: impl Into<futures_rustls::TlsStream<FuturesIo<S>>>) -> Self {
        Self(FuturesIo(stream.into()))
    }

    /// Returns the stream underneath.
    pub fn get_ref(&self) -> &S {
        &self.0.0.get_ref().0.0
    }
}

impl<S: ByteStream + Unpin> ByteStream for TlsStream<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<usize>> {
        self.0.poll_read(cx, into)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        ByteStream::poll_write(&mut self.0, cx, from)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ByteStream::poll_flush(&mut self.0, cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_shutdown(cx)
    }

    fn send_progress(&self) -> Option<SendProgress> {
        self.get_ref().send_progress()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.get_ref().peer_addr()
    }
}
