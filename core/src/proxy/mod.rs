//! Exchanges that precede the first byte of TLS or HTTP: of a client with a proxy, of a load balancer with a server.
//! RFC 9110 section 9.3.6 (CONNECT), RFC 1928 and 1929 (SOCKS5); the PROXY protocol of HAProxy has no RFC.
//! Knows no socket and no name resolution.
//!
//! | file | protocol |
//! | --- | --- |
//! | `address` | none: the URL of a proxy |
//! | `tunnel` | CONNECT, to an HTTP proxy |
//! | `socks` | SOCKS5 |
//! | `header` | the PROXY protocol: the client behind a load balancer |
//!
//! None of them reads past its end: [`ProxyHandshake::need`] and [`ProxyHeader::need`] return how many bytes may be read.

mod address;
mod header;
mod socks;
mod tunnel;

pub use crate::http::Credentials;
pub use address::Proxy;
pub use header::{ProxyError, ProxyHeader, Source};
pub use socks::SocksReply;

use socks::Socks5;
use thiserror::Error;
use tunnel::HttpTunnel;

/// A client that requests a connection to a target from a proxy; made by [`Proxy::handshake`].
///
/// Write [`output`](Self::output) until it is empty, then read at most [`need`](Self::need) bytes and pass them to
/// [`receive`](Self::receive); repeat until that returns [`TunnelStep::Open`]. From then on the socket leads to the target.
///
/// ```
/// use sansws_core::config::Limits;
/// use sansws_core::proxy::{Proxy, TunnelStep};
///
/// let proxy: Proxy = "http://proxy.example:3128".parse()?;
/// let mut proxy = proxy.handshake("example.org", 443, &Limits::default())?;
/// assert!(proxy.output().starts_with(b"CONNECT example.org:443 HTTP/1.1\r\n"));
/// proxy.written(proxy.output().len());
/// assert_eq!(proxy.receive(b"HTTP/1.1 200 Conn")?, TunnelStep::More);
/// assert_eq!(proxy.receive(b"ection established\r\n\r\n")?, TunnelStep::Open);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProxyHandshake(Protocol);

/// The protocol of the proxy.
#[derive(Clone, Debug)]
enum Protocol {
    Http(HttpTunnel),
    Socks5(Socks5),
}

/// Whether the proxy has connected.
///
/// For an example see [`ProxyHandshake`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TunnelStep {
    /// Not yet: write the output, then read on.
    More,
    /// The socket leads to the target. No byte of the target has been read.
    Open,
}

/// Why there is no connection through the proxy.
///
/// ```
/// use sansws_core::proxy::{SocksReply, TunnelError};
///
/// /// Tells whether another proxy may be worth an attempt.
/// fn is_proxy_at_fault(error: TunnelError) -> bool {
///     !matches!(error, TunnelError::Failed(SocksReply::HostUnreachable))
/// }
///
/// assert!(is_proxy_at_fault(TunnelError::Refused(502)));
/// assert!(!is_proxy_at_fault(TunnelError::Failed(SocksReply::HostUnreachable)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum TunnelError {
    /// The host cannot be sent to the proxy: it is empty, too long, or contains invalid bytes. Nothing was sent.
    #[error("the host cannot be sent to the proxy")]
    Host,
    /// The credentials cannot be sent to the proxy: they are too long, empty, or contain invalid bytes.
    #[error("the credentials cannot be sent to the proxy")]
    Credentials,
    /// The proxy's answer violates its protocol.
    #[error("the proxy's answer is malformed")]
    Malformed,
    /// The proxy's answer is longer than a head may be, or has too many fields.
    #[error("the proxy's answer is too large")]
    TooLarge,
    /// More bytes were received than requested: the target sent data first.
    #[error("bytes arrived before they were requested")]
    Early,
    /// The HTTP proxy refused, with this status. 407: it requires credentials, or others.
    #[error("the proxy refused with status {0}")]
    Refused(u16),
    /// The SOCKS proxy requires another authentication method: credentials, if none were given.
    #[error("the proxy accepts none of our authentication methods")]
    NoMethod,
    /// The SOCKS proxy rejected the credentials.
    #[error("the proxy rejected the credentials")]
    Unauthorized,
    /// The SOCKS proxy did not connect.
    #[error("the proxy did not connect: {0}")]
    Failed(SocksReply),
    /// The proxy ended the connection before it answered.
    #[error("the proxy ended the connection before it answered")]
    EndOfInput,
}

impl ProxyHandshake {
    /// Returns the bytes to write; report with [`ProxyHandshake::written`] how many were.
    pub fn output(&self) -> &[u8] {
        match &self.0 {
            Protocol::Http(tunnel) => tunnel.output(),
            Protocol::Socks5(socks) => socks.output(),
        }
    }

    /// Reports that so many bytes of the output were written.
    pub fn written(&mut self, count: usize) {
        match &mut self.0 {
            Protocol::Http(tunnel) => tunnel.written(count),
            Protocol::Socks5(socks) => socks.written(count),
        }
    }

    /// Returns the maximum number of bytes to read next; fewer will do. Never 0 before [`TunnelStep::Open`].
    pub fn need(&self) -> usize {
        match &self.0 {
            Protocol::Http(tunnel) => tunnel.need(),
            Protocol::Socks5(socks) => socks.need(),
        }
    }

    /// Takes the bytes that were read: at most [`need`](Self::need). An empty slice means that the proxy ended the connection.
    ///
    /// After [`TunnelStep::More`], write the output first. After an error, drop the connection.
    pub fn receive(&mut self, input: &[u8]) -> Result<TunnelStep, TunnelError> {
        match &mut self.0 {
            Protocol::Http(tunnel) => tunnel.receive(input),
            Protocol::Socks5(socks) => socks.receive(input),
        }
    }
}
