//! Frames of HTTP/2, as bytes.
//! RFC 9113 sections 4.1 and 6. Frames are written without checks, so that a case can send what no endpoint may.

/// The bytes with which a client starts (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Stands for the main stream of a session, whatever its number.
pub const MAIN: u32 = u32::MAX;

/// Types of frames (RFC 9113 section 6).
pub mod kind {
    /// DATA.
    pub const DATA: u8 = 0;
    /// HEADERS.
    pub const HEADERS: u8 = 1;
    /// PRIORITY.
    pub const PRIORITY: u8 = 2;
    /// RST_STREAM.
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS.
    pub const SETTINGS: u8 = 4;
    /// PUSH_PROMISE.
    pub const PUSH_PROMISE: u8 = 5;
    /// PING.
    pub const PING: u8 = 6;
    /// GOAWAY.
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE.
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION.
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames (RFC 9113 section 6).
pub mod flag {
    /// ACK of SETTINGS and PING.
    pub const ACK: u8 = 1;
    /// END_STREAM of DATA and HEADERS.
    pub const END_STREAM: u8 = 1;
    /// END_HEADERS of HEADERS and CONTINUATION.
    pub const END_HEADERS: u8 = 4;
    /// PADDED of DATA and HEADERS.
    pub const PADDED: u8 = 8;
    /// PRIORITY of HEADERS.
    pub const PRIORITY: u8 = 32;
}

/// Identifiers of settings (RFC 9113 section 6.5.2; RFC 8441 section 3).
pub mod setting {
    /// SETTINGS_ENABLE_PUSH.
    pub const ENABLE_PUSH: u16 = 2;
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    /// SETTINGS_INITIAL_WINDOW_SIZE.
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    /// SETTINGS_MAX_FRAME_SIZE.
    pub const MAX_FRAME_SIZE: u16 = 5;
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL.
    pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

/// Error codes (RFC 9113 section 7).
pub mod error {
    /// NO_ERROR.
    pub const NO_ERROR: u32 = 0;
    /// PROTOCOL_ERROR.
    pub const PROTOCOL_ERROR: u32 = 1;
    /// REFUSED_STREAM.
    pub const REFUSED_STREAM: u32 = 7;
    /// CANCEL.
    pub const CANCEL: u32 = 8;

    /// ENHANCE_YOUR_CALM.
    pub const ENHANCE_YOUR_CALM: u32 = 11;

    /// Returns the name of a code.
    pub fn name(code: u32) -> String {
        let names = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        let known = usize::try_from(code).ok().and_then(|at| names.get(at));
        known.map_or_else(|| format!("error {code}"), |name| (*name).into())
    }
}

/// A frame of HTTP/2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 for the connection.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Creates a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
    Frame {
        kind,
        flags,
        stream,
        payload: payload.into(),
    }
}

/// Creates a DATA frame.
pub fn data(stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
    frame(kind::DATA, 0, stream, payload)
}

/// Creates a SETTINGS frame.
pub fn settings(pairs: &[(u16, u32)]) -> Frame {
    let payload: Vec<u8> = pairs
        .iter()
        .flat_map(|(id, value)| {
            let [a, b] = id.to_be_bytes();
            let [c, d, e, f] = value.to_be_bytes();
            [a, b, c, d, e, f]
        })
        .collect();
    frame(kind::SETTINGS, 0, 0, payload)
}

/// Creates a WINDOW_UPDATE frame.
pub fn window_update(stream: u32, increment: u32) -> Frame {
    frame(kind::WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
}

/// Creates an RST_STREAM frame.
pub fn reset(stream: u32, code: u32) -> Frame {
    frame(kind::RST_STREAM, 0, stream, code.to_be_bytes())
}

/// Creates a GOAWAY frame without debug data.
pub fn goaway(last: u32, code: u32) -> Frame {
    let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
    frame(kind::GOAWAY, 0, 0, payload)
}

impl Frame {
    /// Returns it with other flags.
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    /// Returns whether it has a flag.
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Appends its bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let [_, a, b, c] = u32::try_from(self.payload.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        out.extend_from_slice(&[a, b, c, self.kind, self.flags]);
        out.extend_from_slice(&self.stream.to_be_bytes());
        out.extend_from_slice(&self.payload);
    }

    /// Returns its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len() + HEADER);
        self.write(&mut out);
        out
    }

    /// Describes it, such as `HEADERS, stream 1, flags 04, 120 octets`.
    pub fn says(&self) -> String {
        let name = match self.kind {
            kind::DATA => "DATA",
            kind::HEADERS => "HEADERS",
            kind::PRIORITY => "PRIORITY",
            kind::RST_STREAM => "RST_STREAM",
            kind::SETTINGS => "SETTINGS",
            kind::PUSH_PROMISE => "PUSH_PROMISE",
            kind::PING => "PING",
            kind::GOAWAY => "GOAWAY",
            kind::WINDOW_UPDATE => "WINDOW_UPDATE",
            kind::CONTINUATION => "CONTINUATION",
            _ => "unknown frame",
        };
        let mut text = match name {
            "unknown frame" => format!("HTTP/2 frame of type {}", self.kind),
            name => format!("HTTP/2 {name}"),
        };
        match self.stream {
            0 => {}
            MAIN => text.push_str(", stream of the WebSocket"),
            stream => text.push_str(&format!(", stream {stream}")),
        }
        match (self.kind, self.flags) {
            (_, 0) => {}
            (kind::SETTINGS | kind::PING, flag::ACK) => text.push_str(", ACK"),
            (kind::DATA, flag::END_STREAM) => text.push_str(", END_STREAM"),
            (_, flags) => text.push_str(&format!(", flags {flags:02x}")),
        }
        match (self.kind, self.payload.as_slice()) {
            (kind::RST_STREAM, [a, b, c, d]) | (kind::GOAWAY, [_, _, _, _, a, b, c, d, ..]) => {
                let code = u32::from_be_bytes([*a, *b, *c, *d]);
                text.push_str(&format!(", {}", error::name(code)));
            }
            (kind::WINDOW_UPDATE, [a, b, c, d]) => {
                let count = u32::from_be_bytes([*a, *b, *c, *d]);
                text.push_str(&format!(", {count}"));
            }
            (kind::SETTINGS, payload) => {
                for (id, value) in pairs(payload) {
                    text.push_str(&format!(", {id}={value}"));
                }
            }
            (_, payload) => text.push_str(&format!(", {} octets", payload.len())),
        }
        text
    }
}

/// Returns the settings in a payload; an incomplete one at the end is left out.
pub fn pairs(payload: &[u8]) -> Vec<(u16, u32)> {
    let one = |six: &[u8]| match six {
        [a, b, c, d, e, f] => Some((
            u16::from_be_bytes([*a, *b]),
            u32::from_be_bytes([*c, *d, *e, *f]),
        )),
        _ => None,
    };
    payload.chunks(6).filter_map(one).collect()
}

/// Length of the header of a frame.
const HEADER: usize = 9;

/// Reads frames from bytes that arrive in any chunks. It holds one frame at most.
#[derive(Debug, Default)]
pub struct Reader {
    held: Vec<u8>,
}

/// The header of a frame announces more than was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong(pub usize);

impl Reader {
    /// Takes bytes from the front of `input` until a frame is whole.
    ///
    /// # Errors
    /// The payload is longer than `most`, by its header.
    pub fn next(&mut self, input: &mut &[u8], most: usize) -> Result<Option<Frame>, TooLong> {
        self.fill(input, HEADER);
        let [a, b, c, kind, flags, s0, s1, s2, s3, ..] = *self.held.as_slice() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        if length > most {
            return Err(TooLong(length));
        }
        self.fill(input, HEADER + length);
        if self.held.len() < HEADER + length {
            return Ok(None);
        }
        let payload = self.held.split_off(HEADER);
        self.held.clear();
        Ok(Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
            payload,
        }))
    }

    /// Moves bytes from `input` until so many are held.
    fn fill(&mut self, input: &mut &[u8], wanted: usize) {
        let count = wanted.saturating_sub(self.held.len()).min(input.len());
        let (taken, rest) = input.split_at(count);
        self.held.extend_from_slice(taken);
        *input = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written_however_they_are_cut() {
        let frames = [
            settings(&[(setting::ENABLE_CONNECT_PROTOCOL, 1), (4, 65_535)]),
            data(1, "Hello").flags(flag::END_STREAM),
            window_update(0, 7),
            reset(3, error::CANCEL),
            goaway(3, error::PROTOCOL_ERROR),
            frame(0xfa, 0xff, 5, ""),
        ];
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        for size in 1..=bytes.len() {
            let (mut reader, mut read) = (Reader::default(), Vec::new());
            for mut chunk in bytes.chunks(size) {
                while let Some(frame) = reader.next(&mut chunk, 16_384).unwrap() {
                    read.push(frame);
                }
                assert!(chunk.is_empty());
            }
            assert_eq!(read, frames, "chunks of {size}");
        }
        let mut long = &bytes[..];
        assert_eq!(Reader::default().next(&mut long, 11), Err(TooLong(12)));
    }

    #[test]
    fn frames_are_described() {
        assert_eq!(settings(&[(8, 1)]).says(), "HTTP/2 SETTINGS, 8=1");
        assert_eq!(reset(3, 8).says(), "HTTP/2 RST_STREAM, stream 3, CANCEL");
        assert_eq!(
            frame(99, 0, 1, "abc").says(),
            "HTTP/2 frame of type 99, stream 1, 3 octets"
        );
    }
}
