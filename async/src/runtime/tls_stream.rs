//! TLS over a byte stream: the two handshakes of rustls.

use std::io::{IoSlice, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::{TlsAcceptor, TlsConnector};
use rustls::{ClientConfig, ServerConfig};
use sansws_core::connection::SendProgress;

use super::{ByteStream, FuturesIo, Runtime, Stream};
use crate::error::{self, Error};
use crate::tls::{server_name, system_client};

/// TLS over a byte stream.
#[derive(Debug)]
pub struct TlsStream<S>(futures_rustls::TlsStream<FuturesIo<S>>);

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

/// Performs the TLS handshake with `host` over TCP, or inside the TLS of a proxy; without settings, it trusts the system's roots.
pub(crate) async fn connect<R: Runtime>(
    stream: Stream<R>,
    host: &str,
    config: Option<&Arc<ClientConfig>>,
) -> error::Result<Stream<R>, Error> {
    let config = match config {
        Some(config) => Arc::clone(config),
        // Reading the system's certificates takes milliseconds of disk and parsing.
        None => R::spawn_blocking(|| system_client(None)).await??,
    };
    let (connector, name) = (TlsConnector::from(config), server_name(host)?);
    Ok(match stream {
        Stream::Tcp(tcp) => {
            let tls = connector.connect(name, FuturesIo(tcp)).await?;
            Stream::Tls(Box::new(TlsStream(tls.into())))
        }
        Stream::Tls(tls) => {
            let tls = connector.connect(name, FuturesIo(*tls)).await?;
            Stream::TlsInTls(Box::new(TlsStream(tls.into())))
        }
        _ => {
            return Err(Error::other("TLS needs TCP, or the TLS of a proxy"));
        }
    })
}

/// Performs the TLS handshake with a client.
pub(crate) async fn accept<R: Runtime>(
    tcp: R::Tcp,
    config: Arc<ServerConfig>,
) -> error::Result<Stream<R>, Error> {
    let stream = TlsAcceptor::from(config).accept(FuturesIo(tcp)).await?;
    Ok(Stream::Tls(Box::new(TlsStream(stream.into()))))
}
