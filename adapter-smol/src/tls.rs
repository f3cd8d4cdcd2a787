//! TLS: settings from PEM, and the two handshakes.

use std::net::TcpStream;
use std::sync::Arc;

use futures_rustls::{TlsAcceptor, TlsConnector};
pub use sansws_core::drive::tls::{
    Certificate, CertificateDer, Identity, certificates, client, rustls, server,
};
use sansws_core::drive::tls::{rustls::ClientConfig, rustls::ServerConfig, server_name};
use sansws_core::drive::{Error, Result};

use crate::Stream;
use crate::stream::Socket;

/// A client that trusts the roots of the system, and shows `identity` to servers that ask for it.
pub fn system_client(identity: Option<Identity>) -> Result<Arc<ClientConfig>, Error> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err(Error::other("the system has no TLS root certificates"));
    }
    client(found.certs, identity)
}

/// Speaks TLS to `host` over TCP, or inside the TLS of a proxy; without settings the roots of the system are trusted.
pub(crate) async fn dial(
    stream: Stream,
    host: &str,
    config: Option<&Arc<ClientConfig>>,
) -> Result<Stream, Error> {
    let config = match config {
        Some(config) => Arc::clone(config),
        None => system_client(None)?,
    };
    let (connector, name) = (TlsConnector::from(config), server_name(host)?);
    Ok(match stream {
        Stream::Tcp(tcp) => Stream::Tls(Box::new(connector.connect(name, tcp).await?.into())),
        Stream::Tls(tls) => Stream::TlsInTls(Box::new(connector.connect(name, *tls).await?.into())),
        _ => {
            return Err(Error::other(
                "TLS is spoken over TCP, or over the TLS of a proxy",
            ));
        }
    })
}

pub(crate) async fn accept(
    tcp: Socket<TcpStream>,
    config: Arc<ServerConfig>,
) -> Result<Stream, Error> {
    let stream = TlsAcceptor::from(config).accept(tcp).await?;
    Ok(Stream::Tls(Box::new(stream.into())))
}
