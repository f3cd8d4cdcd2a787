//! The suite's own HTTP/1.1 heads, parsed strictly and written without checks.
//! RFC 9112 and RFC 6455 section 4.
//! It can write heads that no endpoint may send; `opening` interprets heads for the handshake.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;

/// A request or a response: its first line and its fields, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The request line or the status line.
    pub first: String,
    /// Field lines.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// Creates a valid WebSocket request.
    pub fn request(target: &str, host: &str, key: &str) -> Self {
        Self::new(format!("GET {target} HTTP/1.1"))
            .with("Host", host)
            .with("Upgrade", "websocket")
            .with("Connection", "Upgrade")
            .with("Sec-WebSocket-Key", key)
            .with("Sec-WebSocket-Version", "13")
    }

    /// Creates a minimal response to a request.
    pub fn response(request: &Self) -> Self {
        let key = request.field("Sec-WebSocket-Key").unwrap_or_default();
        Self::new("HTTP/1.1 101 Switching Protocols")
            .with("Upgrade", "websocket")
            .with("Connection", "Upgrade")
            .with("Sec-WebSocket-Accept", &accept(key))
    }

    /// Creates a head without fields.
    pub fn new(first: impl Into<String>) -> Self {
        Self {
            first: first.into(),
            fields: Vec::new(),
        }
    }

    /// Replaces the first line.
    pub fn first(mut self, line: impl Into<String>) -> Self {
        self.first = line.into();
        self
    }

    /// Adds a field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Removes a field.
    pub fn without(mut self, name: &str) -> Self {
        self.fields
            .retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self
    }

    /// Replaces the value of a field in place.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        for (own, old) in &mut self.fields {
            if own.eq_ignore_ascii_case(name) {
                *old = value.into();
            }
        }
        self
    }

    /// Returns its bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut out = format!("{}\r\n", self.first);
        for (name, value) in &self.fields {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str("\r\n");
        out.into_bytes()
    }

    /// Parses a head from the front of `bytes`; returns it with its length, once it is complete.
    pub fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(bytes.get(..end)?);
        let mut lines = text.split("\r\n");
        let mut head = Self::new(lines.next()?);
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            head = head.with(name, value.trim_matches([' ', '\t']));
        }
        Some((head, end + 4))
    }

    /// Returns the status of a response.
    pub fn status(&self) -> Option<u16> {
        if let Some(rest) = self.first.strip_prefix("HTTP/2 ") {
            return rest.parse().ok();
        }
        let rest = self.first.strip_prefix("HTTP/1.")?;
        rest.get(2..5)?.parse().ok()
    }

    /// Returns whether it is a response that opens a WebSocket: 101, or a status 2xx of HTTP/2 (RFC 9113 section 8.5).
    pub fn opens(&self) -> bool {
        let http2 = self.first.starts_with("HTTP/2 ");
        match self.status() {
            Some(101) => !http2,
            Some(200..=299) => http2,
            _ => false,
        }
    }

    /// Returns the target of a request.
    pub fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    /// Returns all values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Returns the first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Returns whether a comma-separated field contains a token, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    }
}

/// Returns the `Sec-WebSocket-Accept` that answers a key (RFC 6455 section 4.2.2, step 5.4).
pub fn accept(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.digest().bytes())
}

/// Returns a key of 16 bytes.
pub fn key(bytes: [u8; 16]) -> String {
    STANDARD.encode(bytes)
}

/// Returns the number of bytes that a base64 value encodes; `None` if it is invalid.
pub fn decoded_length(value: &str) -> Option<usize> {
    STANDARD.decode(value).ok().map(|bytes| bytes.len())
}

/// Returns a parameter of a request's query.
pub fn query<'a>(target: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = target.split_once('?')?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(own, _)| *own == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_two_two_the_example_of_the_rfc() {
        assert_eq!(
            accept("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn heads_are_read_as_they_were_written() {
        let head = Head::request("/runCase?case=7&agent=a%20b", "h:1", "k")
            .with("Connection", "x, keep-alive");
        let bytes = [head.write(), b"rest".to_vec()].concat();
        assert_eq!(Head::read(&bytes[..bytes.len() - 5]), None);
        let (read, length) = Head::read(&bytes).unwrap();
        assert_eq!((&read, length), (&head, bytes.len() - 4));
        assert!(
            read.has_token("connection", "UPGRADE") && read.has_token("Connection", "keep-alive")
        );
        assert_eq!(query(read.target(), "case"), Some("7"));
        assert_eq!(
            Head::new("HTTP/1.1 426 Upgrade Required").status(),
            Some(426)
        );
    }
}
