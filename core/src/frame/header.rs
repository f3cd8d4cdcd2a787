//! The frame header: bytes to value and back.
//! RFC 6455 sections 5.1 (mask by role), 5.2 (layout) and 5.5 (control frames).
//! Knows no payload, and of the connection only what the caller expects.

use alloc::vec::Vec;
use core::ops::Range;

use crate::error::Violation;
use crate::frame::{MessageKind, Opcode};

/// The longest header: two bytes, a 64-bit length and a key.
pub const MAX_HEADER: usize = 14;

const FIN: u8 = 0x80;
const TEXT: u8 = FIN | Opcode::Text as u8;
const BINARY: u8 = FIN | Opcode::Binary as u8;
const RSV1: u8 = 0x40;
const RSV2_RSV3: u8 = 0x30;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether the message ends with this frame.
    pub fin: bool,
    /// RSV1: the message is compressed (RFC 7692 section 6).
    pub compressed: bool,
    /// The opcode.
    pub opcode: Opcode,
    /// The masking key, in frames from a client.
    pub mask: Option<[u8; 4]>,
    /// The length of the payload, in bytes.
    pub length: u64,
}

/// The headers that the parser may accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// Frames are masked: the reader is the server.
    pub masked: bool,
    /// A message has started and not ended.
    pub inside_message: bool,
    /// permessage-deflate is agreed: RSV1 may be set on the first frame of a message.
    pub deflate: bool,
}

/// An uncompressed message in one frame.
#[derive(Debug)]
pub(crate) struct WholeMessage {
    pub(crate) kind: MessageKind,
    pub(crate) mask: Option<[u8; 4]>,
    /// The range of the payload in the input.
    pub(crate) payload: Range<usize>,
}

impl Header {
    /// Parses a header from the front of `input`; returns the header and its length, or `None` if more bytes are needed.
    ///
    /// A violation is found at the first byte that proves it, even in an incomplete header.
    #[inline]
    pub fn parse(input: &[u8], expect: Expect) -> Result<Option<(Self, usize)>, Violation> {
        let [first, rest @ ..] = input else {
            return Ok(None);
        };
        let (fin, compressed) = (first & FIN != 0, first & RSV1 != 0);
        if first & RSV2_RSV3 != 0 {
            return Err(Violation::ReservedBit);
        }
        let opcode = Opcode::from_bits(*first).ok_or(Violation::ReservedOpcode)?;
        let begins = matches!(opcode, Opcode::Text | Opcode::Binary);
        // RFC 7692 6.1: the bit is set on the first frame of a message and on no other.
        if compressed && !(expect.deflate && begins) {
            return Err(Violation::ReservedBit);
        }
        if opcode.is_control() && !fin {
            return Err(Violation::ControlFragmented);
        }
        if begins && expect.inside_message {
            return Err(Violation::ContinuationExpected);
        }
        if opcode == Opcode::Continuation && !expect.inside_message {
            return Err(Violation::ContinuationUnexpected);
        }

        let [second, rest @ ..] = rest else {
            return Ok(None);
        };
        let masked = second & MASKED != 0;
        if masked != expect.masked {
            return Err(if expect.masked {
                Violation::MaskMissing
            } else {
                Violation::MaskUnexpected
            });
        }
        let short = second & LENGTH;
        if opcode.is_control() && short > 125 {
            return Err(Violation::ControlTooLong);
        }

        let (length, rest) = match (short, rest) {
            (126, [a, b, rest @ ..]) => {
                let length = u16::from_be_bytes([*a, *b]);
                if length < 126 {
                    return Err(Violation::LengthNotMinimal);
                }
                (u64::from(length), rest)
            }
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                if length > u64::MAX >> 1 {
                    return Err(Violation::LengthTooLarge);
                }
                if length <= u64::from(u16::MAX) {
                    return Err(Violation::LengthNotMinimal);
                }
                (length, rest)
            }
            (127, [high, ..]) if *high >= 0x80 => return Err(Violation::LengthTooLarge),
            (127, [0, 0, 0, 0, 0, 0, ..]) => return Err(Violation::LengthNotMinimal),
            (126 | 127, _) => return Ok(None),
            (short, rest) => (u64::from(short), rest),
        };

        let (mask, rest) = match (masked, rest) {
            (true, [a, b, c, d, rest @ ..]) => (Some([*a, *b, *c, *d]), rest),
            (true, _) => return Ok(None),
            (false, rest) => (None, rest),
        };
        let header = Self {
            fin,
            compressed,
            opcode,
            mask,
            length,
        };
        Ok(Some((header, input.len() - rest.len())))
    }

    /// Finds the payload of an uncompressed message in one frame that is all in `input`. Returns `None` for any other frame, and for
    /// a violation: [`parse`](Self::parse) tells which.
    #[inline]
    pub(crate) fn whole_message(input: &[u8], masked: bool) -> Option<WholeMessage> {
        let [first, second, rest @ ..] = input else {
            return None;
        };
        let kind = match *first {
            TEXT => MessageKind::Text,
            BINARY => MessageKind::Binary,
            _ => return None,
        };
        if (second & MASKED != 0) != masked {
            return None;
        }
        let (length, rest) = match (second & LENGTH, rest) {
            (126, [a, b, rest @ ..]) => match u16::from_be_bytes([*a, *b]) {
                ..126 => return None,
                length => (usize::from(length), rest),
            },
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                match u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) {
                    ..0x1_0000 => return None,
                    length => (usize::try_from(length).ok()?, rest),
                }
            }
            (126 | 127, _) => return None,
            (short, rest) => (usize::from(short), rest),
        };
        let (mask, rest) = match rest {
            [a, b, c, d, rest @ ..] if masked => (Some([*a, *b, *c, *d]), rest),
            _ if masked => return None,
            rest => (None, rest),
        };
        let start = input.len() - rest.len();
        // Only then does the sum not overflow.
        (rest.len() >= length).then(|| WholeMessage {
            kind,
            mask,
            payload: start..start + length,
        })
    }

    /// Appends the header to `out`, with the length in its shortest form.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        match (self.mask, u8::try_from(self.length)) {
            // Most headers of a server, in few steps.
            (None, Ok(length @ 0..=125)) => out.extend_from_slice(&[self.first(), length]),
            _ => self.parts(|part| out.extend_from_slice(part)),
        }
    }

    /// Returns its first byte.
    const fn first(&self) -> u8 {
        let fin = if self.fin { FIN } else { 0 };
        let compressed = if self.compressed { RSV1 } else { 0 };
        fin | compressed | self.opcode as u8
    }

    /// Passes its bytes to a callback, in one to three parts.
    #[inline(never)]
    pub(crate) fn parts(&self, mut put: impl FnMut(&[u8])) {
        let first = self.first();
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(length @ 0..=125), _) => put(&[first, masked | length]),
            (_, Ok(length)) => {
                let [a, b] = length.to_be_bytes();
                put(&[first, masked | 126, a, b]);
            }
            (_, Err(_)) => {
                put(&[first, masked | 127]);
                put(&self.length.to_be_bytes());
            }
        }
        if let Some(key) = self.mask {
            put(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Expect = Expect {
        masked: true,
        inside_message: false,
        deflate: false,
    };
    const CLIENT: Expect = Expect {
        masked: false,
        inside_message: false,
        deflate: false,
    };
    const INSIDE: Expect = Expect {
        masked: false,
        inside_message: true,
        deflate: true,
    };

    struct Case {
        name: &'static str,
        expect: Expect,
        input: &'static [u8],
        want: Result<Option<(u64, usize)>, Violation>,
    }

    const CASES: &[Case] = &[
        Case {
            name: "5.2 nothing yet",
            expect: CLIENT,
            input: b"",
            want: Ok(None),
        },
        Case {
            name: "5.2 half a header",
            expect: CLIENT,
            input: b"\x81",
            want: Ok(None),
        },
        Case {
            name: "5.2 short length",
            expect: CLIENT,
            input: b"\x81\x05",
            want: Ok(Some((5, 2))),
        },
        Case {
            name: "5.2 125 is short",
            expect: CLIENT,
            input: b"\x82\x7d",
            want: Ok(Some((125, 2))),
        },
        Case {
            name: "5.2 126 in 16 bits",
            expect: CLIENT,
            input: b"\x82\x7e\0\x7e",
            want: Ok(Some((126, 4))),
        },
        Case {
            name: "5.2 125 in 16 bits",
            expect: CLIENT,
            input: b"\x82\x7e\0\x7d",
            want: Err(Violation::LengthNotMinimal),
        },
        Case {
            name: "5.2 half of 16 bits",
            expect: CLIENT,
            input: b"\x82\x7e\0",
            want: Ok(None),
        },
        Case {
            name: "5.2 65536 in 64 bits",
            expect: CLIENT,
            input: b"\x82\x7f\0\0\0\0\0\x01\0\0",
            want: Ok(Some((65536, 10))),
        },
        Case {
            name: "5.2 65535 in 64 bits",
            expect: CLIENT,
            input: b"\x82\x7f\0\0\0\0\0\0\xff\xff",
            want: Err(Violation::LengthNotMinimal),
        },
        Case {
            name: "5.2 six zeros prove it",
            expect: CLIENT,
            input: b"\x82\x7f\0\0\0\0\0\0",
            want: Err(Violation::LengthNotMinimal),
        },
        Case {
            name: "5.2 the highest bit proves it",
            expect: CLIENT,
            input: b"\x82\x7f\x80",
            want: Err(Violation::LengthTooLarge),
        },
        Case {
            name: "5.2 largest length",
            expect: CLIENT,
            input: b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
            want: Ok(Some((u64::MAX >> 1, 10))),
        },
        Case {
            name: "5.1 client unmasked",
            expect: SERVER,
            input: b"\x81\x05",
            want: Err(Violation::MaskMissing),
        },
        Case {
            name: "5.1 server masked",
            expect: CLIENT,
            input: b"\x81\x85",
            want: Err(Violation::MaskUnexpected),
        },
        Case {
            name: "5.3 key",
            expect: SERVER,
            input: b"\x81\x85\x01\x02\x03\x04",
            want: Ok(Some((5, 6))),
        },
        Case {
            name: "5.3 half a key",
            expect: SERVER,
            input: b"\x81\x85\x01\x02\x03",
            want: Ok(None),
        },
        Case {
            name: "5.2 RSV1 without agreement",
            expect: CLIENT,
            input: b"\xc1",
            want: Err(Violation::ReservedBit),
        },
        Case {
            name: "5.2 RSV2",
            expect: INSIDE,
            input: b"\xa0",
            want: Err(Violation::ReservedBit),
        },
        Case {
            name: "5.2 RSV3",
            expect: INSIDE,
            input: b"\x90",
            want: Err(Violation::ReservedBit),
        },
        Case {
            name: "7692 6.1 RSV1 on a continuation",
            expect: INSIDE,
            input: b"\xc0",
            want: Err(Violation::ReservedBit),
        },
        Case {
            name: "7692 6.1 RSV1 on a ping",
            expect: INSIDE,
            input: b"\xc9",
            want: Err(Violation::ReservedBit),
        },
        Case {
            name: "5.2 opcode 3",
            expect: CLIENT,
            input: b"\x83",
            want: Err(Violation::ReservedOpcode),
        },
        Case {
            name: "5.2 opcode 11",
            expect: CLIENT,
            input: b"\x8b",
            want: Err(Violation::ReservedOpcode),
        },
        Case {
            name: "5.4 text inside a message",
            expect: INSIDE,
            input: b"\x01",
            want: Err(Violation::ContinuationExpected),
        },
        Case {
            name: "5.4 nothing to continue",
            expect: CLIENT,
            input: b"\x80",
            want: Err(Violation::ContinuationUnexpected),
        },
        Case {
            name: "5.5 fragmented ping",
            expect: CLIENT,
            input: b"\x09",
            want: Err(Violation::ControlFragmented),
        },
        Case {
            name: "5.5 long pong",
            expect: CLIENT,
            input: b"\x8a\x7e",
            want: Err(Violation::ControlTooLong),
        },
        Case {
            name: "5.4 ping inside a message",
            expect: INSIDE,
            input: b"\x89\0",
            want: Ok(Some((0, 2))),
        },
    ];

    #[test]
    fn table() {
        for Case {
            name,
            expect,
            input,
            want,
        } in CASES
        {
            let got = Header::parse(input, *expect)
                .map(|found| found.map(|(header, taken)| (header.length, taken)));
            assert_eq!(got, *want, "{name}");
            // A prefix needs more bytes, or is invalid in the same way.
            for end in 0..input.len() {
                match Header::parse(&input[..end], *expect) {
                    Ok(None) => {}
                    Ok(Some(_)) => panic!("{name}: whole after {end}"),
                    Err(violation) => assert_eq!(Err(violation), *want, "{name} after {end}"),
                }
            }
        }
    }

    #[test]
    fn written_headers_are_read() {
        for length in [0, 1, 125, 126, 127, 65535, 65536, 1 << 40, u64::MAX >> 1] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let header = Header {
                    fin: true,
                    compressed: true,
                    opcode: Opcode::Binary,
                    mask,
                    length,
                };
                let mut bytes = Vec::new();
                header.write(&mut bytes);
                let expect = Expect {
                    masked: mask.is_some(),
                    inside_message: false,
                    deflate: true,
                };
                assert_eq!(
                    Header::parse(&bytes, expect),
                    Ok(Some((header, bytes.len())))
                );
                assert!(bytes.len() <= MAX_HEADER);
            }
        }
    }

    /// The short way finds what the long way finds, and nothing where that finds a fault or needs more.
    #[test]
    fn a_whole_message_is_one_that_parses_and_is_all_there() {
        let lengths: [&[u8]; 10] = [
            &[0],
            &[3],
            &[125],
            &[126, 0, 126],
            &[126, 0, 125],
            &[126, 0],
            &[127, 0, 0, 0, 0, 0, 1, 0, 0],
            &[127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            &[127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ];
        let mut found = 0;
        for (first, length) in (0..=u8::MAX).flat_map(|first| lengths.map(|length| (first, length)))
        {
            for (masked, expect) in [
                (true, SERVER),
                (false, SERVER),
                (true, CLIENT),
                (false, CLIENT),
            ] {
                for behind in [0, 3, 4, 7, 130, 70_000] {
                    let mut input = Vec::from([first]);
                    input.extend_from_slice(length);
                    input[1] |= if masked { MASKED } else { 0 };
                    input.resize(input.len() + behind, 7);
                    let whole = Header::whole_message(&input, expect.masked);
                    let parsed = Header::parse(&input, expect);
                    let want = parsed.ok().flatten().and_then(|(header, start)| {
                        let end = usize::try_from(header.length).ok()?.checked_add(start)?;
                        let is_whole =
                            header.fin && !header.opcode.is_control() && end <= input.len();
                        is_whole.then_some((header.mask, start..end))
                    });
                    found += usize::from(want.is_some());
                    let whole = whole.map(|whole| (whole.mask, whole.payload));
                    assert_eq!(whole, want, "{:x?}", &input[..input.len().min(20)]);
                }
            }
        }
        assert!(found > 50, "{found}");
    }
}
