//! A response other than 101: a server refuses with it, or a client was refused with it.
//! RFC 9110 section 15, RFC 9112 section 6.
//! Knows no WebSocket.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::InvalidInput;
use crate::http::{Headers, field, reason};

/// A response: status, fields and body.
///
/// ```
/// use sansws_core::http::Response;
///
/// let response = Response::text(429, "try again later\n").with("Retry-After", "30");
/// let mut bytes = Vec::new();
/// response.write(&mut bytes)?;
/// assert!(bytes.starts_with(b"HTTP/1.1 429 Too Many Requests\r\n"));
/// assert!(bytes.ends_with(b"\r\n\r\ntry again later\n"));
/// // A value never smuggles in a field of its own.
/// let injected = Response::new(404).with("X-Name", "ada\r\nSet-Cookie: a=1");
/// assert!(injected.write(&mut Vec::new()).is_err());
/// # Ok::<(), sansws_core::error::InvalidInput>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The fields. The length of the body is not among them: `Content-Length` and `Transfer-Encoding` are not written.
    pub fields: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Creates a response without fields or body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            fields: Headers::default(),
            body: Vec::new(),
        }
    }

    /// Creates a response whose body is plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", body.into())
    }

    /// Creates a response whose body is an HTML page.
    pub fn html(status: u16, body: impl Into<String>) -> Self {
        Self::bytes(status, "text/html; charset=utf-8", body.into())
    }

    /// Creates a response whose body has the media type `kind`.
    pub fn bytes(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::new(status)
        }
        .with("Content-Type", kind)
    }

    /// Creates a response whose body is a value as JSON.
    #[cfg(feature = "json")]
    pub fn json<V: serde::Serialize + ?Sized>(
        status: u16,
        value: &V,
    ) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_vec(value)?;
        Ok(Self::bytes(status, "application/json", body))
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push(name, value.as_ref());
        self
    }

    /// Returns the target of a redirect: the `Location` of a 301, 302, 303, 307 or 308.
    pub fn location(&self) -> Option<&str> {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
            .then(|| self.fields.get_str("location"))
            .flatten()
    }

    /// Appends the response to `out`, with `Content-Length` and `Connection: close`.
    ///
    /// Nothing is written if a field would break the head, or if the status announces no response or a switch.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), InvalidInput> {
        self.write_as(Framing::default(), out)
    }

    /// Checks that it can be encoded: its status announces a response, and its fields do not break the head.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), InvalidInput> {
        if !(200..=599).contains(&self.status) {
            return Err(InvalidInput::BadStatus(self.status));
        }
        check_fields(&self.fields)
    }

    /// Encodes the response; another one may follow, and a HEAD request gets no body.
    #[doc(hidden)]
    pub fn write_as(&self, framing: Framing, out: &mut Vec<u8>) -> Result<(), InvalidInput> {
        self.write_head(framing, false, out)?;
        // RFC 9110 9.3.2: "the server MUST NOT send content in the response" to HEAD
        if !self.is_bodiless() && !framing.head {
            out.extend_from_slice(&self.body);
        }
        Ok(())
    }

    /// RFC 9110 8.6: "A server MUST NOT send a Content-Length header field in any response with a status code of [...] 204 (No Content)";
    /// and a 304 has no body.
    const fn is_bodiless(&self) -> bool {
        matches!(self.status, 204 | 304)
    }

    /// Encodes the head; if `chunked`, the body follows in chunks (RFC 9112 7.1).
    #[doc(hidden)]
    pub fn write_head(
        &self,
        framing: Framing,
        chunked: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), InvalidInput> {
        self.check()?;
        out.extend_from_slice(
            format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)).as_bytes(),
        );
        for (name, value) in self.fields.iter().filter(|(name, _)| !is_framing(name)) {
            write_field(name, value, out);
        }
        if chunked && !self.is_bodiless() {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        } else if !self.is_bodiless() {
            out.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        if !framing.keep_alive {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// Returns whether a field determines the end of the body. Two of them would let a client and a proxy see different responses (RFC 9112
/// 6.3).
fn is_framing(name: &str) -> bool {
    ["content-length", "transfer-encoding"]
        .iter()
        .any(|framing| name.eq_ignore_ascii_case(framing))
}

/// How a response is framed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Framing {
    /// The connection stays open.
    pub keep_alive: bool,
    /// It answers HEAD.
    pub head: bool,
}

/// Returns whether all names are tokens and all values stay within their line.
pub(crate) fn check_fields(fields: &Headers) -> Result<(), InvalidInput> {
    let fine = fields
        .iter()
        .all(|(name, value)| field::is_token(name) && field::is_value(value));
    if fine {
        Ok(())
    } else {
        Err(InvalidInput::BadHeader)
    }
}

pub(crate) fn write_fields(fields: &Headers, out: &mut Vec<u8>) {
    for (name, value) in fields.iter() {
        write_field(name, value, out);
    }
}

/// Returns how many bytes [`write_fields`] writes.
pub(crate) const fn length_of(fields: &Headers) -> usize {
    fields.bytes() + fields.len() * ": \r\n".len()
}

pub(crate) fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_it_reads() {
        let mut out = Vec::new();
        Response::text(403, "no\n")
            .with("X-Why", "because")
            .write(&mut out)
            .unwrap();
        let want = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nX-Why: because\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n";
        assert_eq!(core::str::from_utf8(&out), Ok(want));
    }

    #[test]
    fn framed_as_the_request_wants() {
        let cases = [
            (
                200,
                false,
                false,
                "Content-Length: 2\r\nConnection: close\r\n\r\nok",
            ),
            (200, true, false, "Content-Length: 2\r\n\r\nok"),
            (200, true, true, "Content-Length: 2\r\n\r\n"),
            (204, true, false, "\r\n\r\n"),
            (304, true, false, "\r\n\r\n"),
        ];
        for (status, keep_alive, head, want) in cases {
            let mut out = Vec::new();
            let framing = Framing { keep_alive, head };
            Response::text(status, "ok")
                .write_as(framing, &mut out)
                .unwrap();
            let out = core::str::from_utf8(&out).unwrap();
            assert!(out.ends_with(want), "{status}: {out}");
        }
    }

    #[test]
    fn values_that_would_split_the_head_are_misuse() {
        let mut out = Vec::new();
        assert_eq!(
            Response::new(403).with("X", "a\r\nB: c").write(&mut out),
            Err(InvalidInput::BadHeader)
        );
        assert_eq!(
            Response::new(403).with("X Y", "a").write(&mut out),
            Err(InvalidInput::BadHeader)
        );
        assert_eq!(
            Response::new(101).write(&mut out),
            Err(InvalidInput::BadStatus(101))
        );
        assert!(out.is_empty());
    }
}
