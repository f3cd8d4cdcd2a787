//! What is known of a connection when it was accepted.

use std::net::SocketAddr;

use sansws_core::time::Instant;

/// What is known of a connection when it was accepted.
#[derive(Clone, Copy, Debug)]
pub struct ConnectInfo {
    /// When, by the clock of the transport: TLS may have taken some of the time for the handshake.
    pub begun: Instant,
    /// The address of the peer; none on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Whether it came over TLS.
    pub secure: bool,
}
