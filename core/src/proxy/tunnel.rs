//! CONNECT: requests a connection from an HTTP proxy.
//! RFC 9110 section 9.3.6; RFC 7617 section 2 for the credentials.
//! Knows no socket, and nothing of the tunnel's content except that the client speaks first.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;

use super::{Credentials, TunnelError, TunnelStep};
use crate::config::Limits;
use crate::http::url::authority;
use crate::http::{HeadError, Scan, field, with_slots};

/// A client of an HTTP proxy.
#[derive(Clone)]
pub(super) struct HttpTunnel {
    output: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    scan: Scan,
    limits: Limits,
}

/// Maximum number of bytes that are read at once.
const READ: usize = 4096;

impl HttpTunnel {
    /// Requests a connection to `host`, a name or an address, an IPv6 address without brackets.
    ///
    /// The answer is bounded by [`Limits::head`] and [`Limits::headers`].
    pub fn new(
        host: &str,
        port: u16,
        credentials: Option<&Credentials>,
        limits: &Limits,
    ) -> Result<Self, TunnelError> {
        // RFC 9110 9.3.6: "consisting of only the host and port number of the tunnel destination, separated by a colon"
        let is_name = !host.is_empty() && !host.contains(':') && field::is_host(host.as_bytes());
        if !is_name && host.parse::<Ipv6Addr>().is_err() {
            return Err(TunnelError::Host);
        }
        let authority = authority(host, port);
        let mut output = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(credentials) = credentials {
            let basic = credentials.basic().ok_or(TunnelError::Credentials)?;
            output += &format!("Proxy-Authorization: {basic}\r\n");
        }
        output += "\r\n";
        Ok(Self {
            output: output.into_bytes(),
            written: 0,
            input: Vec::new(),
            scan: Scan::default(),
            limits: limits.clone(),
        })
    }

    /// Returns the bytes to write.
    pub fn output(&self) -> &[u8] {
        self.output.get(self.written..).unwrap_or_default()
    }

    /// Reports that so many bytes of the output were written.
    pub const fn written(&mut self, count: usize) {
        self.written = self.written.saturating_add(count);
    }

    /// Returns the maximum number of bytes to read next; fewer will do.
    pub const fn need(&self) -> usize {
        READ
    }

    /// Takes the bytes that were read, as [`ProxyHandshake::receive`](super::ProxyHandshake::receive) does.
    ///
    /// Bytes after the head of a 2xx are an error: a WebSocket server does not speak first, and neither does TLS.
    pub fn receive(&mut self, input: &[u8]) -> Result<TunnelStep, TunnelError> {
        if input.is_empty() {
            return Err(TunnelError::EndOfInput);
        }
        self.input.extend_from_slice(input);
        loop {
            let Some(length) = self.scan.find(&self.input, &self.limits)? else {
                return Ok(TunnelStep::More);
            };
            let status = status(self.input.get(..length).unwrap_or_default(), &self.limits)?;
            match status {
                // RFC 9110 15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final response"
                100..=199 => {
                    self.input.drain(..length);
                    self.limits.head = self.limits.head.saturating_sub(length);
                    self.scan = Scan::default();
                }
                // 9.3.6: "A client MUST ignore any Content-Length or Transfer-Encoding header fields received in a
                // successful response to CONNECT."
                200..=299 if self.input.len() > length => return Err(TunnelError::Early),
                200..=299 => {
                    self.input = Vec::new();
                    return Ok(TunnelStep::Open);
                }
                _ => return Err(TunnelError::Refused(status)),
            }
        }
    }
}

impl fmt::Debug for HttpTunnel {
    /// The request may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTunnel").finish_non_exhaustive()
    }
}

impl From<HeadError> for TunnelError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Malformed | HeadError::Version => Self::Malformed,
            HeadError::TooLarge | HeadError::TooManyFields => Self::TooLarge,
        }
    }
}

/// Returns the status of a response. Many proxies answer CONNECT as HTTP/1.0.
fn status(head: &[u8], limits: &Limits) -> Result<u16, TunnelError> {
    with_slots(head, limits, |slots| {
        let mut response = httparse::Response::new(slots);
        match response.parse(head) {
            Ok(httparse::Status::Complete(_)) => response.code.ok_or(TunnelError::Malformed),
            Err(httparse::Error::TooManyHeaders) => Err(TunnelError::TooLarge),
            Ok(httparse::Status::Partial) | Err(_) => Err(TunnelError::Malformed),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};

    fn ask(host: &str, user: Option<(&str, &str)>) -> Result<String, TunnelError> {
        let credentials = user.map(|(user, password)| Credentials {
            user: user.to_string(),
            password: password.to_string(),
        });
        let tunnel = HttpTunnel::new(host, 443, credentials.as_ref(), &Limits::default())?;
        Ok(String::from_utf8(tunnel.output().to_vec()).unwrap())
    }

    #[test]
    fn requests_to_proxies() {
        const PLAIN: &str = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
        assert_eq!(ask("a.example", None).as_deref(), Ok(PLAIN));
        let with = ask("::1", Some(("Aladdin", "open sesame"))).unwrap();
        assert_eq!(
            with,
            "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
        );
        for host in ["", "a b", "a\r\nX: y", "a:1", "a/b", "u@a", "[::1]"] {
            assert_eq!(ask(host, None), Err(TunnelError::Host), "{host}");
        }
        for user in [("a:b", "c"), ("a\n", "c"), ("a", "\0")] {
            assert_eq!(ask("a", Some(user)), Err(TunnelError::Credentials));
        }
    }

    #[test]
    fn any_number_of_fields_may_be_allowed() {
        let limits = Limits {
            headers: usize::MAX,
            ..Limits::default()
        };
        let answer = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a:\r\n".repeat(1_000));
        let mut tunnel = HttpTunnel::new("a", 1, None, &limits).unwrap();
        assert_eq!(tunnel.receive(answer.as_bytes()), Ok(TunnelStep::Open));
    }

    #[test]
    fn answers_of_proxies() {
        let limits = Limits {
            head: 100,
            headers: 2,
            ..Limits::default()
        };
        let long = format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(100));
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(5);
        let cases: &[(&str, Result<TunnelStep, TunnelError>)] = &[
            (
                "HTTP/1.1 200 Connection established\r\n\r\n",
                Ok(TunnelStep::Open),
            ),
            ("HTTP/1.0 200 OK\r\nVia: a\r\n\r\n", Ok(TunnelStep::Open)),
            (
                "HTTP/1.1 204 \r\nContent-Length: 5\r\n\r\n",
                Ok(TunnelStep::Open),
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
                Ok(TunnelStep::Open),
            ),
            ("HTTP/1.1 200 OK\r\n", Ok(TunnelStep::More)),
            ("HTTP/1.1 200 OK\r\n\r\n!", Err(TunnelError::Early)),
            ("HTTP/1.1 407 No\r\n\r\nwhy", Err(TunnelError::Refused(407))),
            ("HTTP/1.1 502 No\r\n\r\n", Err(TunnelError::Refused(502))),
            (
                "HTTP/1.1 301 No\r\nLocation: x\r\n\r\n",
                Err(TunnelError::Refused(301)),
            ),
            (
                "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n",
                Err(TunnelError::TooLarge),
            ),
            (&long, Err(TunnelError::TooLarge)),
            (&interim, Err(TunnelError::TooLarge)),
            ("SSH-2.0-OpenSSH\r\n\r\n", Err(TunnelError::Malformed)),
            ("\x05\x00", Err(TunnelError::Malformed)),
            ("HTTP/1.1 200 OK\n\n", Err(TunnelError::Malformed)),
            ("", Err(TunnelError::EndOfInput)),
        ];
        for (answer, want) in cases {
            let fresh = || HttpTunnel::new("a", 1, None, &limits).unwrap();
            assert_eq!(fresh().receive(answer.as_bytes()), *want, "{answer:?}");
            // Byte by byte, the head of a refusal is enough, and nothing can arrive early.
            if answer.len() > 1 && *want != Err(TunnelError::Early) {
                let mut tunnel = fresh();
                let mut steps = answer.as_bytes().chunks(1).map(|byte| tunnel.receive(byte));
                let last = steps
                    .find(|step| *step != Ok(TunnelStep::More))
                    .unwrap_or(Ok(TunnelStep::More));
                assert_eq!(last, *want, "{answer:?}, octet by octet");
            }
        }
    }
}
