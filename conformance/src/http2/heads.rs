//! Field blocks of HTTP/2, and the WebSocket handshake over it.
//! RFC 7541 (HPACK) by `loona-hpack`; RFC 9113 sections 8.2 and 8.3; RFC 8441 section 5.
//! Fields are written as literals, in any order and with any octets, so that a case can send what no endpoint may.

use std::fmt;

use loona_hpack::encoder::encode_integer;

use crate::http::Head;

/// The fields of a head, the pseudo-header fields among them, in their order.
pub type Fields = Vec<(String, String)>;

/// Maximum length of the fields of a head from a peer, in octets.
const LONGEST: usize = 64 << 10;

/// Fields that only HTTP/1.1 has (RFC 9113 section 8.2.2).
const CONNECTION_SPECIFIC: [&str; 5] = [
    "connection",
    "proxy-connection",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
];

/// Returns the field block of these fields, each as a literal that enters no table.
pub fn encode(fields: &[(String, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.extend(encode_integer(text.len(), 7));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Decodes the field blocks of a connection.
pub struct Decoder(loona_hpack::Decoder<'static>);

impl Default for Decoder {
    fn default() -> Self {
        let mut decoder = loona_hpack::Decoder::new();
        decoder.set_max_allowed_table_size(4096);
        Self(decoder)
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl Decoder {
    /// Returns the fields of a block.
    ///
    /// # Errors
    /// When the block cannot be decoded, or its fields are too long; the text says how.
    pub fn decode(&mut self, block: &[u8]) -> Result<Fields, String> {
        let (mut fields, mut length) = (Vec::new(), 0);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.0
            .decode_with_cb(block, |name, value| {
                length += name.len() + value.len() + 32;
                if length <= LONGEST {
                    fields.push((text(&name), text(&value)));
                }
            })
            .map_err(|error| format!("its field block cannot be decoded: {error:?} (RFC 7541)"))?;
        match length {
            0..=LONGEST => Ok(fields),
            _ => Err(format!("its HTTP head is longer than {LONGEST} octets")),
        }
    }
}

/// Returns the fields of a valid WebSocket request.
pub fn connect(scheme: &str, host: &str, target: &str) -> Fields {
    [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", scheme),
        (":path", target),
        (":authority", host),
        ("sec-websocket-version", "13"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into()
}

/// Returns the value of a field; `None` if it is not there.
pub fn value<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(own, _)| own == name);
    found.map(|(_, value)| value.as_str())
}

/// Returns a request or a response as a head whose first line is phrased as in HTTP/1.1.
pub fn head(fields: Fields) -> Head {
    let first = match value(&fields, ":status") {
        Some(status) => format!("HTTP/2 {status}"),
        None => {
            let method = value(&fields, ":method").unwrap_or("?");
            format!("{method} {} HTTP/2", value(&fields, ":path").unwrap_or("?"))
        }
    };
    Head { first, fields }
}

/// Checks what holds for the fields of every head.
///
/// # Errors
/// When the head is malformed; the text says how.
pub fn check(fields: &[(String, String)], request: bool) -> Result<(), String> {
    let known: &[&str] = match request {
        true => &[":method", ":scheme", ":authority", ":path", ":protocol"],
        false => &[":status"],
    };
    let mut regular = false;
    for (at, (name, value)) in fields.iter().enumerate() {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(format!(
                "it sent the field `{name}`, which is not in lowercase (RFC 9113 8.2.1)"
            ));
        }
        if CONNECTION_SPECIFIC.contains(&name.as_str()) {
            return Err(format!(
                "it sent the field `{name}`, which HTTP/2 does not have (RFC 9113 8.2.2)"
            ));
        }
        if value.bytes().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
            return Err(format!(
                "the value of its field `{name}` holds NUL, CR or LF (RFC 9113 8.2.1)"
            ));
        }
        if !name.starts_with(':') {
            regular = true;
            continue;
        }
        if regular {
            return Err(format!(
                "it sent `{name}` behind a regular field (RFC 9113 8.3)"
            ));
        }
        if !known.contains(&name.as_str()) {
            return Err(format!(
                "it sent `{name}`, which does not belong there (RFC 9113 8.3)"
            ));
        }
        if fields.iter().skip(at + 1).any(|(other, _)| other == name) {
            return Err(format!("it sent `{name}` twice (RFC 9113 8.3)"));
        }
    }
    Ok(())
}

/// Checks a client's request for a WebSocket.
///
/// # Errors
/// When the request is wrong; the text says how.
pub fn check_request(head: &Head) -> Result<(), String> {
    let is = |name: &str, good: &[&str]| match head.field(name) {
        Some(value) if good.contains(&value) => Ok(()),
        Some(value) => Err(format!("its {name} is `{value}` (RFC 8441 5)")),
        None => Err(format!("it sent no {name} (RFC 8441 4 and 5)")),
    };
    is(":method", &["CONNECT"])?;
    is(":protocol", &["websocket"])?;
    is(":scheme", &["http", "https"])?;
    if !head.field(":path").unwrap_or_default().starts_with('/') {
        return Err("its :path is no path (RFC 8441 4)".into());
    }
    if head.field(":authority").unwrap_or_default().is_empty() {
        return Err("it sent no :authority (RFC 8441 5)".into());
    }
    is("sec-websocket-version", &["13"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_decoded_as_they_were_encoded() {
        let mut fields = connect("http", "h:1", "/a?b");
        fields.push(("x-long".into(), "v".repeat(1000)));
        let mut decoder = Decoder::default();
        for _ in 0..3 {
            assert_eq!(decoder.decode(&encode(&fields)).unwrap(), fields);
        }
        // RFC 7541 C.4.1: with Huffman codes, and into the table; then out of it.
        let huffman = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        let read = decoder.decode(huffman).unwrap();
        assert_eq!(value(&read, ":authority"), Some("www.example.com"));
        assert_eq!(
            value(&decoder.decode(b"\xbe").unwrap(), ":authority"),
            value(&read, ":authority")
        );
        assert!(decoder.decode(b"\xff\xff\xff\xff\xff\xff\xff").is_err());
        assert!(
            decoder
                .decode(&encode(&[("x".into(), "v".repeat(LONGEST))]))
                .is_err()
        );
    }

    #[test]
    fn malformed_heads_are_told() {
        let with = |name: &str, value: &str| {
            let mut fields = connect("http", "h", "/");
            fields.push((name.into(), value.into()));
            check(&fields, true)
        };
        assert_eq!(check(&connect("http", "h", "/"), true), Ok(()));
        assert_eq!(with("te", "trailers"), Ok(()));
        for (name, value) in [
            ("Sec-WebSocket-Protocol", "a"),
            ("upgrade", "websocket"),
            (":path", "/"),
            (":status", "200"),
            ("x", "a\nb"),
        ] {
            assert!(with(name, value).is_err(), "{name}");
        }
        let status = |count: usize| vec![(":status".into(), "200".into()); count];
        assert_eq!(check(&status(1), false), Ok(()));
        assert!(check(&status(2), false).is_err());
    }

    #[test]
    fn requests_are_checked() {
        let good = connect("https", "h", "/");
        assert_eq!(check_request(&head(good.clone())), Ok(()));
        for at in 0..good.len() {
            let mut fields = good.clone();
            let (name, _) = fields.remove(at);
            assert!(check_request(&head(fields)).is_err(), "without {name}");
        }
    }
}
