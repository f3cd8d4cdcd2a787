//! The facts about a connection that are known when it is accepted.

use std::net::SocketAddr;

use sansws_core::time::Instant;

/// The data of an accepted connection.
///
/// ```
/// use sansws_common::ConnectInfo;
/// use sansws_core::time::Instant;
///
/// // For `sansws_async::server::serve`, with a listener of your own.
/// let info = ConnectInfo {
///     begun: Instant::ZERO,
///     peer: Some("192.0.2.7:50000".parse()?),
///     secure: false,
/// };
/// assert_eq!(info.peer.map(|peer| peer.port()), Some(50_000));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ConnectInfo {
    /// The time by the clock of the transport: TLS may have used some of the handshake's time.
    pub begun: Instant,
    /// The address of the peer; a Unix socket has none.
    pub peer: Option<SocketAddr>,
    /// Whether it uses TLS.
    pub secure: bool,
}
