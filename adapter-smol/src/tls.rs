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

pub(crate) async fn dial(
    tcp: Socket<TcpStream>,
    host: &str,
    config: Arc<ClientConfig>,
) -> Result<Stream, Error> {
    let stream = TlsConnector::from(config)
        .connect(server_name(host)?, tcp)
        .await?;
    Ok(Stream::Tls(Box::new(stream.into())))
}

pub(crate) async fn accept(
    tcp: Socket<TcpStream>,
    config: Arc<ServerConfig>,
) -> Result<Stream, Error> {
    let stream = TlsAcceptor::from(config).accept(tcp).await?;
    Ok(Stream::Tls(Box::new(stream.into())))
}
