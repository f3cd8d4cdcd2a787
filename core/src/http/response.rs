//! A response other than 101: what a server refuses with, what a client was refused with.
//! RFC 9110 section 15, RFC 9112 section 6.
//! Knows no WebSocket.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::Misuse;
use crate::http::{Fields, field, reason};

/// Status, fields and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The fields, without those of the framing (`Content-Length`, `Connection`).
    pub fields: Fields,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// A response without fields or body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            fields: Fields::default(),
            body: Vec::new(),
        }
    }

    /// A response whose body is plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        let body: String = body.into();
        Self {
            body: body.into_bytes(),
            ..Self::new(status)
        }
        .with("Content-Type", "text/plain; charset=utf-8")
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push(name, value.as_ref());
        self
    }

    /// Where it redirects to: the `Location` of a 301, 302, 303, 307 or 308.
    pub fn location(&self) -> Option<&str> {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
            .then(|| self.fields.get_str("location"))
            .flatten()
    }

    /// Appends the response to `out`, with `Content-Length` and `Connection: close`.
    ///
    /// Nothing is written when a field would break the head, or when the status announces no response or a switch.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Misuse> {
        if !(200..=599).contains(&self.status) {
            return Err(Misuse::BadStatus);
        }
        check_fields(&self.fields)?;
        out.extend_from_slice(
            format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)).as_bytes(),
        );
        write_fields(&self.fields, out);
        out.extend_from_slice(
            format!(
                "Content-Length: {}\r\nConnection: close\r\n\r\n",
                self.body.len()
            )
            .as_bytes(),
        );
        out.extend_from_slice(&self.body);
        Ok(())
    }
}

/// Whether all names are tokens and all values stay within their line.
pub(crate) fn check_fields(fields: &Fields) -> Result<(), Misuse> {
    let fine = fields
        .iter()
        .all(|(name, value)| field::is_token(name) && field::is_value(value));
    if fine { Ok(()) } else { Err(Misuse::BadHeader) }
}

pub(crate) fn write_fields(fields: &Fields, out: &mut Vec<u8>) {
    for (name, value) in fields.iter() {
        write_field(name, value, out);
    }
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
    fn what_would_split_the_head_is_misuse() {
        let mut out = Vec::new();
        assert_eq!(
            Response::new(403).with("X", "a\r\nB: c").write(&mut out),
            Err(Misuse::BadHeader)
        );
        assert_eq!(
            Response::new(403).with("X Y", "a").write(&mut out),
            Err(Misuse::BadHeader)
        );
        assert_eq!(Response::new(101).write(&mut out), Err(Misuse::BadStatus));
        assert!(out.is_empty());
    }
}
