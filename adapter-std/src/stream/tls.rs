//! TLS handshakes that wait for their socket.
//! RFC 6455 section 4.1; rustls implements TLS.
//! Knows no WebSocket.

use std::io;
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use sansws_common::Error;
use sansws_common::tls::{server_name, shared_client};
use sansws_core::time::Instant;

use super::Stream;
use crate::poll::Interest;

pub(super) use sansws_common::tls::stream::TlsStream;

/// Shakes hands with the server `host`, which must present a certificate for that name. Without a configuration, the roots of the system
/// are trusted.
pub(crate) fn connect(
    stream: Stream,
    host: &str,
    config: Option<&Arc<ClientConfig>>,
    deadline: Option<Instant>,
) -> Result<Stream, Error> {
    let config = match config {
        Some(config) => Arc::clone(config),
        None => shared_client()?,
    };
    let connection = ClientConnection::new(config, server_name(host)?).map_err(Error::other)?;
    secure(stream, connection.into(), deadline)
}

/// Shakes hands with a client.
pub(crate) fn accept(
    stream: Stream,
    config: Arc<ServerConfig>,
    deadline: Option<Instant>,
) -> Result<Stream, Error> {
    let connection = ServerConnection::new(config).map_err(Error::other)?;
    secure(stream, connection.into(), deadline)
}

fn secure(
    stream: Stream,
    connection: Connection,
    deadline: Option<Instant>,
) -> Result<Stream, Error> {
    stream.secured(|socket, outer| {
        let mut tls = TlsStream::new(connection, outer);
        loop {
            match tls.shake_hands(socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let interest = if tls.has_unsent() {
                        Interest::WRITE
                    } else {
                        Interest::READ
                    };
                    socket.wait_until(interest, deadline)?;
                }
                done => {
                    done?;
                    return Ok(tls);
                }
            }
        }
    })
}
