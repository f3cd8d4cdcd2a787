//! The facts about a connection that are known when it is accepted.

use std::net::SocketAddr;

use sansws_core::time::Instant;

/// The data of an accepted connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectInfo {
    /// The time by the clock of the transport: TLS may have used some of the handshake's time.
    pub begun: Instant,
    /// The address of the peer; a Unix socket has none.
    pub peer: Option<SocketAddr>,
    /// Whether it uses TLS.
    pub secure: bool,
}
