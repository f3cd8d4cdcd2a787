//! The PROXY protocol: a load balancer reports the source of a connection.
//! The specification is HAProxy's, "The PROXY protocol, versions 1 & 2".
//! Knows no socket. It never requests a byte past the header: later bytes may belong to TLS.
//!
//! Anyone who can reach the port can claim any source: use this only where only the load balancer can connect.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

/// The source of a connection.
///
/// For an example see [`ProxyHeader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The load balancer itself, such as a health check, or a family without addresses: use the addresses of the socket.
    Unknown,
    /// A client over TCP.
    Peer {
        /// The address of the client.
        source: SocketAddr,
        /// The address that the client connected to.
        destination: SocketAddr,
    },
}

/// Why a header cannot be read; drop the connection.
///
/// For an example see [`ProxyHeader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The connection does not start with a header of either version.
    #[error("there is no PROXY header")]
    Signature,
    /// A header of version 1 that violates the grammar, or one of version 2 whose addresses are truncated.
    #[error("the PROXY header is malformed")]
    Malformed,
    /// The version, command or family of a header of version 2 is not assigned.
    #[error("the PROXY header is of an unknown version, command or family")]
    Unassigned,
    /// Version 1: more than 107 bytes; version 2: more than 4096 bytes after the first 16.
    #[error("the PROXY header is too long")]
    TooLong,
    /// The caller passed more bytes than [`ProxyHeader::need`] requested.
    #[error("more bytes were given than requested")]
    Excess,
    /// The connection ended within the header.
    #[error("the connection ended within the PROXY header")]
    EndOfInput,
}

/// A parser of one header.
///
/// ```
/// use sansws_core::proxy::{ProxyHeader, Source};
///
/// let mut stream = &b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n\x16\x03\x01"[..];
/// let mut header = ProxyHeader::new();
/// let source = loop {
///     let (bytes, rest) = stream.split_at(header.need());
///     stream = rest;
///     if let Some(source) = header.receive(bytes)? {
///         break source;
///     }
/// };
/// assert!(matches!(source, Source::Peer { source, .. } if source.port() == 56324));
/// assert_eq!(stream, b"\x16\x03\x01");
/// # Ok::<(), sansws_core::proxy::ProxyError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProxyHeader {
    held: Vec<u8>,
}

const SIGNATURE_1: &[u8] = b"PROXY ";
const SIGNATURE_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// 2.1: "the maximum line lengths the receiver must support including the CRLF": 107.
const LONGEST_1: usize = 107;
/// Maximum number of bytes of version 2 after the first 16: addresses and extensions.
const LONGEST_2: usize = 4096;

impl ProxyHeader {
    /// Creates one that has read nothing.
    pub const fn new() -> Self {
        Self { held: Vec::new() }
    }

    /// Returns the maximum number of bytes to read next; fewer will do. All of them belong to the header.
    pub fn need(&self) -> usize {
        let held = self.held.as_slice();
        let length = match held {
            _ if held.starts_with(SIGNATURE_2) => match length_2(held) {
                Some(length) => 16 + length,
                None => 16,
            },
            _ if held.len() < SIGNATURE_2.len() => SIGNATURE_2.len(),
            // The shortest lines of each kind; from there on, only the end of the line is missing.
            [.., b'\r'] => held.len() + 1,
            _ => shortest_1(held).max(held.len() + 2),
        };
        length.saturating_sub(held.len())
    }

    /// Takes the bytes that were read: at most [`need`](Self::need). An empty slice means that the connection ended.
    ///
    /// `None`: read on. After `Some`, the next byte of the socket is the first of the connection itself.
    pub fn receive(&mut self, input: &[u8]) -> Result<Option<Source>, ProxyError> {
        if input.is_empty() {
            return Err(ProxyError::EndOfInput);
        }
        if input.len() > self.need() {
            return Err(ProxyError::Excess);
        }
        self.held.extend_from_slice(input);
        let held = self.held.as_slice();
        if begins(held, SIGNATURE_1) {
            return version_1(held);
        }
        if begins(held, SIGNATURE_2) {
            return version_2(held);
        }
        Err(ProxyError::Signature)
    }
}

/// Returns whether `held` starts with `signature`, as far as it goes.
fn begins(held: &[u8], signature: &[u8]) -> bool {
    held.iter().zip(signature).all(|(one, two)| one == two)
}

/// Returns the length of the shortest line that starts like this.
fn shortest_1(line: &[u8]) -> usize {
    let shortest: &[u8] = match line.get(SIGNATURE_1.len()..) {
        Some([b'T', b'C', b'P', b'4', ..]) => b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n",
        Some([b'T', b'C', b'P', b'6', ..]) => b"PROXY TCP6 :: :: 0 0\r\n",
        Some(_) | None => b"PROXY UNKNOWN\r\n",
    };
    shortest.len()
}

/// 2.1: "PROXY", a space, the protocol, the two addresses and the two ports, each behind one space, CRLF.
fn version_1(held: &[u8]) -> Result<Option<Source>, ProxyError> {
    let Some(end) = held.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if held.len() < LONGEST_1 - 1 {
            Ok(None)
        } else {
            Err(ProxyError::TooLong)
        };
    };
    if end + 2 > LONGEST_1 {
        return Err(ProxyError::TooLong);
    }
    let (line, end) = held.split_at(end);
    match end {
        b"\r" => return Ok(None),
        b"\r\n" => {}
        _ => return Err(ProxyError::Malformed),
    }
    let line = core::str::from_utf8(line).map_err(|_| ProxyError::Malformed)?;
    let mut words = line.split(' ').skip(1);
    let kind = words.next();
    // 2.1: "the receiver must ignore anything presented before the CRLF is found" behind UNKNOWN
    if kind == Some("UNKNOWN") {
        return Ok(Some(Source::Unknown));
    }
    let mut word = || words.next().ok_or(ProxyError::Malformed);
    let (one, two, from, to) = (word()?, word()?, word()?, word()?);
    let address = |text: &str| -> Option<IpAddr> {
        match kind {
            Some("TCP4") => text.parse().map(IpAddr::V4).ok(),
            Some("TCP6") => text.parse().map(IpAddr::V6).ok(),
            Some(_) | None => None,
        }
    };
    let socket = |host, number| Some(SocketAddr::new(address(host)?, port(number)?));
    match (socket(one, from), socket(two, to), words.next()) {
        (Some(source), Some(destination), None) => Ok(Some(Source::Peer {
            source,
            destination,
        })),
        _ => Err(ProxyError::Malformed),
    }
}

/// 2.1: a port is "a decimal integer in the range [0..65535]", without leading zeroes.
fn port(text: &str) -> Option<u16> {
    let fine =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if fine { text.parse().ok() } else { None }
}

/// 2.2: the signature, version and command, family and protocol, the length of what follows.
fn version_2(held: &[u8]) -> Result<Option<Source>, ProxyError> {
    let Some(rest) = held.get(SIGNATURE_2.len()..) else {
        return Ok(None);
    };
    // 2.2: "The highest four bits contains the version. As of this specification, it must always be sent as \x2"
    if rest
        .first()
        .is_some_and(|first| !matches!(first, 0x20 | 0x21))
    {
        return Err(ProxyError::Unassigned);
    }
    let [command, family, _, _, body @ ..] = rest else {
        return Ok(None);
    };
    let length = length_2(held).unwrap_or_default();
    if length > LONGEST_2 {
        return Err(ProxyError::TooLong);
    }
    if body.len() < length {
        return Ok(None);
    }
    // 2.2: LOCAL: "The receiver must accept this connection as valid and must use the real connection endpoints and
    // discard the protocol block including the family which is ignored."
    if *command == 0x20 {
        return Ok(Some(Source::Unknown));
    }
    match (family, body) {
        // TCP over IPv4
        (0x11, [a, b, c, d, e, f, g, h, i, j, k, l, ..]) => Ok(Some(Source::Peer {
            source: SocketAddr::new(
                Ipv4Addr::new(*a, *b, *c, *d).into(),
                u16::from_be_bytes([*i, *j]),
            ),
            destination: SocketAddr::new(
                Ipv4Addr::new(*e, *f, *g, *h).into(),
                u16::from_be_bytes([*k, *l]),
            ),
        })),
        // TCP over IPv6
        (0x21, _) => {
            let (source, rest) = body
                .split_first_chunk::<16>()
                .ok_or(ProxyError::Malformed)?;
            let (destination, rest) = rest
                .split_first_chunk::<16>()
                .ok_or(ProxyError::Malformed)?;
            let [a, b, c, d, ..] = rest else {
                return Err(ProxyError::Malformed);
            };
            Ok(Some(Source::Peer {
                source: SocketAddr::new(
                    Ipv6Addr::from(*source).into(),
                    u16::from_be_bytes([*a, *b]),
                ),
                destination: SocketAddr::new(
                    Ipv6Addr::from(*destination).into(),
                    u16::from_be_bytes([*c, *d]),
                ),
            }))
        }
        (0x11, _) => Err(ProxyError::Malformed),
        // Unspecified, UDP and Unix sockets give no usable address.
        (0x00 | 0x12 | 0x22 | 0x31 | 0x32, _) => Ok(Some(Source::Unknown)),
        // 2.2: "Other values are unspecified and must not be emitted in version 2 of this protocol and must be rejected as
        // invalid by receivers."
        _ => Err(ProxyError::Unassigned),
    }
}

/// Returns the number of bytes after the first 16, once it is known.
fn length_2(held: &[u8]) -> Option<usize> {
    let length = held.get(14..16)?.first_chunk::<2>()?;
    Some(usize::from(u16::from_be_bytes(*length)))
}
