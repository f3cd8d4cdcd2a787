//! What is said before the first octet of TLS or HTTP: to a proxy by a client, by a load balancer to a server.
//! RFC 9110 section 9.3.6 (CONNECT), RFC 1928 and 1929 (SOCKS5); the PROXY protocol of HAProxy has no RFC.
//! Knows no socket and no name resolution.
//!
//! | file | what it speaks |
//! | --- | --- |
//! | `address` | none: which proxy it is, by its URL |
//! | `tunnel` | CONNECT, to an HTTP proxy |
//! | `socks` | SOCKS5 |
//! | `header` | the PROXY protocol: who is behind a load balancer |
//!
//! None of them reads past its end: [`ProxyHandshake::need`] and [`ProxyHeader::need`] say how many octets may be read.

mod address;
mod header;
mod socks;
mod tunnel;

pub use crate::http::Credentials;
pub use address::Proxy;
pub use header::{ProxyError, ProxyHeader, Source};
pub use socks::{Reply, Socks5};
pub use tunnel::HttpTunnel;

use thiserror::Error;

/// A client that asks a proxy for a connection to somebody else.
///
/// Write [`output`](Self::output) until it is empty, then read at most [`need`](Self::need) octets and give them to
/// [`receive`](Self::receive); again, until that says [`Step::Open`]. From then on the socket leads to the target.
///
/// ```
/// use sansws_core::config::Limits;
/// use sansws_core::proxy::{HttpTunnel, ProxyHandshake, Step};
///
/// let tunnel = HttpTunnel::new("example.org", 443, None, &Limits::default())?;
/// let mut proxy = ProxyHandshake::Http(tunnel);
/// assert!(proxy.output().starts_with(b"CONNECT example.org:443 HTTP/1.1\r\n"));
/// proxy.written(proxy.output().len());
/// assert_eq!(proxy.receive(b"HTTP/1.1 200 Conn")?, Step::More);
/// assert_eq!(proxy.receive(b"ection established\r\n\r\n")?, Step::Open);
/// # Ok::<(), sansws_core::proxy::TunnelError>(())
/// ```
#[derive(Clone, Debug)]
pub enum ProxyHandshake {
    /// To an HTTP proxy.
    Http(HttpTunnel),
    /// To a SOCKS5 proxy.
    Socks5(Socks5),
}

/// Whether the proxy has done what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Not yet: write what there is to write, then read on.
    More,
    /// The socket leads to the target. No octet of the target has been read.
    Open,
}

/// Why there is no connection through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum TunnelError {
    /// The host cannot be named to the proxy: it is empty, too long, or holds octets that no host has. Nothing was sent.
    #[error("the host cannot be sent to the proxy")]
    Host,
    /// The credentials cannot be said to the proxy: too long, empty, or octets that its protocol has no place for.
    #[error("the credentials cannot be sent to the proxy")]
    Credentials,
    /// What the proxy said is not its protocol.
    #[error("the proxy's answer is malformed")]
    Malformed,
    /// The proxy's answer is longer than a head may be, or has too many fields.
    #[error("the proxy's answer is too large")]
    TooLarge,
    /// More was received than was asked for: the target spoke before it was spoken to.
    #[error("bytes arrived before they were requested")]
    Early,
    /// The HTTP proxy refused, with this status. 407: it wants credentials, or others.
    #[error("the proxy refused with status {0}")]
    Refused(u16),
    /// The SOCKS proxy wants a way of authentication that we do not have: credentials, if none were given.
    #[error("the proxy accepts none of our authentication methods")]
    NoMethod,
    /// The SOCKS proxy did not accept the credentials.
    #[error("the proxy rejected the credentials")]
    Unauthorized,
    /// The SOCKS proxy could not or would not connect.
    #[error("the proxy did not connect: {0}")]
    Failed(Reply),
    /// The proxy ended the connection before it answered.
    #[error("the proxy ended the connection before it answered")]
    EndOfInput,
}

impl ProxyHandshake {
    /// What is to be written; say with [`ProxyHandshake::written`] how much was.
    pub fn output(&self) -> &[u8] {
        match self {
            Self::Http(tunnel) => tunnel.output(),
            Self::Socks5(socks) => socks.output(),
        }
    }

    /// So many octets of the output were written.
    pub fn written(&mut self, count: usize) {
        match self {
            Self::Http(tunnel) => tunnel.written(count),
            Self::Socks5(socks) => socks.written(count),
        }
    }

    /// How many octets may be read next, at most; fewer will do. Never 0 before [`Step::Open`].
    pub fn need(&self) -> usize {
        match self {
            Self::Http(tunnel) => tunnel.need(),
            Self::Socks5(socks) => socks.need(),
        }
    }

    /// Takes what was read: at most [`need`](Self::need) octets. None at all says that the proxy ended the connection.
    ///
    /// After [`Step::More`], look at the output first. After an error, drop the connection.
    pub fn receive(&mut self, input: &[u8]) -> Result<Step, TunnelError> {
        match self {
            Self::Http(tunnel) => tunnel.receive(input),
            Self::Socks5(socks) => socks.receive(input),
        }
    }
}
