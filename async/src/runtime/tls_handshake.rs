//! The TLS handshakes of a client and a server.

use std::sync::Arc;

use futures_rustls::{TlsAcceptor, TlsConnector};
use rustls::{ClientConfig, ServerConfig};

use super::Runtime;
use super::byte_stream::FuturesIo;
use super::stream::Stream;
use super::tls_stream::TlsStream;
use crate::error::{Error, Result};
use crate::tls::{explain, loaded_client, server_name, shared_client};

/// Performs the TLS handshake with `host` over TCP, or inside the TLS of a proxy; without settings, it trusts the system's roots.
pub(crate) async fn connect<R: Runtime>(
    stream: Stream<R>,
    host: &str,
    config: Option<&Arc<ClientConfig>>,
) -> Result<Stream<R>, Error> {
    let config = match config {
        Some(config) => Arc::clone(config),
        None => match loaded_client() {
            Some(config) => config,
            // The system's certificates take milliseconds of disk and parsing.
            None => R::spawn_blocking(shared_client).await??,
        },
    };
    let (connector, name) = (TlsConnector::from(config), server_name(host)?);
    Ok(match stream {
        Stream::Tcp(tcp) => {
            let tls = connector.connect(name, FuturesIo(tcp)).await;
            Stream::Tls(Box::new(TlsStream::new(tls.map_err(explain)?)))
        }
        Stream::Tls(tls) => {
            let tls = connector.connect(name, FuturesIo(*tls)).await;
            Stream::TlsInTls(Box::new(TlsStream::new(tls.map_err(explain)?)))
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
) -> Result<Stream<R>, Error> {
    let stream = TlsAcceptor::from(config).accept(FuturesIo(tcp)).await?;
    Ok(Stream::Tls(Box::new(TlsStream::new(stream))))
}
