//! Parses the body of a request as it arrives.
//! RFC 9112 sections 6 and 7.
//! Knows no socket. A body that two readers could interpret differently is malformed.

use alloc::vec::Vec;

use super::RequestHead;

/// Why a body is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Its length is missing or given twice, or a chunk is malformed.
    Malformed,
    /// It is longer than the limit.
    TooLarge,
}

/// A body that is arriving.
#[derive(Debug)]
pub struct Body {
    next: Next,
    limit: usize,
    bytes: Vec<u8>,
}

/// The next part.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// This many bytes, and nothing after them.
    Rest(u64),
    /// The line with the length of a chunk.
    Size,
    /// This many bytes of a chunk.
    Chunk(u64),
    /// The line end after a chunk.
    LineEnd,
    /// Fields after the last chunk, which are skipped: the number of their bytes that have arrived.
    Trailer(usize),
    Nothing,
}

/// Maximum length of the line before a chunk, and of all fields after the last.
const LONGEST: usize = 1 << 10;

impl Body {
    /// Reads the framing from the head; at most `limit` bytes are accepted. No memory is reserved for a length.
    pub fn of(head: &RequestHead, limit: usize) -> Result<Self, BodyError> {
        let mut lengths = head.fields.all("content-length");
        let mut codings = head.fields.all("transfer-encoding");
        let next = match (codings.next(), lengths.next()) {
            (None, None) => Next::Nothing,
            (None, Some(length)) => {
                // 6.3: "the message framing is invalid and the recipient MUST treat it as an unrecoverable error"
                if lengths.any(|other| other != length) {
                    return Err(BodyError::Malformed);
                }
                let digits = core::str::from_utf8(length)
                    .ok()
                    .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
                    .ok_or(BodyError::Malformed)?;
                // Digits that overflow a number exceed any limit.
                Next::Rest(digits.parse().unwrap_or(u64::MAX))
            }
            // 6.1: "A server MAY reject a request that contains both Content-Length and Transfer-Encoding"
            (Some(_), Some(_)) => return Err(BodyError::Malformed),
            (Some(coding), None) => {
                if codings.next().is_some() || !coding.eq_ignore_ascii_case(b"chunked") {
                    return Err(BodyError::Malformed);
                }
                Next::Size
            }
        };
        match next {
            Next::Rest(length) if length > limit as u64 => Err(BodyError::TooLarge),
            next => Ok(Self {
                next,
                limit,
                bytes: Vec::new(),
            }),
        }
    }

    /// Creates a body in chunks of a sender that is trusted with its length.
    pub const fn chunked() -> Self {
        Self {
            next: Next::Size,
            limit: usize::MAX,
            bytes: Vec::new(),
        }
    }

    /// Takes out the bytes that have arrived.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.bytes)
    }

    /// Returns whether the body is complete.
    pub fn is_whole(&self) -> bool {
        matches!(self.next, Next::Nothing | Next::Rest(0))
    }

    /// Returns its bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Takes bytes of the body and returns their number: until the body is complete, or more input is needed.
    pub fn take(&mut self, input: &[u8]) -> Result<usize, BodyError> {
        let mut taken = 0;
        while !self.is_whole() {
            let rest = input.get(taken..).unwrap_or_default();
            let Some(step) = self.step(rest)? else {
                break;
            };
            taken += step;
        }
        Ok(taken)
    }

    /// Makes one step; returns `None` when more input is needed.
    fn step(&mut self, input: &[u8]) -> Result<Option<usize>, BodyError> {
        match &mut self.next {
            Next::Rest(left) | Next::Chunk(left) => {
                let here = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(input.len());
                if here == 0 {
                    return Ok(None);
                }
                *left -= here as u64;
                let is_over = *left == 0;
                self.bytes
                    .extend_from_slice(input.get(..here).unwrap_or_default());
                if is_over && matches!(self.next, Next::Chunk(_)) {
                    self.next = Next::LineEnd;
                }
                Ok(Some(here))
            }
            Next::Size => match httparse::parse_chunk_size(input) {
                Ok(httparse::Status::Complete((line, _))) if !is_size_line(input, line) => {
                    Err(BodyError::Malformed)
                }
                Ok(httparse::Status::Complete((line, 0))) => {
                    self.next = Next::Trailer(0);
                    Ok(Some(line))
                }
                Ok(httparse::Status::Complete((line, size))) => {
                    let room = self.limit.saturating_sub(self.bytes.len()) as u64;
                    if size > room {
                        return Err(BodyError::TooLarge);
                    }
                    self.next = Next::Chunk(size);
                    Ok(Some(line))
                }
                Ok(httparse::Status::Partial) if input.len() <= LONGEST => Ok(None),
                Ok(httparse::Status::Partial) | Err(_) => Err(BodyError::Malformed),
            },
            Next::LineEnd => match input {
                [b'\r', b'\n', ..] => {
                    self.next = Next::Size;
                    Ok(Some(2))
                }
                [] | [b'\r'] => Ok(None),
                _ => Err(BodyError::Malformed),
            },
            Next::Trailer(passed) => {
                let Some(end) = input.windows(2).position(|bytes| bytes == b"\r\n") else {
                    return if *passed + input.len() > LONGEST {
                        Err(BodyError::Malformed)
                    } else {
                        Ok(None)
                    };
                };
                if !input.get(..end).is_some_and(is_plain) {
                    return Err(BodyError::Malformed);
                }
                *passed += end + 2;
                if end == 0 {
                    self.next = Next::Nothing;
                } else if *passed > LONGEST {
                    return Err(BodyError::Malformed);
                }
                Ok(Some(end + 2))
            }
            Next::Nothing => Ok(None),
        }
    }
}

/// Returns whether the first `line` bytes are a chunk's size, in digits, with extensions that all readers take for one line (RFC 9112
/// sections 7.1 and 7.1.1).
fn is_size_line(input: &[u8], line: usize) -> bool {
    let text = input
        .get(..line)
        .and_then(|line| line.strip_suffix(b"\r\n"));
    text.is_some_and(|text| text.first().is_some_and(u8::is_ascii_hexdigit) && is_plain(text))
}

/// Returns whether nothing in a line could end it for another reader.
fn is_plain(text: &[u8]) -> bool {
    text.iter()
        .all(|byte| *byte == b'\t' || !byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Headers;

    fn head(fields: &[(&str, &str)]) -> RequestHead {
        RequestHead {
            method: "POST".into(),
            target: "/".into(),
            fields: fields.iter().copied().collect::<Headers>(),
        }
    }

    /// Feeds the body in pieces of `piece` bytes, and returns it with the rest of the input.
    fn read(
        fields: &[(&str, &str)],
        input: &[u8],
        piece: usize,
    ) -> Result<(Vec<u8>, usize), BodyError> {
        let mut body = Body::of(&head(fields), 10)?;
        let (mut unread, mut given) = (Vec::new(), 0);
        while !body.is_whole() {
            let more = input.get(given..).unwrap();
            assert!(!more.is_empty(), "it ends too soon");
            let more = more.get(..piece).unwrap_or(more);
            unread.extend_from_slice(more);
            given += more.len();
            let taken = body.take(&unread)?;
            unread.drain(..taken);
        }
        Ok((body.into_bytes(), unread.len() + input.len() - given))
    }

    #[test]
    fn section_6_and_7_in_any_pieces() {
        const CHUNKED: (&str, &str) = ("Transfer-Encoding", "Chunked");
        type Case = (
            &'static [(&'static str, &'static str)],
            &'static [u8],
            Result<(&'static [u8], usize), BodyError>,
        );
        let cases: &[Case] = &[
            (&[], b"next", Ok((b"", 4))),
            (&[("Content-Length", "0")], b"next", Ok((b"", 4))),
            (&[("Content-Length", "5")], b"hellonext", Ok((b"hello", 4))),
            (
                &[("Content-Length", "5"), ("content-length", "5")],
                b"hello",
                Ok((b"hello", 0)),
            ),
            (
                &[("Content-Length", "5"), ("content-length", "6")],
                b"hello",
                Err(BodyError::Malformed),
            ),
            (
                &[("Content-Length", "5, 5")],
                b"hello",
                Err(BodyError::Malformed),
            ),
            (
                &[("Content-Length", "+5")],
                b"hello",
                Err(BodyError::Malformed),
            ),
            (&[("Content-Length", "11")], b"", Err(BodyError::TooLarge)),
            (
                &[("Content-Length", "99999999999999999999999")],
                b"",
                Err(BodyError::TooLarge),
            ),
            (
                &[("Content-Length", "5"), CHUNKED],
                b"",
                Err(BodyError::Malformed),
            ),
            (
                &[("Transfer-Encoding", "gzip, chunked")],
                b"",
                Err(BodyError::Malformed),
            ),
            (&[CHUNKED, CHUNKED], b"", Err(BodyError::Malformed)),
            (
                &[CHUNKED],
                b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\nnext",
                Ok((b"hello", 4)),
            ),
            (&[CHUNKED], b"0\r\nX-Sum: 1\r\n\r\n", Ok((b"", 0))),
            (&[CHUNKED], b"3\r\nhelXX", Err(BodyError::Malformed)),
            (&[CHUNKED], b"zz\r\n", Err(BodyError::Malformed)),
            // Lines that another reader ends elsewhere, or takes for another size.
            (&[CHUNKED], b"\r\n", Err(BodyError::Malformed)),
            (&[CHUNKED], b";x\r\n", Err(BodyError::Malformed)),
            (&[CHUNKED], b"3;\nx\r\nhel", Err(BodyError::Malformed)),
            (&[CHUNKED], b"3;\rx\r\nhel", Err(BodyError::Malformed)),
            (
                &[CHUNKED],
                b"0\r\nX: 1\nY: 2\r\n\r\n",
                Err(BodyError::Malformed),
            ),
            (
                &[CHUNKED],
                b"3 ; x=\"y\"\r\nhel\r\n0\r\nX:\t1\r\n\r\n",
                Ok((b"hel", 0)),
            ),
            (
                &[CHUNKED],
                b"6\r\nhello \r\n5\r\nworld\r\n",
                Err(BodyError::TooLarge),
            ),
            (&[CHUNKED], b"fffffffffffffff\r\n", Err(BodyError::TooLarge)),
        ];
        for (fields, input, want) in cases {
            for piece in 1..=input.len().max(1) {
                let got = read(fields, input, piece);
                let got = got.as_ref().map(|(body, left)| (body.as_slice(), *left));
                assert_eq!(got, want.as_ref().copied(), "{fields:?}, {piece} at a time");
            }
        }
    }

    #[test]
    fn lines_and_trailers_without_end_are_malformed() {
        let chunked = head(&[("Transfer-Encoding", "chunked")]);
        for (front, line) in [
            (&b"3;"[..], &b"x"[..]),
            (b"0\r\n", b"X: y\r\n"),
            (b"0\r\n", b"x"),
        ] {
            let mut body = Body::of(&chunked, 10).unwrap();
            let (mut unread, mut passed) = (front.to_vec(), 0);
            let ended = loop {
                unread.extend_from_slice(line);
                passed += line.len();
                assert!(passed < 2 * LONGEST);
                match body.take(&unread) {
                    Ok(taken) => drop(unread.drain(..taken)),
                    Err(error) => break error,
                }
            };
            assert_eq!(ended, BodyError::Malformed);
        }
    }
}
